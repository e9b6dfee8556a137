#pragma once

#include <holdfast/io/posix_files.hpp>

#include <holdfast/base/posix_fork.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include <sys/file.h>

namespace holdfast::detail {

/// One write at most: large enough that the cost of the call does not count,
/// small enough that the device starts early.
HOLDFAST_INLINE constexpr std::uint64_t write_piece_bytes() noexcept {
  return std::uint64_t{8} << 20;
}

HOLDFAST_INLINE constexpr std::uint64_t largest_offset() noexcept {
  return static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
}

[[noreturn]] HOLDFAST_INLINE void throw_misuse(
    const char* message,
    const std::string& path) {
  ErrorDetails details;
  details.message = message;
  details.path = path;
  throw Error(ErrorCode::invalid_argument, std::move(details));
}

HOLDFAST_INLINE void write_fully(
    const Descriptor& file,
    ByteView bytes,
    std::uint64_t offset,
    const std::string& path) {
  const PosixCalls& calls = file.calls();
  if (offset > largest_offset() || bytes.size > largest_offset() - offset) {
    throw_system_error(EFBIG, "write", path);
  }
  const std::uint64_t piece = write_piece_bytes();
  while (!bytes.empty()) {
    // Pieces end at multiples of their size, so all but the first and the last
    // cover whole pages, whatever stands before them.
    const std::size_t count = static_cast<std::size_t>(
        std::min<std::uint64_t>(bytes.size, piece - offset % piece));
    const ssize_t written = uninterrupted([&] {
      return calls.pwrite(
          file.get(), bytes.data, count, static_cast<off_t>(offset));
    });
    if (written <= 0) {
      throw_system_error(written == 0 ? EIO : errno, "write", path);
    }
    const auto done = static_cast<std::size_t>(written);
    bytes = bytes.subview(done, bytes.size - done);
    offset += done;
    if (offset % piece == 0) {
      // Without it, everything would wait for the sync. What goes wrong is
      // reported there.
      (void)calls.start_writeback(
          file.get(),
          static_cast<off_t>(offset - piece),
          static_cast<off_t>(piece));
    }
  }
}

HOLDFAST_INLINE std::size_t read_fully(
    const Descriptor& file,
    std::uint64_t offset,
    std::byte* into,
    std::size_t count,
    const std::string& path) {
  const PosixCalls& calls = file.calls();
  std::size_t done = 0;
  while (done < count && offset <= largest_offset()) {
    const std::uint64_t most = std::min<std::uint64_t>(
        std::uint64_t{1} << 30, largest_offset() - offset);
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(count - done, most));
    if (wanted == 0) {
      break;
    }
    const ssize_t got = uninterrupted([&] {
      return calls.pread(
          file.get(), into + done, wanted, static_cast<off_t>(offset));
    });
    if (got < 0) {
      throw_system_error(errno, "read", path);
    }
    if (got == 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
  }
  return done;
}

/// True if a file system that answers this has no such locks.
HOLDFAST_INLINE bool means_no_locks(int error) noexcept {
  return error == ENOSYS || error == ENOLCK || error == EOPNOTSUPP ||
      error == EINVAL;
}

HOLDFAST_INLINE PosixWritableFile::PosixWritableFile(
    Descriptor file,
    std::string path)
    : file_(std::move(file)), path_(std::move(path)) {}

HOLDFAST_INLINE PosixWritableFile::~PosixWritableFile() = default;

HOLDFAST_INLINE void PosixWritableFile::require_usable() const {
  if (!file_.is_open()) {
    throw_misuse("the file is closed", path_);
  }
  if (failed_) {
    throw_system_error(EIO, "go on with a file that failed before", path_);
  }
}

HOLDFAST_INLINE void PosixWritableFile::write(ByteView bytes) {
  require_usable();
  failed_ = true;
  write_fully(file_, bytes, size_, path_);
  failed_ = false;
  size_ += bytes.size;
}

HOLDFAST_INLINE void PosixWritableFile::reserve(std::uint64_t bytes) {
  require_usable();
  if (bytes <= size_) {
    return;
  }
  if (bytes > largest_offset()) {
    throw_system_error(EFBIG, "reserve space", path_);
  }
  const int result = uninterrupted([&] {
    return file_.calls().fallocate(
        file_.get(),
        static_cast<off_t>(size_),
        static_cast<off_t>(bytes - size_));
  });
  const int error = result == 0 ? 0 : errno;
  reserved_ = std::max(reserved_, bytes);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    throw_system_error(error, "reserve space", path_);
  }
  // Everything else means that this file system cannot; a true error comes
  // back with the first write.
}

HOLDFAST_INLINE int PosixWritableFile::trim() noexcept {
  const bool needed = reserved_ > size_;
  reserved_ = 0;
  const int result = !needed ? 0 : uninterrupted([&] {
    return file_.calls().ftruncate(file_.get(), static_cast<off_t>(size_));
  });
  return result == 0 ? 0 : errno;
}

HOLDFAST_INLINE void PosixWritableFile::sync() {
  require_usable();
  failed_ = true;
  const int error = trim();
  if (error != 0) {
    throw_system_error(error, "set the size", path_);
  }
  check_call([&] { return file_.calls().fsync(file_.get()); }, "sync", path_);
  failed_ = false;
}

HOLDFAST_INLINE void PosixWritableFile::close() {
  if (!file_.is_open()) {
    throw_misuse("the file is closed", path_);
  }
  const int trim_error = trim();
  const int close_error = file_.close();
  if (close_error != 0) {
    throw_system_error(close_error, "close", path_);
  }
  if (trim_error != 0) {
    throw_system_error(trim_error, "set the size", path_);
  }
}

HOLDFAST_INLINE PosixReadableFile::PosixReadableFile(
    Descriptor file,
    SharedDescriptor directory,
    std::string name,
    std::string path)
    : file_(std::move(file)),
      directory_(std::move(directory)),
      name_(std::move(name)),
      path_(std::move(path)) {}

HOLDFAST_INLINE std::uint64_t PosixReadableFile::size() const {
  struct ::stat status = {};
  check_call(
      [&] { return file_.calls().fstat(file_.get(), &status); },
      "look at",
      path_);
  return static_cast<std::uint64_t>(status.st_size);
}

HOLDFAST_INLINE std::size_t PosixReadableFile::read_at(
    std::uint64_t offset,
    std::byte* into,
    std::size_t count) {
  return read_fully(file_, offset, into, count, path_);
}

HOLDFAST_INLINE void PosixReadableFile::drop_cache() noexcept {
  (void)file_.calls().forget_pages(file_.get());
}

HOLDFAST_INLINE bool PosixReadableFile::try_lock_shared() {
  // A removal holds an exclusive lock for an instant, and so does a look:
  // a refusal counts only if it lasts.
  for (int attempt = 0;; ++attempt) {
    const int result = uninterrupted(
        [&] { return file_.calls().flock(file_.get(), LOCK_SH | LOCK_NB); });
    if (result == 0) {
      return true;
    }
    if (means_no_locks(errno)) {
      return false;
    }
    if (errno != EWOULDBLOCK) {
      throw_system_error(errno, "lock", path_);
    }
    if (attempt == 20) {
      return false;
    }
    file_.calls().pause();
  }
}

/// By the open file description that is its own.
class PosixExclusiveLock final : public ExclusiveLock {
 public:
  explicit PosixExclusiveLock(Descriptor file) : file_(std::move(file)) {}

 private:
  Descriptor file_;
};

HOLDFAST_INLINE std::unique_ptr<ExclusiveLock> PosixReadableFile::
    try_lock_exclusive() {
  // On an open file of its own: an exclusive lock on ours would replace a
  // shared one. For writing where possible, since NFS demands it.
  const PosixCalls& calls = file_.calls();
  const int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const auto open = [&](int mode) {
    return uninterrupted([&] {
      return calls.openat(directory_->get(), name_.c_str(), mode | flags, 0);
    });
  };
  int number = open(O_RDWR);
  if (number == -1 && (errno == EACCES || errno == EPERM || errno == EROFS)) {
    number = open(O_RDONLY);
  }
  if (number == -1) {
    throw_system_error(errno, "open", path_);
  }
  Descriptor probe(calls, number);
  struct ::stat ours = {};
  struct ::stat named = {};
  const auto look = [&](const Descriptor& file, struct ::stat* into) {
    check_call([&] { return calls.fstat(file.get(), into); }, "look at", path_);
  };
  look(file_, &ours);
  look(probe, &named);
  if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino) {
    return nullptr; // The name is another file now: nothing can be told.
  }
  const int result = uninterrupted(
      [&] { return calls.flock(probe.get(), LOCK_EX | LOCK_NB); });
  if (result == 0 || means_no_locks(errno) || errno == EBADF) {
    return std::make_unique<PosixExclusiveLock>(std::move(probe));
  }
  if (errno == EWOULDBLOCK) {
    return nullptr;
  }
  throw_system_error(errno, "lock", path_);
}

HOLDFAST_INLINE PosixLockFile::PosixLockFile(
    Descriptor file,
    SharedDescriptor directory,
    std::string name,
    std::string path)
    : file_(std::move(file)),
      directory_(std::move(directory)),
      name_(std::move(name)),
      path_(std::move(path)),
      fork_generation_(fork_generation()) {}

HOLDFAST_INLINE LockResult PosixLockFile::try_lock() {
  const int result = uninterrupted(
      [&] { return file_.calls().lock_description(file_.get(), F_WRLCK); });
  if (result != -1) {
    return LockResult::acquired;
  }
  if (errno == EAGAIN || errno == EACCES) {
    return LockResult::held_by_other;
  }
  if (means_no_locks(errno)) {
    return LockResult::not_supported;
  }
  throw_system_error(errno, "lock", path_);
}

HOLDFAST_INLINE void PosixLockFile::unlock() noexcept {
  if (fork_generation() == fork_generation_) {
    (void)uninterrupted(
        [&] { return file_.calls().lock_description(file_.get(), F_UNLCK); });
  }
}

HOLDFAST_INLINE std::string PosixLockFile::read(std::size_t count) {
  struct ::stat status = {};
  check_call(
      [&] { return file_.calls().fstat(file_.get(), &status); },
      "look at",
      path_);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  Bytes bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, size)));
  bytes.resize(read_fully(file_, 0, bytes.data(), bytes.size(), path_));
  return std::string(ByteView(bytes).text());
}

HOLDFAST_INLINE void PosixLockFile::write_at(
    std::uint64_t offset,
    std::string_view text) {
  write_fully(file_, ByteView(text), offset, path_);
  failed_ = false; // These bytes are dirty again, so the next sync counts.
}

HOLDFAST_INLINE void PosixLockFile::sync() {
  if (failed_) {
    throw_system_error(EIO, "sync again after a failed sync", path_);
  }
  failed_ = true;
  check_call([&] { return file_.calls().fsync(file_.get()); }, "sync", path_);
  failed_ = false;
}

HOLDFAST_INLINE bool PosixLockFile::is_still_named() {
  struct ::stat ours = {};
  struct ::stat named = {};
  check_call(
      [&] { return file_.calls().fstat(file_.get(), &ours); },
      "look at",
      path_);
  const int result = uninterrupted([&] {
    return file_.calls().lstatat(directory_->get(), name_.c_str(), &named);
  });
  if (result == -1) {
    if (errno == ENOENT) {
      return false;
    }
    throw_system_error(errno, "look at", path_);
  }
  return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

} // namespace holdfast::detail

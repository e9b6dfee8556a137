#pragma once

#include <holdfast/io/posix_directory.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/scope_exit.hpp>
#include <holdfast/io/process.hpp>

#include <limits>
#include <utility>

#include <unistd.h>

namespace holdfast::detail {

HOLDFAST_INLINE FileKind kind_of_mode(mode_t mode) noexcept {
  return S_ISREG(mode) ? FileKind::file
      : S_ISDIR(mode)  ? FileKind::directory
      : S_ISLNK(mode)  ? FileKind::symlink
                       : FileKind::other;
}

HOLDFAST_INLINE void require_component(
    const std::string& name,
    const std::string& directory) {
  if (name.empty() || name == "." || name == ".." ||
      name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    ErrorDetails details;
    details.message = "not the name of an entry";
    details.path = directory;
    details.found = "'" + name + "'";
    throw Error(ErrorCode::invalid_argument, std::move(details));
  }
}

HOLDFAST_INLINE void sync_directory(
    const Descriptor& directory,
    const std::string& path) {
  const int result =
      uninterrupted([&] { return directory.calls().fsync(directory.get()); });
  if (result == -1 && errno != EINVAL && errno != EOPNOTSUPP) {
    throw_system_error(errno, "sync the directory", path);
  }
}

HOLDFAST_INLINE PosixDirectory::PosixDirectory(
    SharedDescriptor directory,
    std::string path)
    : directory_(std::move(directory)), path_(std::move(path)) {}

HOLDFAST_INLINE const std::string& PosixDirectory::path() const noexcept {
  return path_;
}

HOLDFAST_INLINE std::string PosixDirectory::path_of(
    const std::string& name) const {
  return !path_.empty() && path_.back() == '/' ? path_ + name
                                               : path_ + "/" + name;
}

HOLDFAST_INLINE FileKind
PosixDirectory::kind_of(const std::string& name, bool& taken) {
  struct ::stat status = {};
  const int result = uninterrupted([&] {
    return directory_->calls().lstatat(
        directory_->get(), name.c_str(), &status);
  });
  taken = result == 0;
  if (!taken && errno != ENOENT) {
    throw_system_error(errno, "look at", path_of(name));
  }
  return taken ? kind_of_mode(status.st_mode) : FileKind::other;
}

HOLDFAST_INLINE std::vector<DirectoryEntry> PosixDirectory::list() {
  const PosixCalls& calls = directory_->calls();
  // A description of its own: its read position starts at the beginning.
  const int number = uninterrupted([&] {
    return calls.openat(
        directory_->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  });
  if (number == -1) {
    throw_system_error(errno, "open the directory", path_);
  }
  Descriptor descriptor(calls, number);
  DIR* const stream = calls.fdopendir(descriptor.get());
  if (stream == nullptr) {
    throw_system_error(errno, "read the directory", path_);
  }
  descriptor.release();
  const ScopeExit closing([&] { (void)calls.closedir(stream); });
  std::vector<DirectoryEntry> entries;
  for (;;) {
    errno = 0;
    const struct ::dirent* const found = calls.readdir(stream);
    if (found == nullptr) {
      if (errno == EINTR) {
        continue;
      }
      if (errno != 0) {
        throw_system_error(errno, "read the directory", path_);
      }
      return entries;
    }
    DirectoryEntry entry;
    entry.name = found->d_name;
    if (entry.name == "." || entry.name == "..") {
      continue;
    }
    bool taken = true;
    switch (found->d_type) {
      case DT_REG:
        entry.kind = FileKind::file;
        break;
      case DT_DIR:
        entry.kind = FileKind::directory;
        break;
      case DT_LNK:
        entry.kind = FileKind::symlink;
        break;
      case DT_UNKNOWN:
        entry.kind = kind_of(entry.name, taken);
        break;
      default:
        break;
    }
    if (taken) {
      entries.push_back(std::move(entry));
    }
  }
}

HOLDFAST_INLINE bool PosixDirectory::exists(const std::string& name) {
  require_component(name, path_);
  bool taken = false;
  (void)kind_of(name, taken);
  return taken;
}

HOLDFAST_INLINE std::unique_ptr<WritableFile> PosixDirectory::create_file(
    const std::string& name) {
  require_component(name, path_);
  const PosixCalls& calls = directory_->calls();
  const int number = uninterrupted([&] {
    return calls.openat(
        directory_->get(),
        name.c_str(),
        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        0666);
  });
  if (number == -1) {
    throw_system_error(errno, "create the file", path_of(name));
  }
  return std::unique_ptr<WritableFile>(
      new PosixWritableFile(Descriptor(calls, number), path_of(name)));
}

HOLDFAST_INLINE Descriptor PosixDirectory::open_regular(
    const std::string& name,
    int flags,
    const char* action) {
  require_component(name, path_);
  const PosixCalls& calls = directory_->calls();
  // O_NONBLOCK: opening a pipe must not wait for its other end.
  const int number = uninterrupted([&] {
    return calls.openat(
        directory_->get(),
        name.c_str(),
        flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        0666);
  });
  const auto refuse = [&](int error, const char* found) {
    ErrorDetails details;
    details.message = std::string("cannot ") + action;
    details.path = path_of(name);
    details.expected = "a regular file";
    details.found = found;
    details.system_error = error;
    throw Error(ErrorCode::io_error, std::move(details));
  };
  if (number == -1) {
    if (errno == ELOOP) {
      refuse(ELOOP, "a symbolic link");
    }
    throw_system_error(errno, action, path_of(name));
  }
  Descriptor file(calls, number);
  struct ::stat status = {};
  check_call(
      [&] { return calls.fstat(file.get(), &status); },
      "look at",
      path_of(name));
  if (!S_ISREG(status.st_mode)) {
    refuse(0, S_ISDIR(status.st_mode) ? "a directory" : "a special file");
  }
  return file;
}

HOLDFAST_INLINE std::unique_ptr<ReadableFile> PosixDirectory::open_file(
    const std::string& name) {
  Descriptor file = open_regular(name, O_RDONLY, "open the file");
  return std::unique_ptr<ReadableFile>(
      new PosixReadableFile(std::move(file), directory_, name, path_of(name)));
}

HOLDFAST_INLINE std::unique_ptr<LockFile> PosixDirectory::open_lock_file(
    const std::string& name) {
  Descriptor file = open_regular(name, O_RDWR | O_CREAT, "open the lock file");
  return std::unique_ptr<LockFile>(
      new PosixLockFile(std::move(file), directory_, name, path_of(name)));
}

HOLDFAST_INLINE void PosixDirectory::create_directory(const std::string& name) {
  require_component(name, path_);
  check_call(
      [&] {
        return directory_->calls().mkdirat(
            directory_->get(), name.c_str(), 0777);
      },
      "create the directory",
      path_of(name));
}

HOLDFAST_INLINE std::unique_ptr<Directory> PosixDirectory::open_directory(
    const std::string& name) {
  require_component(name, path_);
  const PosixCalls& calls = directory_->calls();
  const int number = uninterrupted([&] {
    return calls.openat(
        directory_->get(),
        name.c_str(),
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        0);
  });
  if (number == -1) {
    throw_system_error(errno, "open the directory", path_of(name));
  }
  Descriptor descriptor(calls, number);
  return std::unique_ptr<Directory>(
      new PosixDirectory(share(std::move(descriptor)), path_of(name)));
}

HOLDFAST_INLINE void PosixDirectory::rename(
    const std::string& from,
    const std::string& to) {
  require_component(from, path_);
  require_component(to, path_);
  const PosixCalls& calls = directory_->calls();
  int result = uninterrupted([&] {
    return calls.rename_exclusive(directory_->get(), from.c_str(), to.c_str());
  });
  if (result == -1 && (errno == EINVAL || errno == ENOSYS)) {
    // Kernel or file system without it: the lock file keeps other writers away
    // between the look and the rename.
    if (exists(to)) {
      throw_system_error(EEXIST, "rename to an existing name", path_of(to));
    }
    result = uninterrupted([&] {
      return calls.renameat(directory_->get(), from.c_str(), to.c_str());
    });
  }
  if (result == -1) {
    const int error = errno;
    const std::string action = "rename to '" + to + "'";
    throw_system_error(error, action.c_str(), path_of(from));
  }
}

HOLDFAST_INLINE void PosixDirectory::remove_file(const std::string& name) {
  require_component(name, path_);
  check_call(
      [&] {
        return directory_->calls().unlinkat(directory_->get(), name.c_str(), 0);
      },
      "remove the file",
      path_of(name));
}

HOLDFAST_INLINE void PosixDirectory::remove_directory(const std::string& name) {
  require_component(name, path_);
  check_call(
      [&] {
        return directory_->calls().unlinkat(
            directory_->get(), name.c_str(), AT_REMOVEDIR);
      },
      "remove the directory",
      path_of(name));
}

HOLDFAST_INLINE void PosixDirectory::point_symlink(
    const std::string& name,
    const std::string& target) {
  require_component(name, path_);
  const PosixCalls& calls = directory_->calls();
  bool taken = false;
  if (kind_of(name, taken) != FileKind::symlink && taken) {
    throw_system_error(EEXIST, "make a symbolic link", path_of(name));
  }
  const std::string temporary = ".latest-" + random_id();
  check_call(
      [&] {
        return calls.symlinkat(
            target.c_str(), directory_->get(), temporary.c_str());
      },
      "make a symbolic link",
      path_of(name));
  const int result = uninterrupted([&] {
    return calls.renameat(directory_->get(), temporary.c_str(), name.c_str());
  });
  if (result == -1) {
    const int error = errno;
    (void)calls.unlinkat(directory_->get(), temporary.c_str(), 0);
    throw_system_error(error, "make a symbolic link", path_of(name));
  }
}

HOLDFAST_INLINE void PosixDirectory::sync() {
  sync_directory(*directory_, path_);
}

HOLDFAST_INLINE SpaceInfo PosixDirectory::space() {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  struct ::statvfs status = {};
  check_call(
      [&] { return directory_->calls().fstatvfs(directory_->get(), &status); },
      "ask for the free space",
      path_);
  SpaceInfo space;
  // Some file systems do not know their size, or have no fixed number of
  // inodes, and say 0 of 0.
  space.available_bytes = status.f_blocks == 0
      ? most
      : checked_multiply(status.f_bavail, status.f_frsize).value_or(most);
  space.available_files = status.f_files == 0 ? most : status.f_favail;
  return space;
}

HOLDFAST_INLINE std::string PosixDirectory::identity() {
  struct ::stat status = {};
  check_call(
      [&] { return directory_->calls().fstat(directory_->get(), &status); },
      "look at",
      path_);
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

} // namespace holdfast::detail

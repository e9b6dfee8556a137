#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/io/byte_sink.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// The file-system seam. Everything Holdfast does on a disk goes through these
/// interfaces, so that tests can put a disk behind them that loses power.
///
/// Rules for every implementation:
/// - Names are single components: not empty, not "." or "..", without '/' and
///   NUL; anything else is `invalid_argument`. Links are never followed, except
///   at the root.
/// - Every failure is an `Error` with the path and errno, its code by the table
///   in base/error.hpp (`not_found`, `no_space`, ...). Interrupted calls and
///   short transfers are finished inside; they never surface.
/// - Nothing is durable before the sync that the contract names.
/// - A directory may be used by several threads at once, other objects by one
///   at a time. Destructors release and never report.
namespace holdfast {

enum class FileKind { file, directory, symlink, other };

struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::other;
};

struct SpaceInfo {
  /// For this user, without reserves; the maximum where nobody knows.
  std::uint64_t available_bytes = 0;
  std::uint64_t available_files = 0; ///< Inodes; the maximum where unlimited.
};

/// A file being written, from its first byte to its last.
class WritableFile : public ByteSink {
 public:
  /// Reserves `bytes` in advance, so that a full disk shows early. Does nothing
  /// where the file system cannot. Throws `no_space`. The final size is still
  /// what was written.
  virtual void reserve(std::uint64_t bytes) = 0;

  /// Makes the contents and the size durable; the name needs its directory's
  /// sync. After an error the contents are lost for good: never call it again,
  /// give the file up.
  virtual void sync() = 0;

  /// Closes, and reports what the system held back until now (network file
  /// systems tell a full disk here). Once: the file is closed even where this
  /// throws, and whatever follows is `invalid_argument`.
  virtual void close() = 0;
};

/// Keeps every other lock off an open file until it is destroyed.
class ExclusiveLock {
 public:
  virtual ~ExclusiveLock() = default;
};

/// A file that is read. Holding it keeps the contents alive after a removal.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;

  [[nodiscard]] virtual std::uint64_t size() const = 0;

  /// Reads up to `count` bytes at `offset`, fewer only at the end of the file.
  /// Returns how many.
  [[nodiscard]] virtual std::size_t read_at(
      std::uint64_t offset,
      std::byte* into,
      std::size_t count) = 0;

  /// Asks the system to forget cached pages, so that the next read comes from
  /// the device. Advice only: never fails.
  virtual void drop_cache() noexcept = 0;

  /// A shared lock on the open file, held until it is destroyed: tells
  /// retention that somebody reads here. Needs no write permission. False where
  /// the lock is taken exclusively or the file system has none.
  [[nodiscard]] virtual bool try_lock_shared() = 0;

  /// Null if an open file holds a lock, this one included. Where the file
  /// system has none, a lock that keeps nobody off. Needs no write permission
  /// where the file system does not demand it.
  [[nodiscard]] virtual std::unique_ptr<ExclusiveLock> try_lock_exclusive() = 0;
  /// True if nobody holds a lock now.
  [[nodiscard]] bool is_unlocked() {
    return try_lock_exclusive() != nullptr;
  }
};

enum class LockResult { acquired, held_by_other, not_supported };

/// A small file that is locked, and overwritten in place.
class LockFile {
 public:
  virtual ~LockFile() = default;

  /// An exclusive lock that belongs to this open file, is not inherited through
  /// exec, and ends with the process. Never blocks. A forked child shares it.
  [[nodiscard]] virtual LockResult try_lock() = 0;
  virtual void unlock() noexcept = 0;

  /// The first `count` bytes at most.
  [[nodiscard]] virtual std::string read(std::size_t count) = 0;
  /// Overwrites at `offset`, growing the file if it must. Not durable.
  virtual void write_at(std::uint64_t offset, std::string_view text) = 0;
  /// As `WritableFile::sync`.
  virtual void sync() = 0;

  /// True while the directory's entry of this name is still this very file.
  [[nodiscard]] virtual bool is_still_named() = 0;
};

/// An open directory. All work below it is relative to the descriptor, so that
/// a renamed or re-mounted path cannot lead elsewhere.
class Directory {
 public:
  virtual ~Directory() = default;

  /// For messages only.
  [[nodiscard]] virtual const std::string& path() const noexcept = 0;

  /// Every entry but "." and "..", in no order. A directory that cannot be read
  /// to its end is an error, never a shorter list.
  [[nodiscard]] virtual std::vector<DirectoryEntry> list() = 0;
  /// Whether the name is taken, by whatever; links are not followed.
  [[nodiscard]] virtual bool exists(const std::string& name) = 0;

  /// A new empty file; `already_exists` if the name is taken.
  [[nodiscard]] virtual std::unique_ptr<WritableFile> create_file(
      const std::string& name) = 0;
  /// `not_found`; `io_error` if it is not a regular file (a link is none).
  [[nodiscard]] virtual std::unique_ptr<ReadableFile> open_file(
      const std::string& name) = 0;
  /// Opens the file, made if absent (mode 0666 under the umask); `io_error` if
  /// it is not a regular file.
  [[nodiscard]] virtual std::unique_ptr<LockFile> open_lock_file(
      const std::string& name) = 0;

  /// `already_exists` if the name is taken, by whatever.
  virtual void create_directory(const std::string& name) = 0;
  /// `not_found`; `not_a_directory` for a file or a link.
  [[nodiscard]] virtual std::unique_ptr<Directory> open_directory(
      const std::string& name) = 0;

  /// Renames within this directory, atomically, and never over an existing
  /// name: `already_exists`. After another error it may or may not have
  /// happened (network file systems): look.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  /// A file or a link, never what the link leads to; `io_error` for a
  /// directory.
  virtual void remove_file(const std::string& name) = 0;
  /// An empty directory; `already_exists` if it is not empty,
  /// `not_a_directory` for a file or a link.
  virtual void remove_directory(const std::string& name) = 0;
  /// Makes `name` a symbolic link to `target`, in place of the former link;
  /// `already_exists` if `name` is something else. Atomic where the file system
  /// can; for people, never read for a decision. A crash can leave a link
  /// `.latest-<32 hex digits>`, which a sweep may remove.
  virtual void point_symlink(
      const std::string& name,
      const std::string& target) = 0;

  /// Makes names made, renamed and removed so far in this directory durable.
  virtual void sync() = 0;
  [[nodiscard]] virtual SpaceInfo space() = 0;
  /// A text that is equal for two handles of one directory, and for no others.
  [[nodiscard]] virtual std::string identity() = 0;
};

enum class Create { no, yes };

/// Opens roots.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Opens the directory at `path`; the path may lead through links. With
  /// `Create::yes` missing directories are made, and made durable.
  [[nodiscard]] virtual std::shared_ptr<Directory> open_root(
      const std::string& path,
      Create create) = 0;
};

/// Removes `name` and everything below it, links as links. Entries that vanish
/// meanwhile are fine, and so is a `name` that is not there. Not durable. Once
/// `*stop` is true it returns, and leaves the rest.
void remove_tree(
    Directory& parent,
    const std::string& name,
    const std::atomic<bool>* stop = nullptr);

/// Reads a whole file of at most `limit` bytes; `limit_exceeded` beyond it.
[[nodiscard]] Bytes read_file(
    Directory& directory,
    const std::string& name,
    std::uint64_t limit);

/// Makes a file of `text` and makes it durable, its name with the directory's
/// next sync; `already_exists`.
void write_file(
    Directory& directory,
    const std::string& name,
    std::string_view text);

namespace detail {

/// All bytes of an open file of at most `limit`; `path` is for messages.
[[nodiscard]] Bytes read_all(
    ReadableFile& file,
    std::uint64_t limit,
    const std::string& path);

} // namespace detail

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/file_system.ipp>
#endif

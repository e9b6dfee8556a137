#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/testing/loss_pattern.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::testing {

namespace detail {
struct MemoryDisk;
}

/// A disk in memory that forgets what was not synced when its power is cut.
/// Implements the whole contract of `FileSystem`.
///
/// What is durable:
/// - `WritableFile::sync` and `LockFile::sync` make a file's bytes and size
///   durable, but not its name;
/// - `Directory::sync` makes the names in this one directory durable, but
///   neither the bytes of the files nor the names in sub-directories;
/// - everything else is pending until then, and a `LossPattern` decides.
///
/// So a directory whose own name is lost takes everything below it along, and
/// one whose name was synced but not its contents comes back empty.
///
/// A snapshot holds what another process would find if this one were killed
/// now: everything, pending changes still pending. Its `cut_power` gives what
/// the next boot would find. Bytes are shared between snapshots until somebody
/// writes, so tests can take the state once and try many patterns:
///
///     for (const LossPattern& pattern : all_loss_patterns(*disk)) {
///       auto after = disk->snapshot();
///       after->cut_power(pattern);
///       check(*after);
///     }
///
/// Safe to use from several threads. Handles keep the disk alive.
class MemoryFileSystem final : public FileSystem {
 public:
  static constexpr std::uint64_t kUnlimited =
      std::numeric_limits<std::uint64_t>::max();

  MemoryFileSystem();
  ~MemoryFileSystem() override;
  MemoryFileSystem(const MemoryFileSystem&) = delete;
  MemoryFileSystem& operator=(const MemoryFileSystem&) = delete;

  /// "runs/a" and "/runs/a" are the same.
  [[nodiscard]] std::shared_ptr<Directory> open_root(
      const std::string& path,
      Create create) override;

  // The power.

  /// Leaves on the disk what was synced and what `pattern` lets through. Every
  /// handle is dead from now on: its calls throw `io_error`, its locks are
  /// gone, its destructor does nothing.
  void cut_power(const LossPattern& pattern);
  /// Makes everything durable.
  void sync_all();
  /// An independent disk in the same state, without handles and locks.
  [[nodiscard]] std::shared_ptr<MemoryFileSystem> snapshot() const;

  /// Name operations and writes that are not yet durable.
  [[nodiscard]] std::size_t pending_operations() const;
  /// The pending name operations in words, by index.
  [[nodiscard]] std::vector<std::string> pending_names() const;
  /// The pending writes in words, by index.
  [[nodiscard]] std::vector<std::string> pending_data() const;
  /// The indices of the name operations that are renames (or replace a link).
  [[nodiscard]] std::vector<std::size_t> pending_renames() const;

  // The hardware.

  /// Room for that many bytes in files, and for that many files, directories
  /// and links. A write that does not fit writes what does, then throws
  /// `no_space`. Less than what is there already is allowed.
  void set_capacity(std::uint64_t bytes, std::uint64_t files = kUnlimited);
  /// Without locks: `not_supported`, as on some network file systems.
  void set_locks_supported(bool supported);

  // For tests: looking and damaging behind everybody's back. Paths start at the
  // root of the disk. What is changed here is durable at once, together with
  // other pending changes of the same file and of its directory.

  [[nodiscard]] bool exists(const std::string& path) const;
  /// Throws `not_found`, and `io_error` for what is not a file.
  [[nodiscard]] Bytes read_file(const std::string& path) const;
  /// As `read_file`.
  [[nodiscard]] std::string read_text(const std::string& path) const;
  /// The target of a symbolic link.
  [[nodiscard]] std::string read_link(const std::string& path) const;
  /// Every path below `path`, sorted; directories end in '/', links in '@'.
  [[nodiscard]] std::vector<std::string> list_all(
      const std::string& path = "/") const;
  /// Makes or replaces a file, and the directories that lead to it.
  void write_file(const std::string& path, ByteView bytes);
  void make_directory(const std::string& path);
  void make_symlink(const std::string& path, const std::string& target);
  /// Bit 0 is the lowest of the first byte. `invalid_argument` beyond the end.
  void flip_bit(const std::string& path, std::uint64_t bit);
  /// Cuts, or grows with zeros.
  void truncate(const std::string& path, std::uint64_t size);
  /// A file, a link, or a directory with everything below it.
  void remove(const std::string& path);
  /// Moves within the disk; over an existing name if it has to.
  void move(const std::string& from, const std::string& to);
  /// Copies a file, or a directory with everything below it.
  void copy(const std::string& from, const std::string& to);
  /// Reading this file fails with `system_error` until 0 is set: EACCES and
  /// EPERM when it is opened, others when it is read.
  void set_unreadable(const std::string& path, int system_error);

 private:
  explicit MemoryFileSystem(std::shared_ptr<detail::MemoryDisk> disk);

  std::shared_ptr<detail::MemoryDisk> disk_;
};

/// Every named pattern that can make a difference on this disk now: each name
/// operation lost alone, kept alone and as the last one, with and without the
/// data; each rename torn in both ways; each write lost and kept alone; all
/// writes torn at 512 bytes and at 4 KiB. Then `random` patterns with the seeds
/// `first_seed`, `first_seed + 1`, ... Only `all_kept` if nothing is pending.
[[nodiscard]] std::vector<LossPattern> all_loss_patterns(
    const MemoryFileSystem& disk,
    std::size_t random = 0,
    std::uint64_t first_seed = 1);

} // namespace holdfast::testing

#if HOLDFAST_BODIES
#include <holdfast/testing/impl/memory_file_system.ipp>
#endif

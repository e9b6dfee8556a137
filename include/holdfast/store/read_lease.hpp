#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>

#include <memory>
#include <string>

namespace holdfast {

/// Holds a checkpoint against the retention and `prune()` of a job at work, for
/// as long as it lives: a shared lock on the manifest. For programs that read a
/// checkpoint's files themselves; `holdfast::load()` does it on its own. Needs
/// no write permission. Ends with the process, however that ends. Any number
/// of them, in any number of processes; one thread at a time.
class ReadLease {
 public:
  /// Of the checkpoint at `path`, under whatever name (a copy, LATEST), or of
  /// the newest one of the current line where `path` is a run directory.
  /// `not_found` where there is none, or where it was removed at this very
  /// moment; `locked` where a writer is stuck in removing it; `not_supported`
  /// where the file system keeps no locks.
  explicit ReadLease(const std::string& path);
  ReadLease(const std::string& path, FileSystem& file_system);
  /// Of the checkpoint `name` in `root`, which need not outlive this.
  ReadLease(Directory& root, const std::string& name);

  /// The checkpoint's.
  [[nodiscard]] const std::string& path() const noexcept {
    return path_;
  }

 private:
  /// Of what is open; its name has still to be looked at.
  explicit ReadLease(Directory& checkpoint);
  static ReadLease at(const std::string& path, FileSystem& file_system);
  void require_lock() const;

  std::string path_;
  std::unique_ptr<ReadableFile> manifest_; ///< Holds the lock.
  bool is_locked_ = false;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/read_lease.ipp>
#endif

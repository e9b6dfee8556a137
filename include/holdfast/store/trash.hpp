#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/job_queue.hpp>
#include <holdfast/io/file_system.hpp>

#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// Where the files of a removed checkpoint are deleted.
enum class Deletion {
  at_once, ///< By the call that removes it.
  in_background, ///< By a thread: large files take the system a while.
};

/// Deletes what has been renamed to trash and so is gone for every reader. The
/// order in which it does so, and whether a crash comes in between, matters to
/// nobody: the next writer sweeps what is left.
class Trash {
 public:
  Trash(std::shared_ptr<Directory> root, Deletion deletion);
  /// Waits as `finish()` does. In a forked child it does nothing.
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  /// Deletes the directory `name` of the root with all that is in it.
  void empty(std::string name) noexcept;

  /// Waits until all of it is gone, so that its space is free.
  void finish() noexcept;

  /// What could not be deleted and has not been told yet: a line for people
  /// about each. Never waits.
  [[nodiscard]] std::vector<std::string> take_failures();

 private:
  void collect(bool wait) noexcept;
  void note(const std::string& name) noexcept;

  std::shared_ptr<Directory> root_;
  std::vector<std::string> failures_;
  std::vector<std::string> given_; ///< Names, in the order of the queue.
  detail::JobQueue queue_; ///< Without a worker: at once.
  bool in_background_;
};

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/store/impl/trash.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/job_queue.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/store/deletion.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// Deletes what has been renamed to trash and so is gone for every reader. The
/// order in which it does so, and whether a crash comes in between, matters to
/// nobody: the next writer sweeps what is left. What cannot be deleted is tried
/// again with every removal that follows. In a forked child all of this does
/// nothing. One thread at a time.
class Trash {
 public:
  Trash(std::shared_ptr<Directory> root, Deletion deletion);
  /// Waits as `wait()` does, unless `leave()` was called.
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  /// Deletes the directory `name` of the root with all that is in it.
  void remove(const std::string& name) noexcept;

  /// Deletes it with the next one: its new name may not be durable before.
  void remember(const std::string& name) noexcept;

  /// Returns when all of it is gone, so that its space is free.
  void wait() noexcept;
  /// Waits up to `patience` seconds; true if all of it is gone.
  [[nodiscard]] bool wait_for(double patience) noexcept;
  /// For somebody in a hurry: what is not gone is left to the next writer, and
  /// the destructor waits for the file at hand alone.
  void leave() noexcept {
    is_left_ = true;
  }

  /// What could not be deleted and has not been told yet: a line for people
  /// about each, once. Never waits.
  [[nodiscard]] std::vector<std::string> take_failures() noexcept;

 private:
  void begin(const std::string& name, bool is_told) noexcept;
  void note(const std::string& name, bool is_told, std::string&& why) noexcept;
  [[nodiscard]] bool is_forked() const noexcept;

  std::shared_ptr<Directory> root_;
  bool in_background_;
  std::uint64_t generation_; ///< Of the process that made it.
  std::vector<std::string> left_; ///< Could not be deleted, which is told.
  std::vector<std::string> failures_;
  std::atomic<bool> is_left_{false};
  detail::JobQueue queue_; ///< Of one thread that starts with the first job.
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/trash.ipp>
#endif

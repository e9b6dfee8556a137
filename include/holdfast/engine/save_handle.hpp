#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {

/// A save on its way. Copies share one save.
class SaveHandle {
 public:
  struct Result {
    std::string path; ///< Of the committed checkpoint; empty after a failure.
    std::exception_ptr error;
  };

  explicit SaveHandle(std::shared_ptr<const Result> result)
      : result_(std::move(result)) {}

  /// Blocks until the checkpoint is durable; throws what went wrong.
  void wait() const {
    if (result_->error) {
      std::rethrow_exception(result_->error);
    }
  }
  /// True once it is durable or has failed.
  [[nodiscard]] bool done() const noexcept {
    return true;
  }
  /// True if it is durable; false if it has failed. Waits.
  [[nodiscard]] bool saved() const noexcept {
    return !result_->error;
  }
  /// Waits, and gives the checkpoint's path.
  [[nodiscard]] const std::string& path() const {
    wait();
    return result_->path;
  }

 private:
  std::shared_ptr<const Result> result_;
};

} // namespace holdfast

#pragma once

#include <holdfast/store/trash.hpp>

#include <holdfast/base/error.hpp>

#include <utility>

namespace holdfast {

namespace detail {

class DeletionJob final : public Job {
 public:
  explicit DeletionJob(std::string doomed) : name(std::move(doomed)) {}
  std::string name;
};

class DeletionWorker final : public Worker {
 public:
  explicit DeletionWorker(std::shared_ptr<Directory> root)
      : root_(std::move(root)) {}

  void run(Job& job) override {
    remove_tree(*root_, static_cast<DeletionJob&>(job).name);
  }

 private:
  std::shared_ptr<Directory> root_;
};

} // namespace detail

HOLDFAST_INLINE Trash::Trash(std::shared_ptr<Directory> root, Deletion deletion)
    : root_(std::move(root)),
      in_background_(deletion == Deletion::in_background) {
  if (in_background_) {
    queue_.add_worker(
        detail::Owned<detail::Worker>(new detail::DeletionWorker(root_)));
  }
}

HOLDFAST_INLINE Trash::~Trash() {
  finish();
}

HOLDFAST_INLINE void Trash::empty(std::string name) noexcept {
  try {
    if (in_background_) {
      given_.push_back(name);
      try {
        queue_.give(detail::Owned<detail::Job>(new detail::DeletionJob(name)));
        return;
      } catch (...) { // no more threads, or no memory for one
        given_.pop_back();
      }
    }
    remove_tree(*root_, name);
  } catch (...) {
    note(name);
  }
}

HOLDFAST_INLINE void Trash::finish() noexcept {
  collect(true);
}

HOLDFAST_INLINE std::vector<std::string> Trash::take_failures() {
  collect(false);
  return std::exchange(failures_, {});
}

HOLDFAST_INLINE void Trash::collect(bool wait) noexcept {
  try {
    while (!given_.empty() && (wait || queue_.has_done())) {
      try {
        static_cast<void>(queue_.take());
      } catch (...) {
        note(given_.front());
      }
      given_.erase(given_.begin());
    }
  } catch (...) { // a forked child: the thread is its parent's
    given_.clear();
  }
}

/// In the handler of what went wrong.
HOLDFAST_INLINE void Trash::note(const std::string& name) noexcept {
  try {
    failures_.push_back(
        name + " could not be deleted and is left to the next run: " +
        current_exception_text());
  } catch (...) { // no memory to tell it with
  }
}

} // namespace holdfast

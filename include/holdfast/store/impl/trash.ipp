#pragma once

#include <holdfast/store/trash.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/posix_fork.hpp>

#include <utility>

namespace holdfast {

namespace detail {

/// Empty: it is gone. Otherwise a line for people.
HOLDFAST_INLINE std::string delete_tree(
    Directory& root,
    const std::string& name) noexcept {
  try {
    try {
      remove_tree(root, name);
      return {};
    } catch (...) {
      return name + " could not be deleted and is left to the next run: " +
          current_exception_text();
    }
  } catch (...) { // no memory to tell it with
    return {};
  }
}

class DeletionJob final : public Job {
 public:
  explicit DeletionJob(std::string doomed) : name(std::move(doomed)) {}
  std::string name;
  std::string failure;
};

class DeletionWorker final : public Worker {
 public:
  explicit DeletionWorker(std::shared_ptr<Directory> root)
      : root_(std::move(root)) {}

  void run(Job& job) override {
    auto& deletion = static_cast<DeletionJob&>(job);
    deletion.failure = delete_tree(*root_, deletion.name);
  }

 private:
  std::shared_ptr<Directory> root_;
};

} // namespace detail

HOLDFAST_INLINE Trash::Trash(std::shared_ptr<Directory> root, Deletion deletion)
    : root_(std::move(root)),
      in_background_(deletion == Deletion::in_background),
      generation_(fork_generation()) {
  if (in_background_) {
    queue_.add_worker(
        detail::Owned<detail::Worker>(new detail::DeletionWorker(root_)));
  }
}

HOLDFAST_INLINE Trash::~Trash() {
  wait();
}

HOLDFAST_INLINE bool Trash::is_forked() const noexcept {
  return fork_generation() != generation_;
}

HOLDFAST_INLINE void Trash::remove(std::string name) noexcept {
  if (is_forked()) {
    return;
  }
  if (in_background_) {
    try {
      queue_.give(detail::Owned<detail::Job>(new detail::DeletionJob(name)));
      return;
    } catch (...) { // no more threads, or no memory for one
    }
  }
  note(detail::delete_tree(*root_, name));
}

HOLDFAST_INLINE void Trash::note(std::string&& failure) noexcept {
  try {
    if (!failure.empty()) {
      failures_.push_back(std::move(failure));
    }
  } catch (...) { // no memory to tell it with
  }
}

HOLDFAST_INLINE void Trash::wait() noexcept {
  collect(true);
}

HOLDFAST_INLINE std::vector<std::string> Trash::take_failures() noexcept {
  collect(false);
  return std::exchange(failures_, {});
}

HOLDFAST_INLINE void Trash::collect(bool wait) noexcept {
  if (is_forked()) {
    return;
  }
  while (wait ? queue_.size() > 0 : queue_.has_done()) {
    const detail::Owned<detail::Job> job = queue_.take();
    note(std::move(static_cast<detail::DeletionJob&>(*job).failure));
  }
}

} // namespace holdfast

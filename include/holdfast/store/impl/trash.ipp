#pragma once

#include <holdfast/store/trash.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/posix_fork.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace holdfast {

namespace detail {

/// Empty: it is gone. Otherwise a line for people.
HOLDFAST_INLINE std::string delete_tree(
    Directory& root,
    const std::string& name,
    const std::atomic<bool>& stop) noexcept {
  try {
    try {
      remove_tree(root, name, &stop);
      return {};
    } catch (...) {
      return name + " could not be deleted yet: " + current_exception_text();
    }
  } catch (...) { // no memory to tell it with
    return {};
  }
}

class DeletionJob final : public Job {
 public:
  DeletionJob(std::string doomed, bool failed_before)
      : name(std::move(doomed)), is_told(failed_before) {}
  std::string name;
  bool is_told;
  std::string failure;
};

class DeletionWorker final : public Worker {
 public:
  DeletionWorker(std::shared_ptr<Directory> root, const std::atomic<bool>& stop)
      : root_(std::move(root)), stop_(stop) {}

  void run(Job& job) override {
    auto& deletion = static_cast<DeletionJob&>(job);
    deletion.failure = delete_tree(*root_, deletion.name, stop_);
  }

 private:
  std::shared_ptr<Directory> root_;
  const std::atomic<bool>& stop_;
};

} // namespace detail

HOLDFAST_INLINE Trash::Trash(std::shared_ptr<Directory> root, Deletion deletion)
    : root_(std::move(root)),
      in_background_(deletion == Deletion::in_background),
      generation_(fork_generation()) {
  if (in_background_) {
    queue_.add_worker(detail::Owned<detail::Worker>(
        new detail::DeletionWorker(root_, is_left_)));
  }
}

HOLDFAST_INLINE Trash::~Trash() {
  if (!is_left_) {
    wait();
  }
}

HOLDFAST_INLINE bool Trash::is_forked() const noexcept {
  return fork_generation() != generation_;
}

HOLDFAST_INLINE void Trash::remove(const std::string& name) noexcept {
  if (is_forked()) {
    return;
  }
  static_cast<void>(wait_for(0));
  for (const std::string& left : std::exchange(left_, {})) {
    begin(left, true);
  }
  begin(name, false);
}

HOLDFAST_INLINE void Trash::remember(const std::string& name) noexcept {
  try {
    left_.push_back(name);
  } catch (...) { // the next writer finds it
  }
}

HOLDFAST_INLINE void Trash::begin(
    const std::string& name,
    bool is_told) noexcept {
  if (in_background_) {
    try {
      queue_.give(
          detail::Owned<detail::Job>(new detail::DeletionJob(name, is_told)));
      return;
    } catch (...) { // no more threads, or no memory for one
    }
  }
  note(name, is_told, detail::delete_tree(*root_, name, is_left_));
}

HOLDFAST_INLINE void Trash::note(
    const std::string& name,
    bool is_told,
    std::string&& why) noexcept {
  try {
    if (why.empty()) {
      return;
    }
    left_.push_back(name);
    if (!is_told) {
      failures_.push_back(std::move(why));
    }
  } catch (...) { // no memory to tell it with
  }
}

HOLDFAST_INLINE void Trash::wait() noexcept {
  while (!wait_for(60)) {
  }
}

HOLDFAST_INLINE std::vector<std::string> Trash::take_failures() noexcept {
  static_cast<void>(wait_for(0));
  return std::exchange(failures_, {});
}

HOLDFAST_INLINE bool Trash::wait_for(double patience) noexcept {
  if (is_forked()) {
    return true;
  }
  using Seconds = std::chrono::duration<double>;
  const auto began = std::chrono::steady_clock::now();
  while (queue_.size() > 0) {
    const Seconds gone = std::chrono::steady_clock::now() - began;
    if (!queue_.has_done(std::max(0.0, patience - gone.count()))) {
      return false;
    }
    const detail::Owned<detail::Job> job = queue_.take();
    auto& deletion = static_cast<detail::DeletionJob&>(*job);
    note(deletion.name, deletion.is_told, std::move(deletion.failure));
  }
  return true;
}

} // namespace holdfast

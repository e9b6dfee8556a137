#pragma once

#include <holdfast/base/job_queue.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/posix_fork.hpp>

#include <chrono>
#include <system_error>
#include <utility>

namespace holdfast::detail {

HOLDFAST_INLINE bool JobQueue::forked() const noexcept {
  return !shared_->threads.empty() && fork_generation() != generation_;
}

HOLDFAST_INLINE void JobQueue::require_own_threads() const {
  if (forked()) {
    ErrorDetails details;
    details.name = "workers";
    details.message =
        "this process is a forked child; the threads are its parent's";
    throw Error(ErrorCode::forked, std::move(details));
  }
}

HOLDFAST_INLINE JobQueue::~JobQueue() {
  if (forked()) {
    // No thread is there to join. One may have held the mutex or been amid a
    // job when the process forked, and destroying a condition waits for those
    // that wait on it: nothing of this may be touched.
    static_cast<void>(shared_.release());
    return;
  }
  discard();
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->closing = true;
  }
  shared_->changed.notify_all();
  for (std::thread& thread : shared_->threads) {
    thread.join();
  }
}

HOLDFAST_INLINE void JobQueue::add_worker(Owned<Worker> worker) {
  shared_->workers.push_back(std::move(worker));
}

HOLDFAST_INLINE void JobQueue::start() {
  if (shared_->threads.empty()) {
    generation_ = fork_generation();
  }
  shared_->threads.reserve(shared_->workers.size());
  // Those of an attempt that failed are there still.
  while (shared_->threads.size() < shared_->workers.size()) {
    Worker* const worker = shared_->workers[shared_->threads.size()].get();
    try {
      shared_->threads.emplace_back([this, worker] { work(*worker); });
    } catch (const std::system_error& error) {
      ErrorDetails details;
      details.name = "workers";
      details.message = "a thread could not be started";
      details.expected = std::to_string(shared_->workers.size()) + " threads";
      details.found = std::to_string(shared_->threads.size());
      details.system_error = error.code().value();
      throw Error(ErrorCode::io_error, std::move(details));
    }
  }
}

HOLDFAST_INLINE void JobQueue::give(Owned<Job> job) {
  require_own_threads();
  start();
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->jobs.push_back(job.get());
    static_cast<void>(job.release());
  }
  shared_->changed.notify_all();
}

HOLDFAST_INLINE Owned<Job> JobQueue::take() {
  require_own_threads();
  Owned<Job> job;
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    Job* const oldest = shared_->jobs.front();
    while (oldest->state_ != Job::State::done) {
      shared_->changed.wait(lock);
    }
    shared_->jobs.erase(shared_->jobs.begin());
    job = Owned<Job>(oldest);
  }
  if (job->error_) {
    std::rethrow_exception(job->error_);
  }
  return job;
}

HOLDFAST_INLINE bool JobQueue::has_done(double patience) const {
  require_own_threads();
  const auto end = std::chrono::steady_clock::now() +
      std::chrono::microseconds(static_cast<std::int64_t>(patience * 1e6));
  std::unique_lock<std::mutex> lock(shared_->mutex);
  return shared_->changed.wait_until(lock, end, [this] {
    return !shared_->jobs.empty() &&
        shared_->jobs.front()->state_ == Job::State::done;
  });
}

HOLDFAST_INLINE void JobQueue::discard() noexcept {
  if (forked()) {
    return;
  }
  std::vector<Job*> dropped;
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    dropped.swap(shared_->jobs);
    for (Job*& job : dropped) {
      if (job->state_ == Job::State::running) {
        job->state_ = Job::State::dropped;
        job = nullptr; // Its thread deletes it.
      }
    }
  }
  for (Job* const job : dropped) {
    const Owned<Job> owned(job);
  }
}

HOLDFAST_INLINE Job* JobQueue::next_waiting() const noexcept {
  for (Job* const job : shared_->jobs) {
    if (job->state_ == Job::State::waiting) {
      return job;
    }
  }
  return nullptr;
}

HOLDFAST_INLINE void JobQueue::work(Worker& worker) noexcept {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  for (;;) {
    Job* const job = next_waiting();
    if (job == nullptr) {
      if (shared_->closing) {
        return;
      }
      shared_->changed.wait(lock);
      continue;
    }
    job->state_ = Job::State::running;
    lock.unlock();
    std::exception_ptr error;
    try {
      worker.run(*job);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (job->state_ == Job::State::dropped) {
      lock.unlock(); // A result may take long to delete.
      error = nullptr;
      { const Owned<Job> owned(job); }
      lock.lock();
      continue;
    }
    job->error_ = std::move(error);
    job->state_ = Job::State::done;
    shared_->changed.notify_all();
  }
}

} // namespace holdfast::detail

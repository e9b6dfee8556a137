#pragma once

#include <holdfast/state/job_queue.hpp>

#include <holdfast/base/error.hpp>

#include <system_error>
#include <utility>

namespace holdfast::detail {

HOLDFAST_INLINE JobQueue::~JobQueue() {
  discard();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

HOLDFAST_INLINE void JobQueue::add_worker(Owned<Worker> worker) {
  workers_.push_back(std::move(worker));
}

HOLDFAST_INLINE void JobQueue::start() {
  threads_.reserve(workers_.size());
  // Those of an attempt that failed are there still.
  while (threads_.size() < workers_.size()) {
    Worker* const worker = workers_[threads_.size()].get();
    try {
      threads_.emplace_back([this, worker] { work(*worker); });
    } catch (const std::system_error& error) {
      ErrorDetails details;
      details.name = "workers";
      details.message = "a thread could not be started";
      details.expected = std::to_string(workers_.size()) + " threads";
      details.found = std::to_string(threads_.size());
      details.system_error = error.code().value();
      throw Error(ErrorCode::io_error, std::move(details));
    }
  }
}

HOLDFAST_INLINE void JobQueue::give(Owned<Job> job) {
  start();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(job.get());
    static_cast<void>(job.release());
  }
  changed_.notify_all();
}

HOLDFAST_INLINE Owned<Job> JobQueue::take() {
  Owned<Job> job;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    Job* const oldest = jobs_.front();
    while (oldest->state_ != Job::State::done) {
      changed_.wait(lock);
    }
    jobs_.erase(jobs_.begin());
    job = Owned<Job>(oldest);
  }
  if (job->error_) {
    std::rethrow_exception(job->error_);
  }
  return job;
}

HOLDFAST_INLINE void JobQueue::discard() noexcept {
  std::vector<Job*> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(jobs_);
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
  for (Job* const job : jobs_) {
    if (job->state_ == Job::State::waiting) {
      return job;
    }
  }
  return nullptr;
}

HOLDFAST_INLINE void JobQueue::work(Worker& worker) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    Job* const job = next_waiting();
    if (job == nullptr) {
      if (closing_) {
        return;
      }
      changed_.wait(lock);
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
    changed_.notify_all();
  }
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::detail {

/// One piece of work that a thread does ahead, and its result.
class Job {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;

 private:
  friend class JobQueue;
  enum class State { waiting, running, done, dropped };
  State state_ = State::waiting;
  std::exception_ptr error_;
};

/// What one thread works with, and nobody else while it runs.
class Worker {
 public:
  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  virtual ~Worker() = default;

  /// What it throws is rethrown by the `take()` of this job.
  virtual void run(Job& job) = 0;
};

/// Jobs that threads do side by side, taken in the order in which they were
/// given. Given, taken and discarded by one thread, the owner's.
///
/// A job that is discarded is never taken: one that waits is deleted, one that
/// runs is left to end by itself and then deleted, so discarding never blocks.
///
/// The threads belong to the process that started them. In a forked child
/// `give` and `take` throw `forked`, `discard` does nothing, and nothing waits
/// for what cannot come.
class JobQueue {
 public:
  JobQueue() = default;
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;
  /// Waits for the jobs that run; those that wait are never begun. In a forked
  /// child it waits for nothing, and leaves everything behind.
  ~JobQueue();

  /// Each worker has a thread of its own. All of them before the first job.
  void add_worker(Owned<Worker> worker);
  /// The threads start with the first job: `io_error` where the system has no
  /// more of them.
  void give(Owned<Job> job);
  /// The oldest job, done; waits for it. There must be one. What the job threw
  /// is rethrown, and the job is gone then.
  [[nodiscard]] Owned<Job> take();
  /// True if there is a job that `take()` need not wait for; waits for one up
  /// to `patience` seconds.
  [[nodiscard]] bool has_done(double patience = 0) const;
  void discard() noexcept;

  /// Jobs that were given and neither taken nor discarded.
  [[nodiscard]] std::size_t size() const noexcept {
    return shared_->jobs.size();
  }

 private:
  /// What the threads use.
  struct Shared {
    std::vector<Owned<Worker>> workers;
    std::vector<std::thread> threads;

    std::mutex mutex; // Of all that follows; only the owner changes `jobs`.
    std::condition_variable changed;
    std::vector<Job*> jobs; // The oldest first.
    bool closing = false;
  };

  void start();
  void work(Worker& worker) noexcept;
  [[nodiscard]] Job* next_waiting() const noexcept;
  /// True if the threads are those of a parent.
  [[nodiscard]] bool forked() const noexcept;
  void require_own_threads() const;

  Owned<Shared> shared_{new Shared()};
  std::uint64_t generation_ = 0; // Of the process that started the threads.
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/base/impl/job_queue.ipp>
#endif

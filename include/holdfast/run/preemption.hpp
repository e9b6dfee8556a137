#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/engine/interrupter.hpp>
#include <holdfast/engine/manager.hpp>
#include <holdfast/io/process.hpp>

#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace holdfast {

/// The exit status that says "start me again": EX_TEMPFAIL of sysexits.h.
inline constexpr int kRunAgain = 75;

/// What happens when a preempted run has been saved.
enum class AfterPreemption {
  /// The process ends at once with `kRunAgain`, standard output and error
  /// flushed, without destructors and exit handlers: other threads may still be
  /// at work.
  exit,
  /// As by `request_stop()`: loaders' ranges end, `running()` is false, and
  /// `Preemption::exit_code()` tells what to return from `main()`.
  stop,
  /// `step()`, `end_epoch()` or `running()` throws `preempted`.
  raise,
};

/// What preempts a run, and what happens then. Every setter returns the
/// options, so calls chain.
class PreemptionOptions {
 public:
  using Duration = std::chrono::duration<double>;

  /// Default: SIGTERM, SIGUSR1 and SIGINT. Empty: none.
  PreemptionOptions& signals(std::vector<int> signals);

  /// How long the process has from the signal until it is killed. A save that
  /// is expected to take longer is not begun, and one that does take longer is
  /// left: the process ends with `kRunAgain` when the time is over, whatever
  /// `then()` says, and the newest durable checkpoint stays the newest.
  /// Default: unlimited.
  PreemptionOptions& grace(Duration time);

  /// The job may run so long, counted from the making of `Preemption`: the run
  /// saves and ends while `margin` is left, and what a save takes besides. A
  /// step or an evaluation that takes longer than the margin comes too late.
  /// `invalid_argument` for a margin that leaves no time.
  PreemptionOptions& time_limit(
      Duration limit,
      Duration margin = std::chrono::minutes(3));
  /// The same with a point in time. One that has passed when `Preemption` is
  /// made is an old one: it is ignored, with a warning.
  PreemptionOptions& end_time(
      std::chrono::system_clock::time_point end,
      Duration margin = std::chrono::minutes(3));
  /// The same with Slurm's SLURM_JOB_END_TIME. Nothing where that is not set;
  /// `invalid_argument` where it is no number.
  PreemptionOptions& slurm_end_time(Duration margin = std::chrono::minutes(3));

  /// Asks `is_due` at safe points, no more often than every `interval`, on the
  /// loop's thread; true preempts the run, and `name` is the reason. What it
  /// throws counts as false, with a warning. May be called more than once.
  PreemptionOptions& notice(
      std::string name,
      std::function<bool()> is_due,
      Duration interval = std::chrono::seconds(5));
  /// Preempts once there is something at `path`: agents of clouds and batch
  /// systems leave such files.
  PreemptionOptions& notice_file(
      std::string path,
      Duration interval = std::chrono::seconds(5));

  /// Default: `exit`.
  PreemptionOptions& then(AfterPreemption action);
  /// Instead of `kRunAgain`: 1 to 255.
  PreemptionOptions& exit_code(int code);

  /// For tests: what time it is. Must outlive the `Preemption`.
  PreemptionOptions& clock(Clock& clock);

 private:
  friend class Preemption;
  struct Notice {
    std::string name;
    std::function<bool()> is_due;
    double interval = 0;
  };
  struct Limit {
    std::string name;
    double end = 0; ///< Seconds since 1970, or since the making.
    bool is_wall_time = true;
    double margin = 0;
  };
  PreemptionOptions& add(Limit limit);

  std::vector<int> signals_;
  bool signals_set_ = false;
  double grace_ = std::numeric_limits<double>::infinity();
  std::vector<Limit> limits_;
  std::vector<Notice> notices_;
  AfterPreemption action_ = AfterPreemption::exit;
  int exit_code_ = kRunAgain;
  Clock* clock_ = &system_clock();
};

/// Lets a run end well when its machine or its time is taken away:
///
///     holdfast::CheckpointManager checkpoints{...};
///     holdfast::Preemption preemption{checkpoints};
///     std::cout << checkpoints.resume() << '\n';
///
/// At the first signal (time limit, notice) the next `step()` or `end_epoch()`
/// saves and tells it as an event; then `PreemptionOptions::then()` happens. So
/// every life makes one step at least. A second signal does what it did before:
/// as a rule it ends the process, and what is on the disk is whole. A run that
/// reaches its goal in the step in which it is preempted is preempted too;
/// started again, it finds nothing left to do.
///
/// Made after the manager and before the loop, destroyed before the manager.
/// The former signal handlers come back then, and get a signal that came when
/// the loop was over, unless an exception is on its way. One at a time in a
/// process, for one manager: others are not saved.
class Preemption final : public Interrupter {
 public:
  /// `invalid_argument` for options that make no sense, and where there is
  /// another one.
  explicit Preemption(Manager& manager, PreemptionOptions options = {});
  ~Preemption() override;
  Preemption(const Preemption&) = delete;
  Preemption& operator=(const Preemption&) = delete;

  /// Why; empty as long as the run is not preempted.
  [[nodiscard]] const std::string& reason() const noexcept;
  /// What `main()` returns with `AfterPreemption::stop`: `kRunAgain` if the run
  /// was preempted, else 0.
  [[nodiscard]] int exit_code() const noexcept;

 private:
  std::string pending(double save_seconds) override;
  double seconds_left() override;
  void run_is_over() noexcept override;
  void interrupted(const InterruptedRun& run) override;

  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/run/impl/preemption.ipp>
#endif

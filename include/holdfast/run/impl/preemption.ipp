#pragma once

#include <holdfast/run/preemption.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/base/posix_fork.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/io/signal_watch.hpp>
#include <holdfast/policy/deadline.hpp>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE double checked_seconds(
    const char* option,
    PreemptionOptions::Duration time) {
  require_seconds(option, time.count());
  return time.count();
}

/// Three years, which clocks can count, are as good as for ever.
inline constexpr double kLongestGraceSeconds = 1e8;

/// Whether there is something at `path`, a link included.
HOLDFAST_INLINE bool is_there(const std::string& path) {
  const SplitPath split = split_path(path);
  try {
    return default_file_system()
        ->open_root(split.parent.empty() ? "." : split.parent, Create::no)
        ->exists(split.name);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) {
      return false; // its folder may come with it
    }
    throw;
  }
}

} // namespace detail

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::signals(
    std::vector<int> signals) {
  signals_ = std::move(signals);
  signals_set_ = true;
  return *this;
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::grace(Duration time) {
  grace_ = detail::checked_seconds("grace", time);
  if (grace_ > detail::kLongestGraceSeconds) {
    grace_ = std::numeric_limits<double>::infinity();
  }
  return *this;
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::add(Limit limit) {
  limits_.push_back(std::move(limit));
  return *this;
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::time_limit(
    Duration limit,
    Duration margin) {
  if (margin >= limit) {
    throw_invalid_argument(
        "time_limit",
        "leaves no time before its margin begins",
        format_number(limit.count()) + " s");
  }
  return add(Limit{
      "time limit",
      detail::checked_seconds("time_limit", limit),
      false,
      detail::checked_seconds("margin", margin)});
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::end_time(
    std::chrono::system_clock::time_point end,
    Duration margin) {
  return add(Limit{
      "end time",
      Duration(end.time_since_epoch()).count(),
      true,
      detail::checked_seconds("margin", margin)});
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::slurm_end_time(
    Duration margin) {
  constexpr const char* kVariable = "SLURM_JOB_END_TIME";
  const char* const text = std::getenv(kVariable);
  if (text == nullptr || *text == '\0') {
    return *this;
  }
  const std::optional<std::uint64_t> seconds = parse_decimal(text);
  if (!seconds) {
    throw_invalid_argument(kVariable, "is no number of seconds", text);
  }
  return add(Limit{
      kVariable,
      static_cast<double>(*seconds),
      true,
      detail::checked_seconds("margin", margin)});
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::notice(
    std::string name,
    std::function<bool()> is_due,
    Duration interval) {
  if (name.empty() || !is_utf8(name) || !is_due) {
    throw_invalid_argument("notice", "needs a name and a function", name);
  }
  notices_.push_back(Notice{
      std::move(name),
      std::move(is_due),
      detail::checked_seconds("interval", interval)});
  return *this;
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::notice_file(
    std::string path,
    Duration interval) {
  if (path.empty()) {
    throw_invalid_argument("notice_file", "the path must not be empty");
  }
  std::string name = first_line(path); // whatever bytes it has
  return notice(
      std::move(name),
      [path = std::move(path)] { return detail::is_there(path); },
      interval);
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::then(
    AfterPreemption action) {
  action_ = action;
  return *this;
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::exit_code(int code) {
  if (code < 1 || code > 255) {
    throw_invalid_argument(
        "exit_code", "is not 1 to 255", std::to_string(code));
  }
  exit_code_ = code;
  return *this;
}

HOLDFAST_INLINE PreemptionOptions& PreemptionOptions::clock(Clock& clock) {
  clock_ = &clock;
  return *this;
}

struct Preemption::State {
  State(Manager& its_manager, PreemptionOptions its_options)
      : manager(its_manager),
        options(std::move(its_options)),
        watch(
            options.signals_set_ ? options.signals_
                                 : std::vector<int>{SIGTERM, SIGUSR1, SIGINT}),
        next_poll(options.notices_.size(), 0.0),
        complained(options.notices_.size(), false),
        began_at(options.clock_->monotonic_seconds()) {
    ignore_what_has_passed();
  }

  Manager& manager;
  PreemptionOptions options;
  SignalWatch watch;
  std::vector<double> next_poll; ///< Of each notice.
  std::vector<bool> complained;
  double began_at;
  std::string reason;
  std::string ignored; ///< What is to be told about limits, once.
  double noticed_at = 0; ///< Where it was no signal; on the monotonic clock.
  std::uint64_t fork = fork_generation();

  // The grace time is over when it is over, even within a save.
  std::thread keeper;
  std::mutex mutex;
  std::condition_variable changed;
  bool disarmed = false;
  bool over = false; ///< The goal is reached, until the manager asks again.
  bool told = false; ///< The manager has saved, or told why not.

  [[nodiscard]] double monotonic() const {
    return options.clock_->monotonic_seconds();
  }

  [[nodiscard]] double grace_left() const {
    const double gone = watch.received() != 0 ? watch.seconds_ago()
        : noticed_at > 0                      ? monotonic() - noticed_at
                                              : 0;
    return options.grace_ - gone;
  }

  void keep_grace() {
    watch.wait();
    std::unique_lock<std::mutex> lock(mutex);
    while (!disarmed) {
      if (over) {
        changed.wait(lock);
        continue;
      }
      const std::chrono::duration<double> left(std::max(0.0, grace_left()));
      if (!changed.wait_for(lock, left, [this] { return disarmed || over; })) {
        if (!told) {
          std::fprintf(
              stderr,
              "holdfast: preempted: the grace time is over before all was "
              "saved; the newest checkpoint in %s stays the newest\n",
              manager.directory().c_str());
        }
        std::_Exit(options.exit_code_);
      }
    }
  }

  void set(bool& flag, bool value) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      flag = value;
    }
    changed.notify_all();
  }

  void end_keeper() {
    if (keeper.joinable()) {
      set(disarmed, true);
      watch.stop_waiting();
      keeper.join();
    }
  }

  [[nodiscard]] double left_of(const PreemptionOptions::Limit& limit) const {
    return limit.end -
        (limit.is_wall_time ? options.clock_->wall_seconds()
                            : monotonic() - began_at);
  }

  /// A process that lives on after the end of its job's time has an old time: a
  /// variable that was inherited, a script that was started again. Heard, it
  /// would end every life after one step, for ever.
  void ignore_what_has_passed() {
    std::vector<PreemptionOptions::Limit> ahead;
    for (const PreemptionOptions::Limit& limit : options.limits_) {
      const double left = left_of(limit);
      if (left > 0) {
        ahead.push_back(limit);
      } else {
        ignored += (ignored.empty() ? "" : "; ") + limit.name +
            " is ignored: it had passed " + format_number(0 - left) +
            " s before the start";
      }
    }
    options.limits_.swap(ahead);
  }

  /// The first notice that is due. One that throws is asked again, and heard
  /// once.
  [[nodiscard]] std::string due_notice() {
    for (std::size_t i = 0; i < options.notices_.size(); ++i) {
      const PreemptionOptions::Notice& notice = options.notices_[i];
      const double now = monotonic();
      if (now < next_poll[i]) {
        continue;
      }
      next_poll[i] = now + notice.interval;
      try {
        if (notice.is_due()) {
          return notice.name;
        }
      } catch (...) {
        if (!complained[i]) {
          complained[i] = true;
          throw std::runtime_error(
              "notice " + notice.name + ": " + current_exception_text());
        }
      }
    }
    return {};
  }
};

HOLDFAST_INLINE
Preemption::Preemption(Manager& manager, PreemptionOptions options)
    : state_(new State(manager, std::move(options))) {
  if (std::isfinite(state_->options.grace_)) {
    state_->keeper =
        std::thread([state = state_.get()] { state->keep_grace(); });
  }
  try {
    manager.set_interrupter(this);
  } catch (...) {
    state_->end_keeper();
    throw;
  }
}

HOLDFAST_INLINE Preemption::~Preemption() {
  if (state_->fork != fork_generation()) {
    (void)state_.release(); // a forked child has not the thread to join
    return;
  }
  try {
    state_->manager.set_interrupter(nullptr);
  } catch (...) {
  }
  state_->end_keeper();
  const int signal = state_->watch.received();
  const bool unheard =
      signal != 0 && state_->reason.empty() && std::uncaught_exceptions() == 0;
  state_.reset(); // the former handlers are back
  if (unheard) {
    // It came when the loop was over, and is not ours.
    static_cast<void>(std::raise(signal));
  }
}

HOLDFAST_INLINE const std::string& Preemption::reason() const noexcept {
  return state_->reason;
}

HOLDFAST_INLINE int Preemption::exit_code() const noexcept {
  return state_->reason.empty() ? 0 : state_->options.exit_code_;
}

HOLDFAST_INLINE std::string Preemption::pending(double save_seconds) {
  State& s = *state_;
  if (s.over) { // only this thread sets it
    s.set(s.over, false);
  }
  const int signal = s.watch.received();
  if (signal != 0) {
    s.reason = signal_name(signal);
    return s.reason;
  }
  if (!s.ignored.empty()) {
    throw std::runtime_error(std::exchange(s.ignored, std::string()));
  }
  for (const PreemptionOptions::Limit& limit : s.options.limits_) {
    if (is_last_moment(0, s.left_of(limit), limit.margin, save_seconds)) {
      s.reason = limit.name;
    }
  }
  if (s.reason.empty()) {
    s.reason = s.due_notice();
    if (!s.reason.empty()) {
      s.noticed_at = s.monotonic();
      s.watch.stop_waiting(); // for the keeper of the grace time
    }
  }
  return s.reason;
}

HOLDFAST_INLINE double Preemption::seconds_left() {
  State& s = *state_;
  double left = s.grace_left();
  for (const PreemptionOptions::Limit& limit : s.options.limits_) {
    left = std::min(left, s.left_of(limit));
  }
  return left;
}

HOLDFAST_INLINE void Preemption::run_is_over() noexcept {
  state_->set(state_->over, true);
}

HOLDFAST_INLINE void Preemption::interrupted(const InterruptedRun& run) {
  State& s = *state_;
  {
    const std::lock_guard<std::mutex> lock(s.mutex);
    s.told = true;
  }
  if (s.options.action_ == AfterPreemption::exit) {
    // Not all there are: one that another thread reads from would block.
    std::cout.flush();
    std::clog.flush();
    std::fflush(stdout);
    std::fflush(stderr);
    std::_Exit(s.options.exit_code_);
  }
  s.set(s.disarmed, true);
  if (s.options.action_ == AfterPreemption::raise) {
    ErrorDetails details;
    details.path = run.checkpoint;
    details.name = run.reason;
    details.message = run.saved
        ? "the run was saved, and has to end"
        : "the run has to end, and what was trained last is not saved";
    throw Error(ErrorCode::preempted, std::move(details));
  }
}

} // namespace holdfast

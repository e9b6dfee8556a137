#pragma once

#include <holdfast/testing/resume_check.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/scope_exit.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/io/process.hpp>
#include <holdfast/testing/impl/resume_checker.ipp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace holdfast::testing {

namespace detail {

/// How many calls of the check there were in this process with these arguments
/// for new ones, this one included: by what a new process finds its own call.
HOLDFAST_INLINE std::int64_t count_call(
    const std::vector<std::string>& arguments) {
  static std::vector<std::vector<std::string>> all;
  all.push_back(arguments);
  std::int64_t calls = 0;
  for (const std::vector<std::string>& one : all) {
    calls += one == arguments ? 1 : 0;
  }
  return calls;
}

/// A killed process loses nothing that it gave to the system, and no power is
/// cut: waiting for the disk would only take time.
HOLDFAST_INLINE std::shared_ptr<FileSystem> file_system_without_sync() {
  static const PosixCalls calls = [] {
    PosixCalls changed = real_posix_calls();
    changed.fsync = [](int) {
      return 0;
    };
    return changed;
  }();
  return std::shared_ptr<FileSystem>(new PosixFileSystem(calls));
}

} // namespace detail

// --- what the loop is given --------------------------------------------------

HOLDFAST_INLINE const std::string& Run::directory() const noexcept {
  return observer_.task.directory;
}

HOLDFAST_INLINE Options Run::options(Options options) {
  if (observer_.task.save_every > 0) {
    options.save_every(steps(observer_.task.save_every)).save_every(epochs(1));
  }
  options.file_system(detail::file_system_without_sync());
  detail::Observer* const observer = &observer_;
  options.on_safe_point(
      [observer](const SafePoint& point) { observer->see(point); });
  return options;
}

HOLDFAST_INLINE void Run::compare(std::string name, Value value) {
  observer_.compared.emplace_back(std::move(name), std::move(value));
}

// --- the check ---------------------------------------------------------------

HOLDFAST_INLINE ResumeCheckResult ResumeChecker::check() {
  const std::vector<std::string> arguments = options_.own_arguments_
      ? std::vector<std::string>()
      : options_.arguments_;
  call_ = detail::count_call(arguments);
  if (const char* const text = std::getenv(detail::kTaskVariable)) {
    const detail::Task task = detail::Task::from_text(text);
    if (task.call == call_ && task.arguments == arguments) {
      detail::perform(task, make_run_);
      end_this_process(0);
    }
    result_.finding = Finding::elsewhere;
    return result_;
  }
  validate();
  std::string scratch = options_.scratch_;
  if (scratch.empty()) {
    const char* const named = std::getenv("TMPDIR");
    scratch = named != nullptr && *named != '\0' ? named : "/tmp";
  }
  const auto parent = default_file_system()->open_root(scratch, Create::yes);
  const std::string name = "holdfast-resume-check-" + random_id();
  parent->create_directory(name);
  directory_ = parent->path() + "/" + name;
  ScopeExit clean([&] {
    if (options_.keep_ && !result_.equal()) {
      return;
    }
    try {
      remove_tree(*parent, name);
    } catch (const std::exception&) { // the result is what counts
    }
  });
  run_all();
  if (options_.keep_ && !result_.equal()) {
    result_.directory = directory_;
  }
  return result_;
}

HOLDFAST_INLINE void ResumeChecker::validate() const {
  if (!make_run_) {
    throw_invalid_argument("make_run", "must not be empty");
  }
  if (options_.kinds_.empty()) {
    throw_invalid_argument("interrupt_by", "must name a kind");
  }
  if (options_.save_every_.count < 1) {
    throw_invalid_argument(
        "save_every",
        "must be at least 1",
        std::to_string(options_.save_every_.count));
  }
  if (!std::isfinite(options_.time_limit_) || options_.time_limit_ <= 0) {
    throw_invalid_argument("time_limit", "must be positive");
  }
  for (const std::int64_t step : options_.steps_) {
    if (step < 1) {
      throw_invalid_argument(
          "interrupt_at", "steps count from 1", std::to_string(step));
    }
  }
  if (options_.isolation_ == Isolation::forked && count_threads() > 1) {
    throw_invalid_argument(
        "in_forked_processes",
        "this process has other threads, whose locks a forked child would "
        "wait for: check before anything is computed, or in_new_processes()",
        std::to_string(count_threads()) + " threads");
  }
}

HOLDFAST_INLINE void ResumeChecker::run_all() {
  const std::optional<detail::Trace> reference =
      uninterrupted("uninterrupted run");
  if (!reference) {
    return;
  }
  reference_ = reference->points;
  result_.safe_points = reference_.empty() ? 0 : reference_.size() - 1;
  const std::optional<detail::Trace> again =
      uninterrupted("second uninterrupted run");
  if (!again || !is_deterministic(*again)) {
    return;
  }
  if (result_.safe_points == 0) {
    stop_at(
        Finding::nothing_checked,
        "uninterrupted run",
        "no step() was seen: give the manager run.directory() and "
        "run.options(...), and train");
    return;
  }
  const std::vector<Strike> strikes = choose();
  if (done_) {
    return;
  }
  for (const Strike& strike : strikes) {
    interrupt({strike});
    if (done_) {
      return;
    }
  }
  // Once more one after the other, each in another way than before.
  if (strikes.size() > 1) {
    std::vector<Strike> chain = strikes;
    for (std::size_t i = 0; i < chain.size(); ++i) {
      chain[i].kind = kind_of(i + 1);
    }
    interrupt(chain);
  }
  if (!done_ && result_.interruptions == 0) {
    stop_at(
        Finding::nothing_checked,
        "",
        "no interruption had an effect: the loop has to be longer, or "
        "interrupt_by() another kind");
  }
}

HOLDFAST_INLINE Interruption ResumeChecker::kind_of(std::size_t i) const {
  return options_.kinds_[i % options_.kinds_.size()];
}

HOLDFAST_INLINE std::optional<detail::Trace> ResumeChecker::uninterrupted(
    const char* name) {
  detail::Task task = new_run();
  detail::Trace trace = attempt(task, name);
  if (!done_ && !trace.returned) {
    fail_of(trace, name);
  }
  if (done_) {
    return std::nullopt;
  }
  return trace;
}

HOLDFAST_INLINE std::vector<ResumeChecker::Strike> ResumeChecker::choose() {
  std::vector<std::size_t> all; // to choose from
  const std::size_t last = reference_.size() - 1;
  for (std::size_t i = 1; i < last; ++i) {
    const Progress progress = position_at(reference_, i);
    if (options_.steps_.empty()
            ? progress.step >= options_.save_every_.count || progress.batch == 0
            : std::find(
                  options_.steps_.begin(),
                  options_.steps_.end(),
                  progress.step) != options_.steps_.end()) {
      all.push_back(i);
    }
  }
  for (const std::int64_t step : options_.steps_) {
    bool reached = false;
    for (const std::size_t i : all) {
      reached = reached || position_at(reference_, i).step == step;
    }
    if (!reached) {
      stop_at(
          Finding::not_interrupted,
          "interrupted at step " + std::to_string(step),
          "the loop ends with step " +
              std::to_string(position_at(reference_, last).step) +
              ": nothing comes after that step");
      return {};
    }
  }
  constexpr std::size_t enough = 6;
  std::vector<Strike> strikes;
  if (!options_.steps_.empty() || options_.everywhere_ ||
      all.size() <= enough) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      strikes.push_back({all[i], kind_of(i)});
    }
    return strikes;
  }
  // Spread evenly; one of them at the end of an epoch, where most loops save.
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < enough; ++i) {
    chosen.push_back(all[i * (all.size() - 1) / (enough - 1)]);
  }
  const auto ends_epoch = [&](std::size_t i) {
    return position_at(reference_, i).batch == 0;
  };
  if (std::find_if(chosen.begin(), chosen.end(), ends_epoch) == chosen.end()) {
    const auto end = std::find_if(all.begin(), all.end(), ends_epoch);
    if (end != all.end()) {
      *std::lower_bound(chosen.begin(), chosen.end() - 1, *end) = *end;
    }
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    strikes.push_back({chosen[i], kind_of(i)});
  }
  return strikes;
}

HOLDFAST_INLINE void ResumeChecker::interrupt(
    const std::vector<Strike>& strikes) {
  detail::Task task = new_run();
  task.save_every = options_.save_every_.count;
  std::string name; // of the run so far, "killed at step 3, stopped ..."
  std::optional<std::size_t> last_struck; // the last attempt ended here
  for (std::size_t next = 0; !done_;) {
    task.interrupts = next < strikes.size();
    if (task.interrupts) {
      task.kind = strikes[next].kind;
      task.at = holdfast::at(reference_[strikes[next].index], "position");
      // Where it goes on can be at the place already.
      if (last_struck && *last_struck >= strikes[next].index) {
        ++next;
        continue;
      }
    }
    const std::string this_name =
        name.empty() && task.interrupts ? describe(strikes[next]) : name;
    task.trace = directory_ + "/trace-" + std::to_string(++traces_);
    const detail::Trace trace = attempt(task, this_name);
    if (done_ || !compare(trace, name, last_struck)) {
      return;
    }
    if (last_struck) {
      ++result_.interruptions;
    }
    if (!task.interrupts) {
      if (!trace.returned) {
        fail_of(trace, this_name);
      }
      return;
    }
    if (!is_interrupted(trace, strikes[next])) {
      return;
    }
    name += (name.empty() ? "" : ", then ") + describe(strikes[next]);
    last_struck = begin_of(trace) + trace.points.size() - 1;
    ++next;
  }
}

HOLDFAST_INLINE ResumeCheckResult resume_equals_uninterrupted(
    const MakeRun& make_run,
    const ResumeCheckOptions& options) {
  return ResumeChecker(make_run, options).check();
}

} // namespace holdfast::testing

#include <holdfast/testing/impl/resume_attempt.ipp>
#include <holdfast/testing/impl/resume_findings.ipp>
#include <holdfast/testing/impl/resume_options.ipp>

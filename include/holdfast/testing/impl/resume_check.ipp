#pragma once

#include <holdfast/testing/resume_check.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/scope_exit.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/posix_child.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/io/process.hpp>
#include <holdfast/testing/impl/resume_compare.ipp>
#include <holdfast/testing/impl/resume_record.ipp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace holdfast::testing {

namespace detail {

/// Set in processes that were started to perform a task.
inline constexpr const char* kTaskVariable = "HOLDFAST_RESUME_CHECK";

/// Calls of the check in this process so far: what a new one finds its own by.
HOLDFAST_INLINE std::int64_t& count_calls() {
  static std::int64_t calls = 0;
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

/// One check: runs, their processes and what is found.
class ResumeChecker {
 public:
  using Finding = ResumeCheckResult::Finding;

  ResumeChecker(
      const MakeRun& make_run,
      const ResumeCheckOptions& options,
      std::int64_t call)
      : make_run_(make_run), options_(options), call_(call) {}

  ResumeCheckResult check() {
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

 private:
  using Isolation = ResumeCheckOptions::Isolation;

  /// Where and how to interrupt: after safe point `index` of the reference.
  struct Strike {
    std::size_t index;
    Interruption kind;
  };

  void validate() const {
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

  void run_all() {
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

  [[nodiscard]] Interruption kind_of(std::size_t i) const {
    return options_.kinds_[i % options_.kinds_.size()];
  }

  std::optional<detail::Trace> uninterrupted(const char* name) {
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

  bool is_deterministic(const detail::Trace& again) {
    const std::size_t count = std::max(reference_.size(), again.points.size());
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<Difference> differences = differences_at(i, again.points, i);
      if (!differences.empty()) {
        found(
            Finding::not_deterministic,
            "second uninterrupted run",
            std::move(differences),
            position_at(i < reference_.size() ? reference_ : again.points, i));
        result_.explanation = std::string("the loop differs from itself ") +
            (i == 0 ? "before its first step: initial values are drawn from "
                      "something without a fixed seed"
                    : "without any interruption: a generator without a fixed "
                      "seed, the clock, threads, or a file that is left over");
        return false;
      }
    }
    return true;
  }

  /// In what point `i` of the reference and point `j` of `others` differ.
  [[nodiscard]] std::vector<Difference> differences_at(
      std::size_t i,
      const std::vector<Values>& others,
      std::size_t j) const {
    if (i < reference_.size() && j < others.size()) {
      return detail::compare_points(reference_[i], others[j]);
    }
    const auto text = [](const std::vector<Values>& points, std::size_t at) {
      return at < points.size() ? to_json(holdfast::at(points[at], "position"))
                                : std::string("the end of the run");
    };
    if (i >= reference_.size() && j >= others.size()) {
      return {};
    }
    return {
        {"",
         "position [epoch, batch, step]",
         text(reference_, i),
         text(others, j),
         -1}};
  }

  /// The safe points to interrupt at, in order. The last is none: nothing comes
  /// after it.
  std::vector<Strike> choose() {
    std::vector<std::size_t> all; // to choose from
    const std::size_t last = reference_.size() - 1;
    for (std::size_t i = 1; i < last; ++i) {
      const Progress progress = position_at(reference_, i);
      if (options_.steps_.empty()
              ? progress.step >= options_.save_every_.count ||
                  progress.batch == 0
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
    if (std::find_if(chosen.begin(), chosen.end(), ends_epoch) ==
        chosen.end()) {
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

  /// One run: interrupted at each of `strikes` in turn, then left to its end.
  void interrupt(const std::vector<Strike>& strikes) {
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

  /// The reference's point that the trace's first one corresponds to; all
  /// others follow in order. Known to be there once `compare()` was content.
  [[nodiscard]] std::size_t begin_of(const detail::Trace& trace) const {
    return position_index(holdfast::at(trace.points.front(), "position"));
  }

  [[nodiscard]] std::size_t position_index(const Value& position) const {
    std::size_t i = 0;
    while (i < reference_.size() &&
           holdfast::at(reference_[i], "position") != position) {
      ++i;
    }
    return i;
  }

  /// Compares an attempt with the reference, from where it began. `struck`: the
  /// point at which the attempt before it ended.
  bool compare(
      const detail::Trace& trace,
      const std::string& name,
      std::optional<std::size_t> struck) {
    if (trace.points.empty()) {
      fail_of(trace, name);
      return false;
    }
    const Values& beginning = trace.points.front();
    const bool resumed = holdfast::at(beginning, "resumed").as<bool>();
    if (struck && !resumed) {
      stop_at(
          Finding::nothing_checked,
          name,
          "the run began anew instead of going on: nothing had been saved, or "
          "the loop does not resume() in run.directory()");
      return false;
    }
    const std::size_t begin = begin_of(trace);
    if (begin > (struck ? *struck : 0)) {
      found(
          Finding::differs,
          name,
          {{"",
            "position [epoch, batch, step] right after the resume",
            to_json(holdfast::at(reference_[struck ? *struck : 0], "position")),
            to_json(holdfast::at(beginning, "position")),
            -1}},
          progress_of(beginning));
      return false;
    }
    for (std::size_t i = 0; i < trace.points.size(); ++i) {
      std::vector<Difference> differences =
          differences_at(begin + i, trace.points, i);
      if (!differences.empty()) {
        explain(trace, name, begin, i, std::move(differences));
        return false;
      }
    }
    // Only an interruption may end it before the end.
    if (trace.returned && trace.points_when_struck == 0 &&
        begin + trace.points.size() < reference_.size()) {
      found(
          Finding::differs,
          name,
          differences_at(
              begin + trace.points.size(), trace.points, trace.points.size()),
          progress_of(trace.points.back()));
      result_.explanation = "the run ended too early";
      return false;
    }
    return true;
  }

  void explain(
      const detail::Trace& trace,
      const std::string& name,
      std::size_t begin,
      std::size_t i,
      std::vector<Difference> differences) {
    const bool resumed =
        holdfast::at(trace.points.front(), "resumed").as<bool>();
    found(
        Finding::differs,
        name,
        std::move(differences),
        position_at(
            begin + i < reference_.size() ? reference_ : trace.points,
            begin + i < reference_.size() ? begin + i : i));
    result_.right_after_resume = resumed && i == 0;
    if (result_.right_after_resume) {
      result_.explanation =
          "restoring does not bring back what was saved: the part's own save "
          "and load do not fit";
    } else if (resumed) {
      result_.explanation =
          "all parts were equal right after the resume at step " +
          std::to_string(progress_of(trace.points.front()).step) +
          (i > 1 ? " and at the step before this: " : ": ") +
          "the loop depends on something that no part holds";
    } else {
      result_.explanation =
          "it differs before any interruption: saving more often changes the "
          "run";
    }
  }

  /// Whether an attempt that was to be interrupted was, and ended then.
  bool is_interrupted(const detail::Trace& trace, const Strike& strike) {
    const std::string name = describe(strike);
    if (trace.points_when_struck == 0) {
      if (trace.threw) {
        fail_of(trace, name);
      } else {
        stop_at(
            Finding::not_interrupted,
            name,
            "the run did not come to that step");
      }
      return false;
    }
    if (strike.kind != Interruption::stop) {
      if (trace.points.size() > trace.points_when_struck) {
        stop_at(
            Finding::not_interrupted,
            name,
            "the loop swallowed the exception and went on");
        return false;
      }
      return true;
    }
    if (trace.threw) {
      fail_of(trace, name);
      return false;
    }
    // Where nothing cuts an epoch short, a stop ends the loop after it.
    const std::size_t end = begin_of(trace) + trace.points.size();
    const bool to_the_end = end == reference_.size();
    if (to_the_end) {
      for (std::size_t i = strike.index; i + 1 < end; ++i) {
        if (position_at(reference_, i).batch == 0) {
          stop_at(
              Finding::not_interrupted,
              name,
              "the loop trained to its end in spite of request_stop(): let "
              "running() decide, or leave this kind out by interrupt_by()");
          return false;
        }
      }
    }
    return true;
  }

  // --- attempts --------------------------------------------------------------

  detail::Task new_run() {
    detail::Task task;
    task.call = call_;
    task.directory = directory_ + "/run-" + std::to_string(++runs_);
    task.trace = directory_ + "/trace-" + std::to_string(++traces_);
    task.may_kill = options_.isolation_ != Isolation::same_process;
    return task;
  }

  /// Runs the loop once, and tells what it has left behind.
  detail::Trace attempt(const detail::Task& task, const std::string& name) {
    if (options_.isolation_ == Isolation::same_process) {
      detail::perform(task, make_run_);
      return detail::read_trace(task.trace);
    }
    const std::string output = task.trace + ".output";
    auto body = [&]() noexcept -> int {
      try {
        detail::perform(task, make_run_);
        return 0;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
      }
    };
    ChildProcess child = options_.isolation_ == Isolation::forked
        ? ChildProcess::fork(body, output)
        : ChildProcess::execute_self(
              options_.own_arguments_ ? own_arguments() : options_.arguments_,
              detail::kTaskVariable,
              task.to_text(),
              output);
    const bool hung = !ends_in_time(child, task.trace);
    detail::Trace trace = detail::read_trace(task.trace);
    result_.output = last_of(detail::read_text(output));
    if (hung) {
      stop_at(
          Finding::hung,
          name,
          "no safe point for " + std::to_string(options_.time_limit_) +
              " s: see time_limit(); a forked child may wait for a thread that "
              "it has not, in_new_processes() has all");
      result_.at =
          trace.points.empty() ? Progress() : progress_of(trace.points.back());
      return trace;
    }
    const ChildProcess::End& end = child.end();
    const bool killed_itself = trace.points_when_struck != 0 &&
        task.kind == Interruption::kill && end.signal != 0;
    if (!killed_itself && !trace.returned && !trace.threw) {
      stop_at(
          Finding::crashed,
          name,
          end.signal != 0
              ? "its process was ended by signal " + std::to_string(end.signal)
              : "its process ended by itself, with status " +
                  std::to_string(end.status) +
                  (trace.points.empty() ? ", before it came to the loop" : ""));
      result_.at =
          trace.points.empty() ? Progress() : progress_of(trace.points.back());
    }
    return trace;
  }

  [[nodiscard]] bool ends_in_time(ChildProcess& child, const std::string& trace)
      const {
    std::size_t size = 0;
    double left = options_.time_limit_;
    while (left > 0) {
      const double piece = std::min(left, 1.0);
      if (child.wait(piece)) {
        return true;
      }
      const std::size_t now = detail::file_size(trace);
      left = now == size ? left - piece : options_.time_limit_;
      size = now;
    }
    child.kill();
    return false;
  }

  /// The end of what was printed, as much as fits a message.
  [[nodiscard]] static std::string last_of(const std::string& text) {
    constexpr std::size_t much = 2000;
    return text.size() <= much ? text : "..." + text.substr(text.size() - much);
  }

  // --- findings --------------------------------------------------------------

  void stop_at(Finding finding, std::string run, std::string explanation) {
    done_ = true;
    result_.finding = finding;
    result_.run = std::move(run);
    result_.explanation = std::move(explanation);
  }

  void found(
      Finding finding,
      std::string run,
      std::vector<Difference> differences,
      const Progress& where) {
    stop_at(finding, std::move(run), {});
    result_.differences = std::move(differences);
    result_.at = where;
  }

  void fail_of(const detail::Trace& trace, const std::string& name) {
    if (trace.threw) {
      stop_at(Finding::threw, name, trace.what);
    } else {
      stop_at(
          Finding::nothing_checked,
          name,
          "no resume() was seen: give the manager run.directory() and "
          "run.options(...)");
    }
    result_.at =
        trace.points.empty() ? Progress() : progress_of(trace.points.back());
  }

  [[nodiscard]] static Progress progress_of(const Values& point) {
    const Value::Array& numbers = holdfast::at(point, "position").array();
    Progress progress;
    progress.epoch = numbers[0].as<std::int64_t>();
    progress.batch = numbers[1].as<std::int64_t>();
    progress.step = numbers[2].as<std::int64_t>();
    progress.samples = holdfast::at(point, "samples").as<std::int64_t>();
    return progress;
  }
  [[nodiscard]] static Progress position_at(
      const std::vector<Values>& points,
      std::size_t i) {
    return progress_of(points[i]);
  }

  [[nodiscard]] std::string describe(const Strike& strike) const {
    const Progress progress = position_at(reference_, strike.index);
    const char* const how = strike.kind == Interruption::kill &&
            options_.isolation_ != Isolation::same_process
        ? "killed"
        : strike.kind == Interruption::stop ? "stopped"
                                            : "left by an exception";
    return std::string(how) +
        (progress.batch == 0
             ? " at the end of epoch " + std::to_string(progress.epoch)
             : " at step " + std::to_string(progress.step));
  }

  const MakeRun& make_run_;
  const ResumeCheckOptions& options_;
  std::int64_t call_;
  std::string directory_;
  std::vector<Values> reference_; ///< The beginning, then all safe points.
  std::size_t runs_ = 0;
  std::size_t traces_ = 0;
  bool done_ = false;
  ResumeCheckResult result_;
};

HOLDFAST_INLINE ResumeCheckResult resume_equals_uninterrupted(
    const MakeRun& make_run,
    const ResumeCheckOptions& options) {
  const std::int64_t call = ++detail::count_calls();
  if (const char* const text = std::getenv(detail::kTaskVariable)) {
    const detail::Task task = detail::Task::from_text(text);
    if (task.call == call) {
      detail::perform(task, make_run);
      end_this_process(0);
    }
    ResumeCheckResult result;
    result.finding = ResumeCheckResult::Finding::elsewhere;
    return result;
  }
  return ResumeChecker(make_run, options, call).check();
}

} // namespace holdfast::testing

#include <holdfast/testing/impl/resume_options.ipp>

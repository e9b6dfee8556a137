#pragma once

#include <holdfast/testing/impl/resume_checker.ipp>

#include <holdfast/format/json.hpp>

#include <algorithm>

/// What attempts have left behind, compared with the run that nobody
/// interrupted, and what that means.
namespace holdfast::testing {

HOLDFAST_INLINE bool ResumeChecker::is_deterministic(
    const detail::Trace& again) {
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

HOLDFAST_INLINE std::vector<Difference> ResumeChecker::differences_at(
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

HOLDFAST_INLINE std::size_t ResumeChecker::begin_of(
    const detail::Trace& trace) const {
  return position_index(holdfast::at(trace.points.front(), "position"));
}

HOLDFAST_INLINE std::size_t ResumeChecker::position_index(
    const Value& position) const {
  std::size_t i = 0;
  while (i < reference_.size() &&
         holdfast::at(reference_[i], "position") != position) {
    ++i;
  }
  return i;
}

HOLDFAST_INLINE bool ResumeChecker::compare(
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

HOLDFAST_INLINE void ResumeChecker::explain(
    const detail::Trace& trace,
    const std::string& name,
    std::size_t begin,
    std::size_t i,
    std::vector<Difference> differences) {
  const bool resumed = holdfast::at(trace.points.front(), "resumed").as<bool>();
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
        "restoring does not bring back what was saved: a tensor of the part "
        "has a graph or shares its memory, or the part's own save and load do "
        "not fit";
  } else if (resumed) {
    result_.explanation =
        "all parts were equal right after the resume at step " +
        std::to_string(progress_of(trace.points.front()).step) +
        (i > 1 ? " and at the step before this: " : ": ") +
        "the loop depends on something that no part holds, or"
        "\n    code before the `for` of an epoch ran again, or"
        "\n    code after the last step() or end_epoch() did not run";
  } else {
    result_.explanation =
        "it differs before any interruption: saving more often changes the "
        "run";
  }
}

HOLDFAST_INLINE bool ResumeChecker::is_interrupted(
    const detail::Trace& trace,
    const Strike& strike) {
  const std::string name = describe(strike);
  if (trace.points_when_struck == 0) {
    if (trace.threw) {
      fail_of(trace, name);
    } else {
      stop_at(
          Finding::not_interrupted, name, "the run did not come to that step");
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

HOLDFAST_INLINE void ResumeChecker::stop_at(
    Finding finding,
    std::string run,
    std::string explanation) {
  done_ = true;
  result_.finding = finding;
  result_.run = std::move(run);
  result_.explanation = std::move(explanation);
}

HOLDFAST_INLINE void ResumeChecker::found(
    Finding finding,
    std::string run,
    std::vector<Difference> differences,
    const Progress& where) {
  stop_at(finding, std::move(run), {});
  result_.differences = std::move(differences);
  result_.at = where;
}

HOLDFAST_INLINE void ResumeChecker::fail_of(
    const detail::Trace& trace,
    const std::string& name) {
  if (trace.threw) {
    stop_at(Finding::threw, name, trace.what);
  } else {
    stop_at(
        Finding::nothing_checked,
        name,
        "no resume() was seen: give the manager run.directory() and "
        "run.options(...)");
  }
  result_.at = last_progress(trace);
}

HOLDFAST_INLINE Progress ResumeChecker::progress_of(const Values& point) {
  const Value::Array& numbers = holdfast::at(point, "position").array();
  Progress progress;
  progress.epoch = numbers[0].as<std::int64_t>();
  progress.batch = numbers[1].as<std::int64_t>();
  progress.step = numbers[2].as<std::int64_t>();
  progress.samples = holdfast::at(point, "samples").as<std::int64_t>();
  return progress;
}

HOLDFAST_INLINE Progress
ResumeChecker::last_progress(const detail::Trace& trace) {
  return trace.points.empty() ? Progress() : progress_of(trace.points.back());
}

HOLDFAST_INLINE Progress
ResumeChecker::position_at(const std::vector<Values>& points, std::size_t i) {
  return progress_of(points[i]);
}

HOLDFAST_INLINE std::string ResumeChecker::describe(
    const Strike& strike) const {
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

} // namespace holdfast::testing

#pragma once

#include <holdfast/testing/impl/resume_checker.ipp>

#include <algorithm>
#include <cstdio>
#include <exception>

/// One attempt of a run: in a process of its own, or here.
namespace holdfast::testing {

HOLDFAST_INLINE detail::Task ResumeChecker::new_run() {
  detail::Task task;
  task.call = call_;
  if (!options_.own_arguments_) {
    task.arguments = options_.arguments_;
  }
  task.directory = directory_ + "/run-" + std::to_string(++runs_);
  task.trace = directory_ + "/trace-" + std::to_string(++traces_);
  task.may_kill = options_.isolation_ != Isolation::same_process;
  return task;
}

HOLDFAST_INLINE detail::Trace ResumeChecker::attempt(
    const detail::Task& task,
    const std::string& name) {
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
    result_.at = last_progress(trace);
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
    result_.at = last_progress(trace);
  }
  return trace;
}

HOLDFAST_INLINE bool ResumeChecker::ends_in_time(
    ChildProcess& child,
    const std::string& trace) const {
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

HOLDFAST_INLINE std::string ResumeChecker::last_of(const std::string& text) {
  constexpr std::size_t much = 2000;
  return text.size() <= much ? text : "..." + text.substr(text.size() - much);
}

} // namespace holdfast::testing

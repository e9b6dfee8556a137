#pragma once

#include <holdfast/testing/resume_check.hpp>

#include <algorithm>

/// The options of the check, and its result in words.
namespace holdfast::testing {

HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::interrupt_at(
    const std::vector<std::int64_t>& steps) {
  steps_.insert(steps_.end(), steps.begin(), steps.end());
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::interrupt_everywhere() {
  everywhere_ = true;
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::interrupt_by(
    std::vector<Interruption> kinds) {
  kinds_ = std::move(kinds);
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::save_every(
    Steps interval) {
  save_every_ = interval;
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::in_forked_processes() {
  isolation_ = Isolation::forked;
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::in_new_processes() {
  isolation_ = Isolation::new_process;
  own_arguments_ = true;
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::in_new_processes(
    std::vector<std::string> arguments) {
  isolation_ = Isolation::new_process;
  own_arguments_ = false;
  arguments_ = std::move(arguments);
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::in_this_process() {
  isolation_ = Isolation::same_process;
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::time_limit(
    std::chrono::duration<double> time) {
  time_limit_ = time.count();
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::scratch_directory(
    std::string path) {
  scratch_ = std::move(path);
  return *this;
}
HOLDFAST_INLINE ResumeCheckOptions& ResumeCheckOptions::keep_if_different() {
  keep_ = true;
  return *this;
}

HOLDFAST_INLINE std::string Difference::to_string() const {
  std::string text = part.empty() ? "" : "part '" + part + "', ";
  text += what;
  if (element >= 0) {
    text += ", element " + std::to_string(element);
  }
  return text + ": " + found + " instead of " + expected;
}

namespace detail {

/// The first ones, and one of each part that has none among these: which parts
/// differ tells more than how much of one does.
HOLDFAST_INLINE std::string differences_text(
    const std::vector<Difference>& differences) {
  constexpr std::size_t first = 8;
  std::string text;
  std::vector<std::string> parts;
  std::size_t left_out = 0;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    const std::string& part = differences[i].part;
    const bool is_new =
        std::find(parts.begin(), parts.end(), part) == parts.end();
    if (is_new) {
      parts.push_back(part);
    }
    if (is_new || i < first) {
      text += "\n  " + differences[i].to_string();
    } else {
      ++left_out;
    }
  }
  if (left_out > 0) {
    text += "\n  and " + std::to_string(left_out) + " more";
  }
  return text;
}

} // namespace detail

HOLDFAST_INLINE const char* to_string(
    ResumeCheckResult::Finding finding) noexcept {
  switch (finding) {
    case ResumeCheckResult::Finding::equal:
      return "equal";
    case ResumeCheckResult::Finding::differs:
      return "differs";
    case ResumeCheckResult::Finding::not_deterministic:
      return "not deterministic";
    case ResumeCheckResult::Finding::nothing_checked:
      return "nothing was checked";
    case ResumeCheckResult::Finding::not_interrupted:
      return "not interrupted";
    case ResumeCheckResult::Finding::threw:
      return "the loop threw";
    case ResumeCheckResult::Finding::crashed:
      return "the process ended";
    case ResumeCheckResult::Finding::hung:
      return "hung";
    case ResumeCheckResult::Finding::elsewhere:
      return "elsewhere";
  }
  return "unknown";
}

HOLDFAST_INLINE std::string ResumeCheckResult::to_string() const {
  std::string text = testing::to_string(finding);
  if (finding == Finding::equal) {
    return text + ": " + std::to_string(interruptions) + " interruptions, " +
        std::to_string(safe_points) + " safe points in a run";
  }
  if (finding == Finding::elsewhere) {
    return text + ": this process runs for another check";
  }
  if (!run.empty()) {
    text += ": " + run;
  }
  if (!differences.empty() || at.step > 0) {
    text += right_after_resume ? ": right after the resume, at step "
                               : ": at step ";
    text += std::to_string(at.step) + " (epoch " + std::to_string(at.epoch) +
        ", batch " + std::to_string(at.batch) + ")";
  }
  text += detail::differences_text(differences);
  if (!explanation.empty()) {
    text += "\n  " + explanation;
  }
  if (!directory.empty()) {
    text += "\n  kept in " + directory;
  }
  if (!output.empty()) {
    text += "\n  it had printed:\n" + output;
  }
  return text;
}

HOLDFAST_INLINE std::ostream& operator<<(
    std::ostream& stream,
    const ResumeCheckResult& result) {
  return stream << result.to_string();
}

} // namespace holdfast::testing

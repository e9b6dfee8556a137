#pragma once

#include <holdfast/engine/impl/manager.ipp>

#include <holdfast/base/text.hpp>

// What is saved when an exception leaves the loop.

namespace holdfast {

/// From here to the next safe point there is none.
HOLDFAST_INLINE void Manager::State::leave_safe_point() noexcept {
  stamped.state.forget();
  unstamped = "the call that counted it has not ended";
  if (!unsaved_metrics.values().empty()) {
    unsaved_metrics = {};
  }
}

/// At a safe point, when what was due is saved.
HOLDFAST_INLINE void Manager::State::stamp_safe_point(const Metrics& metrics) {
  const double share = settings.exception_share;
  if (!in_run || diverged || (divergence && divergence->suspects()) ||
      !too_late_to_save().empty()) {
    return;
  }
  if (is_saved()) {
    unstamped = "it was saved, and then what is not exact";
    return;
  }
  if (share == 0) {
    unstamped = "exception_overhead is 0";
    return;
  }
  const TriggerPoint point = now();
  if (share < 1 &&
      !is_due(SaveOverhead{share, 0}, stamp_seconds, last_stamp, point)) {
    unstamped =
        "looking at this safe point would have taken more than "
        "exception_overhead";
    return;
  }
  try {
    stamped.metrics = metrics;
    stamped.exact = !sources.ahead();
    stamped.state.take(parts, settings.exception_memory);
  } catch (...) { // the next save says what
    unstamped = "it could not be captured";
  }
  last_stamp = point;
  stamp_seconds = elapsed() - point.elapsed_seconds;
}

/// The state at the last safe point; nothing where it cannot be had, and why.
HOLDFAST_INLINE std::optional<std::vector<CapturedPart>> Manager::State::
    recover_safe_point(std::string& why_not) {
  if (diverged || (divergence && divergence->suspects())) {
    why_not = "the loss may have diverged";
    return std::nullopt;
  }
  why_not = too_late_to_save();
  if (!why_not.empty()) {
    return std::nullopt;
  }
  if (!stamped.state.is_taken()) {
    why_not = unstamped;
  } else {
    StateStamp::Recovered recovered = stamped.state.recover(parts);
    if (recovered.changed.empty()) {
      return std::move(recovered.state);
    }
    why_not = "changed since:";
    for (const std::string& part : recovered.changed) {
      why_not += " '" + part + "'";
    }
  }
  return std::nullopt;
}

/// An exception is on its way out of the loop.
HOLDFAST_INLINE void Manager::State::save_safe_point(const char* exception) {
  if (!writer || fork_generation() != fork ||
      (is_saved() && (last_saved_exact || !stepped))) {
    return; // there is nothing that is not saved
  }
  const std::string reason = "exception: " + first_line(exception);
  std::string why_not;
  try {
    const double began = settings.clock->monotonic_seconds();
    const auto state = recover_safe_point(why_not);
    if (state) {
      std::vector<std::string> reasons = new_bests(stamped.metrics);
      reasons.push_back(reason);
      const SaveHandle handle = write(
          *state,
          Value(),
          stamped.metrics,
          std::move(reasons),
          stamped.exact,
          began);
      if (handle.saved()) {
        return;
      }
      why_not = "the save failed";
    }
  } catch (...) {
    why_not = current_exception_text();
  }
  emit(
      Event::Kind::warning,
      split_path(last_path).name,
      reason + ": step " + std::to_string(progress.step) + " was not saved, " +
          why_not +
          (last_path.empty() ? "; there is no checkpoint"
                             : "; the newest is " + last_path));
}

HOLDFAST_INLINE Manager::RunScope::RunScope(Manager& manager)
    : manager_(manager) {
  manager.state_->require_owner();
  if (manager.state_->in_run) {
    throw_invalid_argument("run", "it is called inside of itself");
  }
  manager.state_->in_run = true;
  manager.state_->unstamped = "it was not reached in this run()";
}

HOLDFAST_INLINE Manager::RunScope::~RunScope() {
  manager_.state_->in_run = false;
  manager_.state_->stamped = {};
}

HOLDFAST_INLINE void Manager::RunScope::save_safe_point(
    const char* exception) const noexcept {
  try {
    manager_.state_->save_safe_point(exception);
  } catch (...) { // the loop's own exception is the one that counts
  }
}

} // namespace holdfast

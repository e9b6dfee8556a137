#pragma once

#include <holdfast/engine/impl/manager.ipp>

#include <holdfast/base/text.hpp>

// What is saved when an exception leaves the loop.

namespace holdfast {

/// At a safe point, when what was due is saved.
HOLDFAST_INLINE void Manager::State::stamp_safe_point(const Metrics& metrics) {
  if (!in_run) {
    return;
  }
  stamped.state.forget();
  const double share = settings.exception_share;
  if (is_saved() || diverged || share == 0) {
    return;
  }
  const TriggerPoint point = now();
  if (share < 1 &&
      !is_due(SaveOverhead{share, 0}, stamp_seconds, last_stamp, point)) {
    return;
  }
  try {
    stamped.state.take(parts, settings.exception_memory);
    stamped.progress = progress;
    stamped.metrics = metrics;
  } catch (...) { // the next save says what cannot be captured
  }
  last_stamp = point;
  stamp_seconds = elapsed() - point.elapsed_seconds;
}

/// An exception is on its way out of the loop.
HOLDFAST_INLINE void Manager::State::save_safe_point() {
  if (!writer || fork_generation() != fork || is_saved() || told_interruption) {
    return; // nothing to save, or it has been told what was saved
  }
  try {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::lost_lock) {
      return; // somebody else trains this run now
    }
  } catch (...) {
  }
  save_stamped("exception: " + first_line(current_exception_text()));
}

HOLDFAST_INLINE void Manager::State::save_stamped(const std::string& reason) {
  std::string why_not;
  try {
    const double began = settings.clock->monotonic_seconds();
    StateStamp::Recovered recovered;
    if (diverged || (divergence && divergence->suspects())) {
      why_not = "the loss may have diverged";
    } else if (
        stamped.state.is_taken() &&
        (stamped.progress.step != progress.step ||
         stamped.progress.epoch != progress.epoch)) {
      why_not = "the call that counted it has not ended";
    } else if (!stamped.state.is_taken()) {
      why_not = settings.exception_share == 0
          ? "exception_overhead is 0"
          : "looking at this safe point would have taken more than " +
              to_string(SaveOverhead{settings.exception_share, 0});
    } else {
      recovered = stamped.state.recover(parts);
      for (const std::string& part : recovered.changed) {
        why_not += (why_not.empty() ? "" : ", ") + ("'" + part + "'");
      }
      if (!why_not.empty()) {
        why_not = "changed since: " + why_not;
      }
    }
    if (why_not.empty()) {
      std::vector<std::string> reasons = new_bests(stamped.metrics);
      reasons.push_back(reason);
      const SaveHandle handle = write(
          recovered.state,
          Value(),
          stamped.metrics,
          std::move(reasons),
          true,
          began);
      if (!handle.saved()) {
        why_not = "the save failed";
      }
    }
  } catch (...) {
    why_not = current_exception_text();
  }
  if (!why_not.empty()) {
    emit(
        Event::Kind::warning,
        split_path(last_path).name,
        reason + ": step " + std::to_string(progress.step) +
            " was not saved, " + why_not +
            (last_path.empty() ? "; there is no checkpoint"
                               : "; the newest is " + last_path));
  }
}

HOLDFAST_INLINE Manager::Run::Run(Manager& manager) : manager_(manager) {
  manager.state_->require_owner();
  if (manager.state_->in_run) {
    throw_invalid_argument("run", "it is called inside of itself");
  }
  manager.state_->in_run = true;
}

HOLDFAST_INLINE Manager::Run::~Run() {
  manager_.state_->in_run = false;
  manager_.state_->stamped = {};
}

HOLDFAST_INLINE void Manager::Run::save_safe_point() const noexcept {
  try {
    manager_.state_->save_safe_point();
  } catch (...) { // the loop's own exception is the one that counts
  }
}

} // namespace holdfast

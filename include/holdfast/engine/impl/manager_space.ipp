#pragma once

#include <holdfast/engine/impl/manager.ipp>

// Disks that are full, or will be.

namespace holdfast {

/// What is to be said about the failure that is being handled.
HOLDFAST_INLINE std::string Manager::State::note_failure() {
  std::string text = current_exception_text();
  try {
    throw;
  } catch (const Error& error) {
    space_failures =
        error.code() == ErrorCode::no_space ? space_failures + 1 : 0;
    see_lost_lock(error);
    const std::string why = why_no_space(error, *root);
    text += why.empty() ? "" : "; " + why;
  } catch (...) {
    space_failures = 0;
  }
  return text;
}

/// What others read in the directory is its new owner's from now on.
HOLDFAST_INLINE void Manager::State::see_lost_lock(
    const Error& error) noexcept {
  if (error.code() == ErrorCode::lost_lock) {
    event_log.reset();
    heartbeat.reset();
  }
}

/// True until the pause after a save without space is over.
HOLDFAST_INLINE bool Manager::State::is_pausing() const {
  return space_failures > 0 &&
      settings.clock->monotonic_seconds() - last_attempt <
      pause_without_space(space_failures);
}

/// Sleeps until it is time to try again, and doubles the pause. False if `end`
/// has come, or the run is to end.
HOLDFAST_INLINE bool Manager::State::pause_for_space(
    double& pause,
    double end) {
  Clock& clock = *settings.clock;
  const double now = clock.monotonic_seconds();
  const double again = std::min(now + pause, end);
  pause = std::min(pause * 2, 60.0);
  see_stop_request();
  if (stopped || now >= end) {
    return false;
  }
  for (double left = again - now; left > 0 && !stopped;
       left = again - clock.monotonic_seconds()) {
    beat(Heartbeat::State::saving, elapsed());
    clock.sleep(std::min(left, 1.0));
    see_stop_request();
  }
  return !stopped;
}

/// Tries again until there is space, something else is wrong, or the time is
/// over. For good: the next save after that does not wait again before one has
/// succeeded.
HOLDFAST_INLINE SaveHandle Manager::State::wait_for_space(
    SaveHandle failed,
    const Metrics& metrics,
    const std::vector<std::string>& reasons) {
  const bool was_interrupted = !interruption.empty();
  const double end =
      settings.clock->monotonic_seconds() + settings.no_space_seconds;
  double pause = 1;
  while (space_failures > 0 && pause_for_space(pause, end)) {
    failed = save(metrics, reasons);
  }
  // Whoever asks it to stop has a last save by running(); a preemption may end
  // the process here.
  if (space_failures > 0 && !was_interrupted && !interruption.empty() &&
      too_late_to_save().empty()) {
    failed = save(metrics, reasons);
  }
  beat(Heartbeat::State::running, elapsed());
  return failed;
}

/// There must not be more on the disk than anybody counts on. But whoever is
/// preempted has no time, if there is room for `bytes` without.
HOLDFAST_INLINE void Manager::State::wait_for_deletions(std::uint64_t bytes) {
  constexpr double kPatience = 0.1;
  while (interruption.empty() || !has_space(*root, bytes)) {
    if (writer->trash().wait_for(kPatience)) {
      return;
    }
    beat(Heartbeat::State::saving, elapsed());
    if (is_saving_what_is_due) {
      see_stop_request(stepped && !(goal_is_reached() && is_saved()));
    }
  }
}

/// Said at the start, and not by the first save that does not fit. `bytes` is
/// what a checkpoint takes.
HOLDFAST_INLINE void Manager::State::warn_of_a_full_disk(
    std::uint64_t bytes) try {
  std::size_t count = held_by(settings.retention);
  if (settings.retention.total_bytes && bytes > 0) {
    const std::uint64_t fit =
        std::max<std::uint64_t>(*settings.retention.total_bytes / bytes, 2);
    count = static_cast<std::size_t>(std::min<std::uint64_t>(count, fit));
  }
  if (what_will_not_fit(count, bytes, 0, *root).empty()) {
    return;
  }
  writer->trash().wait(); // what a former run has left is still going
  // Those that are there have their room already.
  const std::uint64_t present = scan(*root).search_order().size() * bytes;
  const std::string text = what_will_not_fit(count, bytes, present, *root);
  if (!text.empty()) {
    emit(Event::Kind::warning, "", text);
  }
} catch (const Error&) { // a disk that cannot be looked at ends no run
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/impl/manager.ipp>

// Disks that are full, or will be.

namespace holdfast {

/// Counts the failure that is being handled; what is to be said about it.
HOLDFAST_INLINE std::string Manager::State::note_failure() {
  std::string text = current_exception_text();
  try {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::no_space) {
      ++space_failures;
    } else {
      ++failures;
    }
    if (error.code() == ErrorCode::lost_lock) {
      // What others read here is its new owner's.
      event_log.reset();
      heartbeat.reset();
    }
    const std::string why = why_no_space(error, *root);
    text += why.empty() ? "" : "; " + why;
  } catch (...) {
    ++failures;
  }
  return text;
}

/// True until the pause after a save without space is over.
HOLDFAST_INLINE bool Manager::State::is_pausing(
    const TriggerPoint& point) const {
  return space_failures > 0 &&
      point.elapsed_seconds - last_save.elapsed_seconds <
      pause_without_space(space_failures);
}

/// Tries again until there is space, something else is wrong, or the time is
/// over. For good: the next save after that does not wait again before one has
/// succeeded.
HOLDFAST_INLINE SaveHandle Manager::State::wait_for_space(
    SaveHandle failed,
    const Metrics& metrics,
    const std::vector<std::string>& reasons) {
  Clock& clock = *settings.clock;
  const double end = clock.monotonic_seconds() + settings.no_space_seconds;
  double pause = 1;
  while (space_failures > 0) {
    const double now = clock.monotonic_seconds();
    const double again = std::min(now + pause, end);
    see_stop_request();
    // Whoever asks for that has no time; a last save follows all the same.
    if (stopped || now >= end) {
      break;
    }
    for (double left = again - now; left > 0 && !stopped;
         left = again - clock.monotonic_seconds()) {
      beat(Heartbeat::State::saving, elapsed());
      clock.sleep(std::min(left, 1.0));
      see_stop_request();
    }
    if (!stopped) {
      pause = std::min(pause * 2, 60.0);
      failed = save(metrics, reasons);
    }
  }
  beat(Heartbeat::State::running, elapsed());
  return failed;
}

/// Said at the start, and not by the first save that does not fit. `bytes` is
/// what a checkpoint takes.
HOLDFAST_INLINE void Manager::State::warn_of_a_full_disk(std::uint64_t bytes) {
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
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/impl/manager.ipp>

// What others are told of a run: events, their log, and the heartbeat.

namespace holdfast {

HOLDFAST_INLINE void Manager::State::emit(
    Event::Kind kind,
    std::string checkpoint,
    std::string text,
    Tell whom) {
  const Event event{kind, std::move(checkpoint), std::move(text)};
  if (event_log) {
    Values more;
    more["attempt"] = attempt;
    more["epoch"] = progress.epoch;
    more["line"] = line;
    more["step"] = progress.step;
    more["time"] = settings.clock->wall_seconds();
    event_log->append(event, std::move(more));
  }
  if (settings.on_event && whom == Tell::everybody) {
    try {
      settings.on_event(event);
    } catch (...) { // an event must not end a training run
    }
  }
}

HOLDFAST_INLINE void Manager::State::beat(
    Heartbeat::State state,
    double elapsed_seconds) noexcept {
  if (heartbeat) {
    heartbeat->beat(state, progress, elapsed_seconds);
  }
}

HOLDFAST_INLINE void Manager::State::end_heartbeat() noexcept {
  if (heartbeat && fork_generation() == fork) {
    beat(state_at_end(), elapsed());
  }
}

/// What monitors find when the loop is over, however it was left.
HOLDFAST_INLINE Heartbeat::State Manager::State::state_at_end() const noexcept {
  if (!interruption.empty()) {
    return Heartbeat::State::preempted;
  }
  if (goal_is_reached() && is_saved()) {
    return Heartbeat::State::finished;
  }
  return stopped ? Heartbeat::State::stopped : Heartbeat::State::left;
}

} // namespace holdfast

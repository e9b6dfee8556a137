#pragma once

#include <holdfast/engine/impl/manager.ipp>

// What others are told of a run: events, their log, and the heartbeat.

namespace holdfast {

HOLDFAST_INLINE void Manager::State::emit(
    Event::Kind kind,
    std::string checkpoint,
    std::string text) {
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
  if (settings.on_event) {
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

/// What monitors find when the manager has gone.
HOLDFAST_INLINE void Manager::State::end_heartbeat() noexcept {
  if (heartbeat && fork_generation() == fork &&
      (heartbeat->state() == Heartbeat::State::running ||
       heartbeat->state() == Heartbeat::State::saving)) {
    beat(Heartbeat::State::left, elapsed());
  }
}

} // namespace holdfast

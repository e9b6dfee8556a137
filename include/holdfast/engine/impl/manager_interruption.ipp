#pragma once

#include <holdfast/engine/impl/manager.ipp>

#include <holdfast/base/text.hpp>

// How a run ends that something outside takes away.

namespace holdfast {

HOLDFAST_INLINE void Manager::State::see_interruption() {
  try {
    interruption = interrupter->pending(save_seconds);
  } catch (...) { // not to know must not end the run
    emit(Event::Kind::warning, "", current_exception_text());
  }
}

/// Why an interrupted run would not get through a save, so that what is durable
/// stays the newest; empty if it would.
HOLDFAST_INLINE std::string Manager::State::too_late_to_save() const {
  if (interruption.empty() || interrupter == nullptr) {
    return {};
  }
  const double left = interrupter->seconds_left();
  return save_seconds <= left ? std::string()
                              : "a save takes " + format_number(save_seconds) +
          " s and " + format_number(std::max(left, 0.0)) + " s are left";
}

HOLDFAST_INLINE void Manager::State::tell_interruption() {
  if (interruption.empty() || told_interruption) {
    return;
  }
  told_interruption = true;
  beat(Heartbeat::State::preempted, elapsed());
  InterruptedRun told;
  told.reason = interruption;
  told.saved = is_saved() && !sources.ahead() && !last_path.empty();
  told.checkpoint = last_path;
  if (told.saved) {
    told.text = interruption + ": saved " + last_path;
  } else {
    told.text = interruption + ": not saved";
    if (!left_out.empty()) {
      told.text += ", " + left_out;
    } else if (failures + space_failures > 0) {
      told.text += ", the save failed";
    }
    told.text += last_path.empty() ? "; there is no checkpoint"
                                   : "; the newest is " + last_path;
  }
  emit(Event::Kind::preempted, split_path(last_path).name, told.text);
  if (interrupter != nullptr) {
    interrupter->interrupted(told);
  }
}

HOLDFAST_INLINE void Manager::set_interrupter(Interrupter* interrupter) {
  state_->require_owner();
  if (interrupter != nullptr && state_->interrupter != nullptr) {
    throw_invalid_argument("interrupter", "there is one already");
  }
  state_->interrupter = interrupter;
}

} // namespace holdfast

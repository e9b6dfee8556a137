#pragma once

#include <holdfast/engine/heartbeat.hpp>

#include <holdfast/format/json.hpp>
#include <holdfast/format/value.hpp>

#include <string>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE const char* to_string(Heartbeat::State state) noexcept {
  switch (state) {
    case Heartbeat::State::resuming:
      return "resuming";
    case Heartbeat::State::running:
      return "running";
    case Heartbeat::State::saving:
      return "saving";
    case Heartbeat::State::finished:
      return "finished";
    case Heartbeat::State::stopped:
      return "stopped";
    case Heartbeat::State::preempted:
      return "preempted";
    case Heartbeat::State::left:
      return "left";
  }
  return "unknown";
}

HOLDFAST_INLINE void Heartbeat::write(const Progress& progress) noexcept {
  try {
    Values values;
    values["batch"] = progress.batch;
    values["epoch"] = progress.epoch;
    values["host"] = process_.host.substr(0, 128);
    values["pid"] = process_.pid;
    values["pid_start"] = process_.start_time;
    values["state"] = std::string(to_string(state_));
    values["step"] = progress.step;
    values["time"] = clock_.wall_seconds();
    std::string text = to_json(Value(std::move(values)));
    text.resize(kHeartbeatBytes - 1, ' ');
    text += '\n';
    if (!file_ || !file_->is_still_named()) {
      file_ = root_->open_lock_file(kHeartbeatName);
    }
    file_->write_at(0, text);
  } catch (...) {
    file_.reset();
  }
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/event_log.hpp>

#include <holdfast/format/json.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE std::uint64_t EventLog::end() {
  // Somebody may have added to it, cut it or moved it away.
  if (!file_ || !file_->is_still_named()) {
    reader_.reset();
    file_ = root_->open_lock_file(kEventLogName); // made if absent
    reader_ = root_->open_file(kEventLogName);
  }
  std::uint64_t end = reader_->size();
  std::byte last{'\n'};
  if (end > 0 && reader_->read_at(end - 1, &last, 1) == 1 &&
      last != std::byte{'\n'}) {
    file_->write_at(end, "\n");
    ++end;
  }
  return end;
}

HOLDFAST_INLINE void EventLog::append(
    const Event& event,
    Values more) noexcept {
  try {
    more["event"] = std::string(to_string(event.kind));
    if (!event.checkpoint.empty()) {
      more["checkpoint"] = event.checkpoint;
    }
    more["text"] = event.text;
    const std::string line = to_json(Value(std::move(more))) + "\n";
    const std::uint64_t at = end();
    file_->write_at(at, line);
  } catch (...) {
    file_.reset(); // the next one opens it anew
  }
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/event_log.hpp>

#include <holdfast/format/json.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE void EventLog::open() {
  auto file = root_->open_lock_file(kEventLogName); // made if absent
  const auto former = root_->open_file(kEventLogName);
  end_ = former->size();
  std::byte last{'\n'};
  if (end_ > 0 && former->read_at(end_ - 1, &last, 1) == 1 &&
      last != std::byte{'\n'}) {
    file->write_at(end_, "\n");
    ++end_;
  }
  file_ = std::move(file);
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
    if (!file_) {
      open();
    }
    const std::string line = to_json(Value(std::move(more))) + "\n";
    file_->write_at(end_, line);
    end_ += line.size();
  } catch (...) {
    file_.reset(); // the next one looks where the end is
  }
}

} // namespace holdfast

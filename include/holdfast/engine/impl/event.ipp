#pragma once

#include <holdfast/engine/event.hpp>

#include <cstdio>

namespace holdfast {

HOLDFAST_INLINE const char* to_string(Event::Kind kind) noexcept {
  switch (kind) {
    case Event::Kind::resumed:
      return "resumed";
    case Event::Kind::fresh_start:
      return "fresh start";
    case Event::Kind::save_started:
      return "save started";
    case Event::Kind::save_staged:
      return "save staged";
    case Event::Kind::saved:
      return "saved";
    case Event::Kind::save_failed:
      return "save failed";
    case Event::Kind::passed_over:
      return "passed over";
    case Event::Kind::quarantined:
      return "quarantined";
    case Event::Kind::removed:
      return "removed";
    case Event::Kind::diverged:
      return "diverged";
    case Event::Kind::rolled_back:
      return "rolled back";
    case Event::Kind::preempted:
      return "preempted";
    case Event::Kind::warning:
      return "warning";
  }
  return "unknown";
}

HOLDFAST_INLINE void print_warnings(const Event& event) {
  switch (event.kind) {
    case Event::Kind::save_failed:
    case Event::Kind::passed_over:
    case Event::Kind::quarantined:
    case Event::Kind::diverged:
    case Event::Kind::rolled_back:
    case Event::Kind::preempted:
    case Event::Kind::warning:
      std::fprintf(
          stderr,
          "holdfast: %s: %s\n",
          to_string(event.kind),
          event.text.c_str());
      break;
    default:
      break;
  }
}

} // namespace holdfast

#pragma once

#include <holdfast/base/config.hpp>

namespace holdfast {

/// True if a run that has to be over at `end` must save at `now`, so that
/// `margin` seconds are left when a save that takes `save_seconds` is done. All
/// in seconds of one clock. A step that takes longer than the margin comes too
/// late: nobody looks at the clock within it. Never for a time that is NaN.
[[nodiscard]] constexpr bool is_last_moment(
    double now,
    double end,
    double margin,
    double save_seconds) noexcept {
  return now + save_seconds >= end - margin;
}

} // namespace holdfast

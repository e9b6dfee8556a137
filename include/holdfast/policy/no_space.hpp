#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/policy/retention.hpp>

#include <algorithm>
#include <cstddef>

namespace holdfast {

/// What a scheduled save does that finds no space.
enum class NoSpace {
  /// Goes on training; tries again when the next save is due, after a pause
  /// that grows. Never throws.
  retry,
  /// Waits in `step()` until there is space, or until a time is over; then as
  /// `retry`.
  wait,
  /// `step()` throws `no_space`.
  raise,
};

/// Seconds without another attempt after `failures` in a row: 10, 20, 40, ...
/// up to 10 minutes. Nothing after none.
[[nodiscard]] constexpr double pause_without_space(int failures) noexcept {
  double pause = failures > 0 ? 10 : 0;
  for (int i = 1; i < failures && pause < 600; ++i) {
    pause *= 2;
  }
  return std::min(pause, 600.0);
}

/// How many checkpoints `rules` hold at least, once there are so many: of rules
/// that have no end (for ever, by time) only the protected two count.
[[nodiscard]] inline std::size_t held_by(const RetentionRules& rules) noexcept {
  std::size_t count = std::max<std::size_t>(rules.last.value_or(0), 2);
  for (const KeepBest& rule : rules.best) {
    count += rule.count;
  }
  return count;
}

} // namespace holdfast

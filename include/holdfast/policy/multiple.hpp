#pragma once

#include <cstdint>

namespace holdfast::detail {

/// How many whole `interval`s lie below or at `position`, rounded down where it
/// is negative: what "every so many" has reached. `interval` is positive.
[[nodiscard]] constexpr std::int64_t multiple_reached(
    std::int64_t position,
    std::int64_t interval) noexcept {
  const std::int64_t quotient = position / interval;
  return position % interval < 0 ? quotient - 1 : quotient;
}

} // namespace holdfast::detail

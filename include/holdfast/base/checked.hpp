#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace holdfast {

/// Sum, or nothing where it does not fit.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(
    std::uint64_t a,
    std::uint64_t b) noexcept {
  if (a > std::numeric_limits<std::uint64_t>::max() - b) {
    return std::nullopt;
  }
  return a + b;
}

/// Product, or nothing where it does not fit.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_multiply(
    std::uint64_t a,
    std::uint64_t b) noexcept {
  if (a != 0 && b > std::numeric_limits<std::uint64_t>::max() / a) {
    return std::nullopt;
  }
  return a * b;
}

/// `invalid_argument` about `option` unless that many seconds can pass.
inline void require_seconds(const char* option, double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) {
    throw_invalid_argument(
        option,
        "the time must be finite, and 0 or more",
        format_number(seconds));
  }
}

} // namespace holdfast

#pragma once

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

} // namespace holdfast

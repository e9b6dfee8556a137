#pragma once

#include <holdfast/base/text.hpp>
#include <holdfast/state/engines.hpp>

#include <optional>
#include <string_view>

namespace holdfast::detail {

HOLDFAST_INLINE bool fits_generator(
    const std::string& text,
    std::size_t size,
    std::uint64_t max) {
  std::string_view rest = text;
  std::uint64_t last = 0;
  std::size_t count = 0;
  for (;;) {
    const std::size_t blank = rest.find(' ');
    const auto number = parse_decimal(rest.substr(0, blank));
    if (!number) {
      return false;
    }
    last = *number;
    ++count;
    if (blank == std::string_view::npos) {
      break;
    }
    if (last > max) {
      return false;
    }
    rest.remove_prefix(blank + 1);
  }
  // A library that keeps no index writes `size` numbers, rotated.
  return last <= (count > size ? size : max);
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/base/text.hpp>
#include <holdfast/state/engines.hpp>

#include <algorithm>

namespace holdfast::detail {

HOLDFAST_INLINE bool has_index_beyond(
    const std::string& text,
    std::size_t size) {
  // A library that writes the numbers alone, without an index, rotates them.
  const auto blanks = std::count(text.begin(), text.end(), ' ');
  if (static_cast<std::size_t>(blanks) < size) {
    return false;
  }
  const auto index = parse_decimal(text.substr(text.rfind(' ') + 1));
  return !index || *index > size;
}

} // namespace holdfast::detail

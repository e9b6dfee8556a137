#pragma once

#include <holdfast/base/sorting.hpp>

#include <algorithm>

namespace holdfast::detail {

HOLDFAST_INLINE std::vector<std::size_t> sorted_indices(
    std::size_t count,
    bool (*before)(const void* context, std::size_t a, std::size_t b),
    const void* context) {
  std::vector<std::size_t> indices(count);
  for (std::size_t i = 0; i < count; ++i) {
    indices[i] = i;
  }
  std::sort(indices.begin(), indices.end(), [&](std::size_t a, std::size_t b) {
    return before(context, a, b) || (a < b && !before(context, b, a));
  });
  return indices;
}

HOLDFAST_INLINE const std::string* sort_and_find_twice(
    std::vector<std::string>& texts) {
  std::sort(texts.begin(), texts.end());
  for (std::size_t i = 1; i < texts.size(); ++i) {
    if (texts[i - 1] == texts[i]) {
      return &texts[i];
    }
  }
  return nullptr;
}

} // namespace holdfast::detail

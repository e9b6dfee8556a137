#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// Sorting that is compiled once: every `std::sort` with a comparison of its
/// own costs each file that includes the bodies some forty functions.
namespace holdfast::detail {

/// Indices 0 ... count - 1 in order, equal ones as they were. `before(context,
/// a, b)` tells whether index a comes before index b.
[[nodiscard]] std::vector<std::size_t> sorted_indices(
    std::size_t count,
    bool (*before)(const void* context, std::size_t a, std::size_t b),
    const void* context);

/// The same by any `before(a, b)` of two indices.
template <class Before>
[[nodiscard]] std::vector<std::size_t> sorted_indices(
    std::size_t count,
    const Before& before) {
  return sorted_indices(
      count,
      [](const void* context, std::size_t a, std::size_t b) -> bool {
        return (*static_cast<const Before*>(context))(a, b);
      },
      &before);
}

/// Sorts `items` by `before` of two items, equal ones as they were.
template <class T, class Before>
void sort_by(std::vector<T>& items, const Before& before) {
  std::vector<T> sorted;
  sorted.reserve(items.size());
  for (const std::size_t index :
       sorted_indices(items.size(), [&](std::size_t a, std::size_t b) {
         return before(items[a], items[b]);
       })) {
    sorted.push_back(std::move(items[index]));
  }
  items.swap(sorted);
}

/// Sorts `texts`; the first text that is there twice, or null.
[[nodiscard]] const std::string* sort_and_find_twice(
    std::vector<std::string>& texts);

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/base/impl/sorting.ipp>
#endif

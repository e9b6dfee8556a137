#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace holdfast::test {

/// Exhaustive tests run all their cases, unless HOLDFAST_TEST_EFFORT is "thin":
/// then one in `share` of those that differ only in what strikes an operation,
/// not in which one. 1 or `share`. A test that asks prints what it ran.
///
///     const std::uint64_t every = one_in(4);
///     for (operation ...)
///       for (pattern ...)
///         if (pattern % every == operation % every) // no operation left out
inline std::uint64_t one_in(std::uint64_t share) {
  const char* const text = std::getenv("HOLDFAST_TEST_EFFORT");
  const std::string effort = text == nullptr ? "full" : text;
  if (effort != "full" && effort != "thin") {
    throw std::invalid_argument(
        "HOLDFAST_TEST_EFFORT is '" + effort + "': full or thin");
  }
  return effort == "thin" ? share : 1;
}

} // namespace holdfast::test

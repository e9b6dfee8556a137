#include <support/catch.hpp>

#include <holdfast/policy/multiple.hpp>

#include <cstdint>
#include <limits>

using holdfast::detail::multiple_reached;

TEST_CASE("multiple: rounded down, below zero too", "[policy]") {
  CHECK(multiple_reached(0, 5) == 0);
  CHECK(multiple_reached(4, 5) == 0);
  CHECK(multiple_reached(5, 5) == 1);
  CHECK(multiple_reached(14, 5) == 2);
  CHECK(multiple_reached(-1, 5) == -1);
  CHECK(multiple_reached(-5, 5) == -1);
  CHECK(multiple_reached(-6, 5) == -2);
  constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();
  CHECK(multiple_reached(lowest, 1) == lowest);
  CHECK(multiple_reached(lowest, highest) == -2);
  CHECK(multiple_reached(highest, highest) == 1);
}

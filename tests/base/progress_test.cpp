#include <support/catch.hpp>

#include <holdfast/base/progress.hpp>

using namespace holdfast;

TEST_CASE("progress: equal means equal in every count", "[base]") {
  const Progress start;
  CHECK(start == Progress{});
  Progress other;
  other.epoch = 1;
  CHECK_FALSE(other == start);
  other = Progress{};
  other.batch = 1;
  CHECK_FALSE(other == start);
  other = Progress{};
  other.step = 1;
  CHECK_FALSE(other == start);
  other = Progress{};
  other.samples = 1;
  CHECK_FALSE(other == start);
  other = Progress{};
  other.elapsed_seconds = 0.5;
  CHECK_FALSE(other == start);
}

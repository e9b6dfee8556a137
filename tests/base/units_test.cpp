#include <support/catch.hpp>

#include <holdfast/base/units.hpp>

#include <type_traits>

using namespace holdfast;

TEST_CASE("units: steps and epochs are no plain numbers", "[base]") {
  CHECK(steps(500).count == 500);
  CHECK(epochs(20).count == 20);
  CHECK_FALSE(std::is_convertible_v<int, Steps>);
  CHECK_FALSE(std::is_convertible_v<Steps, Epochs>);
  CHECK_FALSE(std::is_convertible_v<Epochs, Steps>);
}

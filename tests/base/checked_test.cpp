#include <support/catch.hpp>

#include <holdfast/base/checked.hpp>

#include <cstdint>
#include <limits>

using namespace holdfast;

namespace {
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
}

TEST_CASE("checked: a sum is right or nothing", "[base]") {
  CHECK(checked_add(2, 3).value() == 5);
  CHECK(checked_add(kMost, 0).value() == kMost);
  CHECK(checked_add(0, kMost).value() == kMost);
  CHECK(checked_add(kMost - 7, 7).value() == kMost);
  CHECK_FALSE(checked_add(kMost, 1));
  CHECK_FALSE(checked_add(1, kMost));
  CHECK_FALSE(checked_add(kMost - 7, 8));
  CHECK_FALSE(checked_add(kMost, kMost));
}

TEST_CASE("checked: a product is right or nothing", "[base]") {
  const std::uint64_t half = std::uint64_t{1} << 32;
  CHECK(checked_multiply(6, 7).value() == 42);
  CHECK(checked_multiply(0, kMost).value() == 0);
  CHECK(checked_multiply(kMost, 0).value() == 0);
  CHECK(checked_multiply(kMost, 1).value() == kMost);
  CHECK(checked_multiply(half, half - 1).value() == kMost - half + 1);
  CHECK(checked_multiply(3, kMost / 3).value() == kMost);
  CHECK_FALSE(checked_multiply(half, half));
  CHECK_FALSE(checked_multiply(3, kMost / 3 + 1));
  CHECK_FALSE(checked_multiply(2, kMost));
  CHECK_FALSE(checked_multiply(kMost, kMost));
}

TEST_CASE("checked: times that can pass", "[base]") {
  for (const double seconds : {0.0, 0.5, 1e300}) {
    CHECK_NOTHROW(require_seconds("wait", seconds));
  }
  const double endless = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double seconds : {-0.5, endless, -endless, nan}) {
    try {
      require_seconds("wait", seconds);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(error.name() == "wait");
      CHECK(error.found() == format_number(seconds));
    }
  }
}

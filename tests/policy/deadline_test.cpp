#include "policy_support.hpp"

#include <support/catch.hpp>

#include <holdfast/policy/deadline.hpp>

using holdfast::is_last_moment;
using holdfast::test::kInfinity;
using holdfast::test::kNan;

TEST_CASE("deadline: leaves the margin when the save is done", "[policy]") {
  CHECK_FALSE(is_last_moment(99, 200, 100, 0));
  CHECK(is_last_moment(100, 200, 100, 0));
  CHECK_FALSE(is_last_moment(69, 200, 100, 30));
  CHECK(is_last_moment(70, 200, 100, 30));
  CHECK(is_last_moment(300, 200, 100, 0)); // it has passed
  CHECK_FALSE(is_last_moment(0, kInfinity, 100, 30));
  CHECK_FALSE(is_last_moment(kNan, 200, 100, 0));
  CHECK_FALSE(is_last_moment(100, kNan, 100, 0));
}

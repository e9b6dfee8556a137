#include <support/catch.hpp>

#include <holdfast/policy/no_space.hpp>

using namespace holdfast;

TEST_CASE("no space: the pause grows up to ten minutes", "[policy]") {
  CHECK(pause_without_space(0) == 0);
  CHECK(pause_without_space(1) == 10);
  CHECK(pause_without_space(2) == 20);
  CHECK(pause_without_space(6) == 320);
  CHECK(pause_without_space(7) == 600);
  CHECK(pause_without_space(1'000'000'000) == 600);
}

TEST_CASE("no space: what rules hold at least", "[policy]") {
  RetentionRules rules;
  CHECK(held_by(rules) == 2);
  rules.last = 1;
  CHECK(held_by(rules) == 2);
  rules.last = 5;
  rules.best = {{"a", Best::lowest, 2}, {"b", Best::highest, 1}};
  CHECK(held_by(rules) == 8);
}

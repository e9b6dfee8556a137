#include "policy_support.hpp"

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/policy/best.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <random>
#include <vector>

using holdfast::Best;
using holdfast::is_better;
using holdfast::test::kInfinity;
using holdfast::test::kNan;

TEST_CASE("best: better, worse and equal, both ways", "[policy]") {
  CHECK(is_better(Best::lowest, 0.1, 0.2));
  CHECK_FALSE(is_better(Best::lowest, 0.2, 0.1));
  CHECK_FALSE(is_better(Best::lowest, 0.1, 0.1));
  CHECK(is_better(Best::highest, 0.2, 0.1));
  CHECK_FALSE(is_better(Best::highest, 0.1, 0.2));
  CHECK_FALSE(is_better(Best::highest, 0.1, 0.1));
  CHECK_FALSE(is_better(Best::lowest, -0.0, 0.0));
  CHECK_FALSE(is_better(Best::highest, 0.0, -0.0));
}

TEST_CASE("best: the first finite value is a best", "[policy]") {
  for (const Best best : {Best::lowest, Best::highest}) {
    CHECK(is_better(best, 0, std::nullopt));
    CHECK(is_better(best, std::numeric_limits<double>::max(), std::nullopt));
    CHECK(is_better(best, std::numeric_limits<double>::lowest(), std::nullopt));
  }
}

TEST_CASE("best: NaN never is a best and never stands in the way", "[policy]") {
  for (const Best best : {Best::lowest, Best::highest}) {
    CHECK_FALSE(is_better(best, kNan, std::nullopt));
    CHECK_FALSE(is_better(best, kNan, 1.0));
    CHECK_FALSE(is_better(best, kNan, kNan));
    CHECK_FALSE(is_better(best, -kNan, kInfinity));
    CHECK(is_better(best, 1.0, kNan));
  }
}

TEST_CASE("best: infinity counts on the good side only", "[policy]") {
  CHECK(is_better(Best::lowest, -kInfinity, std::nullopt));
  CHECK(is_better(Best::lowest, -kInfinity, 0.0));
  CHECK_FALSE(is_better(Best::lowest, -kInfinity, -kInfinity));
  CHECK_FALSE(is_better(Best::lowest, kInfinity, std::nullopt));
  CHECK_FALSE(is_better(Best::lowest, kInfinity, kNan));
  CHECK(is_better(Best::lowest, 1e308, kInfinity));
  CHECK(is_better(Best::highest, kInfinity, std::nullopt));
  CHECK(is_better(Best::highest, kInfinity, 0.0));
  CHECK_FALSE(is_better(Best::highest, kInfinity, kInfinity));
  CHECK_FALSE(is_better(Best::highest, -kInfinity, std::nullopt));
  CHECK_FALSE(is_better(Best::highest, -kInfinity, kNan));
  CHECK(is_better(Best::highest, -1e308, -kInfinity));
}

TEST_CASE(
    "best: a running best is the oldest extreme of what was seen",
    "[policy][property]") {
  const std::uint64_t seed = holdfast::test::seed();
  CAPTURE(seed);
  std::mt19937_64 engine(seed);
  const std::array<double, 9> palette = {
      kNan, kInfinity, -kInfinity, 0.0, -0.0, 1, -1, 2, 0.5};
  for (int round = 0; round < 20'000; ++round) {
    const Best best = engine() % 2 == 0 ? Best::lowest : Best::highest;
    std::vector<double> values(engine() % 8);
    for (double& value : values) {
      value = palette[engine() % palette.size()];
    }
    std::optional<std::size_t> running;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::optional<double> former =
          running ? std::optional<double>(values[*running]) : std::nullopt;
      if (is_better(best, values[i], former)) {
        running = i;
      }
    }
    std::optional<std::size_t> expected;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double bad = best == Best::lowest ? kInfinity : -kInfinity;
      bool wins = !std::isnan(values[i]) && values[i] != bad;
      for (std::size_t k = 0; k < values.size(); ++k) {
        const double a = best == Best::lowest ? values[k] : -values[k];
        const double b = best == Best::lowest ? values[i] : -values[i];
        wins = wins && !(a < b || (a == b && k < i));
      }
      if (wins) {
        expected = i;
      }
    }
    if (running != expected) {
      CAPTURE(round, values);
      CHECK(running == expected);
      return;
    }
  }
  SUCCEED();
}

TEST_CASE("best: an equal value wins only where the rule says so", "[policy]") {
  using holdfast::Tie;
  for (const Best best : {Best::lowest, Best::highest}) {
    CHECK(is_better(best, 1, 1.0, Tie::newer));
    CHECK(is_better(best, 0.0, -0.0, Tie::newer));
    CHECK_FALSE(is_better(best, 1, 1.0, Tie::older));
    CHECK_FALSE(is_better(best, kNan, kNan, Tie::newer));
    const double bad = best == Best::lowest ? kInfinity : -kInfinity;
    CHECK_FALSE(is_better(best, bad, bad, Tie::newer));
    CHECK_FALSE(is_better(best, bad, std::nullopt, Tie::newer));
    CHECK(is_better(best, -bad, -bad, Tie::newer));
  }
}

TEST_CASE("best: a metric's rule is its last one", "[policy]") {
  const std::vector<holdfast::KeepBest> rules{
      {"accuracy", Best::highest, 1},
      {"loss", Best::highest, 1},
      {"loss", Best::lowest, 2}};
  CHECK(holdfast::rule_of(rules, "accuracy").best == Best::highest);
  CHECK(holdfast::rule_of(rules, "loss").best == Best::lowest);
  CHECK(holdfast::rule_of(rules, "loss").count == 2);
  CHECK(holdfast::rule_of(rules, "unknown").metric == "unknown");
  CHECK(holdfast::rule_of(rules, "unknown").best == Best::lowest);
}

#include "engine_support.hpp"

#include <holdfast/engine/running_means.hpp>

#include <cmath>
#include <limits>

using namespace holdfast;

TEST_CASE("running means: the mean of the steps that reported it", "[means]") {
  RunningMeans means;
  means.add({{"loss", 1}, {"rare", 5}});
  means.add({{"loss", 2}});
  means.add({});
  means.add({{"loss", 6}});
  CHECK(means.mean("loss") == 3);
  CHECK(means.mean("rare") == 5);
}

TEST_CASE(
    "running means: an unknown metric is an error that names it",
    "[means]") {
  RunningMeans means;
  const auto error = test::error_of([&] { (void)means.mean("loss"); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::unknown_metric);
  CHECK(error->name() == "loss");
}

TEST_CASE(
    "running means: readable after the epoch until the next one's step",
    "[means]") {
  RunningMeans means;
  means.add({{"loss", 1}, {"old", 1}});
  means.end_epoch();
  CHECK(means.mean("loss") == 1);
  means.add({{"loss", 3}});
  CHECK(means.mean("loss") == 3);
  CHECK_THROWS_AS(means.mean("old"), Error);
}

TEST_CASE("running means: saved and loaded bit by bit", "[means]") {
  RunningMeans means;
  means.add({{"a", 0.1}, {"nan", std::numeric_limits<double>::quiet_NaN()}});
  means.add({{"a", 0.2}, {"inf", -std::numeric_limits<double>::infinity()}});
  if (GENERATE(false, true)) {
    means.end_epoch();
  }
  RunningMeans loaded;
  loaded.add({{"gone", 1}});
  const Value value = means.to_value();
  loaded.load(from_json(to_json(value)));
  CHECK(loaded.to_value() == value);
  CHECK(loaded.mean("a") == (0.1 + 0.2) / 2);
  CHECK(std::isnan(loaded.mean("nan")));
  CHECK_THROWS_AS(loaded.mean("gone"), Error);
  means.add({{"a", 9}});
  loaded.add({{"a", 9}});
  CHECK(loaded.to_value() == means.to_value());
}

TEST_CASE("running means: a load that fails changes nothing", "[means]") {
  RunningMeans means;
  means.add({{"a", 1}});
  const Value before = means.to_value();
  Values bad = before.as<Values>();
  bad["ended"] = 1;
  CHECK_THROWS_AS(means.load(bad), Error);
  bad = before.as<Values>();
  bad.erase("sums");
  CHECK_THROWS_AS(means.load(bad), Error);
  CHECK_THROWS_AS(means.load(3), Error);
  CHECK(means.to_value() == before);
}

#include "policy_support.hpp"

#include <support/catch.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/policy/divergence.hpp>

#include <cmath>
#include <random>

using namespace holdfast;
using holdfast::test::kInfinity;
using holdfast::test::kNan;

namespace {

DivergenceDetector detector_fed(
    const DivergenceOptions& options,
    const std::vector<double>& values) {
  DivergenceDetector detector(options);
  for (const double value : values) {
    CHECK(detector.add(value));
  }
  return detector;
}

std::vector<double> values_around(
    double middle,
    double spread,
    std::size_t count) {
  std::mt19937 engine(7);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    const double unit =
        static_cast<double>(engine()) / static_cast<double>(engine.max());
    values.push_back(middle + spread * (2 * unit - 1));
  }
  return values;
}

} // namespace

TEST_CASE("divergence: so many bad values in a row", "[divergence]") {
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    DivergenceDetector detector(DivergenceOptions().patience(3));
    CHECK(detector.add(1));
    CHECK_FALSE(detector.add(bad));
    CHECK(detector.suspects());
    CHECK_FALSE(detector.add(bad));
    CHECK(detector.add(1)); // in a row: begins anew
    CHECK_FALSE(detector.suspects());
    CHECK_FALSE(detector.add(bad));
    CHECK_FALSE(detector.add(bad));
    CHECK_FALSE(detector.has_diverged());
    CHECK_FALSE(detector.add(bad));
    CHECK(detector.has_diverged());
    CHECK_FALSE(detector.add(bad));
    CHECK(detector.has_diverged());
  }
}

TEST_CASE("divergence: a band around what was normal", "[divergence]") {
  // Uniform from 1 to 3: the median is 2, half of all lie within 0.5 of it.
  const std::vector<double> values = values_around(2, 1, 128);
  for (const double width : {3.0, 10.0}) {
    DivergenceDetector detector =
        detector_fed(DivergenceOptions().band(width), values);
    const double limit = 2 + width * 1.4826 * 0.5;
    CHECK(std::abs(detector.memory().limit - limit) < 0.25 * limit);
    CHECK(detector.add(0.9 * detector.memory().limit));
    CHECK_FALSE(detector.add(1.1 * detector.memory().limit));
    // Falling is what a loss is for.
    CHECK(detector.add(-1000));
  }
  DivergenceDetector only_finite =
      detector_fed(DivergenceOptions().band(kInfinity), values);
  CHECK(only_finite.add(1e300));
  CHECK_FALSE(only_finite.add(kNan));
}

TEST_CASE("divergence: no band before there are 32 values", "[divergence]") {
  DivergenceDetector detector = detector_fed(
      DivergenceOptions(), values_around(2, 1, kFewestForBand - 1));
  CHECK(std::isinf(detector.memory().limit));
  CHECK(detector.add(2));
  CHECK(std::isfinite(detector.memory().limit));
}

TEST_CASE("divergence: a loss that hardly changes", "[divergence]") {
  DivergenceDetector detector =
      detector_fed(DivergenceOptions().band(10), std::vector<double>(64, 5.0));
  CHECK(detector.memory().limit == 5.5);
  CHECK(detector.add(5.4));
  CHECK_FALSE(detector.add(5.6));
}

TEST_CASE("divergence: what is bad never widens the band", "[divergence]") {
  DivergenceDetector detector = detector_fed(
      DivergenceOptions().patience(1000), values_around(2, 1, 128));
  const double limit = detector.memory().limit;
  for (int i = 0; i < 500; ++i) {
    CHECK_FALSE(detector.add(limit + 1 + i));
  }
  CHECK(detector.memory().limit == limit);
  CHECK(detector.memory().normal.size() == 128);
}

TEST_CASE("divergence: ordinary losses are normal", "[divergence]") {
  // A falling loss with noise, of which one in fifty is five times as high.
  std::mt19937 engine(3);
  std::normal_distribution<double> noise(0, 0.2);
  DivergenceDetector detector{DivergenceOptions()};
  for (int step = 0; step < 20000; ++step) {
    const double level = 0.1 + 3 * std::exp(-step / 1000.0);
    const double spike = engine() % 50 == 0 ? 5 : 1;
    (void)detector.add(level * spike * std::exp(noise(engine)));
    REQUIRE_FALSE(detector.has_diverged());
  }
  // And one that climbs for good is not.
  int steps = 0;
  for (; steps < 200 && !detector.has_diverged(); ++steps) {
    (void)detector.add(0.1 * std::exp(steps * 0.1));
  }
  CHECK(steps < 60);
}

TEST_CASE("divergence: goes on from what was remembered", "[divergence]") {
  const DivergenceOptions options = DivergenceOptions().patience(4);
  std::vector<double> values = values_around(2, 1, 400);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i % 17 < 3 ? 1000 : i % 29 == 0 ? kNan : values[i];
  }
  DivergenceDetector whole(options);
  for (std::size_t stop = 0; stop < values.size(); stop += 7) {
    DivergenceDetector before(options);
    for (std::size_t i = 0; i < stop; ++i) {
      (void)before.add(values[i]);
    }
    DivergenceDetector after(options);
    after.recall(before.memory());
    for (std::size_t i = stop; i < values.size(); ++i) {
      CHECK(after.add(values[i]) == before.add(values[i]));
      CHECK(after.has_diverged() == before.has_diverged());
    }
    CHECK(after.memory().limit == before.memory().limit);
    CHECK(after.memory().normal == before.memory().normal);
  }
  // A smaller window than that of the run that was saved.
  DivergenceDetector large =
      detector_fed(DivergenceOptions(), values_around(2, 1, 128));
  DivergenceDetector small(DivergenceOptions().window(32));
  small.recall(large.memory());
  CHECK(small.memory().normal.size() == 32);
  CHECK(small.memory().normal.back() == large.memory().normal.back());
}

TEST_CASE("divergence: another band after a resume", "[divergence]") {
  const DivergenceDetector narrow =
      detector_fed(DivergenceOptions().band(3), values_around(2, 1, 128));
  for (const double width : {30.0, kInfinity}) {
    DivergenceDetector wide(DivergenceOptions().band(width));
    wide.recall(narrow.memory());
    CHECK(wide.memory().limit > 2 * narrow.memory().limit);
    CHECK(wide.add(1.5 * narrow.memory().limit));
  }
}

TEST_CASE("divergence: a loss that is mostly 0", "[divergence]") {
  std::vector<double> values(128, 0.0);
  DivergenceDetector detector = detector_fed(DivergenceOptions(), values);
  CHECK(detector.add(0.1)); // nothing is known of what is usual
  values[7] = 0.5;
  detector = detector_fed(DivergenceOptions().band(10), values);
  CHECK(detector.memory().limit == 5);
}

TEST_CASE("divergence: options that make no sense", "[divergence]") {
  const auto refused = [](const DivergenceOptions& options) {
    try {
      validate(options);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      return error.name();
    }
    return std::string("none");
  };
  CHECK(refused(DivergenceOptions()) == "none");
  CHECK(refused(DivergenceOptions("")) == "metric");
  CHECK(refused(DivergenceOptions("\xff")) == "metric");
  CHECK(refused(DivergenceOptions().band(0)) == "band");
  CHECK(refused(DivergenceOptions().band(kNan)) == "band");
  CHECK(refused(DivergenceOptions().band(kInfinity)) == "none");
  CHECK(refused(DivergenceOptions().patience(0)) == "patience");
  CHECK(refused(DivergenceOptions().window(31)) == "window");
  CHECK(refused(DivergenceOptions().window(4097)) == "window");
  CHECK(
      refused(DivergenceOptions().learning_rate_factor(0)) ==
      "learning_rate_factor");
  CHECK(
      refused(DivergenceOptions().learning_rate_factor(1.5)) ==
      "learning_rate_factor");
  CHECK(refused(DivergenceOptions().max_rollbacks(0)) == "none");
}

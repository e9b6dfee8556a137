#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/random.hpp>

#include <holdfast/policy/metric_jump.hpp>

#include <cmath>
#include <iostream>
#include <limits>
#include <random>
#include <vector>

using namespace holdfast;

namespace {

/// A loss that falls and is noisy, from step `from` on.
std::vector<double> losses(
    std::mt19937_64& engine,
    int from,
    std::size_t count,
    double noise) {
  std::normal_distribution<double> normal(0, noise);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    const double step = from + static_cast<double>(i);
    values.push_back(0.2 + 2.1 * std::exp(-step / 400) + normal(engine));
  }
  return values;
}

} // namespace

TEST_CASE("metric jump: what goes on as before is none", "[policy]") {
  std::mt19937_64 engine(test::seed());
  const std::uint64_t resumes = 20'000 / test::one_in(10);
  std::uint64_t alarms = 0;
  for (std::uint64_t i = 0; i < resumes; ++i) {
    const int from = static_cast<int>(engine() % 3000);
    const double noise = i % 2 == 0 ? 0.05 : 0.5;
    std::vector<double> all =
        losses(engine, from, kMetricHistory + kMetricBlock, noise);
    const std::vector<double> after(
        all.end() - static_cast<std::ptrdiff_t>(kMetricBlock), all.end());
    all.resize(kMetricHistory);
    alarms += metric_jump(Best::lowest, all, after) ? 1 : 0;
  }
  std::cout << "metric jump: " << alarms << " false alarms in " << resumes
            << " resumes\n";
  CHECK(alarms * 1000 <= resumes);
}

TEST_CASE("metric jump: weights that were not restored are one", "[policy]") {
  std::mt19937_64 engine(test::seed());
  for (int i = 0; i < 1000; ++i) {
    const std::vector<double> before =
        losses(engine, 1500, kMetricHistory, 0.05);
    const std::vector<double> after = losses(engine, 0, kMetricBlock, 0.05);
    const auto jump = metric_jump(Best::lowest, before, after);
    REQUIRE(jump);
    CHECK(jump->before < 0.35);
    CHECK(jump->after > 2.0);
    CHECK(jump->usual < 0.2);
    // Better is no alarm, and whoever wants it high sees it fall.
    CHECK_FALSE(metric_jump(Best::highest, before, after));
    CHECK_FALSE(metric_jump(Best::lowest, after, before));
  }
}

TEST_CASE("metric jump: a metric that shall be high and falls", "[policy]") {
  std::vector<double> accuracy(kMetricHistory, 0.9);
  accuracy[3] = 0.88;
  const std::vector<double> after(kMetricBlock, 0.1);
  const auto jump = metric_jump(Best::highest, accuracy, after);
  REQUIRE(jump);
  CHECK(jump->after == Approx(0.1));
  CHECK_FALSE(metric_jump(Best::lowest, accuracy, after));
}

TEST_CASE("metric jump: exactly four times the largest change", "[policy]") {
  // Block means 0, 1, 0, 1: the largest change is 1.
  std::vector<double> before;
  for (std::size_t i = 0; i < 4 * kMetricBlock; ++i) {
    before.push_back(i / kMetricBlock % 2 == 0 ? 0 : 1);
  }
  CHECK_FALSE(metric_jump(
      Best::lowest, before, std::vector<double>(kMetricBlock, 5.0)));
  CHECK(metric_jump(
      Best::lowest, before, std::vector<double>(kMetricBlock, 5.001)));
  // A lone last step before the blocks changes nothing.
  before.insert(before.begin(), 1e9);
  CHECK(metric_jump(
      Best::lowest, before, std::vector<double>(kMetricBlock, 5.001)));
}

TEST_CASE("metric jump: too little to tell", "[policy]") {
  const std::vector<double> high(kMetricBlock, 100.0);
  CHECK_FALSE(metric_jump(Best::lowest, {}, high));
  CHECK_FALSE(metric_jump(
      Best::lowest, std::vector<double>(4 * kMetricBlock - 1, 1.0), high));
  CHECK(metric_jump(
      Best::lowest, std::vector<double>(4 * kMetricBlock, 1.0), high));
  CHECK_FALSE(metric_jump(
      Best::lowest,
      std::vector<double>(kMetricHistory, 1.0),
      std::vector<double>(kMetricBlock - 1, 100.0)));
}

TEST_CASE("metric jump: what is not finite is told at once", "[policy]") {
  const std::vector<double> before(kMetricHistory, 1.0);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(metric_jump(Best::lowest, before, {1.0, nan}));
  CHECK(metric_jump(Best::highest, before, {-infinity}));
  // A run that had it before is no news.
  std::vector<double> diverged = before;
  diverged[10] = nan;
  CHECK_FALSE(metric_jump(Best::lowest, diverged, {nan}));
}

TEST_CASE("metric jump: rounding of a constant metric is none", "[policy]") {
  const std::vector<double> before(kMetricHistory, 0.1);
  CHECK_FALSE(metric_jump(
      Best::lowest,
      before,
      std::vector<double>(kMetricBlock, std::nextafter(0.1, 1.0))));
}

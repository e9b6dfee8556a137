#include "engine_support.hpp"

#include <holdfast/engine/metric_watch.hpp>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// `count` steps at about `level`; what was said.
std::vector<std::string> feed(
    MetricWatch& watch,
    double level,
    std::size_t count,
    const char* name = "loss",
    const std::vector<KeepBest>& rules = {}) {
  std::vector<std::string> said;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::string& text : watch.add(
             {{name, level + 0.01 * static_cast<double>(i % 3)}}, rules)) {
      said.push_back(std::move(text));
    }
  }
  return said;
}

MetricWatch resumed(const MetricWatch& watch) {
  MetricWatch other;
  other.load(watch.to_value());
  return other;
}

} // namespace

TEST_CASE("metric watch: says a jump once, in these words", "[watch]") {
  MetricWatch first;
  CHECK(feed(first, 0.5, 100).empty());
  MetricWatch second = resumed(first);
  CHECK(feed(second, 2.5, kMetricBlock - 1).empty());
  const std::vector<std::string> said = feed(second, 2.5, 100);
  REQUIRE(said.size() == 1);
  CHECK(
      said.front() ==
      "metric 'loss' got worse right after the resume: its mean over 8 steps "
      "is 2.507, over the 8 before it was 0.51, and such means had changed "
      "by at most 0.0025; is everything the loop needs among the parts?");
}

TEST_CASE("metric watch: a jump without a resume is none", "[watch]") {
  MetricWatch watch;
  CHECK(feed(watch, 0.5, 100).empty());
  CHECK(feed(watch, 2.5, 100).empty());
  MetricWatch late = resumed(watch);
  CHECK(feed(late, 2.5, kMetricBlock).empty());
  CHECK(feed(late, 9.5, 100).empty());
}

TEST_CASE("metric watch: rules tell which way is better", "[watch]") {
  MetricWatch first;
  (void)feed(first, 0.9, 100, "accuracy");
  MetricWatch second = resumed(first);
  const std::vector<KeepBest> rules{{"accuracy", Best::highest, 1}};
  CHECK(feed(second, 0.1, kMetricBlock, "accuracy", rules).size() == 1);
  MetricWatch third = resumed(first);
  CHECK(feed(third, 0.1, kMetricBlock, "accuracy").empty());
}

TEST_CASE("metric watch: NaN is said at the first step", "[watch]") {
  MetricWatch first;
  (void)feed(first, 0.5, 100);
  MetricWatch second = resumed(first);
  const auto said =
      second.add({{"loss", std::numeric_limits<double>::quiet_NaN()}});
  REQUIRE(said.size() == 1);
  CHECK_THAT(said.front(), contains("over 1 step is nan"));
  CHECK(
      second.add({{"loss", std::numeric_limits<double>::quiet_NaN()}}).empty());
}

TEST_CASE(
    "metric watch: the history is the same with and without a resume",
    "[watch]") {
  MetricWatch whole;
  MetricWatch cut;
  for (int step = 0; step < 300; ++step) {
    if (step % 37 == 11) {
      cut = resumed(cut);
    }
    const Metrics metrics{{"loss", 0.1 * step}, {"other", step % 7}};
    (void)whole.add(metrics);
    (void)cut.add(metrics);
    REQUIRE(whole.to_value() == cut.to_value());
  }
  const Value history = whole.to_value();
  CHECK(at(history.object(), "loss").array().size() == kMetricHistory);
}

TEST_CASE("metric watch: names without end cost no memory", "[watch]") {
  MetricWatch watch;
  for (int i = 0; i < 1000; ++i) {
    Metrics metrics;
    metrics.set("metric " + std::to_string(i), 1);
    (void)watch.add(metrics);
  }
  CHECK(watch.to_value().object().size() == 64);
}

TEST_CASE("manager: warns once when losses jump after a resume", "[watch]") {
  const Disk disk = new_disk();
  std::vector<std::string> warnings;
  const auto options = [&] {
    return keep_everything(disk).save_every(steps(40)).on_event(
        [&](const Event& event) {
          if (event.kind == Event::Kind::warning) {
            warnings.push_back(event.text);
          }
        });
  };
  const auto run = [&](double level, int count) {
    Manager manager(kRoot, options());
    int part = 0;
    manager.add("part", part);
    manager.resume();
    for (int i = 0; i < count; ++i) {
      manager.step({{"loss", level + 0.01 * (i % 3)}});
    }
  };
  run(0.5, 40);
  run(0.5, 40);
  CHECK(warnings.empty());
  run(3.0, 20);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(
      warnings.front(),
      contains("metric 'loss' got worse right after the resume"));
}

#include <support/catch.hpp>

#include <holdfast/base/metrics.hpp>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <unordered_map>

using namespace holdfast;

namespace {

/// As a tensor has it.
struct Item {
  double number = 0;
  template <class T>
  T item() const {
    return static_cast<T>(number);
  }
};

/// As a tensor of several elements, or of none.
struct Items : Item {
  explicit Items(std::int64_t elements) : count(elements) {}
  [[nodiscard]] std::int64_t numel() const {
    return count;
  }
  std::int64_t count;
};

/// As a Scalar has it.
struct Number {
  double number = 0;
  double toDouble() const {
    return number;
  }
};

void take(const Metrics& metrics, Metrics::Map& into) {
  into = metrics.values();
}

} // namespace

TEST_CASE("metrics: numbers of any kind become doubles", "[base]") {
  const Metrics metrics = {
      {"int", 3},
      {"float", 0.5F},
      {"bool", true},
      {"large", std::int64_t{1} << 52},
      {"tensor", Item{0.25}},
      {"scalar", Number{7.5}}};
  CHECK(
      metrics.values() ==
      Metrics::Map{
          {"int", 3},
          {"float", 0.5},
          {"bool", 1},
          {"large", 4503599627370496.0},
          {"tensor", 0.25},
          {"scalar", 7.5}});
}

TEST_CASE("metrics: written in place, also a single one and none", "[base]") {
  Metrics::Map seen;
  take({{"loss", 1.5}}, seen);
  CHECK(seen == Metrics::Map{{"loss", 1.5}});
  take({{"loss", 1.5}, {"accuracy", 1}}, seen);
  CHECK(seen.size() == 2);
  take({}, seen);
  CHECK(seen.empty());
  CHECK(Metrics().empty());
}

TEST_CASE("metrics: the last value of a name counts", "[base]") {
  Metrics metrics = {{"a", 1}, {"a", 2}};
  CHECK(metrics.values() == Metrics::Map{{"a", 2}});
  metrics.set("a", 3);
  metrics.set("b", std::numeric_limits<double>::quiet_NaN());
  CHECK(metrics.values().at("a") == 3);
  CHECK(std::isnan(metrics.values().at("b")));
  CHECK(metrics.contains("b"));
  CHECK_FALSE(metrics.contains("c"));
}

TEST_CASE("metrics: any map will do", "[base]") {
  const std::map<std::string, float> ordered = {{"a", 0.5F}, {"b", 2}};
  const std::unordered_map<std::string, Item> hashed = {{"a", Item{4}}};
  CHECK(Metrics(ordered).values() == Metrics::Map{{"a", 0.5}, {"b", 2}});
  CHECK(Metrics(hashed).values() == Metrics::Map{{"a", 4}});
}

TEST_CASE("metrics: a tensor that is no number is named", "[base]") {
  CHECK(Metrics({{"loss", Items(1)}}).contains("loss"));
  for (const std::int64_t count : {0, 2}) {
    CHECK_THROWS_WITH(
        Metrics({{"loss", Items(count)}}),
        "'loss': a metric is a number or a tensor of one element: found " +
            std::to_string(count) + " elements (invalid_argument)");
  }
  const std::map<std::string, Items> map = {{"loss", Items(3)}};
  CHECK_THROWS_AS(Metrics(map), Error);
}

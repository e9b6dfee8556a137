#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/builtin.hpp>

#include <iostream>
#include <locale>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Digits in groups, commas for points: what breaks streamed engines.
class Grouping : public std::numpunct<char> {
  char do_thousands_sep() const override {
    return '.';
  }
  char do_decimal_point() const override {
    return ',';
  }
  std::string do_grouping() const override {
    return "\3";
  }
};

struct GlobalLocale {
  std::locale former =
      std::locale::global(std::locale(std::locale::classic(), new Grouping));
  ~GlobalLocale() {
    std::locale::global(former);
  }
};

template <class Engine>
void check_continues(Engine engine) {
  for (int i = 0; i < 1000; ++i) {
    (void)engine();
  }
  const Captured captured = capture(*make_part(engine));
  Engine live;
  restore(*make_part(live), captured);
  CHECK(live == engine);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(live() == engine());
  }
}

using Codes = std::vector<std::string>;

} // namespace

TEST_CASE("engines: every standard engine goes on exactly", "[state]") {
  check_continues(std::mt19937(1));
  check_continues(std::mt19937_64(2));
  check_continues(std::minstd_rand(3));
  check_continues(std::minstd_rand0(4));
  check_continues(std::ranlux24(5));
  check_continues(std::ranlux48_base(6));
  check_continues(std::knuth_b(7));
}

TEST_CASE("engines: the global locale does not matter", "[state]") {
  std::mt19937 engine(1);
  (void)engine();
  const Captured plain = capture(*make_part(engine));
  const GlobalLocale locale;
  const Captured grouped = capture(*make_part(engine));
  CHECK(plain.saved.values == grouped.saved.values);
  std::mt19937 live;
  restore(*make_part(live), plain);
  CHECK(live == engine);
}

TEST_CASE("engines: a distribution keeps what it holds back", "[state]") {
  std::mt19937 engine(1);
  std::normal_distribution<double> normal(1.25, 0.1);
  (void)normal(engine); // The other half of the pair is state now.
  const Captured of_engine = capture(*make_part(engine));
  const Captured of_normal = capture(*make_part(normal));
  std::mt19937 live_engine;
  std::normal_distribution<double> live;
  restore(*make_part(live_engine), of_engine);
  {
    const GlobalLocale locale;
    restore(*make_part(live), of_normal);
  }
  for (int i = 0; i < 5; ++i) {
    CHECK(live(live_engine) == normal(engine));
  }
}

TEST_CASE("engines: another type is refused", "[state]") {
  std::mt19937 engine(1);
  std::mt19937_64 live(7);
  const auto part = make_part(live);
  CHECK(part->kind() == "engine");
  CHECK(part->stage() == Stage::random);
  const Mismatches found =
      mismatches_of(*part, capture(*make_part(engine)).saved);
  REQUIRE(codes_of(found) == Codes{"type: type_mismatch"});
  CHECK(found[0].expected == "mt19937_64");
  CHECK(found[0].found == "mt19937");
  CHECK(live == std::mt19937_64(7));
}

TEST_CASE("engines: a text that is no state is refused", "[state]") {
  std::mt19937 live(7);
  const auto part = make_part(live);
  Captured captured = capture(*part);
  const std::string text = captured.saved.values.at("state").text();
  const auto last = text.rfind(' ');
  const std::string bad = GENERATE_COPY(
      std::string(),
      std::string("1 2 3"),
      text + " 1",
      text + "x",
      text.substr(0, last),
      text.substr(0, last) + " 625",
      text.substr(0, last) + " 99999999999",
      "4294967296" + text.substr(text.find(' ')),
      "-1" + text.substr(text.find(' ')));
  CAPTURE(bad);
  captured.saved.values.at("state") = Value(bad);
  CHECK(
      codes_of(mismatches_of(*part, captured.saved)) ==
      Codes{"state: malformed_value"});
  CHECK(live == std::mt19937(7));
}

TEST_CASE("engines: names and kinds are checked", "[state]") {
  std::mt19937 live(7);
  const auto part = make_part(live);
  Saved saved;
  saved.values = {{"state", Value(1)}, {"more", Value(1)}};
  CHECK(
      codes_of(mismatches_of(*part, saved)) ==
      Codes{"more: name_unexpected", "type: name_missing"});
  saved.values = {{"state", Value(1)}, {"type", Value("mt19937")}};
  CHECK(codes_of(mismatches_of(*part, saved)) == Codes{"state: type_mismatch"});
}

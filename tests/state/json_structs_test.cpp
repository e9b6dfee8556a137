#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/builtin.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Curriculum {
  int level = 1;
  std::uint64_t seen = 0;
  double best = std::numeric_limits<double>::infinity();
  std::string name = "easy";
  std::vector<float> scores;
  const char* not_saved = "default";
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(Curriculum, level, seen, best, name, scores)
};

/// The same names, other types.
struct WideCurriculum {
  double level = 3.7;
  std::int64_t seen = -1;
  double best = 0;
  std::string name = "hard";
  std::vector<float> scores;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(
      WideCurriculum,
      level,
      seen,
      best,
      name,
      scores)
};

/// Knows one member more, for which it has a default.
struct NewCurriculum {
  int level = 1;
  int added = 42;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE_WITH_DEFAULT(NewCurriculum, level, added)
};
struct OldCurriculum {
  int level = 1;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(OldCurriculum, level)
};

/// Assignment that throws on request, to_json by hand.
struct Fragile {
  int number = 0;
  bool restored = false;
  static bool& refuses() {
    static bool refuses = false;
    return refuses;
  }
  Fragile() = default;
  Fragile(const Fragile&) = default;
  Fragile& operator=(const Fragile& other) {
    if (refuses()) {
      throw std::runtime_error("no");
    }
    number = other.number;
    return *this;
  }
  void on_restored() {
    restored = true;
  }
};
void to_json(nlohmann::json& json, const Fragile& object) {
  json = object.number;
}
void from_json(const nlohmann::json& json, Fragile& object) {
  object.number = json.get<int>();
}

using Codes = std::vector<std::string>;

} // namespace

TEST_CASE("json structs: what JSON text loses survives", "[state]") {
  Curriculum source;
  source.level = -4;
  source.seen = std::numeric_limits<std::uint64_t>::max();
  source.name = "\xff";
  source.scores = {0.1F, -0.0F};
  const Captured captured = capture(*make_part(source));
  Curriculum live;
  live.best = 0;
  live.scores = {1, 2, 3};
  live.not_saved = "kept";
  restore(*make_part(live), captured);
  CHECK(live.level == -4);
  CHECK(live.seen == std::numeric_limits<std::uint64_t>::max());
  CHECK(live.best == std::numeric_limits<double>::infinity());
  CHECK(live.name == "\xff");
  CHECK(live.scores == source.scores);
  CHECK(std::signbit(live.scores[1]));
  CHECK(live.not_saved == std::string("kept"));
}

TEST_CASE("json structs: NaN survives", "[state]") {
  Curriculum source;
  source.best = std::nan("");
  const Captured captured = capture(*make_part(source));
  Curriculum live;
  restore(*make_part(live), captured);
  CHECK(std::isnan(live.best));
}

TEST_CASE("json structs: numbers that would be cut are refused", "[state]") {
  Curriculum live;
  const auto part = make_part(live);
  WideCurriculum source;
  SECTION("a fraction for an integer") {
    source.seen = 1;
    CHECK(
        codes_of(mismatches_of(*part, capture(*make_part(source)).saved)) ==
        Codes{"value.level: type_mismatch"});
  }
  SECTION("a negative number for an unsigned one") {
    Captured captured = capture(*make_part(source));
    captured.saved.values.at("value") = Value(Values{
        {"level", Value(1)},
        {"seen", Value(-1)},
        {"best", Value(0.5)},
        {"name", Value("x")},
        {"scores", Value(Value::Array{})}});
    CHECK(
        codes_of(mismatches_of(*part, captured.saved)) ==
        Codes{"value.seen: value_out_of_range"});
    SECTION("a number beyond int") {
      Values members = captured.saved.values.at("value").as<Values>();
      members["seen"] = Value(1);
      members["level"] = Value(std::int64_t{5'000'000'000});
      captured.saved.values.at("value") = Value(members);
      CHECK(
          codes_of(mismatches_of(*part, captured.saved)) ==
          Codes{"value.level: value_out_of_range"});
    }
    SECTION("a member too many") {
      Values members = captured.saved.values.at("value").as<Values>();
      members["seen"] = Value(1);
      members["other"] = Value(1);
      captured.saved.values.at("value") = Value(members);
      CHECK(
          codes_of(mismatches_of(*part, captured.saved)) ==
          Codes{"value.other: name_unexpected"});
    }
    SECTION("a member too few") {
      captured.saved.values.at("value") = Value(Values{{"level", Value(1)}});
      const Mismatches found = mismatches_of(*part, captured.saved);
      CHECK(codes_of(found) == Codes{"value: type_mismatch"});
      CHECK_THAT(found.front().found, contains("seen"));
    }
  }
  CHECK(live.level == 1);
}

TEST_CASE("json structs: from_json may choose defaults", "[state]") {
  OldCurriculum source;
  source.level = 9;
  const Captured captured = capture(*make_part(source));
  NewCurriculum live;
  restore(*make_part(live), captured);
  CHECK(live.level == 9);
  CHECK(live.added == 42);
}

TEST_CASE("json structs: they nest in containers", "[state]") {
  std::map<std::string, std::vector<OldCurriculum>> source;
  source["a"].resize(2);
  source["a"][1].level = 5;
  const Captured captured = capture(*make_part(source));
  std::map<std::string, std::vector<OldCurriculum>> live;
  restore(*make_part(live), captured);
  REQUIRE(live["a"].size() == 2);
  CHECK(live["a"][1].level == 5);
}

TEST_CASE("json structs: a tree is a value itself", "[state]") {
  nlohmann::json source = {
      {"text", "x"},
      {"list", {1, -1, 18446744073709551615U, 0.5, nullptr, true}},
      {"infinite", std::numeric_limits<double>::infinity()},
      {"bytes", nlohmann::json::binary({0, 255})}};
  const Captured captured = capture(*make_part(source));
  nlohmann::json live;
  restore(*make_part(live), captured);
  CHECK(live == source);
  nlohmann::json tagged = nlohmann::json::binary({1}, 7);
  CHECK(
      code_of([&] { (void)capture(*make_part(tagged)); }) == "not_capturable");
}

TEST_CASE("json structs: throwing assignment is users' code", "[state]") {
  Fragile source;
  source.number = 8;
  const Captured captured = capture(*make_part(source));
  Fragile live;
  live.number = 1;
  const auto part = make_part(live);
  CHECK(part->stage() == Stage::user);
  const auto checked = prepared(*part, captured.saved);
  Fragile::refuses() = true;
  CHECK_THROWS_AS(apply(*checked, captured), std::runtime_error);
  Fragile::refuses() = false;
  CHECK(live.number == 1);
  apply(*checked, captured);
  CHECK(live.number == 8);
  checked->undo();
  CHECK(live.number == 1);
  CHECK_FALSE(live.restored);
  restore(*part, captured);
  CHECK(live.restored);
}

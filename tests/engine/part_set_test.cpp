#include "engine_support.hpp"

#include <holdfast/engine/part_set.hpp>

using namespace holdfast;
using namespace holdfast::test;

// Names that are refused are in refusal_test.cpp.

TEST_CASE("part set: keeps its order and finds by name", "[parts]") {
  PartSet parts;
  double a = 1;
  double b = 2;
  parts.add("zebra", make_part(a));
  parts.add("ant", make_part(b));
  parts.add_reserved("rng", make_part(a));
  REQUIRE(parts.all().size() == 3);
  CHECK(parts.all()[0].name == "zebra");
  CHECK(parts.all()[1].name == "ant");
  CHECK(parts.find("ant") == &parts.all()[1]);
  CHECK(parts.find("bee") == nullptr);
  CHECK(code_of([&] {
          parts.add_reserved("rng", make_part(a));
        }) == "duplicate_name");
}

TEST_CASE("part set: captured in order, random state as before it", "[parts]") {
  struct Draws {
    Values save_state() const {
      Values values;
      values["drawn"] = (*engine)();
      return values;
    }
    void load_state(const Values&) {}
    std::mt19937* engine = nullptr;
  } draws;
  std::mt19937 engine{5};
  draws.engine = &engine;
  PartSet parts;
  parts.add("draws", make_part(draws));
  parts.add("engine-state", make_part(engine));
  parts.add("draws-after-it", make_part(draws));
  const std::vector<CapturedPart> captured = capture(parts);
  REQUIRE(captured.size() == 3);
  CHECK(captured[0].name == "draws");
  CHECK(captured[0].kind == "user");
  CHECK(captured[1].name == "engine-state");
  CHECK(captured[1].kind == "engine");
  CHECK(captured[2].name == "draws-after-it");
  CHECK(engine == std::mt19937{5});
  // What was captured is the state from before the draw.
  PartSet alone;
  std::mt19937 same{5};
  alone.add("engine-state", make_part(same));
  CHECK(captured[1].state.values == capture(alone)[0].state.values);
}

TEST_CASE("part set: an error of a capture names its part", "[parts]") {
  struct Fails {
    Values save_state() const {
      throw Error(ErrorCode::not_capturable, "a socket");
    }
    void load_state(const Values&) {}
  } fails;
  PartSet parts;
  parts.add("fails", make_part(fails));
  const auto error = error_of([&] { (void)capture(parts); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::not_capturable);
  CHECK(error->path() == "part fails");
}

TEST_CASE("random snapshot: puts back only what has moved", "[parts]") {
  struct Counting final : Part {
    std::string kind() const override {
      return "engine";
    }
    Stage stage() const override {
      return Stage::random;
    }
    State capture(const Names&) override {
      State state;
      state.values["seed"] = seed;
      return state;
    }
    std::unique_ptr<Restore> prepare(
        const Saved& saved,
        const Names&,
        Mismatches&) override {
      struct Set final : Restore {
        void apply(const std::vector<const std::byte*>&) override {
          part->seed = to;
          ++part->sets;
        }
        Counting* part = nullptr;
        int to = 0;
      };
      auto set = std::make_unique<Set>();
      set->part = this;
      set->to = at(saved.values, "seed").as<int>();
      return set;
    }
    int seed = 1;
    int sets = 0;
  };
  auto owned = std::make_unique<Counting>();
  Counting& part = *owned;
  PartSet parts;
  parts.add("generator", std::move(owned));
  RandomSnapshot snapshot(parts);
  REQUIRE_FALSE(snapshot.empty());
  snapshot.put_back();
  CHECK(part.sets == 0);
  part.seed = 2;
  snapshot.put_back();
  CHECK(part.seed == 1);
  CHECK(part.sets == 1);
  snapshot.put_back();
  CHECK(part.sets == 1);
}

TEST_CASE(
    "random snapshot: positions of loaders only where asked for",
    "[parts]") {
  ToyLoader loader{5};
  loader.load(2, 3);
  PartSet parts;
  parts.add("data", make_part(loader));
  CHECK(RandomSnapshot(parts).empty());
  RandomSnapshot snapshot(parts, RandomSnapshot::Positions::taken);
  const Values before = loader.save();
  loader.load(0, 0);
  snapshot.put_back();
  CHECK(loader.save() == before);
}

#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/builtin.hpp>

#include <stdexcept>

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Schedule {
  int phase = 0;
  bool refuses = false;
  int restored = 0;

  Values save_state() const {
    return {{"phase", Value(phase)}};
  }
  void load_state(const Values& values) {
    phase = -1; // Half done when it throws.
    if (refuses && at(values, "phase").as<int>() != 3) {
      throw std::runtime_error("refused");
    }
    phase = at(values, "phase").as<int>("phase");
  }
  void on_restored() {
    ++restored;
  }
};

/// The overrides are private, as in a module.
class Counter : public ExtraState {
 public:
  int count = 0;

 private:
  Values save_state() const override {
    return {{"count", Value(count)}};
  }
  void load_state(const Values& values) override {
    count = at(values, "count").as<int>();
  }
};

} // namespace

TEST_CASE("user types: save_state and load_state", "[state]") {
  Schedule source;
  source.phase = 5;
  const Captured captured = capture(*make_part(source));
  Schedule live;
  const auto part = make_part(live);
  CHECK(part->kind() == "user");
  CHECK(part->stage() == Stage::user);
  const auto checked = prepared(*part, captured.saved);
  CHECK(live.phase == 0);
  apply(*checked, captured);
  CHECK(live.phase == 5);
  CHECK(live.restored == 0);
  part->restored();
  CHECK(live.restored == 1);
}

TEST_CASE("user types: undo loads the earlier state", "[state]") {
  Schedule source;
  source.phase = 5;
  const Captured captured = capture(*make_part(source));
  Schedule live;
  live.phase = 3;
  const auto part = make_part(live);
  const auto checked = prepared(*part, captured.saved);
  apply(*checked, captured);
  CHECK(live.phase == 5);
  checked->undo();
  CHECK(live.phase == 3);
}

TEST_CASE("user types: a load_state that throws is taken back", "[state]") {
  Schedule source;
  source.phase = 5;
  const Captured captured = capture(*make_part(source));
  Schedule live;
  live.phase = 3;
  live.refuses = true;
  const auto part = make_part(live);
  const auto checked = prepared(*part, captured.saved);
  CHECK_THROWS_WITH(apply(*checked, captured), "refused");
  CHECK(live.phase == 3);
}

TEST_CASE("user types: tensors are unexpected", "[state]") {
  Schedule live;
  Saved saved;
  saved.tensors.resize(1);
  saved.tensors[0].name = "weight";
  CHECK(
      codes_of(mismatches_of(*make_part(live), saved)) ==
      std::vector<std::string>{"weight: name_unexpected"});
}

TEST_CASE("user types: ExtraState with private overrides", "[state]") {
  Counter source;
  source.count = 9;
  const Captured captured = capture(*make_part(source));
  Counter live;
  restore(*make_part(live), captured);
  CHECK(live.count == 9);
}

#include <state/fake_tensor.hpp>
#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/builtin.hpp>

#include <random>
#include <stdexcept>

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Average {
  FakeTensor shadow;
  double decay = 0.5;
  int restored = 0;

  template <class V>
  void state(V& v) {
    v("shadow", shadow);
    v("decay", decay);
  }
  void on_restored() {
    ++restored;
  }
};

struct Picky {
  int number = 0;
  bool refuses = false;
  int refused = -1; // Halfway.
  int loads = 0;
  Values save_state() const {
    return {{"number", Value(number)}};
  }
  void load_state(const Values& values) {
    if (refuses) {
      throw std::runtime_error("refused");
    }
    ++loads;
    number = at(values, "number").as<int>();
    if (number == refused) {
      throw std::runtime_error("refused halfway");
    }
  }
};

struct Trainer {
  FakeTensor bias;
  Average average;
  std::mt19937 engine{1};
  std::vector<FakeTensor> window;
  std::map<std::string, FakeTensor> table;
  Picky first;
  Picky second;
  std::string tag = "none";

  template <class V>
  void state(V& v) {
    v("engine", engine);
    v("bias", bias);
    v("average", average);
    v("window", window);
    v("table", table);
    v("first", first);
    v("second", second);
    v("tag", tag);
  }
};

template <class... T>
struct Pair {
  std::tuple<T...> members;
  std::vector<std::string> names;
  template <class V>
  void state(V& v) {
    std::apply(
        [&](auto&... member) {
          std::size_t i = 0;
          (v(names[i++], member), ...);
        },
        members);
  }
};

struct Engines {
  std::mt19937 a{1};
  std::normal_distribution<double> b;
  template <class V>
  void state(V& v) {
    v("a", a);
    v("b", b);
  }
};

Trainer trained() {
  Trainer trainer;
  trainer.bias = FakeTensor{1.5F};
  trainer.average.shadow = FakeTensor{2.5F, 3.5F};
  trainer.average.decay = 0.25;
  (void)trainer.engine();
  trainer.window = {FakeTensor{4}, FakeTensor{5, 6}};
  trainer.table = {{"a", FakeTensor{7}}, {"a.b", FakeTensor{8}}};
  trainer.first.number = 10;
  trainer.second.number = 20;
  trainer.tag = "kept";
  return trainer;
}

/// The same shapes, other contents.
Trainer fresh() {
  Trainer trainer;
  trainer.bias = FakeTensor{0};
  trainer.average.shadow = FakeTensor{0, 0};
  trainer.window = {FakeTensor{0}, FakeTensor{0, 0}};
  trainer.table = {{"a", FakeTensor{0}}, {"a.b", FakeTensor{0}}};
  return trainer;
}

using Codes = std::vector<std::string>;

} // namespace

TEST_CASE("composite: members of every kind, nested", "[state]") {
  Trainer source = trained();
  const Captured captured = capture(*make_part(source));
  Trainer live = fresh();
  const auto part = make_part(live);
  CHECK(part->kind() == "object");
  CHECK(part->stage() == Stage::user);
  restore(*part, captured);
  CHECK(live.bias.numbers == source.bias.numbers);
  CHECK(live.average.shadow.numbers == source.average.shadow.numbers);
  CHECK(live.average.decay == 0.25);
  CHECK(live.average.restored == 1);
  CHECK(live.engine == source.engine);
  CHECK(live.window[1].numbers == source.window[1].numbers);
  CHECK(live.table["a"].numbers == source.table["a"].numbers);
  CHECK(live.table["a.b"].numbers == source.table["a.b"].numbers);
  CHECK(live.first.number == 10);
  CHECK(live.tag == "kept");
}

TEST_CASE("composite: tensors are called after their members", "[state]") {
  Trainer source = trained();
  const auto part = make_part(source);
  Names names;
  part->publish("trainer", names);
  const State state = part->capture(names);
  std::vector<std::string> found;
  for (const TensorOut& tensor : state.tensors) {
    found.push_back(tensor.info.name);
  }
  CHECK(
      found ==
      Codes{
          "bias",
          "average.shadow",
          "window.0",
          "window.1",
          "table.a",
          "table.a.b"});
  REQUIRE(names.find(&source.average.shadow) != nullptr);
  CHECK(names.find(&source.average.shadow)->part == "trainer");
  CHECK(names.find(&source.average.shadow)->name == "average.shadow");
  CHECK(names.find(&source.window[1])->name == "window.1");
}

TEST_CASE("composite: the order of saved tensors does not matter", "[state]") {
  Trainer source = trained();
  Captured captured = capture(*make_part(source));
  std::reverse(captured.bytes.begin(), captured.bytes.end());
  std::reverse(captured.saved.tensors.begin(), captured.saved.tensors.end());
  Trainer live = fresh();
  restore(*make_part(live), captured);
  CHECK(live.bias.numbers == source.bias.numbers);
  CHECK(live.window[1].numbers == source.window[1].numbers);
  CHECK(live.table["a.b"].numbers == source.table["a.b"].numbers);
}

TEST_CASE("composite: all mismatches are listed, nothing changes", "[state]") {
  Trainer source = trained();
  Captured captured = capture(*make_part(source));
  captured.saved.values.erase("bias");
  captured.saved.values["more"] = Value(1);
  captured.saved.values["first"] = Value(1);
  captured.saved.values["second"] =
      Value(Values{{"kind", Value("value")}, {"values", Value(Values{})}});
  Trainer live = fresh();
  live.window.pop_back();
  live.average.shadow = FakeTensor{0};
  CHECK(
      codes_of(mismatches_of(*make_part(live), captured.saved)) ==
      Codes{
          "bias: name_unexpected", // Its tensor belongs to no saved member.
          "bias: name_missing",
          "average.shadow: shape_mismatch",
          "window.1: name_unexpected",
          "first: type_mismatch",
          "second: type_mismatch",
          "more: name_unexpected"});
  CHECK(live.tag == "none");
}

TEST_CASE("composite: a member that fails takes the others back", "[state]") {
  Trainer source = trained();
  const Captured captured = capture(*make_part(source));
  Trainer live = fresh();
  live.first.number = 3;
  live.second.refuses = true;
  const auto part = make_part(live);
  const auto checked = prepared(*part, captured.saved);
  CHECK_THROWS_WITH(apply(*checked, captured), "refused");
  CHECK(live.first.number == 3);
  // Users' code runs first, so nothing else was touched.
  CHECK(live.tag == "none");
  CHECK(live.bias.numbers[0] == 0);
  CHECK(live.engine == std::mt19937(1));
}

TEST_CASE("composite: the member that fails is taken back, once", "[state]") {
  Trainer source = trained();
  const Captured captured = capture(*make_part(source));
  Trainer live = fresh();
  live.second.number = 3;
  live.second.refused = source.second.number;
  REQUIRE(source.second.number != 3);
  const auto part = make_part(live);
  const auto checked = prepared(*part, captured.saved);
  CHECK_THROWS_WITH(apply(*checked, captured), "refused halfway");
  CHECK(live.second.number == 3);
  CHECK(live.second.loads == 2);
}

TEST_CASE("composite: undo after success", "[state]") {
  Trainer source = trained();
  const Captured captured = capture(*make_part(source));
  Trainer live = fresh();
  live.first.number = 3;
  const auto part = make_part(live);
  const auto checked = prepared(*part, captured.saved);
  apply(*checked, captured);
  CHECK(live.first.number == 10);
  checked->undo();
  CHECK(live.first.number == 3);
  CHECK(live.tag == "none");
}

TEST_CASE("composite: names that clash are refused at capture", "[state]") {
  Names names;
  SECTION("two members") {
    Pair<int, int> object{{1, 2}, {"x", "x"}};
    const auto part = make_part(object);
    CHECK(code_of([&] { (void)part->capture(names); }) == "duplicate_name");
  }
  SECTION("an empty one") {
    Pair<int> object{{1}, {""}};
    const auto part = make_part(object);
    CHECK(code_of([&] { (void)part->capture(names); }) == "invalid_argument");
  }
  SECTION("a member's tensor with another member") {
    using Table = std::map<std::string, FakeTensor>;
    Pair<Table, FakeTensor> same{
        {Table{{"b", FakeTensor{1}}}, FakeTensor{2}}, {"a", "a.b"}};
    const auto part = make_part(same);
    CHECK(code_of([&] { (void)part->capture(names); }) == "duplicate_name");
    Pair<Table, int> taken{{Table{{"b.c", FakeTensor{1}}}, 2}, {"a", "a.b"}};
    const auto other = make_part(taken);
    CHECK(code_of([&] { (void)other->capture(names); }) == "duplicate_name");
  }
}

TEST_CASE("composite: stages", "[state]") {
  Engines engines;
  CHECK(make_part(engines)->stage() == Stage::random);
  Average average;
  CHECK(make_part(average)->stage() == Stage::value);
  Pair<std::mt19937, int> mixed{{std::mt19937(), 1}, {"a", "b"}};
  CHECK(make_part(mixed)->stage() == Stage::value);
  std::vector<FakeTensor> none;
  CHECK(make_part(none)->stage() == Stage::value);
}

TEST_CASE("composite: the list of members may change", "[state]") {
  std::vector<FakeTensor> window = {FakeTensor{1}};
  const auto part = make_part(window);
  CHECK(part->kind() == "collection");
  CHECK(capture(*part).bytes.size() == 1);
  window.push_back(FakeTensor{2});
  CHECK(capture(*part).bytes.size() == 2);
}

TEST_CASE("composite: optional members are there or not", "[state]") {
  std::optional<FakeTensor> some = FakeTensor{1};
  std::optional<FakeTensor> none;
  const Captured of_some = capture(*make_part(some));
  const Captured of_none = capture(*make_part(none));
  CHECK(
      codes_of(mismatches_of(*make_part(none), of_some.saved)) ==
      Codes{"0: name_unexpected"});
  CHECK(
      codes_of(mismatches_of(*make_part(some), of_none.saved)) ==
      Codes{"0: name_missing"});
  std::optional<FakeTensor> live = FakeTensor{0};
  restore(*make_part(live), of_some);
  CHECK(live->numbers == some->numbers);
}

TEST_CASE("names: the first name stays, prefixes nest", "[state]") {
  const int a = 0;
  const int b = 0;
  Names names;
  {
    const Names::Prefix outer(names, "outer");
    names.add(&a, "part", "");
    const Names::Prefix inner(names, "inner");
    names.add(&a, "part", "again");
    names.add(&b, "part", "b");
  }
  CHECK(names.find(&a)->name == "outer");
  CHECK(names.find(&b)->name == "outer.inner.b");
  CHECK(names.size() == 2);
  CHECK(names.find(&names) == nullptr);
  const int c = 0;
  names.add(&c, "part", "c");
  CHECK(names.find(&c)->name == "c");
}

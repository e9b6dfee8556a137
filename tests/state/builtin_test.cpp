#include <state/fake_tensor.hpp>
#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/builtin.hpp>
#include <holdfast/state/sample_cursor_part.hpp>

#include <memory>
#include <random>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Has members that a built-in adapter would take, and a user's adapter.
template <class T>
struct Wrapped {
  T inner;
  template <class V>
  void state(V& v) {
    v("inner", inner);
  }
};

struct Plain {
  int number = 0;
};

/// A data source of a user, with a cursor of its own.
struct Stream {
  SampleCursor cursor{10, DataLoaderOptions(2).shuffle(false)};
};

struct Loop {
  Stream stream;
  int count = 0;
  template <class V>
  void state(V& v) {
    v("count", count);
    v("stream", stream);
  }
};

struct TwoStreams {
  Stream a;
  Stream b;
  template <class V>
  void state(V& v) {
    v("a", a);
    v("b", b);
  }
};

class NumberPart final : public Part {
 public:
  explicit NumberPart(int& number) : number_(number) {}
  std::string kind() const override {
    return "number";
  }
  Stage stage() const override {
    return Stage::value;
  }
  State capture(const Names&) override {
    State state;
    state.values.emplace("n", Value(number_));
    return state;
  }
  std::unique_ptr<Restore> prepare(const Saved&, const Names&, Mismatches&)
      override {
    return nullptr;
  }

 private:
  int& number_;
};

} // namespace

namespace holdfast {

template <class T>
struct StateAdapter<Wrapped<T>> {
  static constexpr const char* default_name = "wrapped";
  static std::unique_ptr<Part> make(Wrapped<T>& object) {
    return std::make_unique<NumberPart>(object.inner);
  }
};

template <>
struct StateAdapter<Plain> {
  static constexpr const char* default_name = nullptr;
  static std::unique_ptr<Part> make(Plain& object) {
    return std::make_unique<NumberPart>(object.number);
  }
};

template <>
struct StateAdapter<Stream> {
  static constexpr const char* default_name = "data";
  static std::unique_ptr<Part> make(Stream& stream) {
    return std::make_unique<detail::SampleCursorPart>(stream.cursor);
  }
};

} // namespace holdfast

TEST_CASE("builtin: a user's adapter wins over members", "[state]") {
  Wrapped<int> wrapped{4};
  CHECK(make_part(wrapped)->kind() == "number");
  CHECK(StateAdapter<Wrapped<int>>::default_name == std::string("wrapped"));
  Plain plain;
  CHECK(make_part(plain)->kind() == "number");
  CHECK(StateAdapter<Plain>::default_name == nullptr);
  std::vector<Plain> several(2);
  CHECK(make_part(several)->kind() == "collection");
}

TEST_CASE("builtin: default names", "[state]") {
  CHECK(StateAdapter<int>::default_name == nullptr);
  CHECK(StateAdapter<Stream>::default_name == std::string("data"));
  CHECK(
      StateAdapter<std::shared_ptr<Stream>>::default_name ==
      std::string("data"));
  CHECK(StateAdapter<std::shared_ptr<int>>::default_name == nullptr);
}

TEST_CASE("builtin: named keeps a reference", "[state]") {
  int number = 1;
  const Named<int> named_number = named("epochs", number);
  CHECK(named_number.name == "epochs");
  CHECK(&named_number.object == &number);
}

TEST_CASE("builtin: a user's data source is attached", "[state]") {
  Stream stream;
  CHECK(make_part(stream)->cursor() == &stream.cursor);
  Loop loop;
  CHECK(make_part(loop)->cursor() == &loop.stream.cursor);
  const auto pointer = std::make_shared<Stream>();
  auto held = pointer;
  CHECK(make_part(held)->cursor() == &pointer->cursor);
  TwoStreams two;
  const auto part = make_part(two);
  CHECK(code_of([&] { (void)capture(*part); }) == "not_capturable");
  int number = 0;
  CHECK(make_part(number)->cursor() == nullptr);
}

TEST_CASE("shared part: saves and restores what is pointed to", "[state]") {
  auto source = std::make_shared<std::vector<int>>(3, 7);
  const auto from = make_part(source);
  CHECK(from->kind() == "value");
  CHECK(from->stage() == Stage::value);
  const Captured captured = capture(*from);
  auto live = std::make_shared<std::vector<int>>();
  const auto part = make_part(live);
  restore(*part, captured);
  CHECK(*live == *source);
  SECTION("the pointer is read again") {
    live = std::make_shared<std::vector<int>>(1, 5);
    restore(*part, capture(*part));
    CHECK(capture(*part).saved.values.at("value").array().size() == 1);
  }
  SECTION("null has no state") {
    live.reset();
    CHECK(code_of([&] { (void)capture(*part); }) == "not_capturable");
    CHECK(code_of([&] {
            (void)mismatches_of(*part, captured.saved);
          }) == "not_capturable");
    CHECK(part->cursor() == nullptr);
  }
  SECTION("a prepared restore keeps its object") {
    const std::weak_ptr<std::vector<int>> former = live;
    const auto checked = prepared(*part, captured.saved);
    live = std::make_shared<std::vector<int>>();
    (void)capture(*part);
    REQUIRE(!former.expired());
    apply(*checked, captured);
    CHECK(*former.lock() == *source);
    CHECK(live->empty());
  }
}

TEST_CASE("shared part: tensors pass through", "[state]") {
  auto source = std::make_shared<FakeTensor>(FakeTensor{1, 2});
  const Captured captured = capture(*make_part(source));
  auto live = std::make_shared<FakeTensor>(FakeTensor{0, 0});
  restore(*make_part(live), captured);
  CHECK(live->numbers == source->numbers);
}

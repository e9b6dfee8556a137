#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/builtin.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <list>
#include <unordered_map>

using namespace holdfast;
using namespace holdfast::test;

namespace {

enum class Phase : std::uint8_t { warm_up = 1, main = 200 };

/// `object` after it was saved and restored into `into`.
template <class T>
T through(T object, T into) {
  const auto from = make_part(object);
  const Captured captured = capture(*from);
  const auto to = make_part(into);
  restore(*to, captured);
  return into;
}

/// The codes when `object` is restored into a `Target`.
template <class Target, class T>
std::vector<std::string> refused(T object, Target into = Target{}) {
  const auto from = make_part(object);
  const Captured captured = capture(*from);
  const Target before = into;
  const auto to = make_part(into);
  const auto codes = codes_of(mismatches_of(*to, captured.saved));
  CHECK(into == before);
  return codes;
}

template <class Real>
bool same_bits(Real a, Real b) {
  return std::memcmp(&a, &b, sizeof(Real)) == 0;
}

using Codes = std::vector<std::string>;

} // namespace

TEST_CASE("plain values: every integer survives", "[state]") {
  CHECK(
      through<std::int64_t>(std::numeric_limits<std::int64_t>::min(), 0) ==
      std::numeric_limits<std::int64_t>::min());
  CHECK(
      through<std::uint64_t>(std::numeric_limits<std::uint64_t>::max(), 0) ==
      std::numeric_limits<std::uint64_t>::max());
  CHECK(through<int>(-7, 0) == -7);
  CHECK(through<unsigned char>(255, 0) == 255);
  CHECK(through<char>('x', ' ') == 'x');
  CHECK(through<bool>(true, false));
  CHECK_FALSE(through<bool>(false, true));
  CHECK(through<Phase>(Phase::main, Phase::warm_up) == Phase::main);
}

TEST_CASE("plain values: every bit of a real survives", "[state]") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double real :
       {0.1, -0.0, infinity, -infinity, 5e-324, 1e308, std::nan("7")}) {
    CAPTURE(real);
    CHECK(same_bits(through<double>(real, 1), real));
  }
  for (const float real : {0.1F, -0.0F, std::nanf(""), 1e-45F}) {
    CAPTURE(real);
    CHECK(same_bits(through<float>(real, 1), real));
  }
}

TEST_CASE("plain values: text and bytes survive", "[state]") {
  for (const std::string& text :
       {std::string("with \0 inside", 13),
        std::string("\xff\xfe"),
        std::string()}) {
    CHECK(through<std::string>(text, "former") == text);
  }
  const Bytes bytes{std::byte{0}, std::byte{255}};
  CHECK(through<Bytes>(bytes, {}) == bytes);
}

TEST_CASE("plain values: containers survive, nested ones too", "[state]") {
  using Table = std::map<std::string, std::vector<std::optional<double>>>;
  const Table table = {{"a.b", {1.5, std::nullopt}}, {"", {}}, {"$x", {0.0}}};
  CHECK(through<Table>(table, {{"former", {}}}) == table);
  using Pairs = std::map<int, std::pair<bool, std::string>>;
  const Pairs pairs = {{-3, {true, "x"}}, {9, {false, ""}}};
  CHECK(through<Pairs>(pairs, {}) == pairs);
  const std::vector<bool> bits = {true, false, true};
  CHECK(through<std::vector<bool>>(bits, {false}) == bits);
  const std::deque<float> window = {0.5F, 2.5F};
  CHECK(through<std::deque<float>>(window, {1, 2, 3}) == window);
  const std::array<int, 3> triple = {1, 2, 3};
  CHECK(through<std::array<int, 3>>(triple, {}) == triple);
  using Twice = std::optional<std::optional<int>>;
  CHECK(
      through<Twice>(Twice(std::optional<int>()), 5) ==
      Twice(std::optional<int>()));
  CHECK(through<Twice>(Twice(), 5) == Twice());
}

TEST_CASE("plain values: wrong kinds and ranges are refused", "[state]") {
  CHECK(refused<int>(3.0) == Codes{"value: type_mismatch"});
  CHECK(refused<double>(3) == Codes{"value: type_mismatch"});
  CHECK(refused<bool>(1) == Codes{"value: type_mismatch"});
  CHECK(refused<std::string>(1) == Codes{"value: type_mismatch"});
  CHECK(
      refused<int>(std::int64_t{5'000'000'000}) ==
      Codes{"value: value_out_of_range"});
  CHECK(refused<unsigned>(-1) == Codes{"value: value_out_of_range"});
  CHECK(refused<float>(0.1) == Codes{"value: value_out_of_range"});
  CHECK(refused<Phase>(256, Phase::main) == Codes{"value: value_out_of_range"});
}

TEST_CASE("plain values: the place inside a container is told", "[state]") {
  using Ints = std::vector<int>;
  using Rows = std::map<std::string, Ints>;
  using Longs = std::map<std::string, std::vector<std::int64_t>>;
  CHECK(
      refused<Rows>(Longs{{"a", {1, 5'000'000'000}}}) ==
      Codes{"value.a[1]: value_out_of_range"});
  using Three = std::array<int, 3>;
  CHECK(refused<Three>(Ints{1, 2}) == Codes{"value: shape_mismatch"});
  CHECK(
      refused<std::optional<int>>(Ints{1, 2}) ==
      Codes{"value: shape_mismatch"});
  CHECK(
      refused<std::pair<int, int>>(Ints{1}) == Codes{"value: shape_mismatch"});
  using Entries = std::vector<std::pair<int, int>>;
  CHECK(
      refused<std::map<int, int>>(Entries{{1, 2}, {1, 3}}) ==
      Codes{"value: duplicate_name"});
}

TEST_CASE("plain values: what cannot be put back is none", "[state]") {
  STATIC_REQUIRE_FALSE(detail::is_plain_v<long double>);
  STATIC_REQUIRE_FALSE(detail::is_plain_v<int*>);
  STATIC_REQUIRE_FALSE(detail::is_plain_v<std::unordered_map<int, int>>);
  STATIC_REQUIRE_FALSE(detail::is_plain_v<std::vector<long double>>);
  STATIC_REQUIRE_FALSE(detail::is_plain_v<std::map<void*, int>>);
}

TEST_CASE("value part: missing and unexpected names are listed", "[state]") {
  int number = 3;
  const auto part = make_part(number);
  CHECK(part->kind() == "value");
  CHECK(part->stage() == Stage::value);
  Saved saved;
  saved.values = {{"other", Value(1)}, {"third", Value("x")}};
  saved.tensors.resize(1);
  saved.tensors[0].name = "weight";
  CHECK(
      codes_of(mismatches_of(*part, saved)) ==
      Codes{
          "weight: name_unexpected",
          "other: name_unexpected",
          "third: name_unexpected",
          "value: name_missing"});
  CHECK(number == 3);
}

TEST_CASE("value part: nothing changes before apply", "[state]") {
  std::vector<int> source = {1, 2};
  const Captured captured = capture(*make_part(source));
  std::vector<int> live = {9};
  const auto part = make_part(live);
  {
    const auto dropped = prepared(*part, captured.saved);
    CHECK(live == std::vector<int>{9});
  }
  CHECK(live == std::vector<int>{9});
  const auto restore = prepared(*part, captured.saved);
  apply(*restore, captured);
  CHECK(live == source);
  restore->undo();
  CHECK(live == std::vector<int>{9});
}

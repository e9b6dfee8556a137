#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/format/value.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

using namespace holdfast;
using holdfast::test::code_of;

namespace {

constexpr auto kMin64 = std::numeric_limits<std::int64_t>::min();
constexpr auto kMax64 = std::numeric_limits<std::int64_t>::max();
constexpr auto kMaxU64 = std::numeric_limits<std::uint64_t>::max();

template <class T>
std::string code_as(const Value& value) {
  return code_of([&] { (void)value.as<T>("x"); });
}

double double_of_bits(std::uint64_t bits) {
  double real = 0;
  std::memcpy(&real, &bits, sizeof(real));
  return real;
}

} // namespace

TEST_CASE("value: keeps the kind it was made of", "[format]") {
  using Kind = Value::Kind;
  CHECK(Value().kind() == Kind::null);
  CHECK(Value(true).kind() == Kind::boolean);
  CHECK(Value(1).kind() == Kind::integer);
  CHECK(Value(kMaxU64).kind() == Kind::integer);
  CHECK(Value(std::uint8_t{1}).kind() == Kind::integer);
  CHECK(Value(1.0).kind() == Kind::real);
  CHECK(Value(1.0F).kind() == Kind::real);
  CHECK(Value("x").kind() == Kind::text);
  CHECK(Value(std::string("x")).kind() == Kind::text);
  CHECK(Value(std::string_view("x")).kind() == Kind::text);
  CHECK(Value(Bytes(1)).kind() == Kind::bytes);
  CHECK(Value(Value::Array{}).kind() == Kind::array);
  CHECK(Value(Values{}).kind() == Kind::object);
  CHECK_FALSE(std::is_constructible_v<Value, const int*>);
  CHECK(to_string(Kind::null) == std::string("null"));
  CHECK(to_string(Kind::boolean) == std::string("boolean"));
  CHECK(to_string(Kind::integer) == std::string("integer"));
  CHECK(to_string(Kind::real) == std::string("real"));
  CHECK(to_string(Kind::text) == std::string("text"));
  CHECK(to_string(Kind::bytes) == std::string("bytes"));
  CHECK(to_string(Kind::array) == std::string("array"));
  CHECK(to_string(Kind::object) == std::string("object"));
}

TEST_CASE(
    "value: moving leaves null, copies share nothing that changes",
    "[format]") {
  Value text("x");
  const Value copy = text;
  const Value moved = std::move(text);
  CHECK(text == Value()); // NOLINT: what a moved-from value is, is promised
  CHECK(moved.text() == "x");
  CHECK(copy == moved);
  text = 1;
  CHECK(copy.text() == "x");

  // A value may be assigned a part of itself.
  Value nested(Value::Array{Value(Value::Array{Value("deep")})});
  nested = nested.array()[0];
  CHECK(nested == Value(Value::Array{Value("deep")}));
  Value& itself = nested;
  nested = std::move(itself);
  CHECK(nested == Value(Value::Array{Value("deep")}));
  Value large(kMaxU64);
  const Value taken = std::move(large);
  CHECK(taken.as<std::uint64_t>() == kMaxU64);
  CHECK(large == Value()); // NOLINT
}

TEST_CASE("value: gives back what went in", "[format]") {
  CHECK(Value(true).as<bool>());
  CHECK(Value(-5).as<int>() == -5);
  CHECK(Value(kMin64).as<std::int64_t>() == kMin64);
  CHECK(Value(kMaxU64).as<std::uint64_t>() == kMaxU64);
  CHECK(Value(0.1).as<double>() == 0.1);
  CHECK(Value(0.1F).as<float>() == 0.1F);
  CHECK(Value("x").as<std::string>() == "x");
  CHECK(Value(Bytes(3)).as<Bytes>() == Bytes(3));
  CHECK(Value(Value::Array{1, 2}).as<Value::Array>().size() == 2);
  CHECK(Value(Values{{"a", 1}}).as<Values>().at("a") == Value(1));
}

TEST_CASE("value: another kind is a type mismatch", "[format]") {
  const Value all[] = {
      Value(),
      Value(true),
      Value(1),
      Value(1.0),
      Value("1"),
      Value(Bytes(1)),
      Value(Value::Array{1}),
      Value(Values{{"a", 1}})};
  const std::string wrong = "type_mismatch";
  for (const Value& value : all) {
    CAPTURE(to_string(value.kind()));
    using Kind = Value::Kind;
    const Kind kind = value.kind();
    CHECK((code_as<bool>(value) == wrong) == (kind != Kind::boolean));
    CHECK((code_as<int>(value) == wrong) == (kind != Kind::integer));
    CHECK((code_as<unsigned>(value) == wrong) == (kind != Kind::integer));
    CHECK((code_as<double>(value) == wrong) == (kind != Kind::real));
    CHECK((code_as<float>(value) == wrong) == (kind != Kind::real));
    CHECK((code_as<std::string>(value) == wrong) == (kind != Kind::text));
    CHECK((code_as<Bytes>(value) == wrong) == (kind != Kind::bytes));
    CHECK((code_as<Value::Array>(value) == wrong) == (kind != Kind::array));
    CHECK((code_as<Values>(value) == wrong) == (kind != Kind::object));
  }
  const auto error = test::error_of([] { (void)Value(1).text("seed"); });
  REQUIRE(error.has_value());
  CHECK(error->name() == "seed");
  CHECK(error->expected() == "text");
  CHECK(error->found() == "integer");
}

TEST_CASE("value: integers that do not fit are refused", "[format]") {
  const std::string out = "value_out_of_range";
  CHECK(Value(127).as<std::int8_t>() == 127);
  CHECK(code_as<std::int8_t>(Value(128)) == out);
  CHECK(Value(-128).as<std::int8_t>() == -128);
  CHECK(code_as<std::int8_t>(Value(-129)) == out);
  CHECK(Value(255).as<std::uint8_t>() == 255);
  CHECK(code_as<std::uint8_t>(Value(256)) == out);
  CHECK(code_as<std::uint8_t>(Value(-1)) == out);
  CHECK(code_as<std::uint64_t>(Value(-1)) == out);
  CHECK(code_as<std::int64_t>(Value(kMaxU64)) == out);
  CHECK(code_as<std::uint32_t>(Value(kMaxU64)) == out);
  const auto large = static_cast<std::uint64_t>(kMax64) + 1;
  CHECK(code_as<std::int64_t>(Value(large)) == out);
  CHECK(Value(large).as<std::uint64_t>() == large);
}

TEST_CASE("value: a float only where it is exact", "[format]") {
  const std::string out = "value_out_of_range";
  CHECK(code_as<float>(Value(0.1)) == out);
  CHECK(code_as<float>(Value(1e300)) == out);
  CHECK(code_as<float>(Value(-1e300)) == out);
  CHECK(code_as<float>(Value(1e-300)) == out);
  CHECK(Value(0.5).as<float>() == 0.5F);
  CHECK(std::signbit(Value(-0.0).as<float>()));
  CHECK(std::isinf(Value(HUGE_VAL).as<float>()));
  CHECK(std::isnan(Value(std::nan("")).as<float>()));
}

TEST_CASE("value: equal means equal kind and bits", "[format]") {
  CHECK(Value(1) == Value(std::uint64_t{1}));
  CHECK(Value(1) != Value(1.0));
  CHECK(Value(1) != Value(true));
  CHECK(Value("a") != Value(Bytes{std::byte{'a'}}));
  CHECK(Value(0.0) != Value(-0.0));
  CHECK(Value(std::nan("")) == Value(std::nan("")));
  CHECK(Value(std::nan("1")) != Value(std::nan("2")));
  CHECK(Value(Value::Array{std::nan("")}) == Value(Value::Array{std::nan("")}));
  CHECK(Value(Values{{"a", 0.0}}) != Value(Values{{"a", -0.0}}));
  CHECK(Value(kMaxU64) != Value(-1));
  CHECK(Value() == Value());
}

TEST_CASE("value: random integers and reals survive", "[format]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t bits = random() >> random() % 64;
    CHECK(Value(bits).as<std::uint64_t>() == bits);
    const auto number = static_cast<std::int64_t>(~bits);
    CHECK(Value(number).as<std::int64_t>() == number);
    const double real = double_of_bits(random());
    const double back = Value(real).as<double>();
    CHECK(std::memcmp(&real, &back, sizeof(real)) == 0);
  }
}

TEST_CASE("value: a missing member is told by name", "[format]") {
  const Values values{{"a", 1}};
  CHECK(at(values, "a") == Value(1));
  const auto error = test::error_of([&] { (void)at(values, "b"); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::name_missing);
  CHECK(error->name() == "b");
}

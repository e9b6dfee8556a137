#include "support.hpp"

#include <holdfast/format/json.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <locale>

using namespace holdfast;
using holdfast::test::code_of;

namespace {

double from_bits(std::uint64_t bits) {
  double real = 0;
  std::memcpy(&real, &bits, sizeof(real));
  return real;
}

std::string parse_code(std::string_view text) {
  return code_of([&] { (void)from_json(text); });
}

void check_round_trip(const Value& value) {
  const std::string text = to_json(value);
  CAPTURE(text);
  const Value back = from_json(text);
  CHECK(back == value);
  CHECK(to_json(back) == text);
}

std::string random_text(std::mt19937_64& random) {
  std::string text;
  for (std::uint64_t n = random() % 8; n != 0; --n) {
    text += random() % 3 == 0 ? static_cast<char>(random() % 256)
                              : "ab$\"\\\n\t/"[random() % 8];
  }
  return text;
}

Value random_value(std::mt19937_64& random, int depth) {
  switch (random() % (depth == 0 ? 7 : 9)) {
    case 0:
      return Value();
    case 1:
      return random() % 2 == 0;
    case 2:
      return random() >> random() % 64;
    case 3:
      return static_cast<std::int64_t>(~(random() >> random() % 64));
    case 4:
      return from_bits(random());
    case 5:
      return random_text(random);
    case 6:
      return test::random_bytes(random() % 9, random());
    case 7: {
      Value::Array array;
      for (std::uint64_t n = random() % 5; n != 0; --n) {
        array.push_back(random_value(random, depth - 1));
      }
      return array;
    }
    default: {
      Values members;
      for (std::uint64_t n = random() % 5; n != 0; --n) {
        std::string name = random_text(random);
        for (char& c : name) {
          c = static_cast<char>(c & 0x7f); // UTF-8
        }
        members[name] = random_value(random, depth - 1);
      }
      return members;
    }
  }
}

} // namespace

TEST_CASE("json: each kind has its text", "[format]") {
  const auto max53 = std::int64_t{1} << 53;
  const std::pair<Value, const char*> rows[] = {
      {Value(), "null"},
      {true, "true"},
      {false, "false"},
      {0, "0"},
      {-3, "-3"},
      {max53, "9007199254740992"},
      {-max53, "-9007199254740992"},
      {max53 + 1, R"({"$integer":"9007199254740993"})"},
      {-max53 - 1, R"({"$integer":"-9007199254740993"})"},
      {std::numeric_limits<std::int64_t>::min(),
       R"({"$integer":"-9223372036854775808"})"},
      {std::numeric_limits<std::uint64_t>::max(),
       R"({"$integer":"18446744073709551615"})"},
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {0.1, "0.1"},
      {1e22, "1e+22"},
      {5e-324, "5e-324"},
      {123456789.0, "123456789.0"},
      {HUGE_VAL, R"({"$real":"7ff0000000000000"})"},
      {-HUGE_VAL, R"({"$real":"fff0000000000000"})"},
      {from_bits(0x7ff8000000000001), R"({"$real":"7ff8000000000001"})"},
      {"", R"("")"},
      {"a\"\\/\b\f\n\r\t\x01\x7f\xc3\xa9",
       "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\xc3\xa9\""},
      {std::string("\0", 1), R"("\u0000")"},
      {"\xff", R"({"$text":"/w=="})"},
      {Bytes{std::byte{0}, std::byte{1}, std::byte{2}}, R"({"$bytes":"AAEC"})"},
      {Bytes{}, R"({"$bytes":""})"},
      {Value::Array{}, "[]"},
      {Value::Array{1, 1.0, "1"}, R"([1,1.0,"1"])"},
      {Values{}, "{}"},
      {Values{{"b", 1}, {"a", Values{{"c", Value()}}}},
       R"({"a":{"c":null},"b":1})"},
      {Values{{"$real", 1}, {"$$", 2}, {"$", 3}, {"a$", 4}},
       R"({"$$":3,"$$$":2,"$$real":1,"a$":4})"},
      {Values{{"$text", "x"}}, R"({"$$text":"x"})"},
  };
  for (const auto& [value, text] : rows) {
    CAPTURE(text);
    CHECK(to_json(value) == text);
    CHECK(from_json(text) == value);
  }
}

TEST_CASE("json: other spellings of a plain value read the same", "[format]") {
  CHECK(from_json(" [ 1 , 2.50 ,1E2] ") == Value(Value::Array{1, 2.5, 100.0}));
  CHECK(from_json(R"({"b":1,"a":2})") == Value(Values{{"a", 2}, {"b", 1}}));
  CHECK(from_json("\"\\u0061\"") == Value("a"));
}

TEST_CASE("json: a member name twice is refused", "[format]") {
  CHECK(parse_code(R"({"a":1,"a":1})") == "malformed_json");
  CHECK(parse_code(R"({"a":1,"b":2,"\u0061":3})") == "malformed_json");
  CHECK(parse_code(R"([{"x":{"a":1,"a":2}}])") == "malformed_json");
  CHECK(parse_code(R"({"$$a":1,"$$a":2})") == "malformed_json");
  CHECK(parse_code(R"({"$bytes":"","$bytes":""})") == "malformed_json");
  const auto error =
      test::error_of([] { (void)from_json(R"({"lr":1,"lr":2})"); });
  REQUIRE(error.has_value());
  CHECK(error->name() == "lr");
}

TEST_CASE("json: tags that to_json does not write are refused", "[format]") {
  for (const char* text :
       {R"({"$":"x"})",
        R"({"$unknown":"x"})",
        R"({"$Real":"7ff0000000000000"})",
        R"({"$real":1.0})",
        R"({"$real":"3ff0000000000000"})",
        R"({"$real":"7FF0000000000000"})",
        R"({"$real":"7ff000000000000"})",
        R"({"$real":"7ff00000000000000"})",
        R"({"$real":"7ff0000000000000","a":1})",
        R"({"a":1,"$real":"7ff0000000000000"})",
        R"({"$$a":1,"$real":"7ff0000000000000"})",
        R"({"$integer":"5"})",
        R"({"$integer":"9007199254740992"})",
        R"({"$integer":"-9007199254740992"})",
        R"({"$integer":"09007199254740993"})",
        R"({"$integer":"+9007199254740993"})",
        R"({"$integer":"--9007199254740993"})",
        R"({"$integer":" 9007199254740993"})",
        R"({"$integer":"18446744073709551616"})",
        R"({"$integer":"-9223372036854775809"})",
        R"({"$integer":""})",
        R"({"$integer":"-"})",
        R"({"$integer":9007199254740993})",
        R"({"$bytes":"AAE"})",
        R"({"$bytes":"AA=="})"
        "x",
        R"({"$bytes":"AB=="})",
        R"({"$bytes":[0]})",
        R"({"$text":"YQ=="})",
        R"({"$text":"/w="})",
        R"({"$text":null})"}) {
    CAPTURE(text);
    const std::string found = parse_code(text);
    CHECK((found == "malformed_value" || found == "malformed_json"));
    CHECK(
        (found == "malformed_json") ==
        (std::strchr(text, 'x') != nullptr &&
         text[std::strlen(text) - 1] == 'x'));
  }
}

TEST_CASE("json: plain integers beyond 2^53 are refused", "[format]") {
  CHECK(parse_code("9007199254740993") == "malformed_value");
  CHECK(parse_code("-9007199254740993") == "malformed_value");
  CHECK(parse_code("18446744073709551615") == "malformed_value");
  CHECK(parse_code("9007199254740992") == "no error");
  CHECK(parse_code("-9007199254740992") == "no error");
}

TEST_CASE(
    "json: the depth that is written is the depth that is read",
    "[format]") {
  Value deep = 1;
  for (int i = 0; i < 64; ++i) {
    deep = i % 2 == 0 ? Value(Value::Array{deep}) : Value(Values{{"a", deep}});
  }
  check_round_trip(deep);
  CHECK(
      code_of([&] { (void)to_json(Value::Array{deep}); }) == "limit_exceeded");
  CHECK(parse_code("[" + to_json(deep) + "]") == "limit_exceeded");
  Value tagged = HUGE_VAL; // a tag is an object too
  for (int i = 0; i < 63; ++i) {
    tagged = Value::Array{tagged};
  }
  check_round_trip(tagged);
  for (const Value& leaf :
       {Value(HUGE_VAL),
        Value(Bytes(1)),
        Value("\xff"),
        Value(std::numeric_limits<std::int64_t>::min()),
        Value(Value::Array{}),
        Value(Values{})}) {
    Value value = leaf;
    for (int i = 0; i < 64; ++i) {
      value = Value::Array{value};
    }
    CHECK(code_of([&] { (void)to_json(value); }) == "limit_exceeded");
  }
}

TEST_CASE("json: a member name that is not UTF-8 is refused", "[format]") {
  CHECK(code_of([] {
          (void)to_json(Values{{"a\xff", 1}});
        }) == "malformed_value");
}

TEST_CASE("json: random values survive", "[format]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3000; ++i) {
    check_round_trip(random_value(random, 4));
  }
}

TEST_CASE("json: random reals survive bit by bit", "[format]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Value::Array reals;
  for (int i = 0; i < 50000; ++i) {
    // All exponents, and many short decimals.
    reals.push_back(
        i % 2 == 0 ? from_bits(random())
                   : static_cast<double>(random() % 100000) / 1000.0);
  }
  CHECK(from_json(to_json(reals)) == Value(reals));
}

TEST_CASE("json: the global C++ locale changes nothing", "[format]") {
  struct Comma final : std::numpunct<char> {
    char do_decimal_point() const override {
      return ',';
    }
    char do_thousands_sep() const override {
      return '.';
    }
    std::string do_grouping() const override {
      return "\3";
    }
  };
  const std::locale before =
      std::locale::global(std::locale(std::locale(), new Comma));
  const std::string text = to_json(Value::Array{1234567, 1234.5});
  const Value back = from_json("[1234567,1234.5]");
  std::locale::global(before);
  CHECK(text == "[1234567,1234.5]");
  CHECK(back == Value(Value::Array{1234567, 1234.5}));
}

TEST_CASE(
    "json: mutated texts give an error or a value that round-trips",
    "[format][fuzz]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string text =
        test::mutated(to_json(random_value(random, 4)), random);
    CAPTURE(text);
    try {
      const Value value = from_json(text);
      ++accepted;
      CHECK(from_json(to_json(value)) == value);
    } catch (const Error& error) {
      CHECK(
          (error.code() == ErrorCode::malformed_json ||
           error.code() == ErrorCode::malformed_value));
    }
  }
  CHECK(accepted > 0);
  CHECK(accepted < 2000);
}

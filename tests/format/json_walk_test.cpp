#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/random.hpp>

#include <holdfast/format/json_walk.hpp>

#include <nlohmann/json.hpp>

#include <clocale>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <locale>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace holdfast;
using holdfast::test::code_of;

namespace {

/// Writes down what it hears.
class Protocol final : public JsonEvents {
 public:
  std::string heard;

  void null() override {
    heard += "null ";
  }
  void boolean(bool value) override {
    heard += value ? "true " : "false ";
  }
  void natural(std::uint64_t value) override {
    heard += "n" + std::to_string(value) + " ";
  }
  void negative(std::int64_t value) override {
    heard += "m" + std::to_string(value) + " ";
  }
  void real(double value) override {
    reals.push_back(value);
    heard += "r ";
  }
  void text(std::string value) override {
    heard += "'" + value + "' ";
  }
  void begin_array() override {
    heard += "[ ";
  }
  void end_array() override {
    heard += "] ";
  }
  void begin_object() override {
    heard += "{ ";
  }
  void key(std::string name) override {
    heard += name + ": ";
  }
  void end_object() override {
    heard += "} ";
  }

  std::vector<double> reals;
};

std::string heard(std::string_view text, JsonLimits limits = {}) {
  Protocol protocol;
  walk_json(text, limits, protocol);
  return protocol.heard;
}

std::string walk_code(std::string_view text, JsonLimits limits = {}) {
  return code_of([&] { (void)heard(text, limits); });
}

double real_in(std::string_view text) {
  Protocol protocol;
  walk_json(text, {}, protocol);
  return protocol.reals.at(0);
}

} // namespace

TEST_CASE("json_walk: tells everything in order", "[format]") {
  CHECK(
      heard(" {\"a\" : [1, -2, 3.0, \"x\\u00e9\\n\"], \"a\":null,"
            "\"b\":{\"c\":true,\"d\":false}}\r\n\t") ==
      "{ a: [ n1 m-2 r 'x\xc3\xa9\n' ] a: null b: { c: true d: false } } ");
  CHECK(heard("7") == "n7 ");
  CHECK(heard("\"\\ud83d\\ude00\"") == "'\xf0\x9f\x98\x80' ");
}

TEST_CASE("json_walk: what is not one JSON text is refused", "[format]") {
  const std::string_view texts[] = {
      "",
      " ",
      "{",
      "}",
      "[1,]",
      "{\"a\":1,}",
      "{a:1}",
      "{'a':1}",
      "[1] [2]",
      "[1]x",
      "// c\n1",
      "/* c */1",
      "nul",
      "True",
      "NaN",
      "Infinity",
      "+1",
      "01",
      "1.",
      ".5",
      "1e",
      "0x10",
      "--1",
      "\"a",
      "\"\t\"",
      "\"\\x\"",
      "\"\\ud800\"",
      "\"\\udc00\"",
      "\"\xff\"",
      "\"\xc0\xaf\"",
      "\"\xed\xa0\x80\"",
      "\xef\xbb\xbf{}",
      {"{}\0", 3},
      {"{}\0{", 4},
      {"\0", 1},
      {"\"a\0b\"", 5},
  };
  for (const std::string_view text : texts) {
    CAPTURE(std::string(text));
    CHECK(walk_code(text) == "malformed_json");
  }
}

TEST_CASE("json_walk: numbers that nothing holds are refused", "[format]") {
  for (const char* text :
       {"18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "1e400",
        "-1e400",
        "1e-400",
        "-0"}) {
    CAPTURE(text);
    CHECK(walk_code(text) == "malformed_value");
    CHECK(walk_code("[" + std::string(text) + "]") == "malformed_value");
  }
  CHECK(heard("18446744073709551615") == "n18446744073709551615 ");
  CHECK(heard("-9223372036854775808") == "m-9223372036854775808 ");
  CHECK(real_in("1.7976931348623157e308") == 1.7976931348623157e308);
  CHECK(real_in("5e-324") == 5e-324);
  CHECK(std::signbit(real_in("-0.0")));
}

TEST_CASE("json_walk: limits hold before anything is done", "[format]") {
  JsonLimits limits;
  limits.max_bytes = 4;
  CHECK(walk_code("[12]", limits) == "no error");
  CHECK(walk_code("[123]", limits) == "limit_exceeded");
  limits = JsonLimits();
  limits.max_depth = 2;
  CHECK(walk_code("[[1]]", limits) == "no error");
  CHECK(walk_code("[[[1]]]", limits) == "limit_exceeded");
  CHECK(walk_code("[{\"a\":[]}]", limits) == "limit_exceeded");
  CHECK(walk_code("[[1],[2],{},{}]", limits) == "no error");
  // As deep as a stack would not bear.
  CHECK(walk_code(std::string(5'000'000, '[')) == "limit_exceeded");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) {
    objects += "{\"a\":";
  }
  CHECK(walk_code(objects) == "limit_exceeded");
}

TEST_CASE("json_walk: an exception of the listener passes", "[format]") {
  class Thrower final : public JsonEvents {
    void null() override {
      throw 7;
    }
    void boolean(bool) override {}
    void natural(std::uint64_t) override {}
    void negative(std::int64_t) override {}
    void real(double) override {}
    void text(std::string) override {}
    void begin_array() override {}
    void end_array() override {}
    void begin_object() override {}
    void key(std::string) override {}
    void end_object() override {}
  } thrower;
  CHECK_THROWS_AS(walk_json("[null]", {}, thrower), int);
}

TEST_CASE("json_walk: reals are read the same in every locale", "[format]") {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  for (const char* name :
       {"C", "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"}) {
    if (std::setlocale(LC_NUMERIC, name) != nullptr) {
      CAPTURE(name);
      CHECK(real_in("-1234.5678e-3") == -1.2345678);
      CHECK(walk_code("1,5") == "malformed_json");
    }
  }
  std::setlocale(LC_NUMERIC, before.c_str());
}

namespace {

/// What nlohmann's parser, an independent one, hears in a text.
struct Reference {
  Protocol protocol;
  bool malformed = false;

  bool null() {
    protocol.null();
    return true;
  }
  bool boolean(bool value) {
    protocol.boolean(value);
    return true;
  }
  bool number_integer(std::int64_t value) {
    protocol.negative(value);
    return true;
  }
  bool number_unsigned(std::uint64_t value) {
    protocol.natural(value);
    return true;
  }
  bool number_float(double value, const std::string&) {
    protocol.real(value);
    return true;
  }
  bool string(std::string& value) {
    protocol.text(value);
    return true;
  }
  bool binary(std::vector<std::uint8_t>&) {
    return false;
  }
  bool start_object(std::size_t) {
    protocol.begin_object();
    return true;
  }
  bool key(std::string& name) {
    protocol.key(name);
    return true;
  }
  bool end_object() {
    protocol.end_object();
    return true;
  }
  bool start_array(std::size_t) {
    protocol.begin_array();
    return true;
  }
  bool end_array() {
    protocol.end_array();
    return true;
  }
  template <class Exception>
  bool parse_error(
      std::size_t,
      const std::string&,
      const Exception& exception) {
    constexpr int kNumberOverflow = 406;
    malformed = exception.id != kNumberOverflow;
    return false;
  }
};

} // namespace

TEST_CASE("json_walk: hears what another parser hears", "[format]") {
  const std::string_view seeds[] = {
      R"({"a":[1,-2,3.5e-7,"x\u00e9\ud83d\ude00\n"],"b":{"c":true},"d":null})",
      R"([[],{},[{"":""}],-0.0,0,10,1E+2,"\"\\\/\b\f\n\r\t",false])",
      R"( { "long" : "abcdefghijklmnopqrstuvwxyz" , "n" : 18446744073709551615 } )",
      "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",-9223372036854775808,1e308]"};
  constexpr std::string_view kBytes =
      "{}[]:,\"\\/bfnrtu0123456789abcdefABCDEF+-.eE \t\n\rtruefalsenull\x01\x7f"
      "\x80\xbf\xc3\xa9\xed\xa0\xe2\xf0\x9f\xff";
  const std::uint64_t from_seed = test::seed();
  CAPTURE(from_seed);
  std::mt19937_64 engine(from_seed);
  int accepted = 0;
  int refused = 0;
  for (std::uint64_t left = 200'000 / test::one_in(10); left != 0; --left) {
    std::string text(seeds[engine() % std::size(seeds)]);
    for (std::uint64_t edits = engine() % 4; edits != 0; --edits) {
      const std::size_t at = engine() % (text.size() + 1);
      const char byte = kBytes[engine() % kBytes.size()];
      switch (engine() % 4) {
        case 0:
          text.insert(at, 1, byte);
          break;
        case 1:
          text.erase(at, 1 + engine() % 3);
          break;
        case 2:
          text.resize(at);
          break;
        default:
          text.replace(at, 1, 1, byte);
      }
    }
    Reference reference;
    nlohmann::json::sax_parse(text.begin(), text.end(), &reference);
    Protocol protocol;
    const std::string code =
        code_of([&] { walk_json(text, JsonLimits(), protocol); });
    CAPTURE(text);
    if (code == "no error") {
      ++accepted;
      REQUIRE_FALSE(reference.malformed);
      REQUIRE(protocol.heard == reference.protocol.heard);
      REQUIRE(protocol.reals == reference.protocol.reals);
    } else if (code == "malformed_json") {
      ++refused;
      REQUIRE(reference.malformed);
    } else {
      REQUIRE(code == "malformed_value"); // a number: the tests above
    }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 1000);
}

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/base/pattern.hpp>

#include <random>
#include <string>
#include <string_view>

using namespace holdfast;

namespace {

/// The rules again, by trying everything.
bool matches_slowly(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) {
    return name.empty();
  }
  if (pattern[0] == '*') {
    return matches_slowly(pattern.substr(1), name) ||
        (!name.empty() && matches_slowly(pattern, name.substr(1)));
  }
  return !name.empty() && (pattern[0] == '?' || pattern[0] == name[0]) &&
      matches_slowly(pattern.substr(1), name.substr(1));
}

} // namespace

TEST_CASE("pattern: what is one", "[base]") {
  for (const char* good : {"a", "*", "?", "a.b*", "layer.?.weight", "ö", " "}) {
    CAPTURE(good);
    CHECK(is_pattern(good));
  }
  for (const char* bad : {"", "[ab]", "a]", "{a", "a}", "a\\*"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_pattern(bad));
  }
}

TEST_CASE("pattern: matches whole names", "[base]") {
  CHECK(matches_pattern("head.weight", "head.weight"));
  CHECK_FALSE(matches_pattern("head", "head.weight"));
  CHECK_FALSE(matches_pattern("weight", "head.weight"));
  CHECK(matches_pattern("head.*", "head.a.weight"));
  CHECK(matches_pattern("head.*", "head."));
  CHECK_FALSE(matches_pattern("head.*", "head"));
  CHECK_FALSE(matches_pattern("head.*", "headxweight"));
  CHECK(matches_pattern("*", ""));
  CHECK(matches_pattern("*.bias", "a.b.bias"));
  CHECK(matches_pattern("l?.bias", "l3.bias"));
  CHECK_FALSE(matches_pattern("l?.bias", "l12.bias"));
  CHECK_FALSE(matches_pattern("l?", "l"));
  CHECK_FALSE(matches_pattern("", "a"));
}

TEST_CASE("pattern: a question mark is a character of UTF-8", "[base]") {
  CHECK(matches_pattern(
      "a?b",
      "a\xc3\xb6"
      "b"));
  CHECK(matches_pattern("?", "\xe2\x82\xac"));
  CHECK_FALSE(matches_pattern("??", "\xe2\x82\xac"));
  CHECK(matches_pattern("?", "\xff"));
  CHECK(matches_pattern(
      "??",
      "\xc3"
      "a"));
}

TEST_CASE("pattern: as the rules say, whatever the name", "[base]") {
  std::mt19937_64 engine(test::seed());
  const auto text = [&](const char* letters, unsigned count) {
    std::string result;
    for (auto length = engine() % 7; length > 0; --length) {
      result += letters[engine() % count];
    }
    return result;
  };
  int matched = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string pattern = text("ab*?", 4);
    const std::string name = text("ab", 2);
    CAPTURE(pattern, name);
    const bool expected = matches_slowly(pattern, name);
    matched += expected ? 1 : 0;
    REQUIRE(matches_pattern(pattern, name) == expected);
    // What the wildcards stand for, put back in their places, is the name.
    const auto same = renamed_by_pattern(pattern, pattern, name);
    REQUIRE(same.has_value() == expected);
    if (same) {
      REQUIRE(*same == name);
    }
  }
  CHECK(matched > 1000);
}

TEST_CASE("pattern: wildcards of a new name", "[base]") {
  CHECK(same_wildcards("a.*", "b.*"));
  CHECK(same_wildcards("a", "b"));
  CHECK(same_wildcards("*.?", "x*y?z"));
  CHECK_FALSE(same_wildcards("a.*", "b"));
  CHECK_FALSE(same_wildcards("a", "b.*"));
  CHECK_FALSE(same_wildcards("*?", "?*"));

  CHECK(
      renamed_by_pattern("backbone.*", "encoder.*", "backbone.0.weight") ==
      std::string("encoder.0.weight"));
  CHECK(
      renamed_by_pattern("*.l?.*", "*.layer?.*", "a.l3.bias") ==
      std::string("a.layer3.bias"));
  CHECK(renamed_by_pattern("a", "b", "a") == std::string("b"));
  CHECK_FALSE(renamed_by_pattern("a", "b", "c"));
  CHECK(
      renamed_by_pattern("?.x", "y.?", "\xc3\xb6.x") ==
      std::string("y.\xc3\xb6"));
  // The first star takes as little as it can.
  CHECK(renamed_by_pattern("*.*", "*-*", "a.b.c") == std::string("a-b.c"));
  CHECK(
      renamed_by_pattern("*a*b", "<*|*>", "xaabab") == std::string("<x|aba>"));
}

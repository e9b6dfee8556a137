#include <support/catch.hpp>

#include <holdfast/format/environment.hpp>

using namespace holdfast;
using holdfast::test::code_of;

TEST_CASE("environment: differences, the gravest first", "[format]") {
  Environment was;
  was.set("threads", "8", Severity::may_change_speed);
  was.set("libtorch", "2.6.0", Severity::breaks_bit_equality);
  was.set("host", "a", Severity::information);
  was.set("same", "x", Severity::breaks_bit_equality);
  was.set("gone", "g", Severity::breaks_bit_equality);
  was.set("raised", "1", Severity::information);
  was.set("lowered", "1", Severity::may_change_speed);
  Environment is;
  is.set("threads", "4", Severity::may_change_speed);
  is.set("libtorch", "2.7.0", Severity::breaks_bit_equality);
  is.set("host", "b", Severity::information);
  is.set("same", "x", Severity::information);
  is.set("new", "n", Severity::information);
  is.set("raised", "2", Severity::may_change_speed);
  is.set("lowered", "2", Severity::information);
  std::string lines;
  for (const EnvironmentDifference& d : compare(was, is)) {
    lines +=
        d.name + " " + d.was + ">" + d.is + " " + to_string(d.severity) + "\n";
  }
  CHECK(
      lines ==
      "gone g> breaks_bit_equality\n"
      "libtorch 2.6.0>2.7.0 breaks_bit_equality\n"
      "lowered 1>2 may_change_speed\n"
      "raised 1>2 may_change_speed\n"
      "threads 8>4 may_change_speed\n"
      "host a>b information\n"
      "new >n information\n");
  CHECK(compare(was, was).empty());
  CHECK(compare({}, {}).empty());
}

TEST_CASE("environment: survives as a value", "[format]") {
  Environment environment;
  environment.set("a", "1", Severity::information);
  environment.set("b", "2", Severity::may_change_speed);
  environment.set("c", "", Severity::breaks_bit_equality);
  environment.set("c", "3", Severity::breaks_bit_equality);
  const Environment back = environment_from(to_value(environment));
  REQUIRE(back.entries.size() == 3);
  for (const auto& [name, entry] : environment.entries) {
    CAPTURE(name);
    CHECK(back.entries.at(name).value == entry.value);
    CHECK(back.entries.at(name).severity == entry.severity);
  }
}

TEST_CASE(
    "environment: an unknown severity counts as information",
    "[format]") {
  const Environment back = environment_from(
      Values{{"a", Values{{"value", "1"}, {"severity", "new"}, {"more", 1}}}});
  CHECK(back.entries.at("a").severity == Severity::information);
  CHECK(back.entries.at("a").value == "1");
}

TEST_CASE("environment: values of another form are errors", "[format]") {
  const auto code = [](const Value& value) {
    return code_of([&] { (void)environment_from(value); });
  };
  CHECK(code(1) == "type_mismatch");
  CHECK(code(Values{{"a", "x"}}) == "type_mismatch");
  CHECK(code(Values{{"a", Values{{"value", "x"}}}}) == "name_missing");
  CHECK(
      code(Values{{"a", Values{{"value", 1}, {"severity", "information"}}}}) ==
      "type_mismatch");
}

TEST_CASE("environment: what is not known is not recorded", "[format]") {
  Environment environment;
  environment.set_known("blas", "", Severity::breaks_bit_equality);
  CHECK(environment.entries.empty());
  environment.set_known("blas", "open", Severity::breaks_bit_equality);
  CHECK(environment.entries.at("blas").value == "open");
}

#include <support/catch.hpp>

#include <holdfast/policy/describe.hpp>

#include <chrono>
#include <limits>
#include <locale>
#include <string>

using holdfast::detail::describe_duration;
using holdfast::detail::describe_number;

namespace {

struct CommaDecimals : std::numpunct<char> {
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

} // namespace

TEST_CASE(
    "describe: durations take the largest unit that is whole",
    "[policy]") {
  using Seconds = std::chrono::duration<double>;
  CHECK(describe_duration(std::chrono::hours(24)) == "1 d");
  CHECK(describe_duration(std::chrono::hours(36)) == "36 h");
  CHECK(describe_duration(std::chrono::minutes(90)) == "90 min");
  CHECK(describe_duration(Seconds(90)) == "90 s");
  CHECK(describe_duration(Seconds(0.5)) == "0.5 s");
  CHECK(describe_duration(Seconds(0)) == "0 s");
}

TEST_CASE("describe: numbers do not depend on the locale", "[policy]") {
  const std::locale former = std::locale::global(
      std::locale(std::locale::classic(), new CommaDecimals));
  const std::string small = describe_number(0.04125);
  const std::string large = describe_number(12345);
  std::locale::global(former);
  CHECK(small == "0.04125");
  CHECK(large == "12345");
}

TEST_CASE("describe: what is not finite has one spelling", "[policy]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(describe_number(nan) == "nan");
  CHECK(describe_number(-nan) == "nan");
  CHECK(describe_number(infinity) == "inf");
  CHECK(describe_number(-infinity) == "-inf");
}

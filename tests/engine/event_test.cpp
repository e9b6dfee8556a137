#include "engine_support.hpp"

#include <holdfast/engine/event.hpp>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <support/temporary_directory.hpp>

#include <unistd.h>

using namespace holdfast;

TEST_CASE("event: every kind has a name", "[event]") {
  using Kind = Event::Kind;
  CHECK(std::string(to_string(Kind::resumed)) == "resumed");
  CHECK(std::string(to_string(Kind::fresh_start)) == "fresh start");
  CHECK(std::string(to_string(Kind::saved)) == "saved");
  CHECK(std::string(to_string(Kind::save_failed)) == "save failed");
  CHECK(std::string(to_string(Kind::passed_over)) == "passed over");
  CHECK(std::string(to_string(Kind::quarantined)) == "quarantined");
  CHECK(std::string(to_string(Kind::removed)) == "removed");
  CHECK(std::string(to_string(Kind::warning)) == "warning");
}

TEST_CASE("event: only what went wrong is printed, a line each", "[event]") {
  test::TemporaryDirectory directory;
  const std::string path = directory.path("stderr");
  std::fflush(stderr);
  const int former = ::dup(2);
  REQUIRE(former >= 0);
  std::FILE* const file = std::fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  ::dup2(::fileno(file), 2);
  for (const Event::Kind kind :
       {Event::Kind::resumed,
        Event::Kind::fresh_start,
        Event::Kind::saved,
        Event::Kind::save_failed,
        Event::Kind::passed_over,
        Event::Kind::quarantined,
        Event::Kind::removed,
        Event::Kind::warning}) {
    print_warnings(Event{kind, "ckpt-000001-step-1", "100 % of it"});
  }
  std::fflush(stderr);
  ::dup2(former, 2);
  ::close(former);
  std::fclose(file);
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  CHECK(
      text.str() ==
      "holdfast: save failed: 100 % of it\n"
      "holdfast: passed over: 100 % of it\n"
      "holdfast: quarantined: 100 % of it\n"
      "holdfast: warning: 100 % of it\n");
}

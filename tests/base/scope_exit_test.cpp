#include <support/catch.hpp>

#include <holdfast/base/scope_exit.hpp>

#include <stdexcept>

using namespace holdfast;

TEST_CASE("scope exit: runs once, however the scope is left", "[base]") {
  int runs = 0;
  {
    const ScopeExit at_end([&] { ++runs; });
    CHECK(runs == 0);
  }
  CHECK(runs == 1);
  try {
    const ScopeExit at_end([&] { ++runs; });
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
  }
  CHECK(runs == 2);
  {
    ScopeExit at_end([&] { ++runs; });
    at_end.dismiss();
  }
  CHECK(runs == 2);
}

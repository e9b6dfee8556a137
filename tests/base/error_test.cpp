#include <support/catch.hpp>

#include <holdfast/base/error.hpp>

#include <cctype>
#include <set>
#include <string>

using namespace holdfast;

TEST_CASE("error: every code has a name of its own", "[base]") {
  std::set<std::string> names;
  const int last = static_cast<int>(ErrorCode::lost_lock);
  for (int i = 0; i <= last; ++i) {
    const std::string name = to_string(static_cast<ErrorCode>(i));
    CAPTURE(i, name);
    CHECK(name != "unknown");
    CHECK(names.insert(name).second);
    for (const char c : name) {
      CHECK((std::islower(static_cast<unsigned char>(c)) != 0 || c == '_'));
    }
  }
  // Nothing stands after the last one.
  CHECK(std::string(to_string(static_cast<ErrorCode>(last + 1))) == "unknown");
  CHECK(names.count("shape_mismatch") == 1);
}

TEST_CASE(
    "error: the message answers what, where, which, expected, found",
    "[base]") {
  ErrorDetails details;
  details.message = "shape differs";
  details.path = "runs/a/ckpt-000003-step-1200";
  details.name = "encoder.0.weight";
  details.expected = "[512, 128] in the module";
  details.found = "[512, 256] in the file";
  details.system_error = 5;
  const Error error(ErrorCode::shape_mismatch, details);
  CHECK(
      std::string(error.what()) ==
      "'runs/a/ckpt-000003-step-1200': 'encoder.0.weight': shape differs: "
      "found [512, 256] in the file, expected [512, 128] in the module "
      "(shape_mismatch)");
  CHECK(error.code() == ErrorCode::shape_mismatch);
  CHECK(error.path() == details.path);
  CHECK(error.name() == details.name);
  CHECK(error.expected() == details.expected);
  CHECK(error.found() == details.found);
  CHECK(error.system_error() == 5);
  CHECK(error.details().message == details.message);
}

TEST_CASE("error: what is not known leaves no gap in the message", "[base]") {
  const auto text = [](ErrorDetails details) {
    return std::string(Error(ErrorCode::io_error, std::move(details)).what());
  };
  ErrorDetails details;
  details.message = "m";
  CHECK(text(details) == "m (io_error)");
  details.expected = "e";
  CHECK(text(details) == "m: expected e (io_error)");
  details.found = "f";
  CHECK(text(details) == "m: found f, expected e (io_error)");
  details.message.clear();
  CHECK(text(details) == "found f, expected e (io_error)");
  details.expected.clear();
  details.path = "p";
  CHECK(text(details) == "'p': found f (io_error)");
  CHECK(
      std::string(Error(ErrorCode::locked, "busy").what()) == "busy (locked)");
}

TEST_CASE("error: at() adds a path, and never replaces one", "[base]") {
  const Error bare(ErrorCode::malformed_json, "not JSON");
  const Error placed = bare.at("a/b");
  CHECK(placed.path() == "a/b");
  CHECK(placed.code() == ErrorCode::malformed_json);
  CHECK(std::string(placed.what()) == "'a/b': not JSON (malformed_json)");
  CHECK(placed.at("c").path() == "a/b");
  CHECK(bare.path().empty());
}

TEST_CASE("error: a refused argument names the option", "[base]") {
  const auto error = test::error_of(
      [] { throw_invalid_argument("keep_last", "must be positive", "0"); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::invalid_argument);
  CHECK(error->name() == "keep_last");
  CHECK(error->found() == "0");
  CHECK_THAT(error->what(), test::contains("must be positive"));
}

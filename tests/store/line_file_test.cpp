#include "store_support.hpp"

#include <holdfast/store/line_file.hpp>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string code_of_line(const std::string& text) {
  return code_of([&] {
    (void)parse_line({12, 5, "line-000012-from-000005"}, text, "runs/a/line");
  });
}

} // namespace

TEST_CASE("line file: what was written is read", "[store]") {
  for (const bool rollback : {false, true}) {
    Line line;
    line.sequence = 12;
    line.origin = 5;
    line.tag = rollback ? "" : "warm-restart";
    line.rollback = rollback;
    const std::string text = line_text(line, 1.7e9);
    const Line read =
        parse_line({12, 5, "line-000012-from-000005"}, text, "path");
    CHECK(read.sequence == 12);
    CHECK(read.origin == 5);
    CHECK(read.tag == line.tag);
    CHECK(read.rollback == rollback);
  }
}

TEST_CASE("line file: every changed byte and every cut is found", "[store]") {
  Line line;
  line.sequence = 12;
  line.origin = 5;
  line.tag = "anew";
  const std::string text = line_text(line, 1.7e9);
  CHECK(code_of_line(text) == "no error");
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    REQUIRE(code_of_line(changed) == "checksum_mismatch");
    REQUIRE(code_of_line(text.substr(0, i)) == "checksum_mismatch");
  }
  CHECK(code_of_line(text + "\n") == "checksum_mismatch");
}

TEST_CASE("line file: one of another number is foreign", "[store]") {
  Line line;
  line.sequence = 12;
  line.origin = 6;
  CHECK(code_of_line(line_text(line, 0)) == "foreign");
  line.origin = 5;
  line.sequence = 13;
  CHECK(code_of_line(line_text(line, 0)) == "foreign");
}

#include "store_support.hpp"

#include <holdfast/store/pin.hpp>

#include <optional>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;

namespace {

constexpr const char* kPinned = "runs/a/PIN";

std::shared_ptr<Directory> after_a_power_cut(const MemoryFileSystem& disk) {
  const auto after = disk.snapshot();
  after->cut_power(LossPattern::all_lost());
  return open_run(*after);
}

} // namespace

TEST_CASE("pin: durable when written and when taken away", "[store]") {
  MemoryFileSystem disk;
  const auto root = open_run(disk);
  CHECK_FALSE(read_pin(*root));
  remove_pin(*root);
  write_pin(*root, "figure 3");
  CHECK(read_pin(*root) == "figure 3");
  CHECK(disk.read_text(kPinned) == "figure 3\n");
  CHECK(read_pin(*after_a_power_cut(disk)) == "figure 3");
  remove_pin(*root);
  CHECK_FALSE(read_pin(*root));
  CHECK_FALSE(read_pin(*after_a_power_cut(disk)));
  write_pin(*root, "");
  CHECK(read_pin(*root) == "");
  CHECK(read_pin(*after_a_power_cut(disk)) == "");
}

TEST_CASE("pin: another label does not replace the first", "[store]") {
  MemoryFileSystem disk;
  const auto root = open_run(disk);
  write_pin(*root, "a");
  write_pin(*root, "a");
  try {
    write_pin(*root, "b");
    FAIL("it was replaced");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::already_exists);
    CHECK(error.found() == "'a'");
    CHECK(error.expected() == "'b'");
  }
  CHECK(read_pin(*root) == "a");
}

TEST_CASE("pin: whatever has the name pins", "[store]") {
  MemoryFileSystem disk;
  const auto root = open_run(disk);
  const auto with = [&](std::string_view text) {
    disk.write_file(kPinned, ByteView(text));
    return read_pin(*root);
  };
  CHECK(with("") == "");
  CHECK(with("no end of line") == "no end of line");
  CHECK(with("from Windows\r\n") == "from Windows");
  CHECK(with("one\ntwo\n") == "one");
  CHECK(with("\xff\xfe") == "");
  CHECK(with("\x1b[31mred\t") == " [31mred ");
  CHECK(with(std::string(kMaxPinBytes, 'x')) == std::string(kMaxPinBytes, 'x'));
  CHECK(with(std::string(kMaxPinBytes + 2, 'x')) == "");
  disk.remove(kPinned);
  disk.make_symlink(kPinned, "nowhere");
  CHECK(read_pin(*root) == "");
  disk.remove(kPinned);
  root->create_directory(kPinName);
  CHECK(read_pin(*root) == "");
}

TEST_CASE("pin: a label is one line of text", "[store]") {
  MemoryFileSystem disk;
  const auto root = open_run(disk);
  for (const std::string& bad :
       {std::string("two\nlines"),
        std::string("a\rb"),
        std::string("a\0b", 3),
        std::string("\xff"),
        std::string("\x1b[31m"),
        std::string(kMaxPinBytes + 1, 'x')}) {
    CHECK(code_of([&] { write_pin(*root, bad); }) == "invalid_argument");
  }
  CHECK_FALSE(read_pin(*root));
  const std::string longest(kMaxPinBytes, 'x');
  write_pin(*root, longest);
  CHECK(read_pin(*root) == longest);
  write_pin(*root, longest); // it reads its own
}

TEST_CASE("pin: an attempt that failed can be made again", "[store][fault]") {
  for (std::uint64_t operation = 1;; ++operation) {
    FaultFileSystem files{std::make_shared<MemoryFileSystem>()};
    const auto root = open_run(files);
    files.plan(Fault::error(ENOSPC).at(operation));
    const std::string code = code_of([&] { write_pin(*root, "label"); });
    const bool struck = files.faults() != 0;
    files.clear_faults();
    CAPTURE(operation);
    CHECK(code == (struck ? "no_space" : "no error"));
    write_pin(*root, "label");
    CHECK(read_pin(*root) == "label");
    if (!struck) {
      CHECK(operation > 3);
      return;
    }
  }
}

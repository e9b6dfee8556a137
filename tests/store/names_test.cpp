#include "store_support.hpp"

#include <cstdint>
#include <limits>

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("names: what is made is what is parsed", "[store]") {
  const std::uint64_t sequence =
      GENERATE(as<std::uint64_t>(), 1, 24, 999'999, 1'000'000, kMaxSequence);
  CAPTURE(sequence);

  const std::int64_t step = GENERATE(
      as<std::int64_t>(), 0, 7, std::numeric_limits<std::int64_t>::max());
  const ParsedName checkpoint = parse_name(checkpoint_name(sequence, step));
  CHECK(checkpoint.kind == NameKind::checkpoint);
  CHECK(checkpoint.sequence == sequence);
  CHECK(checkpoint.step == step);

  const ParsedName line = parse_name(line_name(sequence, sequence - 1));
  CHECK(line.kind == NameKind::line);
  CHECK(line.sequence == sequence);
  CHECK(line.origin == sequence - 1);

  CHECK(parse_name(staging_name(sequence)).kind == NameKind::staging);
  CHECK(parse_name(staging_name(sequence)).sequence == sequence);
  CHECK(parse_name(trash_name(sequence)).kind == NameKind::trash);
  CHECK(parse_name(trash_name(sequence)).sequence == sequence);
  CHECK(parse_name(quarantine_name(sequence)).kind == NameKind::quarantined);
  CHECK(parse_name(quarantine_name(sequence)).sequence == sequence);
}

TEST_CASE("names: written as documented", "[store]") {
  CHECK(checkpoint_name(24, 12000) == "ckpt-000024-step-12000");
  CHECK(checkpoint_name(12345678, 0) == "ckpt-12345678-step-0");
  CHECK(line_name(26, 10) == "line-000026-from-000010");
  CHECK(line_name(1, 0) == "line-000001-from-000000");
  CHECK(staging_name(28) == ".staging-000028");
  CHECK(trash_name(11).substr(0, 14) == ".trash-000011-");
  CHECK(trash_name(11) != trash_name(11));
  CHECK(quarantine_name(25).substr(0, 12) == ".bad-000025-");
  CHECK(parse_name(kLockName).kind == NameKind::lock);
  CHECK(parse_name(kLatestName).kind == NameKind::latest);
}

TEST_CASE("names: longer spellings of a number are that number", "[store]") {
  CHECK(parse_name("ckpt-000000000000024-step-1").sequence == 24);
  CHECK(parse_name("line-0000026-from-0000010").origin == 10);
}

TEST_CASE("names: whatever else there is, is other", "[store]") {
  const std::string name = GENERATE(
      as<std::string>(),
      "",
      "ckpt-",
      "ckpt-00024-step-1", // Five digits.
      "ckpt-0000000000000024-step-1", // Sixteen.
      "ckpt-000000-step-1", // Zero is nobody's number.
      "ckpt-000024",
      "ckpt-000024-step-",
      "ckpt-000024-step-1x",
      "ckpt-000024-step--1",
      "ckpt-000024-step-+1",
      "ckpt-000024-step-9223372036854775808", // Beyond int64.
      "ckpt-000024-step-18446744073709551616",
      "ckpt-000024-step-00000000000000000001",
      "ckpt-000024-step-1.tmp",
      "ckpt-000024-step-1 ",
      " ckpt-000024-step-1",
      "Ckpt-000024-step-1",
      "ckpt-00002a-step-1",
      "line-000026",
      "line-000026-from-",
      "line-000026-from-10",
      "line-000026-from-000026", // Not below its own number.
      "line-000026-from-000027",
      "line-000026-from-000010x",
      ".staging-000028-x",
      ".staging-",
      ".staging-000000",
      ".trash-000011",
      ".trash-000011-",
      ".trash-000011-xyz",
      ".bad-000011-ABCDEF",
      "staging-000028",
      "lock",
      "LATEST2",
      ".latest-00000000000000000000000000000000",
      "MANIFEST.json");
  CAPTURE(name);
  const ParsedName parsed = parse_name(name);
  CHECK(parsed.kind == NameKind::other);
  CHECK(parsed.sequence == 0);
  CHECK(parsed.step == 0);
  CHECK(parsed.origin == 0);
}

TEST_CASE("names: numbers end at fifteen digits", "[store]") {
  const std::string refused = "limit_exceeded";
  CHECK(code_of([] { (void)checkpoint_name(kMaxSequence + 1, 0); }) == refused);
  CHECK(code_of([] { (void)line_name(kMaxSequence + 1, 0); }) == refused);
  CHECK(code_of([] { (void)staging_name(kMaxSequence + 1); }) == refused);
  CHECK(code_of([] { (void)trash_name(kMaxSequence + 1); }) == refused);
  CHECK(code_of([] { (void)quarantine_name(kMaxSequence + 1); }) == refused);
  CHECK(code_of([] { (void)checkpoint_name(1, -1); }) == "invalid_argument");
}

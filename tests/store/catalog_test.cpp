#include "store_support.hpp"

#include <random>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;

namespace {

struct Folder {
  MemoryFileSystem disk;
  std::shared_ptr<Directory> root = open_run(disk);

  void checkpoint(std::uint64_t sequence, std::int64_t step = 1) {
    root->create_directory(checkpoint_name(sequence, step));
  }
  void file(const std::string& name) {
    disk.write_file(in_run(name), ByteView());
  }
  void line(std::uint64_t sequence, std::uint64_t origin) {
    file(line_name(sequence, origin));
  }
};

std::vector<std::uint64_t> numbers(const std::vector<CheckpointName>& names) {
  std::vector<std::uint64_t> result;
  for (const CheckpointName& name : names) {
    result.push_back(name.sequence);
  }
  return result;
}

using Numbers = std::vector<std::uint64_t>;
using Names = std::vector<std::string>;

} // namespace

TEST_CASE("scan: an empty directory has no trace", "[store]") {
  Folder folder;
  const Catalog catalog = scan(*folder.root);
  CHECK_FALSE(catalog.has_trace());
  CHECK(catalog.highest == 0);
  CHECK(catalog.current_line() == 0);
  CHECK(catalog.line_of(7) == 0);
  CHECK(catalog.search_order().empty());
}

TEST_CASE("scan: sorts every kind of name", "[store]") {
  Folder folder;
  folder.checkpoint(1'000'000, 5);
  folder.checkpoint(24, 12000);
  folder.line(26, 24);
  folder.root->create_directory(".staging-000028");
  folder.file(".staging-000029");
  folder.root->create_directory(".trash-000011-abc");
  folder.root->create_directory(".bad-000025-abc");
  folder.file("LOCK");
  folder.file("notes.txt");
  const Catalog catalog = scan(*folder.root);
  CHECK(numbers(catalog.checkpoints) == Numbers{24, 1'000'000});
  CHECK(catalog.checkpoints[0].step == 12000);
  CHECK(catalog.checkpoints[0].name == "ckpt-000024-step-12000");
  REQUIRE(catalog.lines.size() == 1);
  CHECK(catalog.lines[0].origin == 24);
  CHECK(catalog.staging == Names{".staging-000028", ".staging-000029"});
  CHECK(catalog.trash == Names{".trash-000011-abc"});
  CHECK(catalog.quarantined == Names{".bad-000025-abc"});
  CHECK(catalog.foreign.empty());
  CHECK(catalog.highest == 1'000'000);
  CHECK(catalog.highest_quarantined == 25);
  CHECK(catalog.has_trace());
}

TEST_CASE("scan: left-overs of a first save are no trace", "[store]") {
  Folder folder;
  folder.root->create_directory(".staging-000001");
  folder.root->create_directory(".trash-000002-abc");
  folder.file("LOCK");
  const Catalog catalog = scan(*folder.root);
  CHECK_FALSE(catalog.has_trace());
  CHECK(catalog.highest == 2);
}

TEST_CASE("scan: every other name is a trace", "[store]") {
  Folder folder;
  SECTION("a checkpoint") {
    folder.checkpoint(1);
  }
  SECTION("a quarantined one") {
    folder.root->create_directory(".bad-000001-abc");
  }
  SECTION("a line") {
    folder.line(1, 0);
  }
  SECTION("a foreign name") {
    folder.file("ckpt-000001-step-1");
  }
  CHECK(scan(*folder.root).has_trace());
}

TEST_CASE("scan: a number that occurs twice is foreign", "[store]") {
  Folder folder;
  folder.checkpoint(3, 30);
  folder.checkpoint(4, 40);
  folder.checkpoint(5, 50);
  folder.checkpoint(9, 90);
  SECTION("two checkpoints") {
    folder.checkpoint(4, 41);
    const Catalog catalog = scan(*folder.root);
    CHECK(numbers(catalog.checkpoints) == Numbers{3, 5, 9});
    CHECK(
        catalog.foreign == Names{"ckpt-000004-step-40", "ckpt-000004-step-41"});
    CHECK(numbers(catalog.search_order()) == Numbers{9, 5, 3});
  }
  SECTION("three spellings of one") {
    folder.root->create_directory("ckpt-0000009-step-90");
    folder.root->create_directory("ckpt-00000009-step-90");
    const Catalog catalog = scan(*folder.root);
    CHECK(numbers(catalog.checkpoints) == Numbers{3, 4, 5});
    CHECK(catalog.foreign.size() == 3);
    CHECK(catalog.highest == 9);
  }
  SECTION("a checkpoint and a line: the line stays") {
    folder.line(5, 3);
    const Catalog catalog = scan(*folder.root);
    CHECK(catalog.foreign == Names{"ckpt-000005-step-50"});
    CHECK(catalog.current_line() == 5);
    CHECK(numbers(catalog.search_order()) == Numbers{9, 3});
  }
  SECTION("two lines") {
    folder.line(7, 3);
    folder.line(7, 4);
    const Catalog catalog = scan(*folder.root);
    CHECK(catalog.lines.empty());
    CHECK(catalog.foreign.size() == 2);
  }
}

TEST_CASE("scan: names that are not what they say are foreign", "[store]") {
  Folder folder;
  folder.file("ckpt-000004-step-40");
  folder.disk.make_symlink(in_run("ckpt-000005-step-50"), "elsewhere");
  folder.root->create_directory("line-000006-from-000000");
  folder.disk.make_symlink(in_run("line-000007-from-000000"), "elsewhere");
  const Catalog catalog = scan(*folder.root);
  CHECK(catalog.checkpoints.empty());
  CHECK(catalog.lines.empty());
  CHECK(catalog.foreign.size() == 4);
  CHECK(catalog.highest == 7);
}

TEST_CASE("search order: the current line, then its ancestors", "[store]") {
  Folder folder;
  for (std::uint64_t n = 1; n <= 4; ++n) {
    folder.checkpoint(n);
  }
  SECTION("without lines: newest first") {
    CHECK(numbers(scan(*folder.root).search_order()) == Numbers{4, 3, 2, 1});
  }
  SECTION("a line from 2 leaves 3 and 4 behind") {
    folder.line(5, 2);
    folder.checkpoint(6);
    folder.checkpoint(7);
    const Catalog catalog = scan(*folder.root);
    CHECK(catalog.current_line() == 5);
    CHECK(numbers(catalog.search_order()) == Numbers{7, 6, 2, 1});
    CHECK(catalog.line_of(4) == 0);
    CHECK(catalog.line_of(5) == 0);
    CHECK(catalog.line_of(6) == 5);
    CHECK(catalog.line_of(99) == 5);

    SECTION("and a line from 6 leaves 7 behind") {
      folder.line(8, 6);
      CHECK(numbers(scan(*folder.root).search_order()) == Numbers{6, 2, 1});
      folder.checkpoint(9);
      CHECK(numbers(scan(*folder.root).search_order()) == Numbers{9, 6, 2, 1});
    }
    SECTION("and a line from 4 takes the first one up again") {
      folder.line(8, 4);
      folder.checkpoint(9);
      CHECK(
          numbers(scan(*folder.root).search_order()) == Numbers{9, 4, 3, 2, 1});
    }
    SECTION("and a line from nothing leaves all behind") {
      folder.line(8, 0);
      CHECK(scan(*folder.root).search_order().empty());
      folder.checkpoint(9);
      CHECK(numbers(scan(*folder.root).search_order()) == Numbers{9});
    }
  }
  SECTION("an origin that is gone: what is older on its line") {
    folder.line(8, 5);
    CHECK(numbers(scan(*folder.root).search_order()) == Numbers{4, 3, 2, 1});
  }
  SECTION("an origin that is a line's number") {
    folder.line(5, 2);
    folder.checkpoint(6);
    folder.line(7, 5);
    CHECK(numbers(scan(*folder.root).search_order()) == Numbers{4, 3, 2, 1});
  }
}

TEST_CASE(
    "search order: agrees with its definition on random lines",
    "[store]") {
  const std::uint64_t from_seed = seed();
  CAPTURE(from_seed);
  std::mt19937_64 engine(from_seed);
  for (int round = 0; round < 300; ++round) {
    Catalog catalog;
    for (std::uint64_t n = 1; n <= 20; ++n) {
      if (engine() % 4 == 0) {
        const std::uint64_t origin = engine() % n;
        catalog.lines.push_back({n, origin, line_name(n, origin)});
      } else {
        catalog.checkpoints.push_back({n, 1, checkpoint_name(n, 1)});
      }
    }
    // Straight from the definition, without any search.
    Numbers expected;
    std::uint64_t newest = kMaxSequence;
    std::uint64_t line = 0;
    for (const LineName& each : catalog.lines) {
      line = each.sequence;
    }
    for (bool more = true; more;) {
      for (std::uint64_t n = 20; n > line; --n) {
        for (const CheckpointName& each : catalog.checkpoints) {
          if (each.sequence == n && n <= newest) {
            expected.push_back(n);
          }
        }
      }
      more = false;
      for (const LineName& each : catalog.lines) {
        if (each.sequence == line && each.origin != 0) {
          newest = each.origin;
          more = true;
        }
      }
      line = 0;
      for (const LineName& each : catalog.lines) {
        if (each.sequence < newest) {
          line = each.sequence;
        }
      }
    }
    REQUIRE(numbers(catalog.search_order()) == expected);
  }
}

TEST_CASE("scan: ten thousand names cost one listing", "[store]") {
  Folder folder;
  const auto inner = std::shared_ptr<FileSystem>(&folder.disk, [](auto*) {});
  for (std::uint64_t n = 1; n <= 10'000; ++n) {
    folder.root->create_directory(
        checkpoint_name(n, static_cast<std::int64_t>(n)));
  }
  FaultFileSystem files(inner);
  const auto root = open_run(files);
  const std::uint64_t before = files.operations();
  const Catalog catalog = scan(*root);
  CHECK(files.operations() == before + 1);
  CHECK(catalog.checkpoints.size() == 10'000);
  CHECK(catalog.search_order().front().sequence == 10'000);
}

TEST_CASE("scan: a directory that cannot be listed is an error", "[store]") {
  auto disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files(disk);
  const auto root = open_run(files);
  files.plan(holdfast::testing::Fault::error(EIO).on(
      {holdfast::testing::Operation::list}));
  CHECK(code_of([&] { (void)scan(*root); }) == "io_error");
}

#include "engine_support.hpp"

#include <holdfast/engine/search.hpp>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;

namespace {

/// A directory with checkpoints 1 to `count`: copies of one, each with the
/// numbers of its name.
Disk directory_of(int count) {
  const Disk disk = trained(1);
  const std::string model =
      disk->read_text(checkpoint_path(1) + "/model/model.safetensors");
  const std::string state = disk->read_text(checkpoint_path(1) + "/state.json");
  const Manifest first = parse_manifest(ByteView(std::string_view(
      disk->read_text(checkpoint_path(1) + "/MANIFEST.json"))));
  for (int i = 2; i <= count; ++i) {
    Manifest manifest = first;
    manifest.sequence = static_cast<std::uint64_t>(i);
    manifest.step = i;
    manifest.progress.step = i;
    const std::string path = checkpoint_path(i);
    write_text(disk, path + "/model/model.safetensors", model);
    write_text(disk, path + "/state.json", state);
    write_text(disk, path + "/MANIFEST.json", manifest_text(manifest));
  }
  return disk;
}

/// A copy of one that is made only once.
Disk ten_thousand() {
  static const Disk disk = directory_of(10'000);
  return disk->snapshot();
}

struct Searched {
  std::int64_t step = 0;
  std::size_t passed_over = 0;
  std::size_t operations = 0;
  std::size_t manifests = 0;
};

Searched search_in(const Disk& disk) {
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  const auto root = faulty->open_root(kRoot, Create::no);
  faulty->clear_log();
  ToyModel model;
  PartSet parts;
  parts.add("model", make_part(model));
  ManualClock clock;
  const LoadOptions options;
  const SearchResult result = search(
      *root,
      scan(*root).search_order(),
      parts,
      &options,
      TransferListener(),
      clock);
  Searched searched;
  searched.step = result.found ? result.found->name.step : 0;
  searched.passed_over = result.passed_over.size();
  searched.operations = faulty->log().size();
  for (const std::string& line : faulty->log()) {
    searched.manifests += line.find("open_file") == 0 &&
            line.find("MANIFEST") != std::string::npos
        ? 1
        : 0;
  }
  return searched;
}

} // namespace

TEST_CASE(
    "search: among 10,000 checkpoints opens only the newest",
    "[search]") {
  const Searched few = search_in(directory_of(3));
  const Disk disk = ten_thousand();
  const Searched many = search_in(disk);
  CHECK(many.step == 10'000);
  CHECK(many.operations == few.operations);
  CHECK(many.manifests == few.manifests);
  CHECK(many.manifests <= 2); // the lease, and to read it

  // Damaged ones cost only what is opened of them.
  for (int step = 9'990; step <= 10'000; ++step) {
    disk->flip_bit(checkpoint_path(step) + "/model/model.safetensors", 8 * 300);
  }
  const Searched damaged = search_in(disk);
  CHECK(damaged.step == 9'989);
  CHECK(damaged.passed_over == 11);
  CHECK(damaged.manifests <= 11 * 3 + 2);
  CHECK(damaged.operations < 12 * 2 * few.operations);

  // A line far back.
  write_text(
      disk, std::string(kRoot) + "/" + line_name(10'001, 5'000), "any text");
  const Searched line = search_in(disk);
  CHECK(line.step == 5'000);
  CHECK(line.operations == few.operations);
}

TEST_CASE("search: a resume among 10,000 reads none but its own", "[search]") {
  const Disk disk = ten_thousand();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ToyRun run(kRoot, keep_everything(faulty));
  CHECK(run.manager.resume().checkpoint->step == 10'000);
  std::size_t opened = 0;
  for (const std::string& line : faulty->log()) {
    opened += line.find("MANIFEST") != std::string::npos ? 1 : 0;
  }
  CHECK(opened < 20);
  CHECK(faulty->operations() < 100);
}

TEST_CASE("search: codes of verdicts", "[search]") {
  CHECK(code_of(Verdict::damaged) == ErrorCode::damaged);
  CHECK(code_of(Verdict::incomplete) == ErrorCode::incomplete);
  CHECK(code_of(Verdict::foreign) == ErrorCode::foreign);
  CHECK(code_of(Verdict::unstable) == ErrorCode::unstable);
  CHECK(code_of(Verdict::unreadable) == ErrorCode::unreadable);
  CHECK(code_of(Verdict::unsupported) == ErrorCode::unsupported_version);
}

TEST_CASE(
    "search: a fresh start is allowed without a trace, or on a new line",
    "[search][P5]") {
  const Disk disk = new_disk();
  const auto root = disk->open_root(kRoot, Create::yes);
  const auto fresh = [&](const LockMark& mark) {
    return code_of([&] { require_fresh(*root, scan(*root), mark, {}); });
  };
  CHECK(fresh({0, 0}) == "no error");
  CHECK(fresh({9, 0}) == "no error"); // killed in its very first save
  CHECK(fresh({9, 9}) == "no_usable_checkpoint");
  const std::string path = std::string(kRoot) + "/";
  SECTION("a quarantined one") {
    disk->make_directory(path + ".bad-000003-0123456789abcdef0123456789abcdef");
    REQUIRE(scan(*root).has_trace());
    CHECK(fresh({3, 0}) == "no_usable_checkpoint");
    // A line from nothing after it.
    write_text(disk, path + line_name(4, 0), "x");
    CHECK(fresh({4, 0}) == "no error");
    CHECK(fresh({4, 3}) == "no error");
    CHECK(fresh({5, 5}) == "no_usable_checkpoint");
  }
  SECTION("a quarantined one on the new line") {
    write_text(disk, path + line_name(4, 0), "x");
    disk->make_directory(path + ".bad-000005-0123456789abcdef0123456789abcdef");
    CHECK(fresh({5, 0}) == "no_usable_checkpoint");
  }
  SECTION("a line that goes on from a checkpoint") {
    write_text(disk, path + line_name(4, 2), "x");
    CHECK(fresh({4, 0}) == "no_usable_checkpoint");
  }
  SECTION("a foreign name") {
    write_text(disk, path + checkpoint_name(1, 1), "a file");
    CHECK(fresh({0, 0}) == "no_usable_checkpoint");
  }
  SECTION("anything else does not matter") {
    write_text(disk, path + "notes.txt", "x");
    disk->make_directory(path + "tensorboard");
    CHECK(fresh({0, 0}) == "no error");
  }
  SECTION("one that was passed over") {
    PassedOver other;
    other.name = "ckpt-000001-step-1";
    other.reason = "why";
    const auto error = error_of([&] {
      require_fresh(*root, scan(*root), {0, 0}, {other});
    });
    REQUIRE(error);
    CHECK_THAT(error->what(), contains("ckpt-000001-step-1: damaged: why"));
  }
}

#include "engine_support.hpp"

#include <holdfast/engine/history.hpp>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::FaultFileSystem;

namespace {

std::string run_of(const Disk& disk, std::int64_t step) {
  return parse_manifest(
             disk->read_file(checkpoint_path(step) + "/" + kManifestName))
      .run_id;
}

} // namespace

TEST_CASE(
    "history: this run's checkpoints on this line, ascending",
    "[history]") {
  const Disk disk = trained(4);
  const auto root = disk->open_root(kRoot, Create::no);
  History history(*root);
  CHECK(history.list().empty()); // of no run
  history.set_run(run_of(disk, 1));
  History other(*root);
  other.set_run(std::string(32, 'a'));
  CHECK(other.list().empty());

  History own(*root);
  own.set_run(run_of(disk, 1));
  CHECK(steps_of(own.list()) == std::vector<std::int64_t>{1, 2, 3, 4});
  own.exclude(3);
  CHECK(steps_of(own.list()) == std::vector<std::int64_t>{1, 2, 4});
  // Brought up to date with the directory.
  disk->remove(checkpoint_path(1));
  CHECK(steps_of(own.list()) == std::vector<std::int64_t>{2, 4});
  // A line that goes on from 2.
  write_text(disk, std::string(kRoot) + "/" + line_name(5, 2), "x");
  CHECK(steps_of(own.list()) == std::vector<std::int64_t>{2});
}

TEST_CASE("history: what cannot be counted on is left out", "[history]") {
  const Disk disk = trained(4);
  disk->flip_bit(checkpoint_path(1) + "/" + kManifestName, 100);
  disk->remove(checkpoint_path(2) + "/" + kManifestName);
  disk->write_file(
      checkpoint_path(3) + "/" + kManifestName,
      disk->read_file(checkpoint_path(4) + "/" + kManifestName));
  const auto root = disk->open_root(kRoot, Create::no);
  History history(*root);
  history.set_run(run_of(disk, 4));
  CHECK(steps_of(history.list()) == std::vector<std::int64_t>{4});
}

TEST_CASE("history: as retention sees it", "[history]") {
  const Disk disk = trained(3);
  const auto root = disk->open_root(kRoot, Create::no);
  History history(*root);
  history.set_run(run_of(disk, 1));
  history.mark_valid(2);
  history.set_resumed_from(1);
  const std::vector<RetentionEntry> entries = history.entries(history.list());
  REQUIRE(entries.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(entries[i].sequence == i + 1);
    CHECK(entries[i].step == static_cast<std::int64_t>(i) + 1);
    CHECK(entries[i].valid == (i == 1));
    CHECK(entries[i].resumed_from == (i == 0));
    CHECK(entries[i].bytes > 320);
    CHECK(entries[i].metrics.contains("loss"));
    CHECK(entries[i].wall_time > 1e9);
  }
}

TEST_CASE(
    "history: best is derived from manifests, the oldest of equals",
    "[history]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.resume();
    for (const double value : {3.0, 1.0, 2.0, 1.0, 3.0}) {
      run.manager.step({{"m", value}});
    }
    run.manager.step({{"m", std::numeric_limits<double>::quiet_NaN()}});
    run.manager.step();
  }
  const auto root = disk->open_root(kRoot, Create::no);
  History history(*root);
  history.set_run(run_of(disk, 1));
  CHECK(history.best({"m", Best::lowest})->step == 2);
  CHECK(history.best({"m", Best::highest})->step == 1);
  CHECK_FALSE(history.best({"other", Best::lowest}));
}

TEST_CASE("history: a manifest is read once", "[history]") {
  const auto faulty = std::make_shared<FaultFileSystem>(trained(3));
  const auto root = faulty->open_root(kRoot, Create::no);
  History history(*root);
  faulty->clear_log();
  CHECK(history.list().empty());
  const std::size_t first = faulty->log().size();
  CHECK(first > 6);
  faulty->clear_log();
  CHECK(history.list().empty());
  CHECK(faulty->log().size() == 1); // the listing
}

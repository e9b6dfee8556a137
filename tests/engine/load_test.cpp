#include "engine_support.hpp"

#include <cerrno>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::Operation;

namespace {

/// All parts of a toy run, without a run.
struct ToyParts {
  ToyParts() {
    set.add("model", make_part(model));
    set.add("data", make_part(loader));
    set.add("engine-state", make_part(engine));
    set.add("schedule", make_part(rate));
  }
  ToyModel model;
  ToyLoader loader{ToyRun::kSamples};
  std::mt19937 engine{7};
  double rate = 1;
  PartSet set;
};

/// The model after `count` steps.
ToyModel model_after(int count) {
  ToyRun run(kRoot, keep_everything(new_disk()));
  run.manager.resume();
  train_steps(run, count);
  return run.model;
}

bool same(const ToyModel& a, const ToyModel& b) {
  return a.weight == b.weight && a.moment == b.moment;
}

/// Operations that change something, or that take the writer's lock.
std::vector<std::string> changes_in(const std::vector<std::string>& log) {
  std::vector<std::string> changes;
  for (const std::string& line : log) {
    for (const char* operation :
         {"create_file ",
          "create_directory ",
          "open_lock_file ",
          "rename ",
          "remove_file ",
          "remove_directory ",
          "point_symlink ",
          "write ",
          "write_lock ",
          "reserve ",
          "sync",
          "try_lock "}) {
      if (line.compare(0, std::string(operation).size(), operation) == 0) {
        changes.push_back(line);
      }
    }
  }
  return changes;
}

} // namespace

TEST_CASE("load: the newest checkpoint of a run directory", "[load]") {
  const Disk disk = trained(3);
  ManualClock clock;
  ToyParts parts;
  const LoadReport report = load(kRoot, parts.set, *disk, clock);
  CHECK(report.directory == kRoot);
  CHECK(report.checkpoint.step == 3);
  CHECK(report.checkpoint.path == checkpoint_path(3));
  CHECK(report.parts.size() == 4);
  CHECK(same(parts.model, model_after(3)));
}

TEST_CASE("load: a checkpoint by its path", "[load]") {
  const Disk disk = trained(3);
  ManualClock clock;
  for (const std::string& path :
       {checkpoint_path(2), checkpoint_path(2) + "/"}) {
    ToyParts parts;
    CHECK(load(path, parts.set, *disk, clock).checkpoint.step == 2);
    CHECK(same(parts.model, model_after(2)));
  }
}

TEST_CASE("load: the current line counts, not the highest number", "[load]") {
  const Disk disk = trained(3);
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.resume_from(checkpoint_name(1, 1));
  }
  ManualClock clock;
  ToyParts parts;
  CHECK(load(kRoot, parts.set, *disk, clock).checkpoint.step == 1);
  // But any checkpoint can be named.
  CHECK(load(checkpoint_path(3), parts.set, *disk, clock).checkpoint.step == 3);
}

TEST_CASE("load: some parts, and the others are left alone", "[load]") {
  const Disk disk = trained(3);
  ManualClock clock;
  ToyModel model;
  PartSet parts;
  parts.add("model", make_part(model));
  const LoadReport report = load(kRoot, parts, *disk, clock);
  REQUIRE(report.parts.size() == 1);
  CHECK(report.parts[0].name == "model");
  CHECK(report.parts[0].kind == "module");
  CHECK(report.parts[0].tensors == 2);
  CHECK(report.parts[0].bytes == 128);
  CHECK(same(model, model_after(3)));
}

TEST_CASE("load: a part the checkpoint lacks is an error", "[load]") {
  const Disk disk = trained(3);
  ManualClock clock;
  ToyModel model;
  double other = 5;
  PartSet parts;
  parts.add("model", make_part(model));
  parts.add("other", make_part(other));
  const auto error = error_of([&] { load(kRoot, parts, *disk, clock); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::part_missing);
  CHECK(error->path() == checkpoint_path(3));
  CHECK(same(model, ToyModel()));
  CHECK(other == 5);
}

TEST_CASE("load: changes nothing on the disk and takes no lock", "[load]") {
  const Disk disk = trained(3);
  disk->flip_bit(checkpoint_path(3) + "/model/model.safetensors", 2400);
  disk->sync_all();
  const auto files = disk->list_all();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ManualClock clock;
  ToyParts parts;
  const LoadReport report = load(kRoot, parts.set, *faulty, clock);
  CHECK(report.checkpoint.step == 2);
  REQUIRE(report.passed_over.size() == 1);
  CHECK(report.passed_over[0].verdict == Verdict::damaged);
  CHECK_FALSE(report.passed_over[0].quarantined);
  CHECK(changes_in(faulty->log()) == std::vector<std::string>());
  CHECK(faulty->log().size() > 10);
  CHECK(disk->list_all() == files);
  CHECK(disk->pending_operations() == 0);
}

TEST_CASE(
    "load: works while a writer has the directory, which goes on",
    "[load]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.resume();
  train_steps(run, 2);
  ManualClock clock;
  ToyParts parts;
  CHECK(load(kRoot, parts.set, *disk, clock).checkpoint.step == 2);
  run.train_batch(run.loader.next());
  run.manager.step({{"loss", run.loss()}});
  CHECK(run.fingerprint() == undisturbed(3));
  CHECK(load(kRoot, parts.set, *disk, clock).checkpoint.step == 3);
}

TEST_CASE("load: holds off retention while it reads", "[load]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, quiet_options(disk).keep_last(1));
  run.manager.resume();
  train_steps(run, 2);
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  bool saved = false;
  faulty->set_hook([&](std::uint64_t, const std::string& what) {
    if (!saved && what.find("read " + checkpoint_path(1)) == 0) {
      saved = true;
      run.manager.save().wait(); // would remove the one that is being read
    }
  });
  ManualClock clock;
  ToyParts parts;
  CHECK(
      load(checkpoint_path(1), parts.set, *faulty, clock).checkpoint.step == 1);
  CHECK(saved);
  CHECK(same(parts.model, model_after(1)));
  run.manager.save().wait();
  CHECK_FALSE(disk->exists(checkpoint_path(1)));
}

TEST_CASE("load: nothing there, or nothing that can be used", "[load]") {
  const Disk disk = trained(2);
  ManualClock clock;
  ToyParts parts;
  CHECK(code_of([&] {
          load("runs/none", parts.set, *disk, clock);
        }) == "not_found");
  CHECK_FALSE(disk->exists("runs/none"));
  disk->make_directory("runs/empty");
  CHECK(code_of([&] {
          load("runs/empty", parts.set, *disk, clock);
        }) == "no_usable_checkpoint");
  CHECK(code_of([&] {
          load("runs/a/ckpt-000009-step-9", parts.set, *disk, clock);
        }) == "no_usable_checkpoint");
  disk->flip_bit(checkpoint_path(2) + "/state.json", 80);
  const auto error =
      error_of([&] { load(checkpoint_path(2), parts.set, *disk, clock); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::no_usable_checkpoint);
  CHECK_THAT(error->what(), contains("ckpt-000002-step-2: damaged: part"));
  CHECK(same(parts.model, ToyModel()));
  CHECK(parts.engine == std::mt19937{7});
}

TEST_CASE("load: a failed load puts random state back", "[load]") {
  const Disk disk = new_disk();
  struct Fails {
    Values save_state() const {
      return {};
    }
    void load_state(const Values&) {
      if (engine != nullptr) {
        engine->discard(5);
        throw std::runtime_error("no");
      }
    }
    std::mt19937* engine = nullptr;
  } fails;
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("fails", fails);
    run.manager.resume();
    train_steps(run, 1);
  }
  ManualClock clock;
  ToyParts parts;
  fails.engine = &parts.engine;
  parts.set.add("fails", make_part(fails));
  CHECK_THROWS_AS(load(kRoot, parts.set, *disk, clock), std::runtime_error);
  CHECK(parts.engine == std::mt19937{7});
  CHECK(same(parts.model, ToyModel()));
}

TEST_CASE("load: a copy of a checkpoint under another name", "[load]") {
  const Disk disk = trained(3);
  ManualClock clock;
  disk->copy(checkpoint_path(2), "exports/best");
  {
    ToyParts parts;
    const LoadReport report = load("exports/best", parts.set, *disk, clock);
    CHECK(same(parts.model, model_after(2)));
    CHECK(report.checkpoint.step == 2);
    CHECK(report.checkpoint.name == "best");
    CHECK(report.checkpoint.path == "exports/best");
  }
  // Verified like any other: there is nothing older to pass over to.
  disk->flip_bit("exports/best/model/model.safetensors", 8 * 300);
  ToyParts parts;
  const ToyModel before = parts.model;
  CHECK(code_of([&] {
          load("exports/best", parts.set, *disk, clock);
        }) == "checksum_mismatch");
  CHECK(same(parts.model, before));
  disk->remove("exports/best/state.json");
  CHECK(code_of([&] {
          load("exports/best", parts.set, *disk, clock);
        }) == "not_found");
}

#include "engine_support.hpp"

#include <cerrno>
#include <stdexcept>

// Going back inside the running process.

using namespace holdfast;
using holdfast::test::keep_everything;
using holdfast::test::ToyRun;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;

namespace {

/// Trains to `goal` epochs; `go_back` is called after step `at` was counted,
/// once, and the loop's body is left.
template <class GoBack>
void train(ToyRun& run, std::int64_t goal, std::int64_t at, GoBack&& go_back) {
  bool done = at < 0;
  while (run.manager.running(epochs(goal))) {
    run.loader.begin();
    for (;;) {
      const auto batch = run.loader.next();
      if (batch.empty()) {
        break;
      }
      run.train_batch(batch);
      run.manager.step({{"loss", run.loss()}});
      if (!done && run.manager.progress().step == at) {
        done = true;
        go_back();
        break;
      }
    }
    if (!run.manager.epoch_done()) {
      continue;
    }
    run.rate *= 0.9;
    run.manager.end_epoch({{"val_loss", run.loss() + 1}});
  }
}

Options save_always(const test::Disk& disk) {
  return keep_everything(disk).save_every(epochs(1));
}

std::string never_rolled_back(std::int64_t goal) {
  ToyRun run(test::kRoot, save_always(test::new_disk()));
  run.manager.resume();
  run.train(goal);
  return run.fingerprint();
}

} // namespace

TEST_CASE("rollback: the run goes on as it did from there", "[rollback]") {
  const std::string expected = never_rolled_back(3);
  // Every checkpoint, from every step, in mid-epoch and at borders.
  for (std::int64_t at = 1; at <= 2 * ToyRun::kSamples; ++at) {
    const std::int64_t borders = (at - 1) / ToyRun::kSamples;
    const auto count = static_cast<std::size_t>(at + borders);
    for (std::size_t back = 1; back <= count; ++back) {
      CAPTURE(at, back);
      const auto disk = test::new_disk();
      ToyRun run(test::kRoot, save_always(disk));
      run.manager.resume();
      train(run, 3, at, [&] {
        const auto infos = run.manager.list();
        REQUIRE(infos.size() == count);
        const CheckpointInfo target = infos[count - back];
        const ResumeReport report = run.manager.rollback(back);
        REQUIRE(report.checkpoint);
        CHECK(report.checkpoint->name == target.name);
        CHECK(report.exact());
        CHECK(report.line != 0);
        CHECK(run.manager.progress().step == target.step);
        CHECK_FALSE(run.manager.epoch_done());
        // What came after is abandoned, not deleted.
        CHECK(run.manager.list().size() == count - back + 1);
        CHECK(test::catalog_of(disk).checkpoints.size() == count);
      });
      CHECK(run.fingerprint() == expected);
    }
  }
}

TEST_CASE("rollback: by name, by path and again to the same", "[rollback]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, keep_everything(disk));
  run.manager.resume();
  test::train_steps(run, 3);
  const std::string third = run.fingerprint();
  for (const std::string& target :
       {std::string("ckpt-000002-step-2"), test::checkpoint_path(2)}) {
    CHECK(run.manager.rollback(target).checkpoint->step == 2);
    CHECK(run.fingerprint() == test::undisturbed(2));
    REQUIRE(run.manager.running(epochs(1)));
    test::train_steps(run, 1);
    CHECK(run.fingerprint() == third);
  }
  CHECK(test::catalog_of(disk).lines.size() == 2);
  const auto code = [&](const std::string& target) {
    return test::code_of([&] { run.manager.rollback(target); });
  };
  CHECK(code("ckpt-000009-step-9") == "not_found");
  CHECK(code("nonsense") == "invalid_argument");
  CHECK(test::code_of([&] {
          run.manager.rollback(std::size_t{0});
        }) == "invalid_argument");
  CHECK(test::code_of([&] { run.manager.rollback(99); }) == "invalid_argument");
  CHECK(run.fingerprint() == third);
  CHECK(test::catalog_of(disk).lines.size() == 2);
}

TEST_CASE("rollback: before a resume there is nothing to leave", "[rollback]") {
  ToyRun run(test::kRoot, keep_everything(test::new_disk()));
  CHECK(test::code_of([&] { run.manager.rollback(1); }) == "not_resumed");
  CHECK(test::code_of([&] {
          run.manager.rollback("ckpt-000001-step-1");
        }) == "not_resumed");
}

TEST_CASE("rollback: a step with the batch at hand is refused", "[rollback]") {
  ToyRun run(test::kRoot, keep_everything(test::new_disk()));
  run.manager.resume();
  test::train_steps(run, 2);
  run.manager.rollback(2);
  const std::string first = run.fingerprint();
  CHECK(test::code_of([&] { run.manager.step(); }) == "rolled_back");
  run.manager.end_epoch(); // ignored, and said
  CHECK(run.fingerprint() == first);
  REQUIRE(run.manager.running(epochs(1)));
  test::train_steps(run, 1);
  CHECK(run.fingerprint() == test::undisturbed(2));
}

TEST_CASE("rollback: a killed process goes on in the new line", "[rollback]") {
  const auto disk = test::new_disk();
  {
    ToyRun run(test::kRoot, keep_everything(disk));
    run.manager.resume();
    test::train_steps(run, 4);
    run.manager.rollback("ckpt-000002-step-2");
  }
  disk->cut_power(LossPattern::all_lost());
  ToyRun run(test::kRoot, keep_everything(disk));
  CHECK(run.manager.resume().checkpoint->name == "ckpt-000002-step-2");
  CHECK(run.fingerprint() == test::undisturbed(2));
}

TEST_CASE(
    "rollback: a job script that is run again verbatim goes on, too",
    "[rollback]") {
  const auto disk = test::trained(4);
  const auto start = [](ToyRun& run, bool from) {
    return from ? run.manager.resume_from("ckpt-000003-step-3", "retry")
                : run.manager.start_fresh("anew");
  };
  for (const bool from : {true, false}) {
    CAPTURE(from);
    {
      ToyRun run(test::kRoot, keep_everything(disk));
      start(run, from);
      test::train_steps(run, 3 - static_cast<int>(from ? 1 : 0));
      run.manager.rollback(2);
      REQUIRE(run.manager.running(epochs(1)));
      test::train_steps(run, 1);
      run.manager.rollback(1);
    }
    const auto lines = test::catalog_of(disk).lines.size();
    ToyRun run(test::kRoot, keep_everything(disk));
    const ResumeReport report = start(run, from);
    REQUIRE(report.resumed());
    CHECK(report.checkpoint->step == (from ? 5 : 3));
    CHECK(run.fingerprint() == test::undisturbed(from ? 5 : 3));
    CHECK(test::catalog_of(disk).lines.size() == lines);
  }
}

TEST_CASE("rollback: a best of the line that was left is none", "[rollback]") {
  const bool known = GENERATE(true, false); // at the checkpoint it goes to
  CAPTURE(known);
  const auto disk = test::new_disk();
  ToyRun run(
      test::kRoot,
      Options()
          .file_system(disk)
          .lock_wait(std::chrono::seconds(0))
          .save_every(steps(100))
          .keep_best("val_loss")
          .on_event({}));
  run.manager.resume();
  run.loader.begin();
  const auto step = [&](double loss) {
    run.train_batch(run.loader.next());
    run.manager.step({{"val_loss", loss}});
  };
  if (known) {
    step(5);
  } else {
    run.manager.save();
  }
  step(1); // the divergence looked like the best of all
  run.manager.rollback(2);
  REQUIRE(run.manager.running(epochs(1)));
  run.loader.begin();
  if (known) {
    step(6); // worse than what the new line came from
    CHECK(run.manager.list().size() == 1);
  }
  step(3);
  REQUIRE(run.manager.best("val_loss"));
  CHECK(run.manager.best("val_loss")->metrics.values().at("val_loss") == 3);
}

TEST_CASE(
    "rollback: at once after a resume in mid-epoch, to an epoch's border",
    "[rollback]") {
  const auto disk = test::new_disk();
  {
    ToyRun run(test::kRoot, save_always(disk));
    run.manager.resume();
    CHECK_THROWS_AS(
        train(run, 2, ToyRun::kSamples + 2, [] { throw ToyRun::Killed(); }),
        ToyRun::Killed);
  }
  ToyRun run(test::kRoot, save_always(disk));
  CHECK(run.manager.resume().checkpoint->progress.batch == 2);
  // What was put aside for the loader's first begin is not of this state.
  CHECK(run.manager.rollback(3).checkpoint->progress.batch == 0);
  train(run, 3, -1, [] {});
  CHECK(run.fingerprint() == never_rolled_back(3));
}

TEST_CASE("rollback: a damaged one is passed over", "[rollback]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, keep_everything(disk));
  run.manager.resume();
  test::train_steps(run, 4);
  disk->flip_bit(test::checkpoint_path(3) + "/model/model.safetensors", 2400);
  const ResumeReport report = run.manager.rollback(2);
  CHECK(report.checkpoint->step == 2);
  REQUIRE(report.passed_over.size() == 1);
  CHECK(report.passed_over[0].step == 3);
  CHECK(report.passed_over[0].quarantined);
  CHECK(run.fingerprint() == test::undisturbed(2));
}

TEST_CASE("rollback: nothing usable changes nothing", "[rollback]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, keep_everything(disk));
  run.manager.resume();
  test::train_steps(run, 2);
  const std::string before = run.fingerprint();
  for (const std::int64_t step : {1, 2}) {
    disk->flip_bit(
        test::checkpoint_path(step) + "/model/model.safetensors", 2400);
  }
  CHECK(test::code_of([&] {
          run.manager.rollback(1);
        }) == "no_usable_checkpoint");
  CHECK(test::code_of([&] {
          run.manager.rollback(2);
        }) == "no_usable_checkpoint");
  CHECK(test::code_of([&] {
          run.manager.rollback("ckpt-000001-step-1");
        }) == "damaged");
  CHECK(run.fingerprint() == before);
  CHECK(test::catalog_of(disk).lines.empty());
  // The loop goes on in the range it is in.
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(run.fingerprint() == test::undisturbed(3));
}

TEST_CASE(
    "rollback: a callback that throws leaves no manager that saves",
    "[rollback]") {
  struct Fragile {
    int value = 0;
    bool throws = false;
    [[nodiscard]] Values save_state() const {
      return {{"value", value}};
    }
    void load_state(const Values& values) {
      value = at(values, "value").as<int>();
    }
    void on_restored() {
      if (throws) {
        throw std::runtime_error("no");
      }
    }
  };
  const auto disk = test::new_disk();
  Fragile fragile;
  Manager manager(test::kRoot, keep_everything(disk));
  manager.add("fragile", fragile);
  manager.resume();
  manager.step();
  fragile.throws = true;
  CHECK_THROWS_AS(manager.rollback(1), std::runtime_error);
  CHECK(test::code_of([&] { manager.save(); }) == "not_resumed");
}

namespace {

/// Refuses once to be loaded when told to.
struct Stubborn {
  int value = 0;
  bool refuses = false;

  [[nodiscard]] Values save_state() const {
    return {{"value", value}};
  }
  void load_state(const Values& values) {
    if (refuses) {
      refuses = false; // its own former state it takes back
      throw std::runtime_error("no");
    }
    value = at(values, "value").as<int>();
  }
};

} // namespace

TEST_CASE(
    "rollback: what is refused when it is applied leaves no line behind",
    "[rollback]") {
  const auto disk = test::new_disk();
  Stubborn stubborn;
  {
    ToyRun run(test::kRoot, keep_everything(disk));
    run.manager.add("stubborn", stubborn);
    run.manager.resume();
    test::train_steps(run, 3);
    const std::string third = run.fingerprint();
    stubborn.refuses = true;
    CHECK_THROWS_AS(run.manager.rollback(3), std::runtime_error);
    CHECK(run.fingerprint() == third);
    CHECK(
        test::steps_of(run.manager.list()) ==
        std::vector<std::int64_t>{1, 2, 3});
  }
  // A kill before the next save loses nothing.
  ToyRun run(test::kRoot, keep_everything(disk));
  run.manager.add("stubborn", stubborn);
  const ResumeReport report = run.manager.resume();
  CHECK(report.checkpoint->step == 3);
  CHECK(report.notes.empty());
  CHECK(run.fingerprint() == test::undisturbed(3));
}

TEST_CASE("rollback: a loop without a loader is told, too", "[rollback]") {
  int weight = 0;
  Manager manager(test::kRoot, keep_everything(test::new_disk()));
  manager.add("weight", weight);
  manager.resume();
  REQUIRE(manager.running(epochs(1)));
  for (weight = 1; weight <= 3; ++weight) {
    manager.step();
  }
  manager.rollback(2);
  CHECK(weight == 2);
  CHECK_FALSE(manager.epoch_done());
  manager.end_epoch(); // ignored, and said
  CHECK(manager.epoch() == 0);
  REQUIRE(manager.running(epochs(1)));
  CHECK(manager.epoch_done());
  weight = 3;
  manager.step();
  CHECK(manager.progress().step == 3);
}

TEST_CASE("rollback: asking running() begins no range", "[rollback]") {
  ToyRun run(test::kRoot, keep_everything(test::new_disk()));
  run.manager.resume();
  test::train_steps(run, 2);
  run.manager.rollback(2);
  REQUIRE(run.manager.running(steps(9)));
  CHECK(test::code_of([&] { run.manager.step(); }) == "rolled_back");
}

TEST_CASE(
    "rollback: a loader that was replaced keeps its place",
    "[rollback]") {
  const auto disk = test::new_disk();
  auto loader = std::make_shared<test::ToyLoader>(5);
  Manager manager(test::kRoot, keep_everything(disk));
  manager.add("data", loader);
  manager.resume();
  REQUIRE(manager.running(epochs(1)));
  loader->begin();
  for (int i = 0; i < 3; ++i) {
    REQUIRE_FALSE(loader->next().empty());
    manager.step();
  }
  loader = std::make_shared<test::ToyLoader>(5);
  manager.rollback(2);
  REQUIRE(manager.running(epochs(1)));
  loader->begin();
  CHECK(loader->next() == std::vector<std::int64_t>{14 % 5});
}

TEST_CASE("rollback: training time goes on from there", "[rollback]") {
  test::ManualClock clock;
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, keep_everything(disk).clock(clock));
  run.manager.resume();
  run.loader.begin();
  for (int i = 0; i < 3; ++i) {
    clock.pass(10);
    run.train_batch(run.loader.next());
    run.manager.step();
  }
  run.manager.rollback(3);
  CHECK(run.manager.progress().elapsed_seconds == 10);
  clock.pass(5);
  CHECK(run.manager.progress().elapsed_seconds == 15);
}

TEST_CASE(
    "rollback: any operation fails or is the last one, and nothing is lost",
    "[rollback][crash]") {
  std::uint64_t points = 0;
  for (const bool power_cut : {false, true}) {
    for (std::uint64_t n = 1;; ++n) {
      CAPTURE(power_cut, n);
      const auto disk = test::trained(3);
      const auto faulty = std::make_shared<FaultFileSystem>(disk);
      std::int64_t step = 3;
      bool struck = false;
      {
        ToyRun run(test::kRoot, keep_everything(faulty));
        run.manager.resume();
        const Fault fault = power_cut ? Fault::power_cut() : Fault::error(EIO);
        faulty->plan(fault.at(n));
        try {
          run.manager.rollback("ckpt-000001-step-1");
          step = 1;
        } catch (const Error&) {
        }
        REQUIRE(run.fingerprint() == test::undisturbed(step));
        if (!power_cut && step == 3) {
          // It goes on in the line it was in, or says that it cannot.
          try {
            run.train_batch(run.loader.next());
            run.manager.step();
            REQUIRE(
                test::steps_of(run.manager.list()) ==
                std::vector<std::int64_t>{1, 2, 3, 4});
            step = 4;
          } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::not_resumed);
          }
        }
        struck = power_cut ? faulty->power_is_cut() : faulty->faults() > 0;
      }
      if (!struck) {
        break;
      }
      ++points;
      const auto patterns = power_cut
          ? testing::all_loss_patterns(*disk, 4, test::seed() + n)
          : std::vector<LossPattern>{LossPattern::all_kept()};
      for (const LossPattern& pattern : patterns) {
        const auto after = disk->snapshot();
        after->cut_power(pattern);
        ToyRun run(test::kRoot, keep_everything(after));
        run.manager.resume();
        const std::int64_t found = run.manager.progress().step;
        // Acknowledged: there for good. Otherwise it may have come so far.
        const bool fell = power_cut && step == 3 && found == 1;
        REQUIRE((found == step || fell));
        REQUIRE(run.fingerprint() == test::undisturbed(found));
      }
    }
  }
  WARN("points " << points);
  CHECK(points > 30);
}

TEST_CASE(
    "rollback: one that fails for good leaves nothing to begin afresh with",
    "[rollback][fault]") {
  const auto disk = test::trained(3);
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ToyRun run(test::kRoot, keep_everything(faulty));
  run.manager.resume();
  faulty->plan(Fault::error(EIO)
                   .on({holdfast::testing::Operation::sync_directory})
                   .for_ever());
  CHECK(test::code_of([&] {
          run.manager.rollback(std::size_t{2});
        }) == "io_error");
  faulty->clear_faults();
  CHECK(test::code_of([&] { run.manager.step(); }) == "not_resumed");
  CHECK(test::code_of([&] {
          run.manager.start_fresh("new");
        }) == "already_resumed");
  CHECK(run.manager.resume().checkpoint.has_value());
  CHECK(run.manager.progress().step == run.manager.latest()->step);
}

TEST_CASE("rollback: what a save takes is not forgotten", "[rollback]") {
  const auto faulty = std::make_shared<FaultFileSystem>(test::new_disk());
  test::ManualClock clock;
  test::FakeInterrupter asks;
  ToyRun run(test::kRoot, keep_everything(faulty).clock(clock));
  run.manager.set_interrupter(&asks);
  run.manager.resume();
  faulty->set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("rename") == 0) {
      clock.pass(50);
    }
  });
  test::train_steps(run, 3);
  REQUIRE(asks.expected_seconds == 50);
  faulty->set_hook({});
  run.manager.rollback(std::size_t{3}); // saved before any save was measured
  REQUIRE(run.manager.running(epochs(9)));
  asks.expected_seconds = 0;
  test::train_steps(run, 1);
  CHECK(asks.expected_seconds == 50);
  run.manager.set_interrupter(nullptr);
}

TEST_CASE(
    "rollback: an end of an epoch that was ignored is none for ever",
    "[rollback][stop]") {
  ToyRun run(
      test::kRoot,
      Options()
          .file_system(test::new_disk())
          .lock_wait(std::chrono::seconds(0))
          .save_every(steps(1000))
          .on_event({}));
  run.manager.resume();
  REQUIRE(run.manager.running(epochs(9)));
  test::train_steps(run, ToyRun::kSamples);
  run.manager.save();
  run.manager.end_epoch();
  REQUIRE(run.manager.running(epochs(9)));
  test::train_steps(run, 1);
  run.manager.rollback();
  run.manager.end_epoch(); // ignored
  REQUIRE(run.manager.running(epochs(9)));
  run.loader.begin();
  REQUIRE(run.loader.next().empty());
  run.rate *= 0.5;
  run.manager.end_epoch();
  REQUIRE(run.manager.progress().epoch == 1);
  run.manager.request_stop();
  CHECK_FALSE(run.manager.running(epochs(9)));
  CHECK(run.manager.latest()->progress.epoch == 1);
}

#include "engine_support.hpp"

#include <holdfast/engine/interrupter.hpp>

#include <cerrno>
#include <stdexcept>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::Operation;

namespace {

Options seldom(const std::shared_ptr<FileSystem>& disk) {
  return Options()
      .file_system(disk)
      .lock_wait(std::chrono::seconds(0))
      .save_every(steps(1000))
      .on_event({});
}

} // namespace

TEST_CASE("interrupter: the run is saved, then told, then over", "[stop]") {
  const Disk disk = new_disk();
  Events events;
  FakeInterrupter interrupter;
  ToyRun run(kRoot, seldom(disk).on_event(events.handler()));
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  REQUIRE(run.manager.running(epochs(2)));
  train_steps(run, 2);
  CHECK(interrupter.told.empty());
  CHECK(interrupter.asked >= 2);
  interrupter.reason = "the cloud wants it back";
  run.train_batch(run.loader.next());
  run.manager.step();
  REQUIRE(interrupter.told.size() == 1);
  const InterruptedRun& told = interrupter.told[0];
  CHECK(told.reason == "the cloud wants it back");
  CHECK(told.saved);
  CHECK(told.checkpoint == "runs/a/ckpt-000001-step-3");
  CHECK(
      told.text == "the cloud wants it back: saved runs/a/ckpt-000001-step-3");
  CHECK(
      run.manager.latest()->reasons ==
      std::vector<std::string>{"preempted: the cloud wants it back"});
  REQUIRE(events.count(Event::Kind::preempted) == 1);
  CHECK(events.of(Event::Kind::preempted)[0].text == told.text);
  CHECK(
      events.of(Event::Kind::preempted)[0].checkpoint == "ckpt-000001-step-3");
  CHECK(run.loader.next().empty());
  CHECK_FALSE(run.manager.epoch_done());
  CHECK_FALSE(run.manager.running(epochs(2)));
  CHECK(interrupter.told.size() == 1);
  CHECK(run.manager.list().size() == 1);
}

TEST_CASE("interrupter: at the end of an epoch and in running()", "[stop]") {
  const Disk disk = new_disk();
  FakeInterrupter interrupter;
  ToyRun run(kRoot, seldom(disk));
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  SECTION("end_epoch") {
    train_steps(run, ToyRun::kSamples);
    interrupter.reason = "x";
    run.manager.end_epoch();
    REQUIRE(interrupter.told.size() == 1);
    CHECK(interrupter.told[0].saved);
    CHECK(run.manager.latest()->progress.epoch == 1);
  }
  SECTION("running, with what was trained before it") {
    train_steps(run, ToyRun::kSamples);
    run.manager.end_epoch();
    interrupter.reason = "x";
    CHECK_FALSE(run.manager.running(epochs(9)));
    REQUIRE(interrupter.told.size() == 1);
    CHECK(interrupter.told[0].saved);
    CHECK(run.manager.latest()->progress.epoch == 1);
  }
  SECTION("not before a step was made") {
    interrupter.reason = "x";
    CHECK(run.manager.running(epochs(9)));
    CHECK(interrupter.told.empty());
    train_steps(run, 1);
    REQUIRE(interrupter.told.size() == 1);
    CHECK(interrupter.told[0].saved);
  }
  SECTION("not where nothing is left to do") {
    train_steps(run, ToyRun::kSamples);
    CHECK(run.manager.running(epochs(1)));
    run.manager.end_epoch();
    interrupter.reason = "x";
    CHECK_FALSE(run.manager.running(epochs(1)));
    CHECK(interrupter.told.empty());
    CHECK(interrupter.over == 1);
  }
}

TEST_CASE("interrupter: what cannot be saved is told", "[stop][fault]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  FakeInterrupter interrupter;
  ToyRun run(kRoot, seldom(faulty));
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  train_steps(run, 1);
  run.manager.save();
  interrupter.reason = "x";
  SECTION("a full disk") {
    faulty->plan(Fault::error(ENOSPC).on({Operation::write}).for_ever());
    run.train_batch(run.loader.next());
    run.manager.step();
    REQUIRE(interrupter.told.size() == 1);
    CHECK_FALSE(interrupter.told[0].saved);
    CHECK(
        interrupter.told[0].text ==
        "x: not saved, the save failed; the newest is "
        "runs/a/ckpt-000001-step-1");
    // Whoever preempts it decides how it ends.
    CHECK_FALSE(run.manager.running(epochs(2)));
  }
  SECTION("no time left") {
    interrupter.left = -2;
    faulty->clear_log();
    run.train_batch(run.loader.next());
    run.manager.step();
    REQUIRE(interrupter.told.size() == 1);
    CHECK_FALSE(interrupter.told[0].saved);
    CHECK_THAT(
        interrupter.told[0].text,
        Catch::Matchers::Contains("x: not saved, a save takes ") &&
            Catch::Matchers::Contains(" s and 0 s are left; the newest is "
                                      "runs/a/ckpt-000001-step-1"));
    for (const std::string& line : faulty->log()) {
      CHECK(line.find("staging") == std::string::npos);
    }
    CHECK_FALSE(run.manager.running(epochs(2)));
    CHECK(run.manager.list().size() == 1);
  }
}

TEST_CASE("interrupter: knows what a save takes", "[stop]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  ManualClock clock;
  FakeInterrupter interrupter;
  bool slow = true;
  ToyRun run(kRoot, seldom(faulty).clock(clock));
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  train_steps(run, 1);
  CHECK(interrupter.expected_seconds == 0);
  faulty->set_hook([&](std::uint64_t, const std::string& what) {
    if (slow && what.find("rename") == 0) {
      clock.pass(8);
    }
  });
  run.manager.save();
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(interrupter.expected_seconds == 8);
  slow = false;
  run.manager.save();
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(interrupter.expected_seconds == 4);
}

TEST_CASE("interrupter: what it throws leaves the call", "[stop]") {
  const Disk disk = new_disk();
  FakeInterrupter interrupter;
  interrupter.raises = true;
  interrupter.reason = "x";
  ToyRun run(kRoot, seldom(disk));
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  CHECK_THROWS_WITH(train_steps(run, 1), "leave");
  CHECK(run.manager.list().size() == 1);
}

TEST_CASE("interrupter: one that is broken does not end the run", "[stop]") {
  Events events;
  FakeInterrupter interrupter;
  interrupter.throws = true;
  ToyRun run(kRoot, seldom(new_disk()).on_event(events.handler()));
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  train_steps(run, 2);
  CHECK(events.of(Event::Kind::warning).at(0).text == "a broken notice");
  CHECK(run.manager.running(epochs(1)));
}

TEST_CASE("interrupter: one at a time", "[stop]") {
  FakeInterrupter first;
  FakeInterrupter second;
  ToyRun run(kRoot, seldom(new_disk()));
  run.manager.set_interrupter(&first);
  CHECK(code_of([&] {
          run.manager.set_interrupter(&second);
        }) == "invalid_argument");
  run.manager.set_interrupter(nullptr);
  run.manager.set_interrupter(&second);
  run.manager.resume();
  train_steps(run, 1);
  CHECK(first.asked == 0);
  CHECK(second.asked > 0);
}

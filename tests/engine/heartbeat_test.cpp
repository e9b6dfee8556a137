#include "engine_support.hpp"

#include <holdfast/engine/heartbeat.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/posix_file_system.hpp>

#include <support/forked_child.hpp>
#include <support/temporary_directory.hpp>

#include <cerrno>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;

namespace {

const std::string kBeat = std::string(kRoot) + "/" + kHeartbeatName;

Values beat_of(const Disk& disk) {
  const std::string text = disk->read_text(kBeat);
  CHECK(text.size() == kHeartbeatBytes);
  CHECK(text.back() == '\n');
  const Value value = from_json(text);
  return value.object("heartbeat");
}

std::string state_of(const Disk& disk) {
  return std::string(at(beat_of(disk), "state").text("state"));
}

} // namespace

TEST_CASE("heartbeat: who, how far, and when", "[heartbeat]") {
  const Disk disk = new_disk();
  ManualClock clock;
  ToyRun run(
      kRoot,
      Options().file_system(disk).clock(clock).on_event({}).save_every(
          steps(100)));
  run.manager.resume();
  Values beat = beat_of(disk);
  CHECK(at(beat, "state").text("") == "running");
  CHECK(at(beat, "pid").as<std::int64_t>("") == this_process().pid);
  CHECK(
      at(beat, "pid_start").as<std::uint64_t>("") == this_process().start_time);
  CHECK(at(beat, "host").text("") == this_process().host);
  CHECK(at(beat, "time").as<double>("") == clock.wall);
  CHECK(at(beat, "step").as<int>("") == 0);
  // No more often than every five seconds.
  run.loader.begin();
  for (int i = 0; i < 3; ++i) {
    clock.pass(2);
    run.train_batch(run.loader.next());
    run.manager.step();
  }
  beat = beat_of(disk);
  CHECK(at(beat, "step").as<int>("") == 3);
  CHECK(at(beat, "batch").as<int>("") == 3);
  clock.pass(4.9);
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(at(beat_of(disk), "step").as<int>("") == 3);
}

TEST_CASE("heartbeat: tells how a run ended", "[heartbeat]") {
  const Disk disk = new_disk();
  const auto files = std::make_shared<FaultFileSystem>(disk);
  SECTION("its goal") {
    {
      ToyRun run(kRoot, quiet_options(files));
      run.manager.resume();
      run.train(1);
      CHECK(state_of(disk) == "finished");
    }
    CHECK(state_of(disk) == "finished");
  }
  SECTION("a request") {
    ToyRun run(kRoot, quiet_options(files));
    run.manager.resume();
    run.manager.request_stop();
    run.train(1);
    CHECK(state_of(disk) == "stopped");
  }
  SECTION("a preemption") {
    FakeInterrupter stops;
    stops.reason = "a person";
    ToyRun run(kRoot, quiet_options(files));
    run.manager.set_interrupter(&stops);
    run.manager.resume();
    train_steps(run, 1);
    CHECK(state_of(disk) == "preempted");
  }
  SECTION("its goal in steps, by a loop that is left at once") {
    {
      ToyRun run(kRoot, quiet_options(files));
      run.manager.resume();
      CHECK(run.manager.running(steps(2)));
      train_steps(run, 2);
      CHECK_FALSE(run.manager.epoch_done());
    }
    CHECK(state_of(disk) == "finished");
  }
  SECTION("a save after the end changes nothing") {
    ToyRun run(kRoot, quiet_options(files));
    run.manager.resume();
    run.train(1);
    run.manager.save();
    CHECK(state_of(disk) == "finished");
  }
  SECTION("a goal that could not be saved") {
    ToyRun run(kRoot, quiet_options(files).max_save_failures(0));
    run.manager.resume();
    files->plan(
        Fault::error(EIO).on({testing::Operation::sync_file}).for_ever());
    run.train(1);
    CHECK(state_of(disk) == "left");
  }
  SECTION("an exception, or the end of main()") {
    {
      ToyRun run(kRoot, quiet_options(files));
      run.manager.resume();
      train_steps(run, 2);
      CHECK(state_of(disk) == "running");
    }
    CHECK(state_of(disk) == "left");
    CHECK(at(beat_of(disk), "step").as<int>("") == 2);
  }
  SECTION("a request in the last step") {
    ToyRun run(kRoot, quiet_options(files));
    run.manager.resume();
    CHECK(run.manager.running(steps(2)));
    train_steps(run, 1);
    run.manager.request_stop();
    train_steps(run, 1);
    CHECK_FALSE(run.manager.running(steps(2)));
    CHECK(state_of(disk) == "finished");
  }
  SECTION("and how the next life begins") {
    {
      ToyRun run(kRoot, quiet_options(files));
      run.manager.resume();
      train_steps(run, 1);
    }
    std::string state;
    files->set_hook([&](std::uint64_t, const std::string& what) {
      if (what.find("safetensors") != std::string::npos) {
        state = state_of(disk);
      }
    });
    ToyRun run(kRoot, quiet_options(files));
    run.manager.resume();
    CHECK(state == "resuming");
    CHECK(state_of(disk) == "running");
  }
  SECTION("in a save") {
    std::string state;
    files->set_hook([&](std::uint64_t, const std::string& what) {
      if (what.find("rename") == 0 && disk->exists(kBeat)) {
        state = state_of(disk);
      }
    });
    ToyRun run(kRoot, quiet_options(files));
    run.manager.resume();
    train_steps(run, 1);
    CHECK(state == "saving");
    CHECK(state_of(disk) == "running");
  }
}

TEST_CASE("heartbeat: comes back where it was removed", "[heartbeat]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, quiet_options(disk));
  run.manager.resume();
  disk->remove(kBeat);
  train_steps(run, 1);
  CHECK(state_of(disk) == "running");
}

TEST_CASE("heartbeat: never, if nobody wants it", "[heartbeat]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, quiet_options(disk).heartbeat(std::chrono::seconds(0)));
  run.manager.resume();
  train_steps(run, 1);
  CHECK_FALSE(disk->exists(kBeat));
  CHECK(code_of([] {
          (void)Options().heartbeat(std::chrono::seconds(-1)).resolve();
        }) == "invalid_argument");
}

TEST_CASE("heartbeat: goes on after a rollback", "[heartbeat]") {
  const Disk disk = new_disk();
  ManualClock clock;
  ToyRun run(
      kRoot,
      Options().file_system(disk).clock(clock).on_event({}).save_every(
          steps(1000)));
  run.manager.resume();
  train_steps(run, 1);
  run.manager.save();
  clock.pass(3600);
  train_steps(run, 1);
  run.manager.rollback();
  REQUIRE(run.manager.running(epochs(3)));
  run.loader.begin();
  for (int i = 0; i < 2; ++i) {
    clock.pass(100);
    train_steps(run, 1);
    CHECK(at(beat_of(disk), "time").as<double>("") == clock.wall);
  }
}

TEST_CASE("heartbeat: goes on while a run waits for space", "[heartbeat]") {
  const Disk disk = new_disk();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ManualClock clock;
  ToyRun run(
      kRoot,
      quiet_options(faulty).clock(clock).on_no_space(
          NoSpace::wait, std::chrono::minutes(10)));
  run.manager.resume();
  run.loader.begin();
  faulty->plan(Fault::error(ENOSPC).on({testing::Operation::write}).for_ever());
  run.train_batch(run.loader.next());
  double longest = 0;
  clock.on_sleep = [&] {
    CHECK(state_of(disk) == "saving");
    const double told = at(beat_of(disk), "time").as<double>("");
    longest = std::max(longest, clock.wall - told);
  };
  run.manager.step();
  CHECK(longest > 0);
  CHECK(longest < 7); // 5 is the interval
  CHECK(state_of(disk) == "running");
}

TEST_CASE("heartbeat: its errors do not matter", "[heartbeat][fault]") {
  const Disk disk = new_disk();
  const auto files = std::make_shared<FaultFileSystem>(disk);
  files->plan(Fault::error(EIO).named(kHeartbeatName).for_ever());
  ToyRun run(kRoot, quiet_options(files));
  run.manager.resume();
  train_steps(run, 2);
  CHECK(files->faults() > 0);
  CHECK(run.manager.list().size() == 2);
}

TEST_CASE(
    "heartbeat: a forked child leaves the parent's alone",
    "[heartbeat][fork]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("run");
  const auto manager =
      std::make_unique<Manager>(path, quiet_options(default_file_system()));
  double number = 1;
  manager->add("number", number);
  manager->resume();
  const auto text = [&] {
    const auto root = default_file_system()->open_root(path, Create::no);
    const Bytes bytes = read_file(*root, kHeartbeatName, 1000);
    return std::string(ByteView(bytes).text());
  };
  const std::string before = text();
  CHECK(in_forked_child([&] {
          manager->~Manager();
          return 0;
        }) == 0);
  CHECK(text() == before);
}

#include "engine_support.hpp"

#include <holdfast/engine/event_log.hpp>
#include <holdfast/format/json.hpp>

#include <cerrno>
#include <sstream>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::Operation;

namespace {

const std::string kLog = std::string(kRoot) + "/" + kEventLogName;

/// The events of the lines that are JSON.
std::vector<std::string> logged(const Disk& disk) {
  std::vector<std::string> events;
  std::istringstream lines(disk->exists(kLog) ? disk->read_text(kLog) : "");
  for (std::string line; std::getline(lines, line);) {
    try {
      const Value value = from_json(line);
      events.push_back(at(value.object("line"), "event").text("event"));
    } catch (const Error&) {
    }
  }
  return events;
}

using EventNames = std::vector<std::string>;

Event event(Event::Kind kind) {
  return Event{kind, "", "text"};
}

} // namespace

TEST_CASE("event log: what a run did, line by line", "[events]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, quiet_options(disk).keep_last(1));
    run.manager.resume();
    train_steps(run, 3);
  }
  CHECK(
      logged(disk) ==
      EventNames{
          "fresh start",
          "save started",
          "save staged",
          "saved",
          "save started",
          "save staged",
          "saved",
          "save started",
          "save staged",
          "saved",
          "removed"});
  std::istringstream lines(disk->read_text(kLog));
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  const Value begun = from_json(line);
  CHECK(at(begun.object(), "text").text() == "step 1: every step");
  std::getline(lines, line);
  CHECK(
      at(from_json(line).object(), "text").text() ==
      "staged ckpt-000001-step-1");
  std::getline(lines, line);
  const Value value = from_json(line);
  const Values& saved = value.object("line");
  CHECK(at(saved, "checkpoint").text("") == "ckpt-000001-step-1");
  CHECK(at(saved, "text").text("") == "saved runs/a/ckpt-000001-step-1");
  CHECK(at(saved, "step").as<int>("") == 1);
  CHECK(at(saved, "epoch").as<int>("") == 0);
  CHECK(at(saved, "attempt").as<int>("") == 0);
  CHECK(at(saved, "line").as<int>("") == 0);
  CHECK(at(saved, "time").as<double>("") > 1e9);
  {
    ToyRun run(kRoot, quiet_options(disk).keep_last(1));
    run.manager.resume();
  }
  CHECK(logged(disk).size() == 12);
  CHECK(logged(disk).back() == "resumed");
}

TEST_CASE("event log: not where nobody wants it", "[events]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, quiet_options(disk).event_log(false));
    run.manager.resume();
    train_steps(run, 1);
  }
  CHECK_FALSE(disk->exists(kLog));
}

TEST_CASE("event log: a torn tail costs that line only", "[events][crash]") {
  const Disk disk = new_disk();
  const auto root = disk->open_root(kRoot, Create::yes);
  write_text(disk, kLog, "{\"event\":\"saved\"}\n{\"event\":\"sav");
  EventLog log(root);
  log.append(event(Event::Kind::removed), {});
  log.append(event(Event::Kind::warning), {});
  CHECK(logged(disk) == EventNames{"saved", "removed", "warning"});
  write_text(disk, kLog, "");
  EventLog again(root);
  again.append(event(Event::Kind::resumed), {});
  CHECK(logged(disk) == EventNames{"resumed"});
}

TEST_CASE("event log: others may add to it, cut it and move it", "[events]") {
  const Disk disk = new_disk();
  EventLog log(disk->open_root(kRoot, Create::yes));
  log.append(event(Event::Kind::resumed), {});
  write_text(disk, kLog, disk->read_text(kLog) + "{\"event\":\"mine\"}\n");
  log.append(event(Event::Kind::saved), {});
  CHECK(logged(disk) == EventNames{"resumed", "mine", "saved"});
  disk->truncate(kLog, 0);
  log.append(event(Event::Kind::removed), {});
  CHECK(logged(disk) == EventNames{"removed"});
  CHECK(disk->read_text(kLog).front() == '{');
  disk->move(kLog, std::string(kRoot) + "/history.1");
  log.append(event(Event::Kind::warning), {});
  CHECK(logged(disk) == EventNames{"warning"});
}

TEST_CASE("event log: its errors do not matter", "[events][fault]") {
  const Disk disk = new_disk();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ToyRun run(kRoot, quiet_options(faulty));
  run.manager.resume();
  faulty->plan(Fault::error(ENOSPC).named(kEventLogName).for_ever());
  train_steps(run, 2);
  CHECK(faulty->faults() > 0);
  CHECK(run.manager.list().size() == 2);
  faulty->clear_faults();
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(
      logged(disk) ==
      EventNames{"fresh start", "save started", "save staged", "saved"});
}

TEST_CASE("event log: no trace of a run", "[events]") {
  // A job that was killed before its first checkpoint begins anew.
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, keep_everything(disk).save_every(steps(100)));
    run.manager.resume();
  }
  CHECK(disk->exists(kLog));
  ToyRun run(kRoot, keep_everything(disk));
  CHECK_FALSE(run.manager.resume().resumed());
  // And one whose resume fails writes nothing.
  const auto damaged = trained(1);
  damaged->flip_bit(checkpoint_path(1) + "/state.json", 5);
  const std::string before = damaged->read_text(kLog);
  ToyRun refused(kRoot, keep_everything(damaged));
  CHECK(code_of([&] { refused.manager.resume(); }) == "no_usable_checkpoint");
  CHECK(damaged->read_text(kLog) == before);
}

#include "engine_support.hpp"

#include <cerrno>
#include <limits>
#include <stdexcept>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;
using holdfast::testing::Operations;

namespace {

Options on(const std::shared_ptr<FileSystem>& disk) {
  return Options().file_system(disk).lock_wait(std::chrono::seconds(0));
}

std::string uninterrupted(std::int64_t goal) {
  ToyRun run("runs/a", on(std::make_shared<testing::MemoryFileSystem>()));
  run.manager.resume();
  run.train(goal);
  return run.fingerprint();
}

} // namespace

TEST_CASE(
    "manager: a run that was cut at any step ends like one that was not",
    "[engine]") {
  const std::string expected = uninterrupted(3);
  for (std::int64_t every : {1, 2, 3, 5}) {
    for (std::int64_t kill = 1; kill <= 15; ++kill) {
      CAPTURE(every, kill);
      auto disk = std::make_shared<testing::MemoryFileSystem>();
      {
        ToyRun run("runs/a", on(disk).save_every(steps(every)).keep_last(2));
        CHECK_FALSE(run.manager.resume().resumed());
        CHECK_THROWS_AS(run.train(3, kill), ToyRun::Killed);
      }
      ToyRun run("runs/a", on(disk).save_every(steps(every)).keep_last(2));
      const ResumeReport report = run.manager.resume();
      CHECK(report.resumed() == (kill > every));
      run.train(3);
      CHECK(run.fingerprint() == expected);
    }
  }
}

// --- when a save is due ------------------------------------------------------

TEST_CASE(
    "manager: saves every so many steps, epochs and seconds, any of them",
    "[engine]") {
  const Disk disk = new_disk();
  ManualClock clock;
  ToyRun run(
      kRoot,
      on(disk)
          .clock(clock)
          .keep_all()
          .save_every(steps(4))
          .save_every(epochs(1))
          .save_every(std::chrono::seconds(60)));
  run.manager.resume();
  while (run.manager.running(epochs(2))) {
    run.loader.begin();
    for (auto batch = run.loader.next(); !batch.empty();
         batch = run.loader.next()) {
      clock.pass(run.manager.progress().step == 5 ? 61 : 1);
      run.manager.step();
    }
    run.manager.end_epoch();
  }
  std::vector<std::pair<std::int64_t, std::string>> saves;
  for (const CheckpointInfo& info : run.manager.list()) {
    std::string reasons;
    for (const std::string& reason : info.reasons) {
      reasons += reason + ";";
    }
    saves.emplace_back(info.step, reasons);
  }
  CHECK(
      saves ==
      std::vector<std::pair<std::int64_t, std::string>>{
          {4, "every 4 steps;"},
          {5, "every epoch;"},
          {6, "every 1 min;"},
          {8, "every 4 steps;"},
          {10, "every epoch;goal reached;"}});
}

TEST_CASE(
    "manager: saves as often as its share of the time allows",
    "[engine]") {
  const Disk disk = new_disk();
  const auto slow = std::make_shared<FaultFileSystem>(disk);
  ManualClock clock;
  slow->set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("rename") == 0) {
      clock.pass(2); // what a save takes
    }
  });
  const auto options = [&] {
    return on(slow).clock(clock).keep_all().save_overhead(
        0.1, std::chrono::seconds(3));
  };
  const auto train = [&](ToyRun& run, int count) {
    for (int i = 0; i < count; ++i) {
      if (i % ToyRun::kSamples == 0) {
        run.loader.begin();
      }
      run.train_batch(run.loader.next());
      clock.pass(1);
      run.manager.step();
      if (run.manager.progress().batch == ToyRun::kSamples) {
        run.manager.end_epoch();
      }
    }
  };
  {
    ToyRun run(kRoot, options());
    run.manager.resume();
    train(run, 50);
    // The first to know what it takes; then 20 seconds from start to start.
    CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{3, 21, 39});
    CHECK(
        run.manager.latest()->reasons ==
        std::vector<std::string>{"10 % of the time"});
    run.manager.save(); // at 50
  }
  // What it takes is known after a resume, too.
  ToyRun run(kRoot, options());
  run.manager.resume();
  train(run, 20);
  CHECK(
      steps_of(run.manager.list()) ==
      std::vector<std::int64_t>{3, 21, 39, 50, 70});
}

TEST_CASE("manager: saves when the user says so", "[engine]") {
  const Disk disk = new_disk();
  Events events;
  ToyRun run(
      kRoot,
      on(disk)
          .keep_all()
          .on_event(events.handler())
          .save_when(
              "step 2 or 3",
              [](const TriggerPoint& now) {
                return now.step == 2 || now.step == 3;
              })
          .save_when("broken", [](const TriggerPoint& now) -> bool {
            if (now.step >= 4) {
              throw std::runtime_error("no idea");
            }
            return now.step == 3;
          }));
  run.manager.resume();
  train_steps(run, 5);
  const std::vector<CheckpointInfo> infos = run.manager.list();
  CHECK(steps_of(infos) == std::vector<std::int64_t>{2, 3});
  CHECK(infos[0].reasons == std::vector<std::string>{"step 2 or 3"});
  CHECK(infos[1].reasons == std::vector<std::string>{"step 2 or 3", "broken"});
  REQUIRE(events.count(Event::Kind::warning) == 1); // of two
  CHECK(events.of(Event::Kind::warning)[0].text == "broken: no idea");
  const auto never = [](const TriggerPoint&) {
    return false;
  };
  CHECK(code_of([&] { Options().save_when("", never); }) == "invalid_argument");
  CHECK(code_of([&] { Options().save_when("x", {}); }) == "invalid_argument");
}

TEST_CASE(
    "manager: saves at the same steps however often it is killed",
    "[engine][P1]") {
  const auto options = [](const Disk& disk) {
    return on(disk).keep_all().save_every(steps(3)).on_event({});
  };
  const Disk whole = new_disk();
  {
    ToyRun run(kRoot, options(whole));
    run.manager.resume();
    run.train(3);
  }
  const Disk cut = new_disk();
  for (std::int64_t kill : {2, 4, 5, 8, 9, 13, 14, 99}) {
    ToyRun run(kRoot, options(cut));
    run.manager.resume();
    try {
      run.train(3, kill);
    } catch (const ToyRun::Killed&) {
    }
  }
  CHECK(steps_on(cut) == steps_on(whole));
  CHECK(steps_on(cut) == std::vector<std::int64_t>{3, 6, 9, 12, 15, 15});
}

TEST_CASE(
    "manager: a timed save counts training time over all attempts",
    "[engine]") {
  const Disk disk = new_disk();
  const auto life = [&](int seconds) {
    ManualClock clock;
    clock.monotonic = 5; // another boot
    ToyRun run(
        kRoot,
        on(disk).clock(clock).keep_all().save_every(std::chrono::seconds(100)));
    run.manager.resume();
    run.loader.begin();
    (void)run.loader.next();
    clock.pass(seconds);
    run.manager.step();
    return run.manager.progress().elapsed_seconds;
  };
  CHECK(life(99) == 99);
  CHECK(steps_on(disk).empty());
  CHECK(life(150) == 150);
  CHECK(life(99) == 249);
  CHECK(steps_on(disk) == std::vector<std::int64_t>{1});
  CHECK(life(100) == 250);
  CHECK(steps_on(disk) == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("manager: a goal is a reason to save", "[engine]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, on(disk).keep_all().save_every(steps(100)));
  run.manager.resume();
  run.train(1);
  CHECK(
      run.manager.latest()->reasons ==
      std::vector<std::string>{"goal reached"});
  CHECK(run.manager.latest()->progress.epoch == 1);
}

// --- best, list, retention ---------------------------------------------------

TEST_CASE(
    "manager: a new best is saved and kept, whatever else is due",
    "[engine]") {
  const Disk disk = new_disk();
  const auto options = [&] {
    return on(disk)
        .save_every(steps(100))
        .keep_last(1)
        .keep_best("loss")
        .keep_best("score", Best::highest);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  {
    ToyRun run(kRoot, options());
    run.manager.resume();
    CHECK_FALSE(run.manager.best("loss"));
    run.manager.step({{"loss", 3}}); // 1
    run.manager.step({{"loss", 4}});
    run.manager.step({{"loss", nan}, {"score", nan}});
    run.manager.step({{"loss", 3}});
    run.manager.step({{"loss", 2}}); // 5
    run.manager.step({{"score", 1}}); // 6
    run.manager.step({{"score", 0.5}});
    run.manager.step({{"score", 2}}); // 8
    CHECK(run.manager.best("loss")->step == 5);
    CHECK(run.manager.best("score")->step == 8);
    CHECK_FALSE(run.manager.best("other"));
    CHECK(
        run.manager.latest()->reasons ==
        std::vector<std::string>{"best score"});
    run.manager.save();
    run.manager.save();
    run.manager.save();
    CHECK(run.manager.best("loss")->step == 5);
    CHECK(run.manager.best("score")->step == 8);
    CHECK(run.manager.list().size() == 4); // and the newest two
  }
  // After a restart the best is what the manifests say.
  ToyRun run(kRoot, options());
  run.manager.resume();
  CHECK(run.manager.best("loss")->step == 5);
  const std::size_t before = run.manager.latest()->sequence;
  run.manager.step({{"loss", 2}, {"score", 2}});
  CHECK(run.manager.latest()->sequence == before);
  run.manager.step({{"loss", 1}});
  CHECK(run.manager.latest()->step == run.manager.progress().step);
  CHECK(run.manager.best("loss")->metrics.values().at("loss") == 1);
}

TEST_CASE(
    "manager: a saved metric of a save that was asked for counts as best",
    "[engine]") {
  ToyRun run(
      kRoot,
      on(new_disk()).save_every(steps(100)).keep_last(1).keep_best("loss"));
  run.manager.resume();
  run.manager.save({{"loss", 1}});
  run.manager.step({{"loss", 2}});
  CHECK(run.manager.list().size() == 1);
}

TEST_CASE(
    "manager: keeps the newest two, the best, and what it came from",
    "[engine]") {
  const Disk disk = new_disk();
  const auto options = [&] {
    return on(disk).save_every(steps(1)).keep_last(1).on_event({});
  };
  {
    ToyRun run(kRoot, options());
    run.manager.resume();
    train_steps(run, 4);
    CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{3, 4});
  }
  ToyRun run(kRoot, options());
  run.manager.resume();
  // The plan changes nothing and says why.
  std::string plan;
  for (const PlannedCheckpoint& planned : run.manager.plan().checkpoints) {
    plan += std::to_string(planned.checkpoint.sequence) +
        (planned.keep ? "+" : "-");
    CHECK_FALSE(planned.reasons.empty());
  }
  // Only one has been verified by this process: nothing may go.
  CHECK(plan == "3+4+");
  run.loader.begin();
  run.train_batch(run.loader.next());
  run.manager.step();
  run.manager.end_epoch();
  train_steps(run, 3);
  // 4 is what the run was resumed from.
  CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{4, 7, 8});
}

TEST_CASE(
    "manager: what is being read is not removed until it is free",
    "[engine]") {
  const Disk disk = new_disk();
  Events events;
  ToyRun run(
      kRoot,
      on(disk).save_every(steps(1)).keep_last(1).on_event(events.handler()));
  run.manager.resume();
  train_steps(run, 2);
  auto reader = disk->open_root(kRoot, Create::no)
                    ->open_directory(checkpoint_name(1, 1))
                    ->open_file(kManifestName);
  REQUIRE(reader->try_lock_shared());
  run.manager.save();
  run.manager.save();
  CHECK(disk->exists(checkpoint_path(1)));
  CHECK(run.manager.list().size() == 3);
  const PlannedCheckpoint oldest = run.manager.plan().checkpoints.front();
  CHECK(oldest.keep);
  CHECK(oldest.reasons == std::vector<std::string>{"being read"});
  reader.reset();
  run.manager.save();
  CHECK_FALSE(disk->exists(checkpoint_path(1)));
  CHECK(events.count(Event::Kind::warning) == 0);
  REQUIRE(events.count(Event::Kind::removed) == 3);
  CHECK(
      events.of(Event::Kind::removed).front().checkpoint ==
      checkpoint_name(2, 2));
}

TEST_CASE(
    "manager: one that cannot be removed does not hold the others",
    "[engine][fault]") {
  const Disk disk = new_disk();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  Events events;
  ToyRun run(
      kRoot,
      on(faulty).save_every(steps(1)).keep_last(1).on_event(events.handler()));
  run.manager.resume();
  train_steps(run, 2);
  faulty->plan(Fault::error(EPERM)
                   .on({Operation::rename, Operation::remove_file})
                   .named(checkpoint_name(1, 1))
                   .for_ever());
  for (int i = 0; i < 3; ++i) {
    run.manager.step();
  }
  CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{1, 4, 5});
  CHECK(events.count(Event::Kind::warning) == 3);
  CHECK(events.count(Event::Kind::save_failed) == 0);
}

TEST_CASE("manager: list, latest and infos", "[engine]") {
  const Disk disk = new_disk();
  ManualClock clock;
  ToyRun run(kRoot, on(disk).clock(clock).keep_all().save_every(steps(1)));
  run.manager.resume();
  CHECK(run.manager.list().empty());
  CHECK_FALSE(run.manager.latest());
  train_steps(run, 2);
  const auto list = run.manager.list();
  REQUIRE(list.size() == 2);
  const CheckpointInfo& info = list.back();
  CHECK(info.path == checkpoint_path(2));
  CHECK(info.name == checkpoint_name(2, 2));
  CHECK(info.sequence == 2);
  CHECK(info.step == 2);
  CHECK(info.progress.batch == 2);
  CHECK(info.progress.samples == 2);
  CHECK(info.metrics.values().at("loss") == run.loss());
  CHECK(info.wall_time == clock.wall);
  CHECK(info.bytes > 320);
  CHECK(info.exact);
  CHECK(info.reasons == std::vector<std::string>{"every step"});
  CHECK(disk->read_link(std::string(kRoot) + "/LATEST") == info.name);
  CHECK(run.manager.directory() == kRoot);
}

// --- the loop ----------------------------------------------------------------

TEST_CASE("manager: running means survive a resume in mid-epoch", "[engine]") {
  for (std::int64_t kill = 1; kill <= 5; ++kill) {
    CAPTURE(kill);
    const Disk disk = new_disk();
    const auto loop = [](ToyRun& run, std::int64_t until) {
      run.loader.begin();
      while (run.manager.progress().step < until) {
        (void)run.loader.next();
        const auto step = static_cast<double>(run.manager.progress().step + 1);
        run.manager.step({{"loss", step * 0.1}, {"half", 0.5}});
      }
    };
    {
      ToyRun run(kRoot, on(disk).save_every(steps(1)));
      run.manager.resume();
      loop(run, kill);
    }
    ToyRun run(kRoot, on(disk).save_every(steps(1)));
    run.manager.resume();
    loop(run, 5);
    CHECK(
        run.manager.epoch_mean("loss") ==
        (0.1 + 0.2 + 3 * 0.1 + 0.4 + 5 * 0.1) / 5);
    CHECK(run.manager.epoch_mean("half") == 0.5);
    run.manager.end_epoch();
    CHECK(run.manager.epoch_mean("half") == 0.5);
    loop(run, 6);
    CHECK(run.manager.epoch_mean("loss") == 6 * 0.1);
  }
}

TEST_CASE(
    "manager: a goal in steps ends ranges, and the epoch is not done",
    "[engine]") {
  const Disk disk = new_disk();
  {
    Events events;
    ToyRun run(
        kRoot, on(disk).save_every(epochs(1)).on_event(events.handler()));
    run.manager.resume();
    int batches = 0;
    while (run.manager.running(steps(7))) {
      run.loader.begin();
      for (auto batch = run.loader.next(); !batch.empty();
           batch = run.loader.next()) {
        run.train_batch(batch);
        run.manager.step();
        ++batches;
      }
      const bool done = run.manager.progress().step == 5;
      CHECK(run.manager.epoch_done() == done);
      if (done) {
        run.rate *= 0.9;
      }
      run.manager.end_epoch(); // ignored, with a warning, the second time
    }
    CHECK(batches == 7);
    CHECK(run.manager.epoch() == 1);
    CHECK(run.manager.progress().batch == 2);
    CHECK(events.count(Event::Kind::warning) == 1);
    CHECK(run.manager.latest()->step == 7);
    CHECK(run.manager.latest()->exact);
  }
  // The rest of the epoch follows in the next life.
  ToyRun run(kRoot, on(disk));
  run.manager.resume();
  run.train(2);
  ToyRun whole(kRoot, on(new_disk()));
  whole.manager.resume();
  whole.train(2);
  CHECK(run.fingerprint() == whole.fingerprint());
}

TEST_CASE(
    "manager: a goal at the last batch of an epoch lets the epoch end",
    "[engine]") {
  ToyRun run(kRoot, on(new_disk()));
  run.manager.resume();
  while (run.manager.running(steps(5))) {
    train_steps(run, 5);
    CHECK(run.loader.next().empty());
    CHECK(run.manager.epoch_done());
    run.manager.end_epoch();
  }
  CHECK(run.manager.epoch() == 1);
  CHECK(run.manager.latest()->progress.epoch == 1);
}

TEST_CASE("manager: a stop at any moment loses nothing", "[engine]") {
  const std::string expected = uninterrupted(3);
  // Before and after each fetch, step and end of epoch.
  for (int moment = 0; moment < 40; ++moment) {
    CAPTURE(moment);
    const Disk disk = new_disk();
    std::string stopped;
    bool asked = false;
    {
      ToyRun run(
          kRoot, on(disk).save_every(steps(100)).keep_all().on_event({}));
      run.manager.resume();
      int now = 0;
      const auto maybe_stop = [&] {
        if (now++ == moment) {
          run.manager.request_stop();
          asked = true;
        }
      };
      while (run.manager.running(epochs(3))) {
        maybe_stop();
        run.loader.begin();
        for (;;) {
          maybe_stop();
          const auto batch = run.loader.next();
          if (batch.empty()) {
            break;
          }
          maybe_stop();
          run.train_batch(batch);
          maybe_stop();
          run.manager.step();
        }
        if (!run.manager.epoch_done()) {
          continue;
        }
        run.rate *= 0.9;
        run.manager.end_epoch();
        maybe_stop();
      }
      CHECK(asked);
      stopped = run.fingerprint();
      CHECK(run.manager.progress().step < 15);
      // What was trained is on the disk.
      CHECK(
          (run.manager.latest() ? run.manager.latest()->step : 0) ==
          run.manager.progress().step);
      CHECK((!run.manager.latest() || run.manager.latest()->exact));
    }
    ToyRun run(kRoot, on(disk).save_every(steps(100)));
    run.manager.resume();
    CHECK(run.fingerprint() == stopped);
    run.train(3);
    REQUIRE(run.fingerprint() == expected);
  }
}

TEST_CASE(
    "manager: a loop that goes on after a stop is not saved every step",
    "[engine]") {
  // Without an attached loader nothing ends the inner loop.
  const Disk disk = new_disk();
  Manager manager(kRoot, on(disk).save_every(steps(100)).keep_all());
  double value = 0;
  manager.add("value", value);
  manager.resume();
  manager.step();
  manager.request_stop();
  for (int i = 0; i < 10; ++i) {
    value += 1;
    manager.step();
  }
  CHECK(steps_of(manager.list()) == std::vector<std::int64_t>{2});
  CHECK_FALSE(manager.running(epochs(9)));
  CHECK(steps_of(manager.list()) == std::vector<std::int64_t>{2, 11});
  CHECK_FALSE(manager.running(epochs(9)));
  CHECK(manager.list().size() == 2);
}

TEST_CASE(
    "manager: a save between a batch and its step keeps the last position",
    "[engine]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, on(disk).save_every(steps(100)));
    run.manager.resume();
    train_steps(run, 2);
    run.train_batch(run.loader.next());
    run.manager.save({{"note", 1}}).wait();
    CHECK_FALSE(run.manager.latest()->exact);
  }
  ToyRun run(kRoot, on(disk));
  const ResumeReport report = run.manager.resume();
  CHECK_FALSE(report.exact());
  CHECK_THAT(report.to_string(), contains("not exact: saved between a batch"));
  CHECK(run.manager.progress().step == 2);
  // The third batch comes again.
  run.loader.begin();
  CHECK(run.loader.next() == std::vector<std::int64_t>{(2 * 7) % 5});
}

TEST_CASE(
    "manager: a resume at the last batch of an epoch ends the epoch",
    "[engine]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, on(disk).save_every(steps(5)));
    run.manager.resume();
    train_steps(run, 5);
  }
  ToyRun run(kRoot, on(disk).save_every(steps(5)));
  run.manager.resume();
  CHECK(run.manager.progress().batch == 5);
  run.loader.begin();
  CHECK(run.loader.next().empty());
  CHECK(run.manager.epoch_done());
  run.rate *= 0.9;
  run.manager.end_epoch();
  run.train(3);
  CHECK(run.fingerprint() == uninterrupted(3));
}

// --- going back --------------------------------------------------------------

TEST_CASE(
    "manager: going back begins a line that every later resume follows",
    "[engine]") {
  const Disk disk = trained(4);
  const auto options = [&] {
    return keep_everything(disk);
  };
  {
    ToyRun run(kRoot, options());
    const ResumeReport report =
        run.manager.resume_from(checkpoint_path(2), "second-try");
    CHECK(report.checkpoint->sequence == 2);
    CHECK(report.line == 5);
    CHECK(run.fingerprint() == undisturbed(2));
    // Later ones are abandoned, not deleted.
    CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{1, 2});
    CHECK(steps_on(disk) == std::vector<std::int64_t>{1, 2, 3, 4});
  }
  {
    // Killed before its first save: not back to 4.
    ToyRun run(kRoot, options());
    CHECK(run.manager.resume().checkpoint->sequence == 2);
    train_steps(run, 1);
    CHECK(run.manager.latest()->name == checkpoint_name(6, 3));
  }
  {
    // The same call once more goes on.
    ToyRun run(kRoot, options());
    const ResumeReport report =
        run.manager.resume_from(checkpoint_name(2, 2), "second-try");
    CHECK(report.checkpoint->sequence == 6);
    CHECK(run.fingerprint() == undisturbed(3));
    CHECK(catalog_of(disk).lines.size() == 1);
  }
  {
    // Another tag goes back again; so does a call without one, once.
    ToyRun run(kRoot, options());
    CHECK(
        run.manager.resume_from(checkpoint_name(6, 3), "third")
            .checkpoint->sequence == 6);
  }
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, options());
    CHECK(
        run.manager.resume_from(checkpoint_name(1, 1)).checkpoint->sequence ==
        1);
    CHECK(run.fingerprint() == undisturbed(1));
  }
  CHECK(catalog_of(disk).lines.size() == 3);
  {
    // A script that was changed, but not its tag, is told so.
    ToyRun run(kRoot, options());
    run.manager.resume_from(checkpoint_name(1, 1), "fourth");
  }
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, options());
    CHECK(code_of([&] {
            run.manager.resume_from(checkpoint_name(2, 2), "fourth");
          }) == "invalid_argument");
    CHECK(code_of([&] {
            run.manager.start_fresh("fourth");
          }) == "invalid_argument");
    CHECK(run.fingerprint() == undisturbed(0));
  }
  CHECK(catalog_of(disk).lines.size() == 4);
}

TEST_CASE("manager: a line is durable before anything changes", "[engine]") {
  const Disk disk = trained(3);
  struct Fails {
    Values save_state() const {
      return {};
    }
    void load_state(const Values&) {
      throw std::runtime_error("no");
    }
  } object;
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("object", object);
    run.manager.start_fresh("with-object");
    train_steps(run, 2);
  }
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.add("object", object);
  CHECK_THROWS_AS(
      run.manager.resume_from(checkpoint_name(5, 1), "back"),
      std::runtime_error);
  CHECK(run.fingerprint() == undisturbed(0));
  CHECK(catalog_of(disk).current_line() == 7);
}

TEST_CASE("manager: a fresh start on purpose, twice with one tag", "[engine]") {
  const Disk disk = trained(3);
  {
    ToyRun run(kRoot, keep_everything(disk));
    const ResumeReport report = run.manager.start_fresh("again");
    CHECK_FALSE(report.resumed());
    CHECK(report.line == 4);
    CHECK(run.manager.list().empty());
  }
  {
    // Killed before its first save.
    ToyRun run(kRoot, keep_everything(disk));
    CHECK_FALSE(run.manager.start_fresh("again").resumed());
    CHECK(catalog_of(disk).lines.size() == 1);
  }
  {
    ToyRun run(kRoot, keep_everything(disk));
    CHECK_FALSE(run.manager.resume().resumed());
    train_steps(run, 1);
    CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{1});
  }
  ToyRun run(kRoot, keep_everything(disk));
  CHECK(
      run.manager.start_fresh("again").checkpoint->name ==
      checkpoint_name(5, 1));
  CHECK(steps_on(disk) == std::vector<std::int64_t>{1, 2, 3, 1});
}

TEST_CASE(
    "manager: killed in its very first save, a run starts afresh",
    "[engine][fault]") {
  const Disk disk = new_disk();
  {
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    faulty->plan(Fault::power_cut().on({Operation::sync_file}).at(2));
    ToyRun run(kRoot, keep_everything(faulty));
    run.manager.resume();
    run.loader.begin();
    run.train_batch(run.loader.next());
    run.manager.step();
    CHECK(faulty->power_is_cut());
  }
  const Disk after = disk->snapshot();
  CHECK(after->exists("runs/a/.staging-000001"));
  ToyRun run(kRoot, keep_everything(after));
  CHECK_FALSE(run.manager.resume().resumed());
  train_steps(run, 1);
  CHECK(run.manager.latest()->sequence == 2);
}

TEST_CASE(
    "manager: all checkpoints deleted by hand is no fresh start",
    "[engine][P5]") {
  const Disk disk = trained(2);
  disk->remove(checkpoint_path(1));
  disk->remove(checkpoint_path(2));
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, keep_everything(disk));
    const auto error = error_of([&] { run.manager.resume(); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::no_usable_checkpoint);
    CHECK_THAT(error->what(), contains("start_fresh"));
  }
  ToyRun run(kRoot, keep_everything(disk));
  CHECK_FALSE(run.manager.start_fresh("anew").resumed());
}

// --- all or nothing in memory ------------------------------------------------

namespace {

/// A user's object whose loading fails on demand.
struct Picky {
  Values save_state() const {
    Values values;
    values["number"] = number;
    return values;
  }
  void load_state(const Values& values) {
    number = at(values, "number").as<int>();
    if (fail && --*fail < 0) {
      throw std::runtime_error("load_state fails");
    }
  }
  int number = 1;
  int* fail = nullptr;
};

/// Draws from an engine whenever it is captured.
struct Drawing {
  Values save_state() const {
    (void)(*engine)();
    if (fail) {
      throw Error(ErrorCode::not_capturable, "not now");
    }
    return {};
  }
  void load_state(const Values&) {
    (void)(*engine)();
  }
  std::mt19937* engine = nullptr;
  bool fail = false;
};

} // namespace

TEST_CASE(
    "manager: a part that fails while applying takes everything back",
    "[engine]") {
  const Disk disk = new_disk();
  const auto add = [](ToyRun& run, Picky& a, Picky& b, Drawing& drawing) {
    drawing.engine = &run.engine;
    run.manager.add("a", a);
    run.manager.add("drawing", drawing);
    run.manager.add("b", b);
  };
  {
    ToyRun run(kRoot, keep_everything(disk));
    Picky a;
    Picky b;
    Drawing drawing;
    a.number = 5;
    b.number = 6;
    add(run, a, b, drawing);
    run.manager.resume();
    train_steps(run, 2);
    CHECK(run.fingerprint() == undisturbed(2));
  }
  for (int fail_a : {0, 9}) {
    ToyRun run(kRoot, keep_everything(disk));
    Picky a;
    Picky b;
    Drawing drawing;
    int loads_a = fail_a;
    int loads_b = 0;
    add(run, a, b, drawing);
    a.fail = &loads_a;
    b.fail = &loads_b;
    run.loader.load(3, 1);
    const std::string before = run.fingerprint();
    for (int i = 0; i < 2; ++i) {
      loads_a = fail_a;
      loads_b = 0;
      CHECK_THROWS_WITH(run.manager.resume(), "load_state fails");
      CHECK(a.number == 1);
      CHECK(b.number == 1);
      CHECK(run.fingerprint() == before);
    }
    a.fail = nullptr;
    b.fail = nullptr;
    CHECK(run.manager.resume().checkpoint->step == 2);
    CHECK(a.number == 5);
    CHECK(b.number == 6);
    CHECK(run.fingerprint() == undisturbed(2));
  }
}

TEST_CASE(
    "manager: a capture that draws, or fails, moves no generator",
    "[engine]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, keep_everything(disk));
  Drawing drawing;
  drawing.engine = &run.engine;
  run.manager.add("drawing", drawing);
  run.manager.resume();
  CHECK(run.fingerprint() == undisturbed(0));
  train_steps(run, 2);
  CHECK(run.fingerprint() == undisturbed(2));
  run.manager.save().wait();
  CHECK(run.fingerprint() == undisturbed(2));
  drawing.fail = true;
  CHECK(code_of([&] { run.manager.save(); }) == "not_capturable");
  CHECK(run.fingerprint() == undisturbed(2));
  // A capture that fails is said at once, by a scheduled save too.
  CHECK(code_of([&] { run.manager.step(); }) == "not_capturable");
}

TEST_CASE(
    "manager: random state is put back at the first begin in mid-epoch",
    "[engine]") {
  const Disk disk = trained(3);
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.resume();
  run.engine.discard(3); // what a loader draws when it begins
  run.loader.begin();
  CHECK(run.fingerprint() == undisturbed(3));
  // Once only.
  run.engine.discard(3);
  run.loader.begin();
  CHECK_FALSE(run.fingerprint() == undisturbed(3));
}

TEST_CASE(
    "manager: at the start of an epoch the begin draws as it always does",
    "[engine]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, keep_everything(disk).save_every(epochs(1)));
    run.manager.resume();
    train_steps(run, 5);
    run.manager.end_epoch();
  }
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.resume();
  const std::string before = run.fingerprint();
  run.engine.discard(3);
  run.loader.begin();
  CHECK_FALSE(run.fingerprint() == before);
}

TEST_CASE(
    "manager: a step drops the random state kept for a begin",
    "[engine]") {
  const Disk disk = trained(3);
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.resume();
  run.manager.step(); // a loop that never begins a range
  run.engine.discard(3);
  const std::mt19937 engine = run.engine;
  run.loader.begin();
  CHECK(run.engine == engine);
}

TEST_CASE(
    "manager: a loader of another manager is refused unchanged",
    "[engine]") {
  struct Jealous final : Cursor {
    void attach(LoopControl* control) override {
      if (control != nullptr) {
        throw_invalid_argument("data", "attached to another manager");
      }
    }
    std::int64_t commit() override {
      return 0;
    }
    bool ahead() const noexcept override {
      return false;
    }
    bool at_end() const noexcept override {
      return true;
    }
    void start_epoch(std::int64_t) override {}
  } jealous;
  struct JealousPart final : Part {
    explicit JealousPart(Cursor& cursor) : cursor_(cursor) {}
    std::string kind() const override {
      return "data";
    }
    Stage stage() const override {
      return Stage::data;
    }
    State capture(const Names&) override {
      return {};
    }
    std::unique_ptr<Restore> prepare(const Saved&, const Names&, Mismatches&)
        override {
      struct None final : Restore {
        void apply(const std::vector<const std::byte*>&) override {}
      };
      return std::make_unique<None>();
    }
    Cursor* cursor() noexcept override {
      return &cursor_;
    }
    Cursor& cursor_;
  };
  const Disk disk = new_disk();
  {
    // The same part without a will of its own.
    ToyLoader loader{5};
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add_part("second", std::make_unique<JealousPart>(loader));
    run.manager.resume();
    train_steps(run, 2);
  }
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.add_part("second", std::make_unique<JealousPart>(jealous));
  run.loader.load(2, 3);
  const std::string before = run.fingerprint();
  CHECK(code_of([&] { run.manager.resume(); }) == "invalid_argument");
  CHECK(run.fingerprint() == before);
}

// --- saves that fail ---------------------------------------------------------

TEST_CASE(
    "manager: a failing save is told, and thrown only after some in a row",
    "[engine][fault]") {
  const Disk disk = trained(2);
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  Events events;
  ToyRun run(
      kRoot,
      keep_everything(faulty).max_save_failures(2).on_event(events.handler()));
  run.manager.resume();
  faulty->plan(Fault::error(EIO).on({Operation::sync_file}).for_ever());
  CHECK_NOTHROW(run.manager.step());
  REQUIRE(events.count(Event::Kind::save_failed) == 1);
  CHECK_THAT(
      events.of(Event::Kind::save_failed)[0].text, contains("(io_error)"));
  CHECK(code_of([&] { run.manager.step(); }) == "io_error");
  const SaveHandle handle = run.manager.save();
  CHECK(handle.done());
  CHECK(code_of([&] { handle.wait(); }) == "io_error");
  CHECK(code_of([&] { (void)handle.path(); }) == "io_error");
  CHECK(steps_on(disk) == std::vector<std::int64_t>{1, 2});
  faulty->clear_faults();
  const SaveHandle next = run.manager.save();
  CHECK_NOTHROW(next.wait());
  CHECK(next.path() == run.manager.latest()->path);
  // Of those that were asked for, the handles tell.
  faulty->plan(Fault::error(EIO).on({Operation::sync_file}).for_ever());
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(run.manager.save().saved());
  }
  CHECK_NOTHROW(run.manager.step());
  CHECK(code_of([&] { run.manager.step(); }) == "io_error");
  faulty->clear_faults();
  run.manager.save();
  // In a row: a success in between counts from anew.
  faulty->plan(Fault::error(EIO).on({Operation::sync_file}));
  CHECK_NOTHROW(run.manager.step());
  CHECK_NOTHROW(run.manager.step());
  CHECK(run.manager.latest()->step == 8);
}

TEST_CASE("manager: with 0 a failing save never throws", "[engine][fault]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  ToyRun run(kRoot, keep_everything(faulty).max_save_failures(0));
  run.manager.resume();
  faulty->plan(Fault::error(EIO).on({Operation::sync_file}).for_ever());
  for (int i = 0; i < 10; ++i) {
    CHECK_NOTHROW(run.manager.step());
  }
}

TEST_CASE(
    "manager: a full disk is not met again at every step",
    "[engine][fault]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  Events events;
  ManualClock clock;
  ToyRun run(
      kRoot,
      on(faulty).clock(clock).save_every(steps(4)).on_event(events.handler()));
  run.manager.resume();
  faulty->plan(Fault::error(ENOSPC).on(Operations::changes()).for_ever());
  std::vector<int> attempts;
  for (int i = 1; i <= 200; ++i) {
    clock.pass(1);
    const std::size_t before = events.count(Event::Kind::save_failed);
    run.manager.step();
    if (events.count(Event::Kind::save_failed) > before) {
      attempts.push_back(i);
    }
  }
  // After 10, 20, 40 and 80 seconds, and a multiple of four; it never throws.
  CHECK(attempts == std::vector<int>{4, 14, 34, 74, 154});
  faulty->clear_faults();
  for (int i = 0; i < 200; ++i) {
    clock.pass(1);
    run.manager.step();
  }
  CHECK(events.count(Event::Kind::save_failed) == 5);
  CHECK(events.count(Event::Kind::saved) > 20);
}

TEST_CASE(
    "manager: a full disk keeps every older checkpoint",
    "[engine][fault]") {
  const Disk disk = trained(2);
  const std::vector<std::string> before = disk->list_all();
  ToyRun run(kRoot, quiet_options(disk).keep_last(1).max_save_failures(0));
  run.manager.resume();
  for (std::uint64_t room :
       {std::uint64_t{0},
        std::uint64_t{1000},
        std::uint64_t{4000},
        std::uint64_t{8000}}) {
    CAPTURE(room);
    std::uint64_t used = 0;
    for (const std::string& path : disk->list_all()) {
      if (path.back() != '/' && path.back() != '@') {
        used += disk->read_file(path).size();
      }
    }
    disk->set_capacity(used + room);
    CHECK(code_of([&] { run.manager.save().wait(); }) == "no_space");
    CHECK(disk->list_all() == before);
  }
  disk->set_capacity(MemoryFileSystem::kUnlimited);
  CHECK_NOTHROW(run.manager.save().wait());
  CHECK(run.manager.list().size() == 2);
}

TEST_CASE(
    "manager: an unconfirmed checkpoint is nothing to rely on",
    "[engine][fault]") {
  const Disk disk = new_disk();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ToyRun run(kRoot, quiet_options(faulty).keep_last(1).max_save_failures(0));
  run.manager.resume();
  train_steps(run, 2);
  // Step 7 fails: the checkpoint has its name, but nothing vouches for it.
  faulty->plan(Fault::error(EIO).on({Operation::sync_lock}));
  CHECK(code_of([&] { run.manager.save().wait(); }) == "io_error");
  CHECK(disk->exists(checkpoint_path(3, 2)));
  CHECK(run.manager.latest()->sequence == 2);
  run.manager.save().wait();
  // The newest two that are confirmed.
  CHECK(disk->exists(checkpoint_path(2)));
  CHECK(disk->exists(checkpoint_path(4, 2)));
}

TEST_CASE("manager: events come in order and may throw", "[engine]") {
  const Disk disk = new_disk();
  std::vector<std::string> kinds;
  ToyRun run(
      kRoot, quiet_options(disk).keep_last(1).on_event([&](const Event& event) {
        kinds.emplace_back(
            std::string(to_string(event.kind)) + " " + event.checkpoint);
        throw std::runtime_error("a handler that fails");
      }));
  run.manager.resume();
  train_steps(run, 3);
  CHECK(
      kinds ==
      std::vector<std::string>{
          "fresh start ",
          "save started ",
          "save staged " + checkpoint_name(1, 1),
          "saved " + checkpoint_name(1, 1),
          "save started ",
          "save staged " + checkpoint_name(2, 2),
          "saved " + checkpoint_name(2, 2),
          "save started ",
          "save staged " + checkpoint_name(3, 3),
          "saved " + checkpoint_name(3, 3),
          "removed " + checkpoint_name(1, 1)});
}

TEST_CASE(
    "manager: a tag of the run's own that changed breaks equality",
    "[engine]") {
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, keep_everything(disk).tag("data", "v1"));
    run.manager.resume();
    train_steps(run, 1);
  }
  ToyRun run(kRoot, keep_everything(disk).tag("data", "v2"));
  const ResumeReport report = run.manager.resume();
  CHECK_FALSE(report.exact());
  REQUIRE(report.differences.size() == 1);
  CHECK(report.differences[0].name == "tag.data");
  CHECK(report.differences[0].was == "v1");
  CHECK(report.differences[0].is == "v2");
  CHECK(report.differences[0].severity == Severity::breaks_bit_equality);
}

TEST_CASE(
    "manager: what on_restored throws comes after everything is applied",
    "[engine]") {
  struct Hooked {
    Values save_state() const {
      return {};
    }
    void load_state(const Values&) {}
    void on_restored() {
      ++calls;
      if (fail) {
        throw std::runtime_error("hook");
      }
    }
    int calls = 0;
    bool fail = false;
  } hooked;
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("hooked", hooked);
    run.manager.resume();
    train_steps(run, 1);
    CHECK(hooked.calls == 0);
  }
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.add("hooked", hooked);
  hooked.fail = true;
  CHECK_THROWS_WITH(run.manager.resume(), "hook");
  CHECK(code_of([&] { run.manager.step(); }) == "not_resumed");
  hooked.fail = false;
  // A run from nothing would begin with what was restored.
  CHECK(code_of([&] { run.manager.start_fresh("anew"); }) == "already_resumed");
  CHECK(catalog_of(disk).lines.empty());
  run.manager.resume();
  CHECK(run.fingerprint() == undisturbed(1));
}

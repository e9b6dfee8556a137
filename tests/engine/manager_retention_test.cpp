#include "engine_support.hpp"

#include <holdfast/engine/retention_plan.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <random>
#include <thread>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;

namespace {

using StepNumbers = std::vector<std::int64_t>;

Options keep_two(const std::shared_ptr<FileSystem>& disk) {
  return quiet_options(disk).keep_last(2);
}

StepNumbers kept_steps(const RetentionPlan& plan, bool after_next) {
  StepNumbers steps;
  for (const PlannedCheckpoint& planned : plan.checkpoints) {
    if (after_next ? planned.keep_after_next : planned.keep) {
      steps.push_back(planned.checkpoint.step);
    }
  }
  return steps;
}

/// Of a toy run, to a few bytes.
std::uint64_t checkpoint_size() {
  ToyRun run(kRoot, keep_everything(trained(1)));
  run.manager.resume();
  return run.manager.list().back().bytes;
}

StepNumbers listed_steps(ToyRun& run) {
  return steps_of(run.manager.list());
}

} // namespace

TEST_CASE("manager: a plan tells what the next save changes", "[retention]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, keep_two(disk));
  run.manager.resume();
  train_steps(run, 3);
  const RetentionPlan plan = run.manager.plan();
  CHECK(plan.directory == kRoot);
  REQUIRE(plan.checkpoints.size() == 2);
  CHECK(plan.checkpoints[0].checkpoint.step == 2);
  CHECK(plan.checkpoints[0].keep);
  CHECK_FALSE(plan.checkpoints[0].keep_after_next);
  CHECK(
      plan.checkpoints[0].reasons_after_next ==
      std::vector<std::string>{"older than the last 2 (from 000003)"});
  CHECK(plan.checkpoints[1].keep_after_next);
  CHECK(plan.abandoned.empty());
  CHECK(plan.bytes_kept() > plan.bytes_kept_after_next());
  CHECK(listed_steps(run) == StepNumbers{2, 3}); // nothing has changed
}

TEST_CASE("manager: a pin keeps a checkpoint until it goes", "[retention]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, keep_two(disk));
  run.manager.resume();
  train_steps(run, 2);
  run.manager.pin("ckpt-000001-step-1", "figure 3");
  run.manager.pin(checkpoint_path(2)); // a path does as well
  run.manager.save();
  run.manager.save();
  run.manager.save();
  CHECK(catalog_of(disk).checkpoints.size() == 4);
  const RetentionPlan plan = run.manager.plan();
  CHECK(
      plan.checkpoints[0].reasons ==
      std::vector<std::string>{"pinned: figure 3"});
  CHECK(plan.checkpoints[1].reasons == std::vector<std::string>{"pinned"});
  CHECK(plan.checkpoints[0].keep_after_next);

  run.manager.unpin("ckpt-000001-step-1");
  disk->remove(checkpoint_path(2) + "/PIN"); // by hand
  run.manager.unpin("ckpt-000002-step-2"); // it is not pinned: nothing to do
  run.manager.save();
  CHECK_FALSE(disk->exists(checkpoint_path(1)));
  CHECK_FALSE(disk->exists(checkpoint_path(2)));
}

TEST_CASE("manager: a person may touch a pin", "[retention]") {
  const Disk disk = trained(3);
  write_text(disk, checkpoint_path(1) + "/PIN", "by hand\n");
  Events events;
  ToyRun run(kRoot, keep_two(disk).on_event(events.handler()));
  run.manager.resume();
  run.manager.save();
  run.manager.save();
  run.manager.save();
  CHECK(disk->exists(checkpoint_path(1)));
  CHECK_FALSE(disk->exists(checkpoint_path(2)));
  CHECK(events.count(Event::Kind::warning) == 0);
  // It is no part of the checkpoint: this loads as ever.
  ToyRun copy("elsewhere", keep_two(new_disk()));
  PartSet parts;
  parts.add("model", make_part(copy.model));
  ManualClock clock;
  load(checkpoint_path(1), parts, *disk, clock);
  CHECK(copy.model.weight != ToyModel().weight);
}

TEST_CASE("manager: a pin that makes no sense is refused", "[retention]") {
  const Disk disk = new_disk();
  ToyRun run(kRoot, keep_two(disk));
  CHECK(
      code_of([&] { run.manager.pin("ckpt-000001-step-1"); }) == "not_resumed");
  CHECK(code_of([&] {
          run.manager.unpin("ckpt-000001-step-1");
        }) == "not_resumed");
  CHECK(code_of([&] { run.manager.prune(); }) == "not_resumed");
  run.manager.resume();
  train_steps(run, 1);
  run.manager.pin("ckpt-000001-step-1", "a");
  run.manager.pin("ckpt-000001-step-1", "a");
  const auto code = [&](const std::string& name, const std::string& label) {
    return code_of([&] { run.manager.pin(name, label); });
  };
  CHECK(code("ckpt-000001-step-1", "b") == "already_exists");
  CHECK(code("ckpt-000002-step-2", "") == "not_found");
  CHECK(code("the best one", "") == "invalid_argument");
  CHECK(code("ckpt-000001-step-1", "two\nlines") == "invalid_argument");
}

TEST_CASE(
    "manager: what stays for its pin pushes another one out",
    "[retention]") {
  const Disk disk = trained(5);
  const std::uint64_t size = checkpoint_size();
  write_text(disk, checkpoint_path(1) + "/PIN", "");
  ToyRun run(kRoot, quiet_options(disk).keep_at_most(size * 4 + size / 2));
  run.manager.resume();
  run.manager.save(); // 6
  run.manager.save(); // 7
  // 5 is what it came from, 6 and 7 are the newest, 1 is pinned: four.
  CHECK(catalog_of(disk).checkpoints.size() == 4);
  CHECK(disk->exists(checkpoint_path(1)));
  CHECK_FALSE(disk->exists(checkpoint_path(4)));
  CHECK(run.manager.plan().total_bytes == size * 4 + size / 2);
}

TEST_CASE(
    "manager: one that cannot be looked at stays, and holds no other",
    "[retention]") {
  const Disk disk = trained(5);
  disk->set_unreadable(checkpoint_path(2) + "/" + kManifestName, EACCES);
  ToyRun run(kRoot, keep_two(disk));
  run.manager.resume();
  // It was read before: only its manifest is closed now.
  disk->set_unreadable(checkpoint_path(2) + "/" + kManifestName, 0);
  CHECK(run.manager.list().size() == 5);
  disk->set_unreadable(checkpoint_path(2) + "/" + kManifestName, EACCES);
  run.manager.save();
  CHECK(disk->exists(checkpoint_path(2)));
  CHECK_FALSE(disk->exists(checkpoint_path(1)));
  CHECK_FALSE(disk->exists(checkpoint_path(3)));
  bool told = false;
  for (const PlannedCheckpoint& planned : run.manager.plan().checkpoints) {
    told = told ||
        planned.reasons.front().find("pinned: it cannot be looked at") == 0;
  }
  CHECK(told);
}

TEST_CASE(
    "manager: what is removed is deleted beside the loop",
    "[retention]") {
  const Disk memory = new_disk();
  const auto disk = std::make_shared<FaultFileSystem>(memory);
  const auto is_trash = [](const std::string& text) {
    return text.find(".trash-") != std::string::npos;
  };
  const auto trash_on_disk = [&] {
    return catalog_of(memory).trash.size();
  };
  const auto loop = std::this_thread::get_id();
  std::atomic<bool> deletes{false};
  std::atomic<int> by_loop{0};
  std::atomic<int> beside_a_save{0};
  disk->set_hook([&](std::uint64_t, const std::string& what) {
    if (std::this_thread::get_id() != loop) {
      while (!deletes) {
        std::this_thread::yield();
      }
    } else if (what.find("create") == 0) {
      beside_a_save += static_cast<int>(trash_on_disk());
    } else if (what.find("remove") == 0 && is_trash(what)) {
      ++by_loop;
    }
  });
  Events events;
  const auto train_one = [&](ToyRun& run) {
    deletes = true; // or the save would wait for ever
    train_steps(run, 1);
  };
  const auto handler = [&](const Event& event) {
    events.all.push_back(event);
    if (event.kind == Event::Kind::saved) {
      deletes = false; // retention comes next
    }
  };
  {
    ToyRun run(
        kRoot,
        quiet_options(disk)
            .keep_last(2)
            .deletion(Deletion::in_background)
            .on_event(handler));
    run.manager.resume();
    train_one(run);
    train_one(run);
    CHECK(trash_on_disk() == 0);
    for (int step = 3; step <= 5; ++step) {
      CAPTURE(step);
      train_one(run);
      CHECK(trash_on_disk() == 1);
      CHECK(listed_steps(run) == StepNumbers{step - 1, step});
      CHECK(
          events.count(Event::Kind::removed) ==
          static_cast<std::size_t>(step - 2));
    }
    deletes = true;
  }
  CHECK(trash_on_disk() == 0);
  CHECK(by_loop == 0);
  CHECK(beside_a_save == 0);
}

namespace {

/// A run on a disk whose deletions stand still until `deletes`.
struct SlowDeletions {
  SlowDeletions() {
    disk->set_hook([this](std::uint64_t, const std::string&) {
      while (std::this_thread::get_id() != loop && !deletes) {
        std::this_thread::yield();
      }
    });
    interrupter.on_asked = [this] {
      clock.pass(10);
      if (countdown > 0 && --countdown == 0) {
        at_zero();
      }
    };
  }
  Options options() {
    return quiet_options(disk).clock(clock).keep_last(2).deletion(
        Deletion::in_background);
  }
  bool told_that_it_is_saved() const {
    return interrupter.told.size() == 1 && interrupter.told[0].saved;
  }
  std::size_t trash_on_disk() const {
    return catalog_of(memory).trash.size();
  }

  const Disk memory = new_disk();
  std::shared_ptr<FaultFileSystem> disk =
      std::make_shared<FaultFileSystem>(memory);
  ManualClock clock;
  FakeInterrupter interrupter;
  int countdown = 0; ///< Until it was asked so often,
  std::function<void()> at_zero; ///< and then this.
  std::thread::id loop = std::this_thread::get_id();
  std::atomic<bool> deletes{false};
};

} // namespace

TEST_CASE(
    "manager: a preempted run waits for no deletion, if there is room",
    "[retention]") {
  const bool has_room = GENERATE(true, false);
  const bool compresses = GENERATE(true, false);
  CAPTURE(has_room, compresses);
  SlowDeletions slow;
  ToyModel large;
  large.weight.resize(40'000);
  std::thread opener;
  {
    ToyRun run(
        kRoot,
        slow.options().compression(compresses ? zstd() : uncompressed()));
    run.manager.add("large", large);
    run.manager.set_interrupter(&slow.interrupter);
    run.manager.resume();
    train_steps(run, 3);
    CHECK(slow.trash_on_disk() == 1);
    if (!has_room) {
      // A checkpoint and its margin take more, if nothing is deleted.
      leave_free(slow.memory, 200'000);
      opener = std::thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        slow.deletes = true;
      });
    }
    slow.interrupter.reason = "SIGTERM";
    train_steps(run, 1);
    CHECK(slow.told_that_it_is_saved());
    CHECK(listed_steps(run) == StepNumbers{3, 4});
    CHECK((slow.trash_on_disk() == 2) == has_room);
    slow.deletes = true;
    run.manager.set_interrupter(nullptr);
  }
  if (opener.joinable()) {
    opener.join();
  }
}

TEST_CASE(
    "manager: a save that waited for a deletion took no longer for it",
    "[retention]") {
  SlowDeletions slow;
  ToyRun run(kRoot, slow.options());
  run.manager.set_interrupter(&slow.interrupter);
  run.manager.resume();
  train_steps(run, 3);
  REQUIRE(slow.trash_on_disk() == 1);
  slow.countdown = 4; // one at the step, the others while it waits
  slow.at_zero = [&] {
    slow.deletes = true;
  };
  train_steps(run, 1);
  REQUIRE(slow.countdown == 0);
  train_steps(run, 1);
  CHECK(slow.interrupter.expected_seconds < 10);
  run.manager.set_interrupter(nullptr);
}

TEST_CASE(
    "manager: a preemption that comes amid the wait for a deletion ends it",
    "[retention]") {
  SlowDeletions slow;
  {
    ToyRun run(kRoot, slow.options());
    run.manager.set_interrupter(&slow.interrupter);
    run.manager.resume();
    train_steps(run, 3);
    slow.countdown = 3;
    slow.at_zero = [&] {
      slow.interrupter.reason = "SIGTERM";
    };
    train_steps(run, 1);
    CHECK(slow.told_that_it_is_saved());
    CHECK(listed_steps(run) == StepNumbers{3, 4});
    CHECK(slow.trash_on_disk() == 2);
    CHECK_FALSE(run.manager.running(epochs(9)));
    slow.deletes = true;
    run.manager.set_interrupter(nullptr);
  }
}

TEST_CASE(
    "manager: a save is not begun if the wait left no time for it",
    "[retention]") {
  SlowDeletions slow;
  ToyRun run(kRoot, slow.options());
  run.manager.set_interrupter(&slow.interrupter);
  run.manager.resume();
  train_steps(run, 3);
  slow.countdown = 3;
  slow.at_zero = [&] {
    slow.interrupter.reason = "SIGTERM";
    slow.interrupter.left = -1;
  };
  train_steps(run, 1);
  REQUIRE(slow.interrupter.told.size() == 1);
  CHECK_FALSE(slow.interrupter.told[0].saved);
  CHECK(
      slow.interrupter.told[0].text.find("and 0 s are left") !=
      std::string::npos);
  CHECK(listed_steps(run) == StepNumbers{2, 3});
  slow.deletes = true;
  run.manager.set_interrupter(nullptr);
}

TEST_CASE(
    "manager: when all is done and saved, a save hears no preemption",
    "[retention]") {
  SlowDeletions slow;
  ToyRun run(kRoot, slow.options());
  run.manager.set_interrupter(&slow.interrupter);
  run.manager.resume();
  REQUIRE(run.manager.running(steps(3)));
  train_steps(run, 3);
  REQUIRE_FALSE(run.manager.running(steps(3)));
  REQUIRE(slow.trash_on_disk() == 1);
  const int calls = slow.interrupter.asked;
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    slow.deletes = true;
  });
  CHECK(run.manager.save().saved());
  opener.join();
  CHECK(slow.interrupter.asked == calls);
  run.manager.set_interrupter(nullptr);
}

TEST_CASE(
    "manager: a preempted one leaves its trash to the next",
    "[retention]") {
  SlowDeletions slow;
  std::thread opener;
  {
    ToyRun run(kRoot, slow.options());
    run.manager.set_interrupter(&slow.interrupter);
    run.manager.resume();
    train_steps(run, 2);
    slow.interrupter.reason = "SIGTERM";
    train_steps(run, 1);
    REQUIRE(slow.trash_on_disk() == 1);
    run.manager.set_interrupter(nullptr);
    opener = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      slow.deletes = true;
    });
  }
  opener.join();
  CHECK(slow.trash_on_disk() == 1);
  {
    ToyRun next(kRoot, slow.options());
    next.manager.resume();
  }
  CHECK(slow.trash_on_disk() == 0);
}

TEST_CASE("manager: what cannot be deleted is told", "[retention][fault]") {
  for (const Deletion deletion : {Deletion::at_once, Deletion::in_background}) {
    const Disk memory = new_disk();
    const auto disk = std::make_shared<FaultFileSystem>(memory);
    disk->plan(Fault::error(EIO)
                   .on(testing::Operations{testing::Operation::remove_file})
                   .named(".trash-")
                   .for_ever());
    const auto loop = std::this_thread::get_id();
    disk->set_hook([&](std::uint64_t, const std::string&) {
      if (std::this_thread::get_id() != loop) { // slow, or luck hides an error
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    });
    Events events;
    bool is_over = false;
    const auto failures = [&] {
      std::size_t count = 0;
      for (const Event& event : events.of(Event::Kind::warning)) {
        count += event.text.find("could not be deleted") != std::string::npos;
      }
      return count;
    };
    {
      ToyRun run(
          kRoot,
          quiet_options(disk).keep_last(2).deletion(deletion).on_event(
              [&](const Event& event) {
                CHECK_FALSE(is_over);
                events.all.push_back(event);
              }));
      run.manager.resume();
      train_steps(run, 4);
      CHECK(listed_steps(run) == StepNumbers{3, 4});
      CHECK(events.count(Event::Kind::removed) == 2);
      CHECK(failures() >= 1); // the last one may still be under way
      is_over = true; // the destructor calls no handler
    }
    const std::string log =
        memory->read_text(std::string(kRoot) + "/history.jsonl");
    std::size_t logged = 0;
    for (std::size_t at = 0;
         (at = log.find("could not be deleted", at)) != std::string::npos;
         ++at) {
      ++logged;
    }
    CHECK(logged == 2);
    CHECK(catalog_of(memory).trash.size() == 2);
    {
      ToyRun run(kRoot, quiet_options(memory).keep_last(2).deletion(deletion));
      run.manager.resume();
    }
    CHECK(catalog_of(memory).trash.empty());
  }
}

TEST_CASE(
    "manager: a removal that fails halfway is ended by the next",
    "[retention][fault]") {
  using testing::Operation;
  const Operation operation =
      GENERATE(Operation::open_directory, Operation::sync_directory);
  const Disk memory = new_disk();
  const auto disk = std::make_shared<FaultFileSystem>(memory);
  bool struck = false;
  ToyRun run(kRoot, keep_two(disk));
  run.manager.resume();
  train_steps(run, 2);
  disk->set_hook([&](std::uint64_t, const std::string& what) {
    if (!struck && what.find("rename") == 0 &&
        what.find(".trash-") != std::string::npos) {
      struck = true;
      disk->plan(Fault::error(EIO).on({operation}));
    }
  });
  train_steps(run, 2);
  REQUIRE(struck);
  CHECK(listed_steps(run) == StepNumbers{3, 4});
  CHECK(catalog_of(memory).trash.empty());
}

TEST_CASE("manager: prunes what was left, and says what", "[retention]") {
  const Disk disk = trained(4);
  Events events;
  ToyRun run(kRoot, keep_everything(disk).on_event(events.handler()));
  run.manager.resume_from("ckpt-000002-step-2", "again");
  // Only the one it came from is valid: it may be all there is.
  CHECK(run.manager.prune().empty());
  CHECK(events.count(Event::Kind::warning) == 1);
  run.train_batch(run.loader.next());
  run.manager.step();
  const RetentionPlan plan = run.manager.plan();
  CHECK(plan.checkpoints.size() == 3);
  REQUIRE(plan.abandoned.size() == 1);
  CHECK(plan.abandoned[0].line == 0);
  CHECK(plan.abandoned[0].checkpoints == 2);
  const std::vector<CheckpointInfo> removed = run.manager.prune();
  CHECK(steps_of(removed) == StepNumbers{3, 4});
  CHECK(plan.abandoned[0].bytes == removed[0].bytes + removed[1].bytes);
  CHECK(
      events.of(Event::Kind::removed).back().text ==
      "ckpt-000004-step-4: pruned with line 0");
  CHECK(run.manager.plan().abandoned.empty());
  CHECK(run.manager.prune().empty());
  CHECK(steps_on(disk) == StepNumbers{1, 2, 3});
}

TEST_CASE(
    "manager: prunes former runs, but nothing that is held or unknown",
    "[retention]") {
  const Disk disk = trained(5);
  disk->flip_bit(checkpoint_path(1) + "/" + kManifestName, 100);
  write_text(disk, checkpoint_path(2) + "/PIN", "");
  auto reader = disk->open_root(kRoot, Create::no)
                    ->open_directory(checkpoint_name(3, 3))
                    ->open_file(kManifestName);
  REQUIRE(reader->try_lock_shared());
  write_text(disk, std::string(kRoot) + "/notes.txt", "mine");
  Events events;
  ToyRun run(kRoot, keep_everything(disk).on_event(events.handler()));
  run.manager.start_fresh("anew");
  train_steps(run, 2);
  CHECK(run.manager.plan().abandoned[0].checkpoints == 5);
  CHECK(steps_of(run.manager.prune()) == StepNumbers{4, 5});
  CHECK(events.count(Event::Kind::warning) == 3);
  CHECK(disk->exists(checkpoint_path(1)));
  CHECK(disk->exists(checkpoint_path(2)));
  CHECK(disk->exists(checkpoint_path(3)));
  CHECK(disk->exists(std::string(kRoot) + "/notes.txt"));
  CHECK(run.manager.plan().abandoned[0].checkpoints == 3);
}

TEST_CASE("manager: pruning can be cut short anywhere", "[retention][crash]") {
  const std::uint64_t every = one_in(4);
  std::uint64_t points = 0;
  std::uint64_t disks = 0;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    const Disk disk = trained(4);
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    {
      ToyRun run(kRoot, keep_everything(faulty));
      run.manager.resume_from("ckpt-000002-step-2");
      run.train_batch(run.loader.next());
      run.manager.step();
      faulty->plan(Fault::power_cut().at(n));
      try {
        run.manager.prune();
      } catch (const Error&) {
      }
    }
    if (!faulty->power_is_cut()) {
      break;
    }
    ++points;
    std::uint64_t pattern_number = 0;
    for (const LossPattern& pattern :
         testing::all_loss_patterns(*disk, 4, seed() + n)) {
      if (pattern_number++ % every != n % every) {
        continue;
      }
      ++disks;
      const auto after = disk->snapshot();
      after->cut_power(pattern);
      ToyRun run(kRoot, keep_everything(after));
      run.manager.resume();
      REQUIRE(run.manager.progress().step == 3);
      run.manager.save();
      run.manager.prune();
      REQUIRE(run.manager.plan().abandoned.empty());
      REQUIRE(run.manager.list().size() == 4);
    }
  }
  CHECK(points > 10);
  std::cout << points << " points of a prune(), " << disks << " disks"
            << std::endl;
}

namespace {

/// Rules and a life, both at random.
class RandomLife {
 public:
  explicit RandomLife(std::uint64_t seed) : engine_(seed) {}

  std::int64_t number(std::int64_t below) {
    return static_cast<std::int64_t>(
        engine_() % static_cast<std::uint64_t>(below));
  }
  bool one_in(std::int64_t count) {
    return number(count) == 0;
  }

  Options options(const Disk& disk, ManualClock& clock, std::uint64_t size) {
    Options options;
    options.file_system(disk)
        .clock(clock)
        .on_event({})
        .lock_wait(std::chrono::seconds(0))
        .save_every(steps(1'000'000));
    if (!one_in(3)) {
      options.keep_last(1 + static_cast<std::size_t>(number(4)));
    }
    if (one_in(2)) {
      options.keep_best(
          "loss",
          one_in(2) ? Best::lowest : Best::highest,
          1 + static_cast<std::size_t>(number(3)));
    }
    if (one_in(3)) {
      options.keep_every(steps(1 + number(6)));
    }
    if (one_in(4)) {
      options.keep_every(epochs(1 + number(2)));
    }
    if (one_in(3)) {
      options.keep_one_per(std::chrono::seconds(30 + number(200)));
    }
    if (one_in(3)) {
      options.keep_younger_than(
          std::chrono::seconds(number(300)),
          static_cast<std::size_t>(number(3)));
    }
    if (one_in(3)) {
      // Half of one more, so that a few bytes decide nothing.
      options.keep_at_most(
          size * (1 + static_cast<std::uint64_t>(number(6))) + size / 2);
    }
    return options;
  }

 private:
  std::mt19937_64 engine_;
};

} // namespace

TEST_CASE(
    "manager: what a plan says is what the next save does",
    "[retention][property]") {
  const std::uint64_t size = checkpoint_size();
  RandomLife life(seed());
  std::uint64_t saves = 0;
  std::uint64_t removed = 0;
  const std::uint64_t lives = 200 / one_in(4);
  for (std::uint64_t i = 0; i < lives; ++i) {
    CAPTURE(i);
    const Disk disk = new_disk();
    ManualClock clock;
    for (int process = 0; process < 3; ++process) {
      ToyRun run(kRoot, life.options(disk, clock, size));
      if (process == 1 && life.one_in(3) && !steps_on(disk).empty()) {
        const auto names = catalog_of(disk).search_order();
        run.manager.resume_from(
            names[static_cast<std::size_t>(
                      life.number(static_cast<std::int64_t>(names.size())))]
                .name);
      } else {
        run.manager.resume();
      }
      run.loader.begin();
      for (int action = 0; action < 12; ++action) {
        clock.pass(static_cast<double>(life.number(100)));
        if (life.one_in(12)) {
          clock.wall -= static_cast<double>(life.number(400)); // set back
        }
        const std::vector<std::int64_t> batch = run.loader.next();
        if (batch.empty()) {
          run.manager.end_epoch();
          run.loader.begin();
        } else {
          run.train_batch(batch);
          run.manager.step();
        }
        const std::vector<CheckpointInfo> before = run.manager.list();
        if (!before.empty() && life.one_in(10)) {
          run.manager.pin(before[static_cast<std::size_t>(life.number(
                                     static_cast<std::int64_t>(before.size())))]
                              .name);
        }
        if (life.one_in(3)) {
          // A metric may be a new best, of which the plan knows nothing.
          run.manager.save({{"loss", static_cast<double>(life.number(10))}});
          continue;
        }
        const RetentionPlan plan = run.manager.plan();
        REQUIRE(plan.checkpoints.size() == before.size());
        run.manager.save();
        ++saves;
        StepNumbers expected = kept_steps(plan, true);
        removed += before.size() - expected.size();
        expected.push_back(run.manager.progress().step);
        REQUIRE(listed_steps(run) == expected);
      }
    }
  }
  std::cout << saves << " saves went as planned, " << removed
            << " checkpoints removed by them\n";
  CHECK(removed > saves / 5);
}

#include "engine_support.hpp"

// What is drawn between a resume and the loop changes nothing.

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A user's object of which an engine is one member.
struct Augment {
  template <class V>
  void state(V& v) {
    v("drawing", drawing);
    v("engine", engine);
    v("strength", strength);
  }
  struct Drawing { // whenever it is captured
    Values save_state() const {
      (void)(*engine)();
      return {};
    }
    void load_state(const Values&) {}
    std::mt19937* engine = nullptr;
  };
  std::mt19937 engine{8};
  Drawing drawing{&engine};
  double strength = 0.5;
};

/// A process's life: resume, draw, the loop. Draws also where an epoch begins,
/// between running() and the range, as its uninterrupted run does.
struct Life {
  explicit Life(const Disk& disk)
      : run(kRoot, keep_everything(disk).save_every(epochs(1))) {
    run.manager.resume();
  }

  void go_on(std::int64_t goal, std::int64_t roll_back_in = -1) {
    run.engine.discard(1);
    while (run.manager.running(epochs(goal))) {
      run.engine.discard(2);
      run.loader.begin();
      for (;;) {
        const auto batch = run.loader.next();
        if (batch.empty()) {
          break;
        }
        run.train_batch(batch);
        run.manager.step();
        if (run.manager.epoch() == roll_back_in) {
          roll_back_in = -1;
          run.manager.rollback();
          run.engine.discard(3); // the rest of the body
          break;
        }
      }
      if (run.manager.epoch_done()) {
        run.manager.end_epoch();
      }
    }
  }

  ToyRun run;
};

std::string never_killed() {
  Life life(new_disk());
  life.go_on(3);
  return life.run.fingerprint();
}

/// Saved at the border of an epoch, and killed.
Disk at_a_border() {
  const Disk disk = new_disk();
  Life(disk).go_on(1);
  return disk;
}

} // namespace

TEST_CASE("random state: drawn from before the loop, once", "[random]") {
  const Disk disk = at_a_border();
  for (int killed = 0; killed < 3; ++killed) { // before anything is saved
    Life life(disk);
    life.run.engine.discard(7);
    (void)life.run.manager.running(epochs(2));
  }
  Life(disk).go_on(2);
  Life life(disk);
  life.go_on(3);
  CHECK(life.run.fingerprint() == never_killed());
}

TEST_CASE("random state: drawn from after a rollback to a border", "[random]") {
  Life life(new_disk());
  life.go_on(3, 1);
  CHECK(life.run.fingerprint() == never_killed());
}

TEST_CASE("random state: running() puts it back once", "[random]") {
  Life life(at_a_border());
  const std::mt19937 saved = life.run.engine;
  life.run.engine.discard(7);
  REQUIRE(life.run.manager.running(epochs(2)));
  CHECK(life.run.engine == saved);
  life.run.engine.discard(7);
  const std::mt19937 drawn = life.run.engine;
  life.run.loader.begin(); // the epoch's own draws
  CHECK(life.run.engine == drawn);
  REQUIRE(life.run.manager.running(epochs(2)));
  CHECK(life.run.engine == drawn);
}

TEST_CASE("random state: a fresh start draws as it likes", "[random]") {
  Life life(new_disk());
  life.run.engine.discard(7);
  const std::mt19937 drawn = life.run.engine;
  REQUIRE(life.run.manager.running(epochs(1)));
  life.run.loader.begin();
  CHECK(life.run.engine == drawn);
}

TEST_CASE(
    "random state: a run that is over ends with what it had",
    "[random]") {
  const Disk disk = trained(3); // in mid-epoch: no range comes
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.resume();
  run.engine.discard(3);
  REQUIRE_FALSE(run.manager.running(steps(3)));
  CHECK(run.fingerprint() == undisturbed(3));
}

TEST_CASE("random state: a loop of steps without a loader", "[random]") {
  const auto train = [](const Disk& disk, std::int64_t goal) {
    std::mt19937 engine{3};
    Manager manager(kRoot, keep_everything(disk));
    manager.add("engine", engine);
    manager.resume();
    engine.discard(1);
    while (manager.running(steps(goal))) {
      engine.discard(2);
      manager.step();
    }
    return engine;
  };
  const Disk disk = new_disk();
  (void)train(disk, 2);
  CHECK(train(disk, 4) == train(new_disk(), 4));
}

TEST_CASE("random state: saved before the loop, it is the loop's", "[random]") {
  // At a border, and in mid-epoch.
  for (const bool border : {true, false}) {
    CAPTURE(border);
    const Disk disk = border ? at_a_border() : trained(3);
    std::string saved;
    {
      ToyRun run(kRoot, keep_everything(disk));
      run.manager.probe([&run] { return static_cast<double>(run.engine()); });
      run.manager.resume();
      saved = run.fingerprint();
      run.engine.discard(7);
      const std::mt19937 drawn = run.engine;
      run.manager.save().wait();
      CHECK(run.engine == drawn); // saving moves no generator
    }
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.probe([&run] { return static_cast<double>(run.engine()); });
    const ResumeReport report = run.manager.resume();
    CHECK(report.checkpoint->sequence == (border ? 7 : 4));
    CHECK(run.fingerprint() == saved);
    REQUIRE(report.probe);
    CHECK(report.probe->outcome == ProbeResult::Outcome::equal);
  }
}

namespace {

/// Rebuilds what it has not saved, with random numbers of a member.
struct Rebuilding {
  template <class V>
  void state(V& v) {
    v("engine", engine);
    v("drawing", drawing);
    v("strength", strength);
  }
  void on_restored() {
    (void)engine();
  }
  struct Drawing { // when it is loaded
    Values save_state() const {
      return {};
    }
    void load_state(const Values&) {
      (void)(*engine)();
    }
    std::mt19937* engine = nullptr;
  };
  std::mt19937 engine{8};
  Drawing drawing{&engine};
  double strength = 0.5;
};

} // namespace

TEST_CASE("random state: of a member comes after all callbacks", "[random]") {
  const Disk disk = new_disk();
  std::mt19937 trained{8};
  trained.discard(5);
  const auto life = [&](bool trains) {
    auto member = std::make_shared<Rebuilding>();
    std::vector<Rebuilding> nested(1);
    nested[0].drawing.engine = &nested[0].engine;
    Manager manager(kRoot, keep_everything(disk));
    manager.add("member", member);
    manager.add("nested", nested);
    manager.resume();
    if (trains) {
      member->engine = trained;
      nested[0].engine = trained;
      manager.step();
      manager.save().wait();
    }
    CHECK(member->engine == trained);
    CHECK(nested[0].engine == trained);
    if (!trains) {
      member->engine.discard(3);
      nested[0].engine.discard(3);
      manager.rollback();
      CHECK(member->engine == trained);
      CHECK(nested[0].engine == trained);
    }
  };
  life(true);
  life(false);
}

TEST_CASE("random state: of an engine among other members", "[random]") {
  Augment first;
  std::vector<Augment> rest(1);
  first.drawing.engine = &rest[0].engine; // of another object
  rest[0].drawing.engine = &rest[0].engine;
  const Disk disk = new_disk();
  const std::mt19937 initial = first.engine;
  {
    Manager manager(kRoot, keep_everything(disk));
    manager.add("first", first);
    manager.add("rest", rest);
    manager.probe([&] { return static_cast<double>(first.engine()); });
    manager.resume();
    manager.step();
    manager.save().wait();
    CHECK(first.engine == initial);
    CHECK(rest[0].engine == initial);
  }
  first.engine.discard(3);
  rest[0].engine.discard(4);
  Manager manager(kRoot, keep_everything(disk));
  manager.add("first", first);
  manager.add("rest", rest);
  manager.probe([&] { return static_cast<double>(first.engine()); });
  const ResumeReport report = manager.resume();
  REQUIRE(report.probe);
  CHECK(report.probe->outcome == ProbeResult::Outcome::equal);
  CHECK(first.engine == initial);
  CHECK(rest[0].engine == initial);
  // Members are listed anew: these have moved in memory meanwhile.
  rest.reserve(64);
  first.engine.discard(1);
  rest[0].engine.discard(2);
  rest[0].strength = 9;
  REQUIRE(manager.running(steps(5)));
  CHECK(first.engine == initial);
  CHECK(rest[0].engine == initial);
  CHECK(rest[0].strength == 9); // nothing else is put back
}

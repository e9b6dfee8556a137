#include "engine_support.hpp"

#include <support/forked_child.hpp>

#include <cerrno>
#include <stdexcept>
#include <thread>

#include <pthread.h>

// What is saved when an exception leaves the loop.

using namespace holdfast;
using holdfast::test::ToyRun;

namespace {

constexpr std::int64_t kEpochs = 3;

/// Saves at the end of each second epoch, and so long before most exceptions.
Options rare(const std::shared_ptr<FileSystem>& disk) {
  static test::ManualClock clock;
  return Options()
      .file_system(disk)
      .clock(clock)
      .lock_wait(std::chrono::seconds(0))
      .save_every(epochs(2))
      .keep_all()
      .exception_overhead(1, 0)
      .on_event({});
}

struct Failed : std::runtime_error {
  Failed() : std::runtime_error("the batch cannot be read\nmore of it") {}
};

/// What the loop has done to its objects when the exception comes.
enum class Touched {
  nothing,
  engine, // dropout, a random crop
  rate, // a scheduler
  loader, // the batch is fetched
  first_moment, // an update that was cut short
  last_weight,
};

const std::vector<Touched> kTouched = {
    Touched::nothing,
    Touched::engine,
    Touched::rate,
    Touched::loader,
    Touched::first_moment,
    Touched::last_weight};

bool is_half_updated(Touched touched) {
  return touched == Touched::first_moment || touched == Touched::last_weight;
}

enum class Place { after_step, after_epoch };

/// Trains to the goal; the exception comes when `before_step` would be the next
/// one, at the first chance after the last one, or after the epoch's end.
void train(
    ToyRun& run,
    std::int64_t before_step = -1,
    Touched touched = {},
    Place place = Place::after_step) {
  const auto fail_if_now = [&](Place here) {
    if (run.manager.progress().step + 1 != before_step || here != place) {
      return;
    }
    switch (touched) {
      case Touched::nothing:
        break;
      case Touched::engine:
        run.engine.discard(5);
        break;
      case Touched::rate:
        run.rate *= 0.5;
        break;
      case Touched::loader:
        static_cast<void>(run.loader.next());
        break;
      case Touched::first_moment:
        run.model.moment.front() += 1;
        break;
      case Touched::last_weight:
        run.model.weight.back() += 1;
        break;
    }
    throw Failed();
  };
  run.manager.run([&] {
    while (run.manager.running(epochs(kEpochs))) {
      fail_if_now(Place::after_epoch);
      run.loader.begin();
      for (;;) {
        fail_if_now(Place::after_step);
        const auto batch = run.loader.next();
        if (batch.empty()) {
          break;
        }
        run.train_batch(batch);
        run.manager.step({{"loss", run.loss()}});
      }
      run.rate *= 0.9;
      run.manager.end_epoch({{"val_loss", run.loss() + 1}});
    }
  });
}

/// A part that takes a second, by its clock, to look at.
struct Slow {
  test::ManualClock* clock;
  std::int64_t looks = 0;
  bool in_step = false;
  double number = 1;

  template <class V>
  void state(V& visitor) {
    if (in_step) {
      ++looks;
      clock->pass(1);
    }
    visitor("number", number);
  }
};

std::int64_t newest_step(const test::Disk& disk) {
  const auto steps = test::steps_on(disk);
  return steps.empty() ? 0 : steps.back();
}

} // namespace

TEST_CASE(
    "exception: the last safe point is saved, never half an update",
    "[engine][exception]") {
  const auto whole_disk = test::new_disk();
  ToyRun whole(test::kRoot, rare(whole_disk));
  whole.manager.resume();
  train(whole);
  const std::int64_t last = whole.manager.progress().step;
  REQUIRE(last == kEpochs * ToyRun::kSamples);

  const std::uint64_t whole_state = 128;
  for (std::int64_t step = 1; step <= last; ++step) {
    for (const Touched touched : kTouched) {
      for (const std::uint64_t kept : {std::uint64_t{0}, whole_state}) {
        for (const Place place : {Place::after_step, Place::after_epoch}) {
          const std::int64_t trained = step - 1;
          if (place == Place::after_epoch && trained % ToyRun::kSamples != 0) {
            continue;
          }
          CAPTURE(
              step, static_cast<int>(touched), static_cast<int>(place), kept);
          const std::int64_t saved =
              trained > 10 || (trained == 10 && place == Place::after_epoch)
              ? 10
              : 0;
          const auto disk = test::new_disk();
          test::Events events;
          {
            ToyRun run(
                test::kRoot,
                rare(disk)
                    .on_event(events.handler())
                    .exception_overhead(1, kept));
            run.manager.resume();
            CHECK_THROWS_AS(train(run, step, touched, place), Failed);
            if (trained == saved) {
              CHECK(newest_step(disk) == saved);
              CHECK(events.count(Event::Kind::warning) == 0);
            } else if (is_half_updated(touched) && kept == 0) {
              CHECK(newest_step(disk) == saved);
              REQUIRE(events.count(Event::Kind::warning) == 1);
              const std::string text =
                  events.of(Event::Kind::warning).front().text;
              CHECK(
                  text.find(
                      "exception: the batch cannot be read...: step " +
                      std::to_string(trained) +
                      " was not saved, changed since: 'model'") == 0);
            } else {
              CHECK(newest_step(disk) == trained);
              CHECK(events.count(Event::Kind::warning) == 0);
              const auto newest = run.manager.latest();
              REQUIRE(newest);
              CHECK(newest->exact);
              CHECK(
                  newest->reasons ==
                  std::vector<std::string>{
                      "exception: the batch cannot be read..."});
              CHECK(
                  newest->metrics.values().count(
                      place == Place::after_epoch ? "val_loss" : "loss") == 1);
            }
          }
          ToyRun again(test::kRoot, rare(disk));
          CHECK(again.manager.resume().exact());
          train(again);
          CHECK(again.fingerprint() == whole.fingerprint());
        }
      }
    }
  }
}

TEST_CASE("exception: without run() nothing is saved", "[engine][exception]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, rare(disk));
  run.manager.resume();
  test::train_steps(run, 3);
  CHECK(test::steps_on(disk).empty());
}

TEST_CASE("exception: run() gives back what the loop gives", "[engine]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, rare(disk));
  run.manager.resume();
  int value = 3;
  int& result = run.manager.run([&]() -> int& { return value; });
  CHECK(&result == &value);
  run.manager.run([] {});
  CHECK_THROWS_AS(run.manager.run([] { throw 7; }), int);
  try {
    run.manager.run([&] { run.manager.run([] {}); });
    FAIL("a run in a run");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
  }
  // Over, however it was left.
  run.manager.run([] {});
}

TEST_CASE("exception: several pieces of a loop", "[engine][exception]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, rare(disk));
  run.manager.resume();
  run.manager.run([&] { test::train_steps(run, 2); });
  // Outside nobody has looked, so that nobody knows.
  CHECK_THROWS_AS(run.manager.run([&]() { throw Failed(); }), Failed);
  CHECK(test::steps_on(disk).empty());
  CHECK_THROWS_AS(
      run.manager.run([&]() {
        run.train_batch(run.loader.next());
        run.manager.step();
        throw Failed();
      }),
      Failed);
  CHECK(test::steps_on(disk) == std::vector<std::int64_t>{3});
}

TEST_CASE(
    "exception: what cannot be trusted is not saved",
    "[engine][exception]") {
  const auto disk = test::new_disk();
  test::Events events;
  const auto warning = [&] {
    const auto all = events.of(Event::Kind::warning);
    return all.empty() ? std::string() : all.back().text;
  };
  SECTION("a loss that may have diverged") {
    ToyRun run(
        test::kRoot,
        rare(disk)
            .on_event(events.handler())
            .rollback_on_divergence(DivergenceOptions("loss").patience(3)));
    run.manager.resume();
    CHECK_THROWS_AS(
        run.manager.run([&] {
          run.train_batch(run.loader.next());
          run.manager.step({{"loss", std::nan("")}});
          throw Failed();
        }),
        Failed);
    CHECK(warning().find("may have diverged") != std::string::npos);
    CHECK(test::steps_on(disk).empty());
  }
  SECTION("nobody looked") {
    ToyRun run(
        test::kRoot,
        rare(disk).on_event(events.handler()).exception_overhead(0));
    run.manager.resume();
    CHECK_THROWS_AS(
        run.manager.run([&] {
          test::train_steps(run, 1);
          throw Failed();
        }),
        Failed);
    CHECK(warning().find("exception_overhead is 0") != std::string::npos);
    CHECK(test::steps_on(disk).empty());
  }
  SECTION("a step that was refused") {
    KeepBest best;
    best.metric = "loss";
    best.not_finite = Unranked::raise;
    ToyRun run(
        test::kRoot,
        Options()
            .file_system(disk)
            .save_every(epochs(2))
            .exception_overhead(1, 0)
            .keep_best(best)
            .on_event(events.handler()));
    run.manager.resume();
    try {
      run.manager.run([&] {
        test::train_steps(run, 1); // the first is a best one
        run.loader.begin();
        run.manager.step(); // no loss: neither best nor saved
        run.train_batch(run.loader.next());
        run.manager.step({{"loss", std::nan("")}});
      });
      FAIL("a loss that is refused");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::bad_metric);
    }
    CHECK(
        warning().find("step 2 was not saved, changed since: 'model'") !=
        std::string::npos);
    CHECK(test::steps_on(disk) == std::vector<std::int64_t>{1});
  }
}

TEST_CASE(
    "exception: the loop's own is thrown, whatever becomes of the save",
    "[engine][exception][fault]") {
  using testing::Fault;
  using testing::FaultFileSystem;
  const std::uint64_t operations = [] {
    const auto disk = std::make_shared<FaultFileSystem>(test::new_disk());
    ToyRun run(test::kRoot, rare(disk));
    run.manager.resume();
    const std::uint64_t before = disk->operations();
    CHECK_THROWS_AS(train(run, 4), Failed);
    return disk->operations() - before;
  }();
  REQUIRE(operations > 10);
  for (std::uint64_t at = 1; at <= operations; ++at) {
    CAPTURE(at);
    const auto memory = test::new_disk();
    const auto disk = std::make_shared<FaultFileSystem>(memory);
    test::Events events;
    {
      ToyRun run(test::kRoot, rare(disk).on_event(events.handler()));
      run.manager.resume();
      disk->plan(Fault::error(ENOSPC).at(at).for_ever());
      CHECK_THROWS_AS(train(run, 4), Failed);
    }
    ToyRun again(test::kRoot, rare(memory));
    CHECK_NOTHROW(again.manager.resume());
    const std::int64_t step = again.manager.progress().step;
    CHECK((step == 0 || step == 3));
    if (step == 0) {
      CHECK(events.count(Event::Kind::save_failed) == 1);
    }
  }
}

TEST_CASE(
    "exception: an earlier safe point does not stand for the last",
    "[engine][exception][fault]") {
  const auto memory = test::new_disk();
  const auto disk = std::make_shared<testing::FaultFileSystem>(memory);
  test::Events events;
  const auto options = [&] {
    return rare(disk).on_event(events.handler());
  };
  SECTION("nobody looked at the last") {
    // By its clock the first look takes a second, and no time passes then.
    test::ManualClock clock;
    Slow slow{&clock};
    Manager manager(
        test::kRoot, options().clock(clock).exception_overhead(0.01));
    manager.add("slow", slow);
    manager.resume();
    slow.in_step = true;
    CHECK_THROWS_AS(
        manager.run([&] {
          manager.step();
          manager.step();
          throw Failed();
        }),
        Failed);
    REQUIRE(slow.looks > 0);
    REQUIRE(events.count(Event::Kind::warning) == 1);
    CHECK(
        events.of(Event::Kind::warning)
            .front()
            .text.find("step 2 was not saved, looking at this safe point would "
                       "have taken more than exception_overhead") !=
        std::string::npos);
  }
  SECTION("the last call did not get to its end") {
    ToyRun run(
        test::kRoot, options().save_every(steps(3)).max_save_failures(1));
    run.manager.resume();
    disk->plan(testing::Fault::error(EIO).on(
        testing::Operations{testing::Operation::create_directory}));
    CHECK_THROWS_AS(run.manager.run([&] { test::train_steps(run, 3); }), Error);
    REQUIRE(events.count(Event::Kind::warning) == 1);
    CHECK(
        events.of(Event::Kind::warning)
            .front()
            .text.find("step 3 was not saved, the call that counted it has not "
                       "ended; there is no checkpoint") != std::string::npos);
  }
  CHECK(test::steps_on(memory).empty());
}

TEST_CASE(
    "exception: a safe point that was left stands for nothing",
    "[engine][exception][fault]") {
  // The same step twice, on two lines; the second one's save fails.
  const auto memory = test::new_disk();
  const auto disk = std::make_shared<testing::FaultFileSystem>(memory);
  test::Events events;
  ToyRun run(
      test::kRoot,
      rare(disk)
          .on_event(events.handler())
          .exception_overhead(1)
          .save_every(steps(2))
          .max_save_failures(2));
  run.manager.resume();
  const auto failing = testing::Fault::error(EIO).on(
      testing::Operations{testing::Operation::create_directory});
  CHECK_THROWS_AS(
      run.manager.run([&] {
        test::train_steps(run, 3);
        disk->plan(failing);
        test::train_steps(run, 1); // its save fails: it is only remembered
        run.manager.rollback(1);
        static_cast<void>(run.manager.running(epochs(kEpochs)));
        run.rate = 0.5;
        test::train_steps(run, 1);
        disk->plan(failing);
        test::train_steps(run, 1);
      }),
      Error);
  CHECK(test::steps_on(memory) == std::vector<std::int64_t>{2});
  REQUIRE(events.count(Event::Kind::warning) == 1);
  CHECK(
      events.of(Event::Kind::warning).front().text.find("has not ended") !=
      std::string::npos);
}

TEST_CASE(
    "exception: what a user saved amid a step does not stand for it",
    "[engine][exception]") {
  const auto disk = test::new_disk();
  std::string at_safe_point;
  {
    ToyRun run(test::kRoot, rare(disk));
    run.manager.resume();
    CHECK_THROWS_AS(
        run.manager.run([&] {
          test::train_steps(run, 2);
          at_safe_point = run.fingerprint();
          static_cast<void>(run.loader.next());
          run.manager.save().wait();
          throw Failed();
        }),
        Failed);
  }
  ToyRun again(test::kRoot, rare(disk));
  CHECK(again.manager.resume().exact());
  CHECK(again.fingerprint() == at_safe_point);
}

TEST_CASE(
    "exception: before the first step there is nothing to save",
    "[engine][exception]") {
  const auto disk = test::new_disk();
  {
    ToyRun run(test::kRoot, rare(disk));
    CHECK_THROWS_AS(run.manager.run([] { throw Failed(); }), Failed);
    run.manager.resume();
    test::train_steps(run, 1);
    static_cast<void>(run.loader.next());
    run.manager.save().wait(); // not exact
  }
  for (int life = 0; life < 2; ++life) {
    test::Events events;
    ToyRun run(test::kRoot, rare(disk).on_event(events.handler()));
    run.manager.resume();
    CHECK_THROWS_AS(run.manager.run([] { throw Failed(); }), Failed);
    CHECK(events.count(Event::Kind::warning) == 0);
    CHECK(test::steps_on(disk) == std::vector<std::int64_t>{1});
  }
}

TEST_CASE("exception: a loop that only ends epochs", "[engine][exception]") {
  const auto disk = test::new_disk();
  Manager manager(test::kRoot, rare(disk).save_every(steps(100)));
  double number = 0;
  manager.add("number", number);
  manager.resume();
  CHECK_THROWS_AS(
      manager.run([&] {
        number = 1;
        manager.end_epoch();
        number = 2;
        throw Failed();
      }),
      Failed);
  double loaded = 0;
  PartSet parts;
  parts.add("number", make_part(loaded));
  test::ManualClock clock;
  load(test::kRoot, parts, *disk, clock);
  CHECK(loaded == 1);
}

TEST_CASE("exception: no time is left for a save", "[engine][exception]") {
  // In time, too late from the first on, and too late for what comes last.
  for (const auto& times : std::vector<std::pair<double, double>>{
           {100, 100}, {-1, -1}, {100, -1}}) {
    const double left = times.first;
    const double at_throw = times.second;
    CAPTURE(left, at_throw);
    const auto disk = test::new_disk();
    test::Events events;
    test::FakeInterrupter hurry;
    hurry.left = left;
    ToyRun run(test::kRoot, rare(disk).on_event(events.handler()));
    run.manager.set_interrupter(&hurry);
    run.manager.resume();
    CHECK_THROWS_AS(
        run.manager.run([&] {
          test::train_steps(run, 2);
          hurry.reason = "SIGTERM";
          run.train_batch(run.loader.next());
          run.manager.step();
          run.manager.step(); // a loop that goes on all the same
          hurry.left = at_throw;
          throw Failed();
        }),
        Failed);
    // Told and saved at step 3, or neither; what came later is not forgotten.
    std::vector<std::int64_t> expected;
    if (left > 0) {
      expected.push_back(3);
    }
    if (at_throw > 0) {
      expected.push_back(4);
    }
    CHECK(test::steps_on(disk) == expected);
    CHECK(events.count(Event::Kind::warning) == (at_throw > 0 ? 0 : 1));
  }
}

TEST_CASE(
    "exception: another manager's trouble is not ours",
    "[engine][exception]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, rare(disk));
  run.manager.resume();
  try {
    run.manager.run([&] {
      test::train_steps(run, 3);
      throw Error(ErrorCode::lost_lock, "of another directory");
    });
    FAIL("it goes on");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::lost_lock);
  }
  CHECK(test::steps_on(disk) == std::vector<std::int64_t>{3});
}

TEST_CASE("exception: a thread may end inside", "[engine][exception]") {
  const auto disk = test::new_disk();
  CHECK(test::in_forked_child([&] {
          std::thread([&] {
            ToyRun run(test::kRoot, rare(disk));
            run.manager.resume();
            run.manager.run([&] {
              test::train_steps(run, 3);
              ::pthread_exit(nullptr);
            });
          }).join();
          return test::steps_on(disk) == std::vector<std::int64_t>{3} ? 0 : 1;
        }) == 0);
}

TEST_CASE("exception: a child has nothing to save", "[engine][exception]") {
  const auto disk = test::new_disk();
  ToyRun run(test::kRoot, rare(disk));
  run.manager.resume();
  run.manager.run([&] {
    test::train_steps(run, 3);
    CHECK(test::in_forked_child([&] {
            try {
              run.manager.run([] {});
            } catch (const Error& error) {
              return error.code() == ErrorCode::forked ? 0 : 1;
            }
            return 2;
          }) == 0);
  });
}

TEST_CASE("exception: looking stays within its share", "[engine][exception]") {
  // Each look takes a second, by this clock; each step takes ten.
  const auto disk = test::new_disk();
  test::ManualClock clock;
  Slow slow{&clock};
  Manager manager(
      test::kRoot,
      rare(disk).clock(clock).exception_overhead(0.02).save_every(
          steps(1000000)));
  manager.add("slow", slow);
  manager.resume();
  std::vector<std::int64_t> seen;
  manager.run([&] {
    slow.in_step = true;
    for (int step = 1; step <= 3000; ++step) {
      clock.pass(10);
      const std::int64_t before = slow.looks;
      manager.step();
      if (slow.looks != before) {
        seen.push_back(step);
      }
    }
    slow.in_step = false;
  });
  REQUIRE(seen.size() >= 3);
  REQUIRE(slow.looks > 0);
  // One capture may visit it more than once.
  const double cost =
      static_cast<double>(slow.looks) / static_cast<double>(seen.size());
  for (std::size_t i = 1; i < seen.size(); ++i) {
    CHECK(
        static_cast<double>(seen[i] - seen[i - 1]) * 10 + cost >= cost / 0.02);
  }
  CHECK(static_cast<double>(slow.looks) <= 0.021 * clock.monotonic_seconds());
}

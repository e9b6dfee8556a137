#include "engine_support.hpp"

#include <cerrno>
#include <limits>

// What a rule for the best does about values by which nothing can be the best.

using namespace holdfast;

namespace {

KeepBest best_of_val() {
  KeepBest rule;
  rule.metric = "val";
  return rule;
}

/// Saves only for a new best.
Options keeping(const test::Disk& disk, const KeepBest& rule) {
  static test::ManualClock clock;
  return Options()
      .file_system(disk)
      .clock(clock)
      .lock_wait(std::chrono::seconds(0))
      .save_every(steps(1000))
      .on_event({})
      .keep_best(rule);
}

constexpr double kBad = std::numeric_limits<double>::quiet_NaN();
constexpr double kEndless = std::numeric_limits<double>::infinity();

} // namespace

TEST_CASE("manager: of equal bests the one that the rule says", "[engine]") {
  for (const Tie tie : {Tie::older, Tie::newer}) {
    const auto disk = test::new_disk();
    KeepBest rule = best_of_val();
    rule.tie = tie;
    test::ToyRun run(test::kRoot, keeping(disk, rule));
    run.manager.resume();
    run.loader.begin();
    for (const double value : {2.0, 1.0, 1.0, kBad, 3.0}) {
      run.train_batch(run.loader.next());
      run.manager.step({{"val", value}});
    }
    const std::int64_t expected = tie == Tie::older ? 2 : 3;
    CHECK(run.manager.best("val")->step == expected);
    CHECK(test::steps_on(disk).back() == expected);
    // A restart derives it from the manifests.
    test::ToyRun other(test::kRoot, keeping(disk, rule));
    CHECK(test::code_of([&] { other.manager.resume(); }) == "locked");
  }
}

TEST_CASE("manager: a bad metric is refused, if told so", "[engine]") {
  const auto disk = test::new_disk();
  KeepBest rule = best_of_val();
  rule.not_finite = Unranked::raise;
  test::ToyRun run(test::kRoot, keeping(disk, rule));
  run.manager.resume();
  run.loader.begin();
  run.train_batch(run.loader.next());
  const std::string before = run.fingerprint();
  for (const double bad : {kBad, kEndless, -kEndless}) {
    for (const int call : {0, 1, 2}) {
      CHECK(test::code_of([&] {
              const Metrics metrics{{"val", bad}};
              if (call == 0) {
                run.manager.step(metrics);
              } else if (call == 1) {
                static_cast<void>(run.manager.save(metrics));
              } else {
                run.manager.end_epoch(metrics);
              }
            }) == "bad_metric");
    }
  }
  CHECK(run.fingerprint() == before); // nothing was counted
  CHECK(test::steps_on(disk).empty());
  run.manager.step({{"val", 1}});
  run.manager.end_epoch(); // missing is another matter
  CHECK(test::steps_on(disk) == std::vector<std::int64_t>{1});
}

TEST_CASE("manager: a missing metric is refused, if told so", "[engine]") {
  KeepBest rule = best_of_val();
  rule.missing = Unranked::raise;
  test::ToyRun run(test::kRoot, keeping(test::new_disk(), rule));
  run.manager.resume();
  run.loader.begin();
  run.manager.step();
  static_cast<void>(run.manager.save());
  try {
    run.manager.end_epoch({{"loss", 1}});
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(
        std::string(error.what()) ==
        "'val': a metric that no checkpoint can be the best by: found none "
        "(bad_metric)");
  }
  CHECK(run.manager.epoch() == 0);
  run.manager.end_epoch({{"val", kBad}});
  CHECK(run.manager.epoch() == 1);
}

TEST_CASE(
    "manager: a metric that comes in mid-run, or is renamed",
    "[engine]") {
  const auto disk = test::new_disk();
  {
    test::ToyRun run(test::kRoot, keeping(disk, best_of_val()));
    run.manager.resume();
    run.loader.begin();
    run.manager.step({{"val", 5}});
    run.manager.step({{"val", 4}});
  }
  KeepBest renamed = best_of_val();
  renamed.metric = "val_loss";
  {
    test::ToyRun run(test::kRoot, keeping(disk, renamed));
    run.manager.resume();
    CHECK_FALSE(run.manager.best("val_loss"));
    CHECK(run.manager.best("val")->step == 2);
    run.loader.begin();
    run.manager.step({{"val_loss", 9}}); // the first of its name is the best
    CHECK(run.manager.best("val_loss")->step == 3);
    CHECK(run.manager.best("val")->step == 2);
  }
  // Both at once: each has its own.
  test::ToyRun run(
      test::kRoot, keeping(disk, renamed).keep_best(best_of_val()));
  run.manager.resume();
  CHECK(run.manager.best("val")->step == 2);
  run.loader.begin();
  run.manager.step({{"val", 4.5}, {"val_loss", 9.5}});
  CHECK(run.manager.latest()->step == 3); // no new best of either
}

TEST_CASE("manager: lowest and highest of one metric", "[engine]") {
  const auto disk = test::new_disk();
  KeepBest highest = best_of_val();
  highest.best = Best::highest;
  test::ToyRun run(
      test::kRoot,
      keeping(disk, best_of_val()).keep_best(highest).keep_last(9));
  run.manager.resume();
  run.loader.begin();
  for (const double value : {10.0, 5.0, 7.0, 6.0, 8.0, 9.0, 4.0, 11.0}) {
    run.train_batch(run.loader.next());
    run.manager.step({{"val", value}});
  }
  CHECK(test::steps_on(disk) == std::vector<std::int64_t>{1, 2, 7, 8});
  CHECK(
      run.manager.list().front().reasons ==
      std::vector<std::string>{"best val"});
}

TEST_CASE(
    "manager: what fails at the goal is a best all the same",
    "[engine][fault]") {
  const auto memory = test::new_disk();
  const auto disk = std::make_shared<testing::FaultFileSystem>(memory);
  test::ToyRun run(
      test::kRoot, test::quiet_options(disk).keep_best("val", Best::lowest));
  run.manager.resume();
  REQUIRE(run.manager.running(epochs(1)));
  run.loader.begin();
  for (auto batch = run.loader.next(); !batch.empty();
       batch = run.loader.next()) {
    run.train_batch(batch);
    run.manager.step({{"val", 2}});
  }
  disk->plan(testing::Fault::error(EIO).on({testing::Operation::sync_file}));
  run.manager.end_epoch({{"val", 1}});
  CHECK(run.manager.best("val")->metrics.values().at("val") == 2);
  CHECK_FALSE(run.manager.running(epochs(1)));
  CHECK(run.manager.best("val")->metrics.values().at("val") == 1);
  CHECK(run.manager.best("val")->progress.epoch == 1);
}

TEST_CASE("manager: bests that cannot be read are read again", "[engine]") {
  for (std::uint64_t n = 1; n <= 4; ++n) {
    CAPTURE(n);
    const auto memory = test::new_disk();
    const auto disk = std::make_shared<testing::FaultFileSystem>(memory);
    test::ToyRun run(
        test::kRoot,
        test::quiet_options(disk)
            .keep_best("a", Best::lowest)
            .keep_best("b", Best::lowest));
    run.manager.resume();
    run.train_batch({0});
    disk->plan(testing::Fault::error(EIO).on({testing::Operation::list}).at(n));
    const Metrics metrics{{"a", 1}, {"b", 2}};
    static_cast<void>(test::code_of([&] { run.manager.step(metrics); }));
    disk->clear_faults();
    run.manager.save(metrics);
    run.train_batch({0});
    run.manager.step({{"a", 3}, {"b", 1}});
    CHECK(run.manager.best("b")->metrics.values().at("b") == 1);
    CHECK(
        run.manager.latest()->reasons ==
        std::vector<std::string>{"every step", "best b"});
  }
}

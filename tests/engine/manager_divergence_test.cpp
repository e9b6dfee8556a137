#include "engine_support.hpp"

#include <holdfast/state/data_loader.hpp>

#include <cerrno>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

// Runs that diverge at a known batch, and go back by themselves.

using namespace holdfast;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;

namespace holdfast::test {

/// A learning rate, as an optimizer has one.
struct FragileRate {
  double value = 1;
};

class FragileRatePart final : public Part {
 public:
  explicit FragileRatePart(FragileRate& rate)
      : rate_(rate), inner_(make_part(rate.value)) {}
  std::string kind() const override {
    return "optimizer";
  }
  Stage stage() const override {
    return Stage::optimizer;
  }
  State capture(const Names& names) override {
    return inner_->capture(names);
  }
  std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override {
    return inner_->prepare(saved, names, mismatches);
  }
  bool scale_learning_rates(double factor) override {
    rate_.value *= factor;
    return true;
  }

 private:
  FragileRate& rate_;
  std::unique_ptr<Part> inner_;
};

} // namespace holdfast::test

template <>
struct holdfast::StateAdapter<holdfast::test::FragileRate> {
  static std::unique_ptr<Part> make(test::FragileRate& rate) {
    return std::make_unique<test::FragileRatePart>(rate);
  }
};

namespace {

struct Numbers {
  std::vector<std::size_t> get_batch(const std::vector<std::size_t>& indices) {
    return indices;
  }
  std::optional<std::size_t> size() const {
    return 20;
  }
};

/// Ten steps an epoch. A batch with a poisoned sample spoils the weight for
/// good, as one with a NaN in it does.
struct FragileRun {
  FragileRun(
      Options options,
      std::set<std::size_t> poisoned_samples,
      std::size_t workers = 0)
      : poisoned(std::move(poisoned_samples)),
        loader(Numbers(), DataLoaderOptions(2).seed(3).workers(workers)),
        manager(test::kRoot, std::move(options)) {
    manager.add("weight", weight);
    manager.add("rate", rate);
    manager.add("data", loader);
    manager.add("noise", noise);
  }

  /// Stops where `stop_after` steps of this life are done, if it is not 0.
  /// Returns whether the goal was reached.
  bool train(std::int64_t goal, int stop_after = 0) {
    int steps = 0;
    while (manager.running(epochs(goal))) {
      for (const auto& batch : loader) {
        double sum = static_cast<double>(noise() % 100);
        for (const std::size_t sample : batch) {
          sum += static_cast<double>(sample);
          if (poisoned.count(sample) != 0) {
            sum = std::numeric_limits<double>::quiet_NaN();
          }
        }
        const double loss = std::isnan(weight) || std::isnan(sum) ? spoiled : 1;
        weight += rate.value * sum;
        ++trained
            [loader.epoch() * 10 +
             static_cast<std::int64_t>(loader.position() / 2)];
        manager.step({{"loss", loss}});
        if (stop_after != 0 && ++steps == stop_after) {
          return false;
        }
      }
      if (!manager.epoch_done()) {
        ++cut;
        continue;
      }
      manager.end_epoch();
    }
    return true;
  }

  double weight = 0;
  test::FragileRate rate;
  std::mt19937 noise{5};
  std::set<std::size_t> poisoned;
  DataLoader<Numbers> loader;
  double spoiled = std::numeric_limits<double>::quiet_NaN();
  std::map<std::int64_t, int> trained; ///< Batch: how often.
  int cut = 0;
  Manager manager;
};

/// The sample that batch `number` of epoch 0 begins with: poisoned, it comes
/// once an epoch.
std::size_t sample_of_batch(std::size_t number) {
  DataLoader<Numbers> loader(Numbers(), DataLoaderOptions(2).seed(3));
  std::size_t i = 0;
  for (const auto& batch : loader) {
    if (i++ == number) {
      return batch[0];
    }
  }
  return 0;
}

/// In which batch of `epoch` a sample is.
std::int64_t batch_of_sample(std::size_t sample, std::int64_t epoch) {
  SampleCursor cursor(20, DataLoaderOptions(2).seed(3));
  cursor.start_epoch(epoch);
  for (std::size_t place = 0; place < 20; place += 2) {
    for (const std::size_t index : cursor.batch_at(place)) {
      if (index == sample) {
        return epoch * 10 + static_cast<std::int64_t>(place / 2);
      }
    }
  }
  return -1;
}

Options watchful(const std::shared_ptr<FileSystem>& disk, int every = 1) {
  static test::ManualClock clock;
  return Options()
      .file_system(disk)
      .clock(clock)
      .lock_wait(std::chrono::seconds(0))
      .on_event({})
      .save_every(steps(every))
      .keep_last(1000)
      .rollback_on_divergence(DivergenceOptions("loss").patience(2));
}

} // namespace

TEST_CASE("divergence: a poisoned batch is passed by", "[divergence]") {
  const std::size_t sample = sample_of_batch(6);
  for (const std::size_t workers : {0U, 2U}) {
    const auto disk = test::new_disk();
    test::Events events;
    FragileRun run(
        watchful(disk).on_event(events.handler()), {sample}, workers);
    run.manager.resume();
    REQUIRE(run.train(3));
    CHECK(std::isfinite(run.weight));
    CHECK(run.manager.progress().epoch == 3);
    // Once in each epoch; found one step later, the step before is suspect,
    // too.
    const auto divergences = run.manager.divergences();
    REQUIRE(divergences.size() == 3);
    CHECK(divergences[0].first_step == 7);
    CHECK(divergences[0].last_step == 8);
    CHECK(divergences[0].back_to == 5);
    CHECK(divergences[0].skipped_batches);
    CHECK(run.cut == 3);
    CHECK(run.manager.progress().step < 30);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      // Nobody trained on it a second time.
      CHECK(run.trained[batch_of_sample(sample, epoch)] == 1);
    }
    CHECK(run.trained[8] == 1); // the range ended before it
    CHECK(events.count(Event::Kind::diverged) == 3);
    CHECK(events.count(Event::Kind::rolled_back) == 3);
    CHECK(events.count(Event::Kind::warning) == 0);
    CHECK(
        events.of(Event::Kind::rolled_back)[0].text ==
        "loss was nan at steps 7 to 8, went back to step 5, skipped the "
        "batches (1 of 3)");
    // Nothing that is left is spoiled.
    for (const CheckpointInfo& info : run.manager.list()) {
      CHECK_FALSE(info.suspect);
    }
  }
}

TEST_CASE("divergence: without the rule it stays", "[divergence]") {
  const auto disk = test::new_disk();
  FragileRun run(test::keep_everything(disk), {sample_of_batch(6)});
  run.manager.resume();
  REQUIRE(run.train(3));
  CHECK(std::isnan(run.weight));
  CHECK(run.manager.divergences().empty());
}

TEST_CASE("divergence: killed anywhere, it is the same run", "[divergence]") {
  // One spoiled batch an epoch, two in a row, two that are apart.
  const std::set<std::size_t> spoiled = GENERATE(
      std::set<std::size_t>{sample_of_batch(6)},
      std::set<std::size_t>{sample_of_batch(6), sample_of_batch(7)},
      std::set<std::size_t>{sample_of_batch(5), sample_of_batch(8)});
  const std::size_t patience = GENERATE(std::size_t{1}, std::size_t{3});
  const auto step = static_cast<int>(test::one_in(5));
  for (const int every : {1, 3, 4}) {
    const auto options = [&](const test::Disk& disk) {
      return watchful(disk, every)
          .rollback_on_divergence(DivergenceOptions("loss")
                                      .patience(patience)
                                      .max_rollbacks(9)
                                      .learning_rate_factor(0.5));
    };
    const auto undisturbed = test::new_disk();
    FragileRun expected(options(undisturbed), spoiled);
    expected.manager.resume();
    REQUIRE(expected.train(3));
    REQUIRE(std::isfinite(expected.weight));
    const std::size_t times = expected.manager.divergences().size();
    CHECK(times >= 3);
    for (int life = 1; life <= 36; life += step) {
      CAPTURE(every, life);
      const auto disk = test::new_disk();
      bool ended = false;
      for (int lives = 0; !ended && lives < 60; ++lives) {
        FragileRun run(options(disk), spoiled);
        run.manager.resume();
        // Longer than what is lost, or it would never get anywhere.
        ended = run.train(3, life + 2 * every + 4);
        if (ended) {
          CHECK(run.weight == expected.weight);
          CHECK(run.rate.value == expected.rate.value);
          CHECK(run.noise == expected.noise);
          CHECK(run.manager.divergences().size() == times);
          CHECK(
              run.manager.progress().step == expected.manager.progress().step);
        }
      }
      CHECK(ended);
    }
  }
}

TEST_CASE("divergence: a power cut while it goes back", "[divergence]") {
  const std::size_t sample = sample_of_batch(6);
  const auto undisturbed = test::new_disk();
  FragileRun expected(watchful(undisturbed), {sample});
  expected.manager.resume();
  REQUIRE(expected.train(1));
  std::uint64_t cuts = 0;
  for (std::uint64_t n = 1;; ++n) {
    const auto disk = test::new_disk();
    const auto faults = std::make_shared<FaultFileSystem>(disk);
    {
      FragileRun run(watchful(faults), {sample});
      run.manager.resume();
      REQUIRE_FALSE(run.train(1, 8)); // has diverged, and not gone back
      faults->plan(Fault::power_cut().at(n));
      try {
        (void)run.manager.running(epochs(1));
      } catch (const std::exception&) {
      }
      if (!faults->power_is_cut()) {
        break;
      }
    }
    ++cuts;
    CAPTURE(n);
    disk->cut_power(LossPattern::all_lost());
    FragileRun run(watchful(disk), {sample});
    run.manager.resume();
    REQUIRE(run.train(1));
    CHECK(run.weight == expected.weight);
    CHECK(run.noise == expected.noise);
  }
  CHECK(cuts > 20);
}

TEST_CASE("divergence: only so many times", "[divergence]") {
  const auto disk = test::new_disk();
  const auto options = [&] {
    return watchful(disk).rollback_on_divergence(
        DivergenceOptions().patience(2).max_rollbacks(2).skip_batches(false));
  };
  // The same batch again and again.
  FragileRun run(options(), {sample_of_batch(6)});
  run.manager.resume();
  std::string text;
  const auto code = [&](FragileRun& its) {
    try {
      its.train(3);
    } catch (const Error& error) {
      text = error.what();
      return error.code();
    }
    return ErrorCode::io_error;
  };
  CHECK(code(run) == ErrorCode::diverged);
  CHECK(
      text ==
      "'runs/a': 'loss': the run has diverged, and has gone back as often as "
      "it may: found loss was nan at steps 7 to 8 (diverged)");
  CHECK(run.manager.divergences().size() == 2);
  CHECK_FALSE(run.manager.divergences()[0].skipped_batches);
  // A new life does not count anew.
  {
    FragileRun ended(options(), {});
    CHECK(code(ended) == ErrorCode::not_resumed);
  }
}

TEST_CASE("divergence: the limit holds over all lives", "[divergence]") {
  const auto disk = test::new_disk();
  int went_back = 0;
  for (int life = 0; life < 10; ++life) {
    test::Events events;
    FragileRun run(
        watchful(disk)
            .on_event(events.handler())
            .rollback_on_divergence(
                DivergenceOptions().patience(2).max_rollbacks(2).skip_batches(
                    false)),
        {sample_of_batch(6)});
    const ResumeReport report = run.manager.resume();
    CHECK(
        run.manager.divergences().size() ==
        static_cast<std::size_t>(went_back));
    if (went_back > 0) {
      CHECK(
          report.to_string().find("note: loss was nan at steps 7 to 8, went "
                                  "back to step 5") != std::string::npos);
    }
    try {
      // Ends right after it went back.
      while (run.manager.running(epochs(3)) &&
             events.count(Event::Kind::rolled_back) == 0) {
        for (const auto& batch : run.loader) {
          const bool bad = batch[0] == sample_of_batch(6);
          run.weight += bad ? run.spoiled : 1;
          run.manager.step(
              {{"loss", std::isnan(run.weight) ? run.spoiled : 1}});
        }
      }
      ++went_back;
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::diverged);
      break;
    }
  }
  CHECK(went_back == 2);
}

TEST_CASE("divergence: nothing to go back to", "[divergence]") {
  const auto disk = test::new_disk();
  FragileRun run(watchful(disk), {sample_of_batch(0)});
  run.manager.resume();
  try {
    run.train(1);
    FAIL("it went on");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::diverged);
    CHECK(
        std::string(error.what())
            .find("no checkpoint is known to be from before") !=
        std::string::npos);
  }
  // And the same again.
  CHECK(test::code_of([&] {
          (void)run.manager.running(epochs(1));
        }) == "diverged");
}

TEST_CASE(
    "divergence: while it suspects, nothing due is saved",
    "[divergence]") {
  const auto disk = test::new_disk();
  const auto options = [&] {
    return watchful(disk).rollback_on_divergence(
        DivergenceOptions().patience(4));
  };
  {
    FragileRun run(options(), {sample_of_batch(6)});
    run.manager.resume();
    REQUIRE_FALSE(run.train(1, 8));
    CHECK(test::steps_on(disk) == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
    CHECK_FALSE(run.manager.latest()->suspect);
    // A stop saves it, marked.
    run.manager.request_stop();
    static_cast<void>(run.loader.begin());
    run.manager.step({{"loss", run.spoiled}});
    CHECK_FALSE(run.manager.running(epochs(1)));
    CHECK(run.manager.latest()->step == 9);
    CHECK(run.manager.latest()->suspect);
  }
  // The next life goes on in the middle of it, and back from there.
  FragileRun run(options(), {sample_of_batch(6)});
  CHECK(run.manager.resume().checkpoint->step == 9);
  REQUIRE(run.train(1));
  REQUIRE(run.manager.divergences().size() == 1);
  CHECK(run.manager.divergences()[0].first_step == 7);
  CHECK(run.manager.divergences()[0].back_to == 5);
  CHECK(std::isfinite(run.weight));
}

TEST_CASE("divergence: what recovers by itself is due then", "[divergence]") {
  const auto disk = test::new_disk();
  test::ToyRun run(
      test::kRoot,
      watchful(disk, 3).rollback_on_divergence(
          DivergenceOptions().patience(9)));
  run.manager.resume();
  run.loader.begin();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double loss : {1.0, 1.0, nan, nan, 1.0}) {
    run.train_batch(run.loader.next());
    run.manager.step({{"loss", loss}});
  }
  CHECK(test::steps_on(disk) == std::vector<std::int64_t>{5});
}

TEST_CASE("divergence: retention keeps one to go back to", "[divergence][P7]") {
  // The loss is reported every fourth step only, and two are kept.
  const auto disk = test::new_disk();
  test::ToyRun run(
      test::kRoot,
      test::quiet_options(disk).keep_last(1).rollback_on_divergence(
          DivergenceOptions().patience(1)));
  run.manager.resume();
  const auto train = [&](std::int64_t until, double loss) {
    while (run.manager.progress().step < until) {
      if (run.loader.at_end()) {
        run.manager.end_epoch();
      }
      run.loader.begin();
      run.train_batch(run.loader.next());
      const std::int64_t step = run.manager.progress().step + 1;
      run.manager.step(step % 4 == 0 ? Metrics{{"loss", loss}} : Metrics());
    }
  };
  train(11, 1);
  CHECK(test::steps_on(disk) == std::vector<std::int64_t>{7, 10, 11});
  CHECK(
      run.manager.plan().checkpoints[0].reasons ==
      std::vector<std::string>{"the last good one"});
  train(12, std::numeric_limits<double>::infinity());
  CHECK(run.manager.running(epochs(99)));
  CHECK(run.manager.progress().step == 7);
}

TEST_CASE("divergence: suspect ones count for nothing", "[divergence][P7]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto disk = test::new_disk();
  const auto step = [](test::ToyRun& run, double loss) {
    if (run.loader.at_end()) {
      run.manager.end_epoch();
    }
    run.loader.begin();
    run.train_batch(run.loader.next());
    run.manager.step({{"loss", loss}});
  };
  SECTION("they push none out") {
    test::ToyRun run(
        test::kRoot,
        test::quiet_options(disk).keep_last(1).rollback_on_divergence(
            DivergenceOptions().patience(99)));
    run.manager.resume();
    for (const double loss : {1.0, 1.0, 1.0, 1.0, nan, nan, nan, nan}) {
      step(run, loss);
      if (std::isnan(loss)) {
        static_cast<void>(run.manager.save());
      }
    }
    CHECK(test::steps_on(disk) == std::vector<std::int64_t>{3, 4, 8});
  }
  SECTION("and none is gone back to, though the loss was normal then") {
    test::ToyRun run(
        test::kRoot,
        watchful(disk, 1000)
            .rollback_on_divergence(DivergenceOptions().patience(9)));
    run.manager.resume();
    step(run, 1);
    static_cast<void>(run.manager.save());
    step(run, 1);
    step(run, nan);
    static_cast<void>(run.manager.save());
    for (int i = 0; i < 3; ++i) {
      step(run, 1);
    }
    for (int i = 0; i < 9; ++i) {
      step(run, nan);
    }
    CHECK(run.manager.running(epochs(9)));
    CHECK(run.manager.progress().step == 1);
  }
}

TEST_CASE("divergence: where it went back to is good", "[divergence]") {
  // The next batch but one is spoiled, too, and one checkpoint is kept.
  const auto disk = test::new_disk();
  FragileRun run(
      test::quiet_options(disk).keep_last(1).rollback_on_divergence(
          DivergenceOptions().patience(1)),
      {sample_of_batch(6), sample_of_batch(7)});
  run.manager.resume();
  REQUIRE(run.train(1));
  const auto divergences = run.manager.divergences();
  REQUIRE(divergences.size() == 2);
  CHECK(divergences[0].back_to == 5);
  CHECK(divergences[1].back_to == 5);
  CHECK(run.trained[8] == 1);
  CHECK(run.manager.progress().step == 7);
}

TEST_CASE("divergence: a run that ends before it is known", "[divergence]") {
  const auto disk = test::new_disk();
  test::Events events;
  FragileRun run(
      watchful(disk)
          .on_event(events.handler())
          .rollback_on_divergence(DivergenceOptions().patience(5)),
      {sample_of_batch(8)});
  run.manager.resume();
  REQUIRE(run.train(1));
  REQUIRE(events.count(Event::Kind::warning) == 1);
  CHECK(
      events.of(Event::Kind::warning)[0].text ==
      "loss was nan at steps 9 to 10: the run ends before it is known whether "
      "it has diverged");
  CHECK(run.manager.latest()->suspect);
  CHECK_FALSE(run.manager.running(epochs(1)));
  CHECK(events.count(Event::Kind::warning) == 1);
}

TEST_CASE("divergence: saved before it went back", "[divergence]") {
  const auto disk = test::new_disk();
  const std::size_t sample = sample_of_batch(6);
  {
    FragileRun run(watchful(disk), {sample});
    run.manager.resume();
    REQUIRE_FALSE(run.train(1, 8));
    static_cast<void>(run.manager.save());
  }
  FragileRun run(watchful(disk), {sample});
  CHECK(run.manager.resume().checkpoint->step == 8);
  CHECK_FALSE(run.manager.epoch_done());
  CHECK(run.manager.running(epochs(1)));
  CHECK(run.manager.progress().step == 5);
  REQUIRE(run.train(1));
  CHECK(run.manager.divergences().size() == 1);
  CHECK(std::isfinite(run.weight));
}

TEST_CASE("divergence: running() asked in the loop's body", "[divergence]") {
  const auto disk = test::new_disk();
  FragileRun run(watchful(disk), {sample_of_batch(6)});
  run.manager.resume();
  int ended = 0;
  while (run.manager.running(epochs(2))) {
    for (const auto& batch : run.loader) {
      const bool bad = batch[0] == sample_of_batch(6);
      run.weight += bad ? run.spoiled : 1;
      run.manager.step({{"loss", std::isnan(run.weight) ? run.spoiled : 1}});
      if (!run.manager.running(epochs(2))) {
        break;
      }
    }
    if (run.manager.epoch_done()) {
      run.manager.end_epoch();
      ++ended;
    }
  }
  CHECK(ended == 2);
  CHECK(run.manager.progress().step >= 12);
  CHECK(std::isfinite(run.weight));
}

TEST_CASE("divergence: what could not be saved is done again", "[divergence]") {
  // Two spoiled batches; what follows the first one fails to be saved, so the
  // second one goes back to before both.
  const auto disk = test::new_disk();
  const auto faults = std::make_shared<FaultFileSystem>(disk);
  FragileRun run(
      watchful(faults, 5).max_save_failures(0).rollback_on_divergence(
          DivergenceOptions().patience(1).learning_rate_factor(0.5)),
      {sample_of_batch(6), sample_of_batch(9)});
  run.manager.resume();
  REQUIRE_FALSE(run.train(1, 7));
  faults->plan(Fault::error(EIO)
                   .on({holdfast::testing::Operation::create_directory})
                   .for_ever());
  REQUIRE(run.manager.running(epochs(1)));
  CHECK(run.manager.latest()->step == 5);
  CHECK(run.rate.value == 0.5);
  REQUIRE(run.train(1));
  const auto divergences = run.manager.divergences();
  REQUIRE(divergences.size() == 2);
  CHECK(divergences[0].back_to == 5);
  CHECK(divergences[1].back_to == 5);
  CHECK(divergences[0].skipped_batches);
  CHECK(run.rate.value == 0.25);
  CHECK(run.trained[6] == 1);
  CHECK(run.trained[9] == 1);
}

TEST_CASE(
    "divergence: the batches come again where they must",
    "[divergence]") {
  // A source that cannot skip, and no rate to lower.
  const auto disk = test::new_disk();
  test::Events events;
  test::ToyRun run(test::kRoot, watchful(disk).on_event(events.handler()));
  run.manager.resume();
  bool poisoned = true;
  while (run.manager.running(epochs(1))) {
    run.loader.begin();
    for (auto batch = run.loader.next(); !batch.empty();
         batch = run.loader.next()) {
      run.train_batch(batch);
      const bool bad = poisoned && run.manager.progress().step >= 2;
      run.manager.step(
          {{"loss", bad ? std::numeric_limits<double>::quiet_NaN() : 1}});
    }
    poisoned = false; // as if the user had mended it
    if (run.manager.epoch_done()) {
      run.manager.end_epoch();
    }
  }
  REQUIRE(run.manager.divergences().size() == 1);
  CHECK_FALSE(run.manager.divergences()[0].skipped_batches);
  CHECK(run.manager.progress().step == test::ToyRun::kSamples);
}

TEST_CASE(
    "divergence: a new best is saved amid suspicion, and never gone back to",
    "[divergence]") {
  const bool diverges = GENERATE(false, true);
  const auto disk = test::new_disk();
  test::ToyRun run(
      test::kRoot,
      watchful(disk, 3).keep_last(2).keep_best("val", Best::lowest));
  run.manager.resume();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto step = [&](double loss, double val) {
    run.train_batch({0});
    run.manager.step({{"loss", loss}, {"val", val}});
  };
  step(1, 3);
  step(1, 4);
  step(nan, 2); // best, and due
  REQUIRE(run.manager.best("val")->step == 3);
  CHECK(run.manager.best("val")->suspect);
  if (diverges) {
    step(nan, 5);
    REQUIRE(run.manager.running(epochs(9)));
    CHECK(run.manager.progress().step == 1);
    CHECK(run.manager.best("val")->step == 1);
    return;
  }
  step(1, 5); // what was due still is
  CHECK(run.manager.latest()->step == 4);
  CHECK_FALSE(run.manager.latest()->suspect);
  for (int i = 5; i <= 20; ++i) {
    step(1, 6);
  }
  CHECK(run.manager.best("val")->step == 3);
}

TEST_CASE(
    "divergence: new bests amid suspicion keep the pauses of a full disk",
    "[divergence][space]") {
  const auto faults = std::make_shared<FaultFileSystem>(test::new_disk());
  test::ManualClock clock;
  test::Events events;
  test::ToyRun run(
      test::kRoot,
      watchful(faults, 1000)
          .clock(clock)
          .on_event(events.handler())
          .keep_best("val", Best::lowest)
          .rollback_on_divergence(DivergenceOptions("loss").patience(100)));
  run.manager.resume();
  run.train_batch({0});
  run.manager.step({{"loss", 1}});
  clock.pass(700);
  faults->plan(Fault::error(ENOSPC).on({testing::Operation::write}).for_ever());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (int i = 0; i < 20; ++i) {
    run.train_batch({0});
    clock.pass(1);
    run.manager.step({{"loss", nan}, {"val", 100 - i}});
  }
  // At once and after 10 s.
  CHECK(events.count(Event::Kind::save_failed) == 2);
}

TEST_CASE("divergence: going back waits for space", "[divergence][space]") {
  const auto disk = test::new_disk();
  const auto faults = std::make_shared<FaultFileSystem>(disk);
  test::ManualClock clock;
  test::Events events;
  const NoSpace rule = GENERATE(NoSpace::retry, NoSpace::wait, NoSpace::raise);
  FragileRun run(
      watchful(faults)
          .clock(clock)
          .on_event(events.handler())
          .on_no_space(rule, std::chrono::seconds(300)),
      {sample_of_batch(6)});
  run.manager.resume();
  REQUIRE_FALSE(run.train(1, 8));
  const double began = clock.monotonic;
  faults->plan(Fault::error(ENOSPC)
                   .on(
                       {testing::Operation::create_directory,
                        testing::Operation::create_file})
                   .for_ever());
  if (rule == NoSpace::raise) {
    CHECK(test::code_of([&] {
            static_cast<void>(run.manager.running(epochs(1)));
          }) == "no_space");
    CHECK(clock.monotonic == began);
    faults->clear_faults();
    CHECK(run.train(1));
    return;
  }
  SECTION("it comes") {
    clock.on_sleep = [&] {
      if (clock.monotonic - began > 40) {
        faults->clear_faults();
      }
    };
    REQUIRE(run.manager.running(epochs(1)));
    CHECK(
        disk->read_text(std::string(test::kRoot) + "/HEARTBEAT")
            .find("\"running\"") != std::string::npos);
    CHECK(run.train(1));
    CHECK(clock.monotonic - began > 40);
    CHECK(clock.monotonic - began < 100);
    CHECK(std::isfinite(run.weight));
    CHECK(run.manager.divergences().size() == 1);
    CHECK(events.count(Event::Kind::warning) == 1);
  }
  SECTION("it does not come") {
    CHECK(test::code_of([&] {
            static_cast<void>(run.manager.running(epochs(1)));
          }) == "no_space");
    CHECK(clock.monotonic - began == 300);
  }
  SECTION("somebody wants it to end") {
    clock.on_sleep = [&] {
      if (clock.monotonic - began > 40) {
        run.manager.request_stop();
      }
    };
    CHECK_FALSE(run.manager.running(epochs(1)));
    CHECK(clock.monotonic - began < 42);
    CHECK(run.manager.latest()->step == 6);
  }
}

TEST_CASE(
    "divergence: weights between two steps are not gone back to",
    "[divergence]") {
  test::ToyRun run(test::kRoot, watchful(test::new_disk()));
  run.manager.resume();
  REQUIRE(run.manager.running(epochs(9)));
  run.loader.begin();
  for (int i = 1; i <= 5; ++i) {
    REQUIRE_FALSE(run.loader.next().empty());
    const bool is_good = run.rate < 1; // as the weights before the update
    if (i == 3) {
      run.rate = 1e30; // the update spoils them
      run.manager.save(); // as step 2
    }
    run.manager.step(
        {{"loss", is_good ? 1 : std::numeric_limits<double>::infinity()}});
  }
  REQUIRE(run.manager.running(epochs(9)));
  CHECK(run.manager.progress().step == 2);
  CHECK(run.rate == 0.01);
}

TEST_CASE(
    "divergence: a handler that throws makes nobody forget",
    "[divergence]") {
  const auto disk = test::new_disk();
  int calls = 0;
  FragileRun run(
      watchful(disk).on_safe_point([&](const SafePoint& point) {
        if (point.kind == SafePoint::Kind::resumed && ++calls == 2) {
          CHECK(point.manager.divergences().size() == 1);
          throw std::runtime_error("a handler");
        }
      }),
      {sample_of_batch(6)});
  static_cast<void>(run.manager.start_fresh("a"));
  REQUIRE_FALSE(run.train(1, 2));
  calls = 1;
  CHECK_THROWS_AS(run.train(1), std::runtime_error);
  CHECK(run.manager.divergences().size() == 1);
  REQUIRE(run.train(1));
  CHECK(run.manager.divergences().size() == 1);
  CHECK(std::isfinite(run.weight));
  CHECK(run.trained[6] == 1);
}

TEST_CASE("divergence: a body that goes on regardless", "[divergence]") {
  const auto disk = test::new_disk();
  test::Events events;
  test::ToyRun run(test::kRoot, watchful(disk).on_event(events.handler()));
  run.manager.resume();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  run.loader.begin();
  for (const double loss : {1.0, 1.0, 1.0, nan, nan, nan, 1.0}) {
    run.manager.step({{"loss", loss}});
  }
  CHECK(run.manager.progress().step == 5);
  CHECK_FALSE(run.manager.epoch_done());
  run.manager.end_epoch(); // undone anyway
  run.rate = 77;
  CHECK(run.manager.progress().epoch == 0);
  CHECK(run.manager.running(epochs(1)));
  CHECK(run.manager.progress().step == 2);
  CHECK(run.rate == 0.01);
  CHECK(events.count(Event::Kind::warning) == 0);
}

TEST_CASE(
    "divergence: whoever preempts a diverged run is told",
    "[divergence]") {
  const auto disk = test::new_disk();
  test::FakeInterrupter interrupter;
  FragileRun run(watchful(disk), {sample_of_batch(6)});
  run.manager.set_interrupter(&interrupter);
  run.manager.resume();
  REQUIRE_FALSE(run.train(1, 8));
  interrupter.reason = "SIGTERM";
  run.manager.step({{"loss", 1}});
  REQUIRE(interrupter.told.size() == 1);
  CHECK_FALSE(interrupter.told[0].saved);
  CHECK(
      interrupter.told[0].text ==
      "SIGTERM: not saved, it has diverged; the newest is "
      "runs/a/ckpt-000006-step-6");
  CHECK(test::steps_on(disk).back() == 6);
}

TEST_CASE("divergence: options are checked before the run", "[divergence]") {
  const auto disk = test::new_disk();
  CHECK(test::code_of([&] {
          Options().rollback_on_divergence(DivergenceOptions().patience(0));
        }) == "invalid_argument");
  test::ToyRun run(
      test::kRoot,
      watchful(disk).rollback_on_divergence(
          DivergenceOptions().learning_rate_factor(0.5)));
  CHECK(test::code_of([&] { run.manager.resume(); }) == "invalid_argument");
  CHECK_FALSE(disk->exists(test::kRoot));
  KeepBest rule;
  rule.metric = "loss";
  rule.not_finite = Unranked::raise;
  CHECK(test::code_of([&] {
          static_cast<void>(watchful(disk).keep_best(rule).resolve());
        }) == "invalid_argument");
}

TEST_CASE("divergence: a metric that never comes is said", "[divergence]") {
  const auto disk = test::new_disk();
  test::Events events;
  test::ToyRun run(
      test::kRoot,
      watchful(disk)
          .on_event(events.handler())
          .rollback_on_divergence(DivergenceOptions("los")));
  run.manager.resume();
  run.manager.end_epoch(); // without a step
  CHECK(events.count(Event::Kind::warning) == 0);
  run.train(3);
  REQUIRE(events.count(Event::Kind::warning) == 1);
  CHECK(
      events.of(Event::Kind::warning)[0].text ==
      "rollback_on_divergence() follows 'los', and no step() of this epoch has "
      "reported it");
}

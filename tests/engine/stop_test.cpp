#include "engine_support.hpp"

#include <holdfast/testing/fault_file_system.hpp>

#include <cerrno>

// How a run ends before its data does: requests, goals, and what must be on the
// disk then.

using namespace holdfast;
using holdfast::test::ToyRun;

namespace {

Options plain(const test::Disk& disk) {
  return Options()
      .file_system(disk)
      .lock_wait(std::chrono::seconds(0))
      .on_event({});
}

/// A run that steps once for `per_step` batches, asked to stop when `stop_at`
/// batches were fetched. Returns the batches that were trained.
std::int64_t accumulate(ToyRun& run, std::int64_t per_step, int stop_at) {
  std::int64_t fetched = 0;
  while (run.manager.running(epochs(2))) {
    run.loader.begin();
    std::int64_t pending = 0;
    for (;;) {
      const auto batch = run.loader.next();
      if (batch.empty()) {
        break;
      }
      ++fetched;
      run.train_batch(batch);
      if (fetched == stop_at) {
        run.manager.request_stop();
      }
      if (++pending == per_step) {
        pending = 0;
        run.manager.step();
      }
    }
    if (!run.manager.epoch_done()) {
      break;
    }
    run.rate *= 0.9;
    run.manager.end_epoch();
  }
  static_cast<void>(run.manager.running(epochs(2)));
  return fetched;
}

} // namespace

TEST_CASE("stop: a step of several batches is finished first", "[stop]") {
  for (int stop_at = 1; stop_at <= 10; ++stop_at) {
    CAPTURE(stop_at);
    const auto expected_disk = test::new_disk();
    ToyRun whole(test::kRoot, plain(expected_disk));
    whole.manager.resume();
    accumulate(whole, 2, -1);

    const auto disk = test::new_disk();
    {
      ToyRun run(test::kRoot, plain(disk));
      run.manager.resume();
      accumulate(run, 2, stop_at);
    }
    ToyRun run(test::kRoot, plain(disk));
    const ResumeReport report = run.manager.resume();
    // Whatever was asked before the first step is done after it.
    CHECK(report.resumed());
    CHECK(report.exact());
    accumulate(run, 2, -1);
    CHECK(run.fingerprint() == whole.fingerprint());
  }
}

TEST_CASE("stop: per-epoch code that is not guarded is not saved", "[stop]") {
  const auto disk = test::new_disk();
  std::string at_stop;
  {
    ToyRun run(test::kRoot, plain(disk));
    run.manager.resume();
    run.loader.begin();
    run.train_batch(run.loader.next());
    run.manager.step();
    run.manager.request_stop();
    run.train_batch(run.loader.next());
    run.manager.step();
    at_stop = run.fingerprint();
    CHECK(run.loader.next().empty());
    run.rate *= 0.9; // unguarded
    run.manager.end_epoch();
    CHECK_FALSE(run.manager.running(epochs(2)));
  }
  ToyRun run(test::kRoot, plain(disk));
  run.manager.resume();
  CHECK(run.fingerprint() == at_stop);
}

TEST_CASE("stop: nothing cuts an epoch of a loader of one's own", "[stop]") {
  const auto disk = test::new_disk();
  double weight = 0;
  double rate = 1;
  const auto train = [&](int stop_at) {
    Manager manager(test::kRoot, plain(disk));
    manager.add("weight", weight);
    manager.add("rate", rate);
    manager.resume();
    while (manager.running(epochs(2))) {
      for (int batch = 0; batch < 10; ++batch) {
        weight += rate;
        if (manager.progress().step + 1 == stop_at) {
          manager.request_stop();
        }
        manager.step();
      }
      CHECK(manager.epoch_done());
      rate /= 2;
      manager.end_epoch();
    }
    return manager.progress();
  };
  const Progress stopped = train(4);
  CHECK(stopped.step == 10);
  CHECK(stopped.epoch == 1);
  weight = -1;
  rate = -1;
  const Progress done = train(-1);
  CHECK(done.step == 20);
  CHECK(done.epoch == 2);
  CHECK(weight == 15);
  CHECK(rate == 0.25);
}

TEST_CASE("stop: a last save that fails is never silent", "[stop][fault]") {
  using testing::Fault;
  using testing::FaultFileSystem;
  using testing::Operation;
  using testing::Operations;
  for (const bool passes : {false, true}) {
    CAPTURE(passes);
    const auto disk = test::new_disk();
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    double weight = 0;
    Manager manager(
        test::kRoot,
        Options().file_system(faulty).save_every(steps(100)).on_event({}));
    manager.add("weight", weight);
    manager.resume();
    const Fault fault =
        Fault::error(EIO).on(Operations{Operation::create_directory});
    faulty->plan(passes ? fault : fault.for_ever());
    const auto loop = [&] {
      while (manager.running(epochs(1))) {
        weight += 1;
        manager.step();
        manager.end_epoch();
      }
    };
    if (passes) {
      loop(); // tried once more
      CHECK(manager.latest());
    } else {
      CHECK(test::code_of(loop) == "io_error");
    }
  }
}

TEST_CASE("stop: what is saved already is not missed", "[stop][fault]") {
  const auto disk = test::new_disk();
  const auto faulty = std::make_shared<testing::FaultFileSystem>(disk);
  double weight = 0;
  Manager manager(
      test::kRoot,
      Options().file_system(faulty).save_every(epochs(1)).on_event({}));
  manager.add("weight", weight);
  manager.resume();
  CHECK(manager.running(epochs(1)));
  manager.step();
  manager.end_epoch();
  faulty->plan(
      testing::Fault::error(EIO)
          .on(testing::Operations{testing::Operation::create_directory})
          .for_ever());
  CHECK(test::code_of([&] { manager.save().wait(); }) == "io_error");
  CHECK_FALSE(manager.running(epochs(1)));
}

TEST_CASE("stop: a resume in mid-epoch without a loader says so", "[stop]") {
  const auto disk = test::new_disk();
  double weight = 0;
  const auto begin = [&](int steps_to_train) {
    Manager manager(test::kRoot, plain(disk).save_every(steps(1)));
    manager.add("weight", weight);
    const ResumeReport report = manager.resume();
    for (int i = 0; i < steps_to_train; ++i) {
      manager.step();
    }
    return report;
  };
  CHECK(begin(2).exact());
  const ResumeReport report = begin(0);
  CHECK_FALSE(report.position_known);
  CHECK_FALSE(report.exact());
  CHECK_THAT(report.to_string(), test::contains("no data loader is attached"));
}

TEST_CASE("stop: a loader may be replaced between epochs only", "[stop]") {
  const auto disk = test::new_disk();
  auto loader = std::make_shared<test::ToyLoader>(4);
  Manager manager(test::kRoot, plain(disk).save_every(epochs(1)));
  manager.add("data", loader);
  manager.resume();
  const auto epoch = [&](bool replace_inside) {
    CHECK(manager.running(epochs(9)));
    loader->begin();
    while (!loader->next().empty()) {
      if (replace_inside) {
        loader = std::make_shared<test::ToyLoader>(4);
      }
      manager.step();
    }
    manager.end_epoch();
  };
  epoch(false);
  loader = std::make_shared<test::ToyLoader>(6);
  epoch(false);
  CHECK(manager.progress().samples == 10);
  CHECK(at(loader->save(), "epoch").as<std::int64_t>() == 2);
  CHECK(test::code_of([&] { epoch(true); }) == "invalid_argument");
}

TEST_CASE(
    "stop: a goal in steps on an epoch's border, killed just there",
    "[stop]") {
  const auto loop = [](ToyRun& run, std::int64_t kill_at) {
    while (run.manager.running(steps(10))) {
      run.loader.begin();
      for (auto batch = run.loader.next(); !batch.empty();
           batch = run.loader.next()) {
        run.train_batch(batch);
        run.manager.step();
        if (run.manager.progress().step == kill_at) {
          throw ToyRun::Killed();
        }
      }
      if (!run.manager.epoch_done()) {
        break;
      }
      run.rate *= 0.9;
      run.manager.end_epoch();
    }
  };
  const auto options = [](const test::Disk& disk) {
    return plain(disk).save_every(steps(1));
  };
  ToyRun whole(test::kRoot, options(test::new_disk()));
  whole.manager.resume();
  loop(whole, -1);
  for (std::int64_t kill_at = 1; kill_at <= 10; ++kill_at) {
    CAPTURE(kill_at);
    const auto disk = test::new_disk();
    {
      ToyRun run(test::kRoot, options(disk));
      run.manager.resume();
      CHECK_THROWS_AS(loop(run, kill_at), ToyRun::Killed);
    }
    ToyRun run(test::kRoot, options(disk));
    run.manager.resume();
    loop(run, -1);
    CHECK(run.fingerprint() == whole.fingerprint());
    CHECK(run.manager.epoch() == whole.manager.epoch());
    CHECK_FALSE(run.manager.running(steps(10)));
  }
}

TEST_CASE("stop: a preemption is saved whatever was before", "[stop]") {
  const bool by_request = GENERATE(true, false);
  test::FakeInterrupter preempts;
  test::ToyModel model; // and no loader whose range would end
  Manager manager(test::kRoot, plain(test::new_disk()).save_every(steps(99)));
  manager.add("model", model);
  manager.set_interrupter(&preempts);
  manager.resume();
  REQUIRE(manager.running(steps(by_request ? 50 : 3)));
  for (int step = 1; step <= 10; ++step) {
    if (step == 3 && by_request) {
      manager.request_stop();
    }
    if (step == 9) {
      CHECK(manager.list().size() == 1);
      preempts.reason = "SIGTERM";
    }
    manager.step();
  }
  REQUIRE(preempts.told.size() == 1);
  CHECK(preempts.told[0].saved);
  CHECK(manager.latest()->step == 9);
  CHECK(manager.list().size() == 2); // the tenth is nobody's
  manager.set_interrupter(nullptr);
}

TEST_CASE("stop: loaders that change places, and back", "[stop]") {
  const bool back = GENERATE(true, false);
  auto first = std::make_shared<test::ToyLoader>(6);
  auto second = std::make_shared<test::ToyLoader>(6);
  Manager manager(test::kRoot, plain(test::new_disk()).save_every(steps(1)));
  manager.add("one", first);
  manager.add("two", second);
  manager.resume();
  REQUIRE(manager.running(epochs(9)));
  const auto step = [&] {
    first->begin();
    second->begin();
    static_cast<void>(first->next());
    static_cast<void>(second->next());
    manager.step();
  };
  step();
  step();
  std::swap(first, second);
  if (back) {
    manager.save();
    std::swap(first, second);
    step();
    CHECK(manager.progress().step == 3);
    CHECK(first->save() == second->save());
    return;
  }
  manager.rollback();
  REQUIRE(manager.running(epochs(9)));
  step();
  step();
  CHECK(manager.progress().step == 4);
  manager.request_stop();
  first->begin();
  CHECK_FALSE(manager.running(epochs(9)));
}

TEST_CASE("stop: a loader that was left is free", "[stop]") {
  const bool is_null = GENERATE(true, false);
  using Loader = test::ToyLoader;
  auto first = std::make_shared<Loader>(6, 1);
  auto second = std::make_shared<Loader>(6, 1);
  auto current = first;
  const auto batches = [](Loader& loader) {
    loader.begin();
    int count = 0;
    while (!loader.next().empty()) {
      ++count;
    }
    return count;
  };
  {
    Manager manager(test::kRoot, plain(test::new_disk()));
    manager.add("data", current);
    manager.resume();
    REQUIRE(manager.running(epochs(2)));
    current->begin();
    while (!current->next().empty()) {
      manager.step();
    }
    manager.end_epoch();
    current = is_null ? nullptr : second;
    if (!is_null) {
      REQUIRE(manager.running(epochs(2)));
      manager.request_stop();
      CHECK_FALSE(manager.running(epochs(2)));
      first->start_epoch(0);
      CHECK(batches(*first) == 6); // no stop of a manager ends it
    }
  }
  first->start_epoch(0);
  CHECK(batches(*first) == 6); // nor is it asked when it is gone
}

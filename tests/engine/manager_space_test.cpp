#include "engine_support.hpp"

#include <holdfast/io/posix_file_system.hpp>

#include <support/forked_child.hpp>
#include <support/temporary_directory.hpp>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <sys/mount.h>
#include <sys/resource.h>

// Runs on disks that are too small: they train to their end, and the best
// checkpoint that fits is there.

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;

namespace {

Options on_small_disk(const std::shared_ptr<FileSystem>& files) {
  static ManualClock clock;
  return Options()
      .file_system(files)
      .clock(clock)
      .lock_wait(std::chrono::seconds(0))
      .save_every(steps(1))
      .keep_last(2)
      .on_event({});
}

constexpr std::int64_t kSmallDiskEpochs = 2;

const std::string& to_the_end() {
  static const std::string print = [] {
    ToyRun run(kRoot, on_small_disk(new_disk()));
    run.manager.resume();
    run.train(kSmallDiskEpochs);
    return run.fingerprint();
  }();
  return print;
}

struct SmallDiskLife {
  bool began = false; ///< `resume()` found room for LOCK.
  bool trained = false; ///< Through all steps, with the right result.
  bool saved_last = false;
};

/// A life on a disk that may be too small. Only typed errors may come, and only
/// at the start and at the end.
SmallDiskLife live(const std::string& root, const Options& options) {
  SmallDiskLife outcome;
  ToyRun run(root, options);
  try {
    run.manager.resume();
    outcome.began = true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::no_space) {
      throw;
    }
    return outcome;
  }
  try {
    run.train(kSmallDiskEpochs);
    outcome.saved_last = true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::no_space ||
        run.manager.progress().epoch != kSmallDiskEpochs) {
      throw;
    }
  }
  outcome.trained = run.fingerprint() == to_the_end();
  return outcome;
}

/// What the next life finds, with room enough: the newest step.
std::int64_t newest_step(const std::string& root, const Options& options) {
  ToyRun run(root, options);
  return run.manager.resume().resumed() ? run.manager.progress().step : 0;
}

} // namespace

TEST_CASE("full disk: every size of a small one", "[space][P6]") {
  static_cast<void>(to_the_end());
  const std::uint64_t every = one_in(4);
  std::uint64_t sizes = 0;
  std::int64_t best = -1;
  bool whole = false;
  for (std::uint64_t size = 0; !whole; size += 512 * every) {
    CAPTURE(size);
    const Disk disk = new_disk();
    disk->set_capacity(size);
    const SmallDiskLife outcome = live(kRoot, on_small_disk(disk));
    REQUIRE(outcome.trained == outcome.began);
    disk->set_capacity(MemoryFileSystem::kUnlimited);
    const std::int64_t step = newest_step(kRoot, on_small_disk(disk));
    REQUIRE(step >= 0);
    if (outcome.saved_last) {
      REQUIRE(step == kSmallDiskEpochs * ToyRun::kSamples);
    }
    best = std::max(best, step);
    whole = outcome.saved_last;
    ++sizes;
    REQUIRE(size < 1'000'000);
  }
  std::cout << sizes << " sizes of disk, from nothing to what is needed\n";
  CHECK(best == kSmallDiskEpochs * ToyRun::kSamples);
}

TEST_CASE("full disk: every number of files", "[space][P6]") {
  bool whole = false;
  for (std::uint64_t files = 0; !whole; ++files) {
    CAPTURE(files);
    const Disk disk = new_disk();
    disk->set_capacity(MemoryFileSystem::kUnlimited, files);
    const SmallDiskLife outcome = live(kRoot, on_small_disk(disk));
    REQUIRE(outcome.trained == outcome.began);
    disk->set_capacity(MemoryFileSystem::kUnlimited);
    REQUIRE(newest_step(kRoot, on_small_disk(disk)) >= 0);
    whole = outcome.saved_last;
    REQUIRE(files < 200);
  }
}

TEST_CASE("full disk: a limit on the size of files", "[space][P6]") {
  static_cast<void>(to_the_end());
  for (const ::rlim_t limit :
       {::rlim_t{0}, ::rlim_t{300}, ::rlim_t{1700}, ::rlim_t{3000}}) {
    CAPTURE(limit);
    const TemporaryDirectory directory;
    const std::string root = directory.path("run");
    CHECK(in_forked_child([&] {
            // Without this the system ends the process.
            std::signal(SIGXFSZ, SIG_IGN);
            const struct ::rlimit set = {limit, RLIM_INFINITY};
            if (::setrlimit(RLIMIT_FSIZE, &set) != 0) {
              return 2;
            }
            const SmallDiskLife outcome =
                live(root, on_small_disk(default_file_system()));
            return outcome.trained == outcome.began ? 0 : 1;
          }) == 0);
    CHECK(newest_step(root, on_small_disk(default_file_system())) >= 0);
  }
}

TEST_CASE("full disk: real ones of every size", "[space][P6][slow]") {
  static_cast<void>(to_the_end());
  const TemporaryDirectory directory;
  const std::string place = directory.path("disk");
  std::filesystem::create_directory(place);
  std::uint64_t pages = 1;
  bool whole = false;
  for (; !whole; ++pages) {
    CAPTURE(pages);
    const std::string option = "size=" + std::to_string(4 * pages) + "k";
    if (::mount("tmpfs", place.c_str(), "tmpfs", 0, option.c_str()) != 0) {
      WARN("skipped: no disk can be mounted here");
      return;
    }
    SmallDiskLife outcome;
    std::int64_t step = -1;
    std::string problem;
    try {
      const std::string root = place + "/run";
      outcome = live(root, on_small_disk(default_file_system()));
      // The next life has more room.
      static_cast<void>(
          ::mount(nullptr, place.c_str(), nullptr, MS_REMOUNT, "size=16m"));
      step = newest_step(root, on_small_disk(default_file_system()));
    } catch (const std::exception& error) {
      problem = error.what();
    }
    static_cast<void>(::umount2(place.c_str(), MNT_DETACH));
    REQUIRE(problem.empty());
    REQUIRE(outcome.trained == outcome.began);
    REQUIRE(step >= 0);
    whole = outcome.saved_last;
    if (whole) {
      REQUIRE(step == kSmallDiskEpochs * ToyRun::kSamples);
    }
    REQUIRE(pages < 500);
  }
  std::cout << pages << " sizes of real disks, in steps of 4 KiB\n";
}

TEST_CASE("full disk: waits for space as long as it may", "[space]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  ManualClock clock;
  Events events;
  ToyRun run(
      kRoot,
      Options()
          .file_system(faulty)
          .clock(clock)
          .save_every(steps(1))
          .keep_all()
          .on_event(events.handler())
          .on_no_space(NoSpace::wait, std::chrono::seconds(100)));
  run.manager.resume();
  run.loader.begin();
  const auto step = [&] {
    run.train_batch(run.loader.next());
    run.manager.step();
  };
  faulty->plan(Fault::error(ENOSPC).on({Operation::write}).for_ever());
  SECTION("it comes") {
    const double began = clock.monotonic;
    clock.on_sleep = [&] {
      if (clock.monotonic - began > 40) {
        faulty->clear_faults();
      }
    };
    step();
    CHECK(run.manager.latest()->step == 1);
    CHECK(clock.monotonic - began >= 40);
    CHECK(clock.monotonic - began < 100);
  }
  SECTION("it does not come") {
    const double began = clock.monotonic;
    step();
    CHECK(clock.monotonic - began == 100);
    CHECK(run.manager.list().empty());
    step(); // within the pause: it does not even try
    CHECK(clock.monotonic - began == 100);
  }
  SECTION("somebody wants it to end, amid a long pause") {
    const double began = clock.monotonic;
    clock.on_sleep = [&] {
      if (clock.monotonic - began > 40) {
        run.manager.request_stop();
      }
    };
    step();
    CHECK(clock.monotonic - began < 42);
  }
}

TEST_CASE(
    "full disk: preempted while it waits, a run is saved once there is room",
    "[space]") {
  const bool has_room = GENERATE(true, false);
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  ManualClock clock;
  FakeInterrupter preempts;
  Events events;
  ToyRun run(
      kRoot,
      Options()
          .file_system(faulty)
          .clock(clock)
          .save_every(steps(1))
          .on_event(events.handler())
          .on_no_space(NoSpace::wait, std::chrono::seconds(100)));
  run.manager.set_interrupter(&preempts);
  run.manager.resume();
  run.loader.begin();
  faulty->plan(Fault::error(ENOSPC).on({Operation::write}).for_ever());
  const double began = clock.monotonic;
  clock.on_sleep = [&] {
    if (clock.monotonic - began > 40) {
      preempts.reason = "SIGTERM";
      if (has_room) {
        faulty->clear_faults();
      }
    }
  };
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(clock.monotonic - began < 42);
  REQUIRE(preempts.told.size() == 1);
  CHECK(preempts.told[0].saved == has_room);
  CHECK(run.manager.list().size() == (has_room ? 1 : 0));
  CHECK(
      (preempts.told[0].text.find("the save failed") == std::string::npos) ==
      has_room);
  // 6 while it waited: at once, after 1, 3, 7, 15 and 31 s.
  CHECK(events.count(Event::Kind::save_started) == 7);
  run.manager.set_interrupter(nullptr);
}

TEST_CASE("full disk: throws at once, if that is wanted", "[space]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  ToyRun run(kRoot, on_small_disk(faulty).on_no_space(NoSpace::raise));
  run.manager.resume();
  run.loader.begin();
  faulty->plan(Fault::error(ENOSPC).on({Operation::write}).for_ever());
  run.train_batch(run.loader.next());
  CHECK(code_of([&] { run.manager.step(); }) == "no_space");
  CHECK(code_of([] {
          (void)Options()
              .on_no_space(NoSpace::wait, std::chrono::seconds(-1))
              .resolve();
        }) == "invalid_argument");
}

TEST_CASE("full disk: said at the start, and what is behind it", "[space]") {
  const Disk disk = new_disk();
  disk->set_capacity(3000);
  Events events;
  ToyRun run(
      kRoot, on_small_disk(disk).keep_last(20).on_event(events.handler()));
  run.manager.resume();
  REQUIRE(events.count(Event::Kind::warning) == 1);
  CHECK_THAT(
      events.of(Event::Kind::warning)[0].text,
      Catch::Matchers::StartsWith(
          "the disk will be full: 20 checkpoints of about "));
  train_steps(run, 1);
  REQUIRE(events.count(Event::Kind::save_failed) == 1);
  CHECK_THAT(
      events.of(Event::Kind::save_failed)[0].text,
      Catch::Matchers::Contains(" are free"));
  // Those that are there have their room already.
  const Disk enough = new_disk();
  Events silent;
  {
    ToyRun first(kRoot, on_small_disk(enough).keep_last(5));
    first.manager.resume();
    train_steps(first, 5);
  }
  std::uint64_t used = 0;
  for (const std::string& path : enough->list_all()) {
    used += path.back() == '/' || path.back() == '@'
        ? 0
        : enough->read_file(path).size();
  }
  enough->set_capacity(used + used / 4);
  ToyRun again(
      kRoot, on_small_disk(enough).keep_last(5).on_event(silent.handler()));
  again.manager.resume();
  CHECK(silent.count(Event::Kind::warning) == 0);
}

TEST_CASE("full disk: what lies in state.json counts at the start", "[space]") {
  const bool fits = GENERATE(false, true);
  const Disk disk = new_disk();
  std::vector<double> history(10'000, 1.5);
  disk->set_capacity(fits ? 500'000 : 100'000);
  Events events;
  Manager manager(
      kRoot,
      quiet_options(disk).save_every(steps(1)).keep_last(3).on_event(
          events.handler()));
  manager.add("history", history);
  manager.resume();
  REQUIRE(events.count(Event::Kind::warning) == (fits ? 0 : 1));
  if (!fits) {
    CHECK_THAT(
        events.of(Event::Kind::warning)[0].text,
        Catch::Matchers::Contains("3 checkpoints of about 4") &&
            Catch::Matchers::Contains("kB are kept"));
  }
}

TEST_CASE("full disk: to look for room ends no resume", "[space][fault]") {
  const Disk disk = trained(3);
  leave_free(disk, 4000);
  int resumed = 0;
  for (std::uint64_t n = 1; n <= 8; ++n) {
    CAPTURE(n);
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    ToyRun run(kRoot, quiet_options(faulty).keep_last(50));
    const std::string before = run.fingerprint();
    faulty->plan(Fault::error(EIO).on({Operation::list}).at(n));
    if (code_of([&] { run.manager.resume(); }) == "no error") {
      ++resumed;
      CHECK(run.manager.progress().step == 3);
    } else {
      CHECK(run.fingerprint() == before);
      CHECK(run.manager.progress().step == 0);
    }
  }
  CHECK(resumed >= 5); // the last ones never come
}

TEST_CASE(
    "full disk: nobody waits for space where something else is wrong",
    "[space][fault]") {
  const bool lost = GENERATE(true, false);
  const Disk disk = new_disk();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ManualClock clock;
  ToyRun run(
      kRoot,
      quiet_options(faulty).clock(clock).max_save_failures(2).on_no_space(
          NoSpace::wait, std::chrono::hours(10)));
  run.manager.resume();
  run.loader.begin();
  faulty->plan(Fault::error(ENOSPC).on({Operation::write}).for_ever());
  const double began = clock.monotonic;
  clock.on_sleep = [&] {
    if (clock.monotonic - began != 10) {
      return;
    }
    faulty->clear_faults();
    if (lost) {
      disk->remove(std::string(kRoot) + "/LOCK");
    } else {
      faulty->plan(Fault::error(EIO).on({Operation::write}).for_ever());
    }
  };
  run.train_batch(run.loader.next());
  CHECK(code_of([&] {
          run.manager.step();
        }) == (lost ? "lost_lock" : "no error"));
  CHECK(clock.monotonic - began < 30);
  if (!lost) { // nor is it put off
    run.train_batch(run.loader.next());
    CHECK(code_of([&] { run.manager.step(); }) == "io_error");
  }
}

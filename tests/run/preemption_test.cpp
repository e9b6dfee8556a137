#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/forked_child.hpp>
#include <support/manual_clock.hpp>
#include <support/random.hpp>
#include <support/temporary_directory.hpp>
#include <support/toy_run.hpp>

#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/io/signal_watch.hpp>
#include <holdfast/run/preemption.hpp>
#include <holdfast/testing/fault_file_system.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using std::chrono::seconds;

namespace {

constexpr const char* kRoot = "runs/a";
constexpr std::int64_t kEpochs = 3;

EventHandler collects_warnings(std::vector<std::string>& texts) {
  return [&texts](const Event& event) {
    if (event.kind == Event::Kind::warning) {
      texts.push_back(event.text);
    }
  };
}

Options quiet(const std::shared_ptr<FileSystem>& files) {
  return Options()
      .file_system(files)
      .lock_wait(seconds(0))
      .save_every(steps(4))
      .on_event({});
}

const std::string& uninterrupted() {
  static const std::string print = [] {
    ToyRun run(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
    run.manager.resume();
    run.train(kEpochs);
    return run.fingerprint();
  }();
  return print;
}

/// A life of a run in `directory`. `at_step` is called in the middle of every
/// step, before it is counted, with its number in this life.
struct Life {
  std::string directory;
  PreemptionOptions options;
  std::function<void(int)> at_step = [](int) {
  };
  std::shared_ptr<FileSystem> files = default_file_system();
  /// Of a process that ended by itself, where that is wanted.
  std::string print = {};
  std::function<ResumeReport(Manager&)> start = [](Manager& manager) {
    return manager.resume();
  };

  /// What `main()` would return: 0 with the run trained to its end, or what
  /// `Preemption` says. Anything else is a failure.
  int operator()() {
    ToyRun run(directory, quiet(files));
    Preemption preemption(run.manager, options);
    start(run.manager);
    int step = 0;
    while (run.manager.running(epochs(kEpochs))) {
      run.loader.begin();
      for (;;) {
        const auto batch = run.loader.next();
        if (batch.empty()) {
          break;
        }
        run.train_batch(batch);
        at_step(++step);
        run.manager.step({{"loss", run.loss()}});
      }
      if (!run.manager.epoch_done()) {
        break;
      }
      run.rate *= 0.9;
      run.manager.end_epoch();
    }
    if (preemption.exit_code() == 0 && run.fingerprint() != uninterrupted()) {
      return 3;
    }
    return preemption.exit_code();
  }
};

/// Sends itself `signal` in its step `step`.
std::function<void(int)> signal_at(int step, int signal = SIGTERM) {
  return [=](int now) {
    if (now == step) {
      ::raise(signal);
    }
  };
}

/// `disk`, on which a save takes so many seconds of `clock`.
std::shared_ptr<FaultFileSystem> with_saves_of(
    double seconds,
    const std::shared_ptr<FileSystem>& disk,
    ManualClock& clock) {
  const auto slow = std::make_shared<FaultFileSystem>(disk);
  slow->set_hook([seconds, &clock](std::uint64_t, const std::string& what) {
    if (what.find("rename") == 0) {
      clock.pass(seconds);
    }
  });
  return slow;
}

std::int64_t newest_step(const std::string& directory) {
  const auto newest =
      scan(*default_file_system()->open_root(directory, Create::no))
          .search_order();
  return newest.empty() ? 0 : newest.front().step;
}

/// Sets an environment variable for the scope.
struct Variable {
  Variable(const char* name, const char* value) : name_(name) {
    ::setenv(name, value, 1);
  }
  ~Variable() {
    ::unsetenv(name_);
  }
  const char* name_;
};

} // namespace

TEST_CASE("preemption: killed at any step it goes on as before", "[preempt]") {
  static_cast<void>(uninterrupted());
  for (const AfterPreemption action :
       {AfterPreemption::exit, AfterPreemption::stop}) {
    for (int step = 1; step <= 2 * ToyRun::kSamples; ++step) {
      CAPTURE(step);
      const TemporaryDirectory directory;
      Life life{directory.path("run"), PreemptionOptions().then(action)};
      life.at_step = signal_at(step);
      REQUIRE(in_forked_child(life) == kRunAgain);
      // Saved at once, and not only at the fourth step.
      REQUIRE(newest_step(life.directory) == step);
      REQUIRE(in_forked_child(life) == (step <= 15 - step ? kRunAgain : 0));
      life.at_step = [](int) {
      };
      REQUIRE(in_forked_child(life) == 0);
    }
  }
}

TEST_CASE(
    "preemption: a job script with a tag, preempted ten times",
    "[preempt]") {
  static_cast<void>(uninterrupted());
  // With the remains of a former run in its directory.
  const TemporaryDirectory directory;
  Life former{directory.path("run"), PreemptionOptions()};
  former.at_step = signal_at(5);
  REQUIRE(in_forked_child(former) == kRunAgain);
  for (const bool from : {false, true}) {
    for (int life = 0; life <= 10; ++life) {
      CAPTURE(from, life);
      Life job{former.directory, PreemptionOptions()};
      job.start = [from](Manager& manager) {
        return from ? manager.resume_from("ckpt-000002-step-5", "again")
                    : manager.start_fresh("anew");
      };
      job.at_step = life < 10 ? signal_at(1) : job.at_step;
      REQUIRE(in_forked_child(job) == (life < 10 ? kRunAgain : 0));
      REQUIRE(
          newest_step(job.directory) ==
          (life < 10 ? life + (from ? 6 : 1) : 3 * ToyRun::kSamples));
    }
  }
}

TEST_CASE("preemption: at random moments, saves included", "[preempt][slow]") {
  static_cast<void>(uninterrupted());
  std::mt19937_64 random(seed());
  std::uint64_t preempted = 0;
  std::uint64_t killed = 0;
  std::uint64_t finished = 0;
  const std::uint64_t wanted = 200 / one_in(10);
  while (preempted < wanted) {
    const TemporaryDirectory directory;
    for (;;) {
      // A signal that comes from outside, whatever is being done; now and then
      // a second one.
      const auto first = std::chrono::microseconds(random() % 40'000);
      const bool twice = random() % 8 == 0;
      Life life{directory.path("run"), PreemptionOptions()};
      life.at_step = [](int) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      };
      const ChildEnd end = end_of_forked_child([&] {
        const ::pid_t process = ::getpid();
        std::thread([=] {
          std::this_thread::sleep_for(first);
          ::kill(process, SIGTERM);
          if (twice) {
            std::this_thread::sleep_for(std::chrono::duration<double>(
                SignalWatch::kSameSignalSeconds + 0.01));
            ::kill(process, SIGINT);
          }
        }).detach();
        return life();
      });
      CAPTURE(end.signal, end.status);
      if (end.signal == SIGTERM || end.signal == SIGINT) {
        ++killed; // before it watched, or by the second one
        continue;
      }
      REQUIRE(end.signal == 0);
      if (end.status == 0) {
        ++finished;
        break;
      }
      REQUIRE(end.status == kRunAgain);
      ++preempted;
    }
  }
  std::cout << preempted << " times preempted, " << killed << " times killed, "
            << finished << " runs ended as if nothing had happened\n";
  CHECK(finished > 0);
}

TEST_CASE("preemption: a second signal leaves at once", "[preempt]") {
  const TemporaryDirectory directory;
  Life life{directory.path("run"), PreemptionOptions()};
  life.at_step = [](int step) {
    if (step == 3) {
      ::raise(SIGUSR1);
      std::this_thread::sleep_for(
          std::chrono::duration<double>(SignalWatch::kSameSignalSeconds + 0.1));
      ::raise(SIGTERM);
    }
  };
  CHECK(end_of_forked_child(life).signal == SIGTERM);
  CHECK(newest_step(life.directory) == 0);
  life.at_step = [](int) {
  };
  CHECK(in_forked_child(life) == 0);
}

TEST_CASE(
    "preemption: a grace time that is shorter than the save",
    "[preempt]") {
  const TemporaryDirectory directory;
  const auto slow = std::make_shared<FaultFileSystem>(default_file_system());
  bool signalled = false;
  slow->set_hook([&](std::uint64_t, const std::string& what) {
    if (signalled && what.find("write") == 0) {
      std::this_thread::sleep_for(seconds(30));
    }
  });
  Life life{
      directory.path("run"),
      PreemptionOptions().grace(std::chrono::milliseconds(200))};
  life.files = slow;
  life.at_step = [&](int step) {
    if (step == 6) {
      signalled = true;
      ::raise(SIGTERM);
    }
  };
  const auto began = std::chrono::steady_clock::now();
  CHECK(in_forked_child(life) == kRunAgain);
  CHECK(std::chrono::steady_clock::now() - began < seconds(20));
  CHECK(newest_step(life.directory) == 4);
  slow->set_hook({});
  life.at_step = [](int) {
  };
  CHECK(in_forked_child(life) == 0);
}

TEST_CASE("preemption: a grace time that suffices is not felt", "[preempt]") {
  const TemporaryDirectory directory;
  Life life{directory.path("run"), PreemptionOptions().grace(seconds(30))};
  life.at_step = signal_at(6, SIGUSR1);
  CHECK(in_forked_child(life) == kRunAgain);
  CHECK(newest_step(life.directory) == 6);
  life.options.then(AfterPreemption::stop)
      .grace(std::chrono::milliseconds(1500));
  life.at_step = signal_at(2);
  CHECK(in_forked_child([&] {
          const int code = life();
          // It has been told: what comes now is the program's own business.
          std::this_thread::sleep_for(std::chrono::milliseconds(1800));
          return code == kRunAgain ? 7 : 1;
        }) == 7);
  CHECK(newest_step(life.directory) == 8);
}

TEST_CASE(
    "preemption: raised as an error, and handlers come back",
    "[preempt]") {
  CHECK(
      in_forked_child([] {
        std::signal(SIGTERM, SIG_IGN);
        std::signal(SIGINT, [](int) { ::_exit(55); });
        try {
          Life life{kRoot, PreemptionOptions().then(AfterPreemption::raise)};
          life.files = std::make_shared<MemoryFileSystem>();
          life.at_step = signal_at(2, SIGUSR1);
          (void)life();
          return 1;
        } catch (const Error& error) {
          if (error.code() != ErrorCode::preempted ||
              std::string(error.what()) !=
                  "'runs/a/ckpt-000001-step-2': 'SIGUSR1': the run was saved, "
                  "and has to end (preempted)") {
            return 2;
          }
        }
        ::raise(SIGTERM); // ignored, as before
        ::raise(SIGINT);
        return 3;
      }) == 55);
}

TEST_CASE(
    "preemption: another exit code, other signals, or none",
    "[preempt]") {
  const TemporaryDirectory directory;
  Life life{directory.path("run"), PreemptionOptions()};
  life.options.exit_code(85).signals({SIGUSR2});
  life.at_step = signal_at(1, SIGUSR2);
  CHECK(in_forked_child(life) == 85);
  life.at_step = signal_at(1, SIGTERM);
  CHECK(end_of_forked_child(life).signal == SIGTERM);
  life.options.signals({});
  CHECK(end_of_forked_child(life).signal == SIGTERM);
}

TEST_CASE("preemption: before the job's time is over", "[preempt]") {
  ManualClock clock;
  const auto disk = std::make_shared<MemoryFileSystem>();
  const auto slow = with_saves_of(5, disk, clock);
  Variable slurm("SLURM_JOB_END_TIME", "1700001000");
  PreemptionOptions options;
  options.signals({}).clock(clock).then(AfterPreemption::stop);
  std::string reason;
  SECTION("a limit") {
    options.time_limit(seconds(1000), seconds(100));
    reason = "time limit";
  }
  SECTION("a point in time") {
    options.end_time(
        std::chrono::system_clock::time_point(seconds(1'700'001'000)),
        seconds(100));
    reason = "end time";
  }
  SECTION("Slurm's") {
    options.slurm_end_time(seconds(100));
    reason = "SLURM_JOB_END_TIME";
  }
  ToyRun run(kRoot, quiet(slow).clock(clock).save_every(steps(1)).keep_all());
  Preemption preemption(run.manager, options);
  run.manager.resume();
  run.loader.begin();
  double last = 0;
  while (run.manager.running(steps(1000))) {
    for (;;) {
      const auto batch = run.loader.next();
      if (batch.empty()) {
        break;
      }
      run.train_batch(batch);
      clock.pass(30);
      last = clock.monotonic;
      run.manager.step();
    }
    if (run.manager.epoch_done()) {
      run.manager.end_epoch();
      run.loader.begin();
    }
  }
  CHECK(preemption.reason() == reason);
  CHECK(preemption.exit_code() == kRunAgain);
  // 895 seconds: when the save is done, 100 of 1000 are left. The step that
  // found it is the first after that moment.
  CHECK(last - 1000 >= 895);
  CHECK(last - 1000 < 895 + 35);
  CHECK(run.manager.latest()->progress.step == run.manager.progress().step);
}

TEST_CASE("preemption: no time is left for a save", "[preempt]") {
  ManualClock clock;
  const auto disk = std::make_shared<MemoryFileSystem>();
  const auto slow = with_saves_of(50, disk, clock);
  std::vector<std::string> told;
  ToyRun run(kRoot, quiet(slow).clock(clock).on_event([&](const Event& event) {
    if (event.kind == Event::Kind::preempted) {
      told.push_back(event.text);
    }
  }));
  Preemption preemption(
      run.manager,
      PreemptionOptions()
          .signals({})
          .clock(clock)
          .then(AfterPreemption::stop)
          .time_limit(seconds(1000), seconds(10)));
  run.manager.resume();
  run.loader.begin();
  run.train_batch(run.loader.next());
  run.manager.step();
  run.manager.save();
  run.train_batch(run.loader.next());
  clock.pass(920); // an evaluation that took too long
  run.manager.step();
  REQUIRE(told.size() == 1);
  CHECK(
      told[0] ==
      "time limit: not saved, a save takes 50 s and 30 s are left; the newest "
      "is runs/a/ckpt-000001-step-1");
  CHECK_FALSE(run.manager.running(epochs(9)));
  CHECK(run.manager.latest()->step == 1);
}

TEST_CASE(
    "preemption: a notice is asked no more often than it says",
    "[preempt]") {
  ManualClock clock;
  int asked = 0;
  int broken = 0;
  bool due = false;
  std::vector<std::string> warnings;
  ToyRun run(
      kRoot,
      quiet(std::make_shared<MemoryFileSystem>())
          .on_event(collects_warnings(warnings)));
  Preemption preemption(
      run.manager,
      PreemptionOptions()
          .signals({})
          .clock(clock)
          .then(AfterPreemption::stop)
          .notice(
              "broken",
              [&]() -> bool {
                ++broken;
                throw std::runtime_error("no answer");
              },
              seconds(20))
          .notice(
              "spot",
              [&] {
                ++asked;
                return due;
              },
              seconds(10)));
  run.manager.resume();
  run.loader.begin();
  for (int i = 0; i < 4; ++i) {
    run.train_batch(run.loader.next());
    run.manager.step();
    clock.pass(4);
  }
  CHECK(asked == 1); // the broken one came first, and was heard
  CHECK(broken == 1);
  clock.pass(10);
  due = true;
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(asked == 2);
  CHECK(broken == 2);
  CHECK(warnings == std::vector<std::string>{"notice broken: no answer"});
  CHECK(preemption.reason() == "spot");
  CHECK(
      run.manager.latest()->reasons ==
      std::vector<std::string>{"preempted: spot"});
}

TEST_CASE("preemption: a file, once it is there", "[preempt]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("agent/preempted");
  ToyRun run(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
  Preemption preemption(
      run.manager,
      PreemptionOptions()
          .signals({})
          .then(AfterPreemption::stop)
          .notice_file(path, seconds(0)));
  run.manager.resume();
  run.loader.begin();
  run.train_batch(run.loader.next());
  run.manager.step();
  std::filesystem::create_directory(directory.path("agent"));
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(preemption.reason().empty());
  CHECK(preemption.exit_code() == 0);
  std::ofstream(path).put('x');
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(preemption.reason() == path);
}

TEST_CASE(
    "preemption: a signal that comes too late is raised again",
    "[preempt]") {
  for (const bool grace : {false, true}) {
    const ChildEnd end = end_of_forked_child([&] {
      ToyRun run(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
      {
        PreemptionOptions options;
        if (grace) {
          options.grace(std::chrono::milliseconds(50));
        }
        Preemption preemption(run.manager, options);
        run.manager.resume();
        run.train(1);
        ::raise(SIGTERM); // the loop is over
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
      }
      return 5;
    });
    CHECK(end.signal == SIGTERM);
  }
  // Not in place of an exception.
  CHECK(in_forked_child([] {
          ToyRun run(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
          try {
            Preemption preemption(run.manager);
            run.manager.resume();
            ::raise(SIGTERM);
            throw std::runtime_error("something else");
          } catch (const std::runtime_error&) {
            return 6;
          }
        }) == 6);
}

TEST_CASE("preemption: the grace time counts in a second loop", "[preempt]") {
  const TemporaryDirectory directory;
  for (const bool second : {false, true}) {
    CAPTURE(second);
    CHECK(in_forked_child([&] {
            ToyModel model;
            Manager manager(
                directory.path(second ? "two" : "one"),
                Options().save_every(steps(1000)).on_event({}));
            manager.add("model", model);
            Preemption preemption(
                manager,
                PreemptionOptions().grace(std::chrono::milliseconds(100)));
            manager.resume();
            while (second && manager.running(steps(1))) {
              manager.step();
            }
            static_cast<void>(manager.running(steps(10)));
            std::raise(SIGTERM);
            std::this_thread::sleep_for(seconds(60)); // a step
            return 1;
          }) == 75);
  }
}

TEST_CASE(
    "preemption: a grace time for ever, and a blocked stream",
    "[preempt]") {
  const TemporaryDirectory directory;
  Life life{directory.path("run"), PreemptionOptions()};
  life.at_step = signal_at(3);
  life.options.grace(std::chrono::duration<double>::max());
  CHECK(in_forked_child(life) == kRunAgain);
  CHECK(newest_step(life.directory) == 3);
  // A thread that waits for standard input holds its lock.
  life.options = PreemptionOptions();
  int ends[2] = {};
  REQUIRE(::pipe(ends) == 0);
  CHECK(in_forked_child([&] {
          ::dup2(ends[0], 0);
          std::thread([] { (void)std::getchar(); }).detach();
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          return life();
        }) == kRunAgain);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE(
    "preemption: a job's end that has passed is an old one",
    "[preempt]") {
  ManualClock clock;
  const Variable slurm("SLURM_JOB_END_TIME", "1699999995");
  std::vector<std::string> warnings;
  ToyRun run(
      kRoot,
      quiet(std::make_shared<MemoryFileSystem>())
          .on_event(collects_warnings(warnings)));
  const Preemption preemption(
      run.manager,
      PreemptionOptions()
          .signals({})
          .clock(clock)
          .then(AfterPreemption::stop)
          .slurm_end_time()
          .end_time(
              std::chrono::system_clock::time_point(seconds(1'700'000'000)))
          .time_limit(seconds(1000), seconds(100)));
  run.manager.resume();
  run.loader.begin();
  for (int i = 0; i < 3; ++i) {
    run.train_batch(run.loader.next());
    run.manager.step();
  }
  CHECK(preemption.reason().empty());
  REQUIRE(warnings.size() == 1);
  CHECK(
      warnings[0] ==
      "SLURM_JOB_END_TIME is ignored: it had passed 5 s before the start; "
      "end time is ignored: it had passed 0 s before the start");
  clock.pass(950);
  run.train_batch(run.loader.next());
  run.manager.step();
  CHECK(preemption.reason() == "time limit"); // the others are heard as ever
}

TEST_CASE("preemption: options that make no sense are refused", "[preempt]") {
  PreemptionOptions options;
  const auto refused = [](const std::function<void()>& call) {
    return code_of(call) == "invalid_argument";
  };
  CHECK(refused([&] { options.grace(seconds(-1)); }));
  CHECK_FALSE(refused([&] { options.notice_file("/tmp/\xff/now"); }));
  CHECK(refused([&] { options.time_limit(seconds(-1)); }));
  CHECK(refused([&] { options.time_limit(seconds(1), seconds(-1)); }));
  CHECK(refused([&] { options.time_limit(seconds(120)); })); // all margin
  CHECK(refused([&] { options.notice("", [] { return true; }); }));
  CHECK(refused([&] { options.notice("x", {}); }));
  CHECK(refused([&] {
    options.notice(
        "x", [] { return true; }, seconds(-1));
  }));
  CHECK(refused([&] { options.notice_file(""); }));
  CHECK(refused([&] { options.exit_code(0); }));
  CHECK(refused([&] { options.exit_code(256); }));
  {
    const Variable slurm("SLURM_JOB_END_TIME", "tomorrow");
    CHECK(refused([&] { options.slurm_end_time(); }));
  }
  options.slurm_end_time(); // not set: nothing
  ToyRun run(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
  CHECK(refused([&] {
    Preemption(run.manager, PreemptionOptions().signals({SIGKILL}));
  }));
  {
    const Preemption preemption(run.manager, options.signals({}));
    CHECK(refused(
        [&] { Preemption(run.manager, PreemptionOptions().signals({})); }));
    ToyRun other(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
    CHECK(refused([&] { Preemption second(other.manager); }));
  }
  const Preemption again(run.manager, options);
}

TEST_CASE("preemption: a forked child is left alone", "[preempt]") {
  CHECK(in_forked_child([] {
          ToyRun run(kRoot, quiet(std::make_shared<MemoryFileSystem>()));
          Preemption preemption(
              run.manager, PreemptionOptions().grace(seconds(100)));
          run.manager.resume();
          const ChildEnd child = end_of_forked_child([&] {
            preemption.~Preemption(); // as the child's exit might
            ::raise(SIGTERM);
            return 0;
          });
          return child.signal == SIGTERM && preemption.reason().empty() ? 0 : 1;
        }) == 0);
}

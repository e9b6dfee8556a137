#include "engine_support.hpp"

#include <holdfast/engine/load.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/read_lease.hpp>

#include <support/forked_child.hpp>
#include <support/temporary_directory.hpp>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

// Real processes on a real disk: writers that are killed, suspended and
// overtaken, second writers, and readers while retention is at work.

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr int kFinished = 0;
constexpr int kLocked = 10;
constexpr int kLostLock = 11;
constexpr int kWrong = 1;

Options contended(double lock_wait) {
  return Options()
      .save_every(steps(1))
      .keep_last(2)
      .lock_wait(std::chrono::duration<double>(lock_wait))
      .on_event({});
}

/// A child process; killed at the end of the scope if it still lives.
class Child {
 public:
  template <class Action>
  explicit Child(Action action) : pid_(::fork()) {
    if (pid_ == 0) {
      int status = kWrong;
      try {
        status = action();
      } catch (const Error& error) {
        status = error.code() == ErrorCode::locked ? kLocked
            : error.code() == ErrorCode::lost_lock ? kLostLock
                                                   : kWrong;
        if (status == kWrong) {
          (void)!::write(2, error.what(), std::strlen(error.what()));
        }
      } catch (...) {
      }
      ::_exit(status);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      (void)end();
    }
  }
  void send(int signal) const {
    ::kill(pid_, signal);
  }
  ChildEnd end() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return {
        WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        WIFEXITED(status) ? WEXITSTATUS(status) : -1};
  }

 private:
  ::pid_t pid_;
};

/// The newest step that a writer has called durable, told through a pipe.
class Acknowledged {
 public:
  Acknowledged() {
    if (::pipe2(ends_, O_NONBLOCK | O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe");
    }
  }
  ~Acknowledged() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Acknowledged(const Acknowledged&) = delete;
  Acknowledged& operator=(const Acknowledged&) = delete;

  void tell(std::int64_t step) const {
    (void)!::write(ends_[1], &step, sizeof step);
  }
  std::int64_t newest() {
    std::int64_t step = 0;
    while (::read(ends_[0], &step, sizeof step) == sizeof step) {
      newest_ = std::max(newest_, step);
    }
    return newest_;
  }

 private:
  int ends_[2] = {};
  std::int64_t newest_ = 0;
};

/// Trains up to `count` steps more.
int train(
    const std::string& directory,
    const Acknowledged& acknowledged,
    int count,
    double lock_wait) {
  ToyRun run(directory, contended(lock_wait));
  run.manager.resume();
  while (run.manager.running(epochs(1'000'000))) {
    run.loader.begin();
    for (;;) {
      const auto batch = run.loader.next();
      if (batch.empty()) {
        break;
      }
      run.train_batch(batch);
      run.manager.step();
      acknowledged.tell(run.manager.progress().step);
      if (--count == 0) {
        return kFinished;
      }
    }
    run.manager.end_epoch();
  }
  return kWrong;
}

/// Reads whatever it can take a lease of, for good.
int read_for_ever(const std::string& directory, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (;;) {
    std::optional<ReadLease> lease;
    try {
      const auto root = default_file_system()->open_root(directory, Create::no);
      const auto names = scan(*root).search_order();
      if (names.empty()) {
        continue;
      }
      lease.emplace(*root, names[random() % names.size()].name);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found ||
          error.code() == ErrorCode::locked) {
        continue; // it came too late, or a removal was suspended
      }
      throw;
    }
    ToyModel model;
    PartSet parts;
    parts.add("model", make_part(model));
    load(lease->path(), parts); // whatever this throws is wrong
  }
}

void sleep_us(std::uint64_t microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

} // namespace

TEST_CASE(
    "contention: writers, readers, kills and takeovers at once",
    "[crash][slow]") {
  std::mt19937_64 random(seed());
  const std::uint64_t rounds = 1000 / one_in(10);
  std::uint64_t killed = 0;
  std::uint64_t overtaken = 0;
  std::uint64_t lost = 0;
  std::uint64_t refused = 0;
  std::unique_ptr<TemporaryDirectory> place;
  std::unique_ptr<Acknowledged> acknowledged;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    if (round % 50 == 0) {
      acknowledged = std::make_unique<Acknowledged>();
      place = std::make_unique<TemporaryDirectory>();
    }
    const std::string directory = place->path("run");
    std::filesystem::create_directories(directory);
    CAPTURE(round);
    Child reader([&] { return read_for_ever(directory, round); });
    Child writer([&] { return train(directory, *acknowledged, -1, 5); });
    sleep_us(random() % 20'000);
    switch (random() % 4) {
      case 0: { // A second writer, while the first one is at work.
        Child second([&] { return train(directory, *acknowledged, 3, 0); });
        const ChildEnd end = second.end();
        // It may have been first.
        REQUIRE((end.status == kLocked || end.status == kFinished));
        refused += end.status == kLocked ? 1 : 0;
        writer.send(SIGKILL);
        break;
      }
      case 1: { // Suspended, its lock removed, and overtaken.
        writer.send(SIGSTOP);
        ::unlink((directory + "/LOCK").c_str());
        Child successor([&] { return train(directory, *acknowledged, 3, 5); });
        const ChildEnd end = successor.end();
        REQUIRE(end.status == kFinished);
        ++overtaken;
        writer.send(SIGCONT);
        sleep_us(2'000);
        writer.send(SIGKILL);
        break;
      }
      default:
        writer.send(SIGKILL);
    }
    const ChildEnd end = writer.end();
    CAPTURE(end.signal, end.status);
    REQUIRE((end.signal == SIGKILL || end.status == kLostLock));
    killed += end.signal == SIGKILL ? 1 : 0;
    lost += end.status == kLostLock ? 1 : 0;
    // Nobody has noticed anything wrong, and nothing that was said to be
    // durable is lost.
    reader.send(SIGKILL);
    REQUIRE(reader.end().signal == SIGKILL);
    const std::int64_t newest = acknowledged->newest();
    ToyRun run(directory, contended(5));
    const ResumeReport report = run.manager.resume();
    REQUIRE(report.passed_over.empty());
    REQUIRE(run.manager.progress().step >= newest);
  }
  std::cout << rounds << " rounds: " << killed << " writers killed, "
            << overtaken << " overtaken, of which " << lost << " said so, and "
            << refused << " second ones refused\n";
  CHECK(lost > 0);
  CHECK(refused > 0);
}

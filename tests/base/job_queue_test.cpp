#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/base/job_queue.hpp>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast;
using namespace holdfast::detail;
using namespace holdfast::test;

namespace {

/// Opens once, for all.
class Gate {
 public:
  void open() {
    open_.store(true);
  }
  void pass() const {
    while (!open_.load()) {
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<bool> open_{false};
};

struct NumberedJob final : Job {
  NumberedJob(int job_number, std::atomic<int>& count)
      : number(job_number), alive(count) {
    ++alive;
  }
  ~NumberedJob() override {
    --alive;
  }
  int number;
  int result = 0;
  Gate* gate = nullptr;
  std::atomic<bool>* running = nullptr;
  bool fails = false;
  std::atomic<int>& alive;
};

struct Doubler final : Worker {
  explicit Doubler(std::atomic<int>& count) : runs(count) {}
  void run(Job& job) override {
    ++runs;
    NumberedJob& number = static_cast<NumberedJob&>(job);
    if (number.running != nullptr) {
      number.running->store(true);
    }
    if (number.gate != nullptr) {
      number.gate->pass();
    }
    if (number.fails) {
      throw std::runtime_error("job " + std::to_string(number.number));
    }
    number.result = 2 * number.number;
  }
  std::atomic<int>& runs;
};

struct Fixture {
  explicit Fixture(int workers) {
    for (int i = 0; i < workers; ++i) {
      queue->add_worker(Owned<Worker>(new Doubler(runs)));
    }
  }
  /// A job to be adjusted, then `queue->give(Owned<Job>(job))`.
  NumberedJob* number(int number) {
    return new NumberedJob(number, alive);
  }
  void give(int first, int count) {
    for (int i = first; i < first + count; ++i) {
      queue->give(Owned<Job>(number(i)));
    }
  }
  /// Gives one that waits at `gate`; returns when it is there.
  void give_waiting(int first, Gate& gate, bool fails = false) {
    std::atomic<bool> running{false};
    NumberedJob* const slow = number(first);
    slow->gate = &gate;
    slow->running = &running;
    slow->fails = fails;
    queue->give(Owned<Job>(slow));
    while (!running.load()) {
      std::this_thread::yield();
    }
  }
  int take() {
    const Owned<Job> job = queue->take();
    return static_cast<NumberedJob&>(*job).result;
  }

  std::atomic<int> alive{0};
  std::atomic<int> runs{0};
  Owned<JobQueue> queue{new JobQueue()};
};

} // namespace

TEST_CASE("job queue: jobs are taken in the order given", "[state]") {
  const int workers = GENERATE(1, 3);
  CAPTURE(workers);
  Fixture f(workers);
  // The first one ends last.
  Gate gate;
  NumberedJob* const slow = f.number(0);
  slow->gate = &gate;
  f.queue->give(Owned<Job>(slow));
  f.give(1, 20);
  CHECK(f.queue->size() == 21);
  if (workers > 1) {
    while (f.runs.load() < 21) {
      std::this_thread::yield(); // the others go on meanwhile
    }
  }
  gate.open();
  for (int i = 0; i <= 20; ++i) {
    CHECK(f.take() == 2 * i);
  }
  CHECK(f.queue->size() == 0);
  CHECK(f.alive == 0);
}

TEST_CASE("job queue: what a job throws comes at its turn", "[state]") {
  Fixture f(2);
  f.give(1, 1);
  NumberedJob* const bad = f.number(2);
  bad->fails = true;
  f.queue->give(Owned<Job>(bad));
  f.give(3, 1);
  CHECK(f.take() == 2);
  std::string message;
  try {
    (void)f.take();
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  CHECK(message == "job 2");
  CHECK(f.take() == 6);
  CHECK(f.alive == 0);
}

TEST_CASE("job queue: what was discarded is never taken", "[state]") {
  const bool fails = GENERATE(false, true);
  Fixture f(1);
  Gate gate;
  f.give_waiting(1, gate, fails);
  f.give(2, 5);
  f.queue->discard(); // does not wait for the gate
  CHECK(f.queue->size() == 0);
  CHECK(f.alive == 1); // the one that runs
  f.give(10, 2);
  gate.open();
  CHECK(f.take() == 20);
  CHECK(f.take() == 22);
  CHECK(f.runs == 3); // those that waited were never begun
  CHECK(f.alive == 0);
}

TEST_CASE("job queue: its end waits only for what runs", "[state]") {
  Fixture f(2);
  Gate gate;
  f.give_waiting(1, gate);
  std::thread opener([&] { gate.open(); });
  f.queue.reset();
  opener.join();
  CHECK(f.alive == 0);
  Fixture unused(2); // no thread was ever started
  unused.queue.reset();
  CHECK(unused.runs == 0);
}

TEST_CASE("job queue: a forked child waits for nothing", "[state][fork]") {
  Fixture f(3);
  f.give(0, 3);
  for (int i = 0; i < 3; ++i) {
    CHECK(f.take() == 2 * i);
  }
  // One thread is amid a job, the others wait for one.
  Gate gate;
  f.give_waiting(3, gate);
  CHECK(
      in_forked_child(
          [&] {
            const auto refused = [](const auto& call) {
              return code_of(call) == "forked";
            };
            if (!refused([&] { f.give(4, 1); })) {
              return 1;
            }
            if (!refused([&] { (void)f.take(); })) {
              return 2;
            }
            f.queue->discard();
            if (f.queue->size() != 1 || !refused([&] { (void)f.take(); })) {
              return 3;
            }
            f.queue.reset();
            return 0;
          },
          20) == 0);
  // The parent goes on.
  gate.open();
  f.give(4, 1);
  CHECK(f.take() == 6);
  CHECK(f.take() == 8);
}

TEST_CASE("job queue: one without threads is a child's too", "[state][fork]") {
  Fixture f(2);
  CHECK(
      in_forked_child(
          [&] {
            f.give(1, 2);
            const int sum = f.take() + f.take();
            f.queue.reset();
            return sum == 6 ? 0 : 1;
          },
          20) == 0);
  f.give(5, 1);
  CHECK(f.take() == 10);
}

#include "engine_support.hpp"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <vector>

// A crash point is a parameter: every operation of a save with retention, and
// of a resume with quarantine, is the last one that reaches the disk once, and
// what the disk may then hold is tried in every way.

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;

namespace {

Options keep_newest(const std::shared_ptr<FileSystem>& disk) {
  return quiet_options(disk).keep_last(1);
}

/// A disk on which `count` steps were trained and acknowledged.
Disk acknowledged_steps(int count) {
  return trained(count, keep_newest);
}

/// Resumes, trains one step and saves it. The step that is acknowledged then:
/// `before` where anything failed, which is an `Error` or nothing at all.
std::int64_t train_one_more(
    const std::shared_ptr<FileSystem>& disk,
    std::int64_t before) {
  try {
    ToyRun run(
        kRoot,
        keep_newest(disk).max_save_failures(1).on_no_space(NoSpace::raise));
    run.manager.resume();
    train_steps(run, 1);
    return before + 1;
  } catch (const Error& error) {
    REQUIRE_FALSE(std::string(error.what()).empty());
    return before;
  }
}

/// Resumes from what a crash left: at the acknowledged step or a later one,
/// with its exact state, and the next save works. Leaves nothing behind.
void check_survivor(const Disk& disk, std::int64_t acknowledged) {
  {
    ToyRun run(kRoot, keep_newest(disk));
    const ResumeReport report = run.manager.resume();
    const std::int64_t step = run.manager.progress().step;
    REQUIRE(step >= acknowledged);
    REQUIRE(report.resumed() == (step > 0));
    if (step > 0) {
      REQUIRE(run.fingerprint() == undisturbed(step));
    }
    if (step < ToyRun::kSamples) {
      train_steps(run, 1);
      REQUIRE(run.manager.latest());
      REQUIRE(run.manager.latest()->step == step + 1);
      REQUIRE(run.fingerprint() == undisturbed(step + 1));
    }
  }
  const Catalog catalog = scan(*disk->open_root(kRoot, Create::no));
  REQUIRE(catalog.staging.empty());
  REQUIRE(catalog.trash.empty());
  REQUIRE(catalog.foreign.empty());
}

struct Count {
  std::uint64_t points = 0;
  std::uint64_t states = 0;
};

/// Cuts the power at each operation of `act` in turn and tries every loss
/// pattern, or at each operation another `share`-th of them. `act` returns the
/// step that was acknowledged last.
Count cut_everywhere(
    const Disk& before,
    const std::function<std::int64_t(const std::shared_ptr<FileSystem>&)>& act,
    std::uint64_t share = 1) {
  const std::uint64_t every = std::max(test::one_in(4), share);
  Count count;
  for (std::uint64_t n = 1;; ++n) {
    const Disk disk = before->snapshot();
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    faulty->plan(Fault::power_cut().at(n));
    const std::int64_t acknowledged = act(faulty);
    const bool struck = faulty->power_is_cut();
    const std::vector<LossPattern> patterns =
        testing::all_loss_patterns(*disk, 8, test::seed() + n);
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (i != 0 && i % every != n % every) {
        continue;
      }
      const LossPattern& pattern = patterns[i];
      const Disk after = disk->snapshot();
      after->cut_power(pattern);
      CAPTURE(n, pattern.describe(), faulty->log().back());
      check_survivor(after, acknowledged);
      ++count.states;
    }
    if (!struck) {
      return count;
    }
    ++count.points;
  }
}

} // namespace

TEST_CASE(
    "crash: power cut at every operation of the first save",
    "[crash][P2]") {
  CAPTURE(test::seed());
  const auto disk = std::make_shared<MemoryFileSystem>();
  const Count count = cut_everywhere(
      disk, [](const auto& faulty) { return train_one_more(faulty, 0); });
  WARN("crash points " << count.points << ", disk states " << count.states);
  CHECK(count.points > 30);
}

TEST_CASE(
    "crash: power cut at every operation of a resume, a save and its "
    "retention",
    "[crash][P2]") {
  CAPTURE(test::seed());
  const Count count = cut_everywhere(
      acknowledged_steps(2),
      [](const auto& faulty) { return train_one_more(faulty, 2); });
  WARN("crash points " << count.points << ", disk states " << count.states);
  CHECK(count.points > 60);
}

TEST_CASE(
    "crash: power cut at every operation of a resume that quarantines",
    "[crash]") {
  CAPTURE(test::seed());
  const Disk damaged = acknowledged_steps(3);
  damaged->flip_bit(
      "runs/a/ckpt-000003-step-3/model/model.safetensors", 8 * 300);
  damaged->sync_all();
  const Count count = cut_everywhere(damaged, [](const auto& faulty) {
    try {
      ToyRun run(kRoot, keep_newest(faulty));
      run.manager.resume();
    } catch (const Error&) {
    }
    return 2;
  });
  WARN("crash points " << count.points << ", disk states " << count.states);
  CHECK(count.points > 60);
}

TEST_CASE(
    "crash: power cut while a thread deletes what retention removed",
    "[crash]") {
  CAPTURE(test::seed());
  // Whether it falls into an operation of the loop or of the thread is chance,
  // and must not matter.
  const Count count = cut_everywhere(
      acknowledged_steps(2),
      [](const auto& faulty) {
        std::int64_t acknowledged = 2;
        try {
          ToyRun run(
              kRoot,
              keep_newest(faulty)
                  .deletion(Deletion::in_background)
                  .max_save_failures(1)
                  .on_no_space(NoSpace::raise));
          run.manager.resume();
          for (; acknowledged < ToyRun::kSamples; ++acknowledged) {
            train_steps(run, 1);
          }
        } catch (const Error&) {
        }
        return acknowledged;
      },
      8);
  WARN("crash points " << count.points << ", disk states " << count.states);
  CHECK(count.points > 150);
}

TEST_CASE(
    "crash: every operation fails in every way, once and for ever",
    "[crash][fault][P6]") {
  const std::vector<std::pair<const char*, Fault>> faults = {
      {"EIO", Fault::error(EIO)},
      {"ENOSPC", Fault::error(ENOSPC)},
      {"EACCES", Fault::error(EACCES)},
      {"EROFS", Fault::error(EROFS)},
      {"EMFILE", Fault::error(EMFILE)},
      {"ESTALE", Fault::error(ESTALE)},
      {"short write", Fault::short_write()},
      {"applied EIO", Fault::error(EIO).applied()},
  };
  const Disk before = acknowledged_steps(2);
  const std::uint64_t every = test::one_in(4);
  std::uint64_t injected = 0;
  std::uint64_t kind = 0;
  for (const auto& fault : faults) {
    for (const bool for_ever : {false, true}) {
      // Thin: each operation meets four of the sixteen kinds.
      for (std::uint64_t n = 1 + kind++ % every;; n += every) {
        CAPTURE(fault.first, for_ever, n);
        const Disk disk = before->snapshot();
        const auto faulty = std::make_shared<FaultFileSystem>(disk);
        const Fault at = fault.second.at(n);
        faulty->plan(for_ever ? at.for_ever() : at);
        const std::int64_t acknowledged = train_one_more(faulty, 2);
        if (faulty->faults() == 0) {
          break;
        }
        ++injected;
        // The fault is gone; the disk itself never lost its power.
        check_survivor(disk, acknowledged);
      }
    }
  }
  WARN("faults injected " << injected);
  CHECK(injected > 1000 / every);
}

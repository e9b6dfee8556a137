#include "store_support.hpp"

#include <map>
#include <optional>
#include <set>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::all_loss_patterns;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operations;

namespace {

/// What a training process believes while it runs, told from outside.
struct Belief {
  std::map<std::uint64_t, std::string> tried; ///< Ids by number.
  std::map<std::uint64_t, std::string> acknowledged;
  std::set<std::uint64_t> leaving; ///< Removal or quarantine has begun.
  std::uint64_t line = 0; ///< The newest line that was acknowledged.
  std::uint64_t abandoned =
      0; ///< The checkpoint which that line leaves behind.
  std::uint64_t highest = 0; ///< Of all numbers that were acknowledged.
  bool may_be_visible = false; ///< A first rename has been asked for.
};

/// Every verb that changes a directory, in an order as a run has it.
class Script {
 public:
  Script(FileSystem& files, Clock& clock, Belief& belief)
      : files_(files), clock_(clock), belief_(belief) {}

  void run() {
    CheckpointName third;
    {
      Writer writer(open_run(files_), clock_, 0);
      const CheckpointName first = checkpoint(writer, 10);
      const CheckpointName second = checkpoint(writer, 20);
      third = checkpoint(writer, 30);
      belief_.leaving.insert(first.sequence);
      writer.remove(first);
      belief_.leaving.insert(second.sequence);
      writer.quarantine(second, "for the test");
    }
    Writer writer(open_run(files_), clock_, 0); // Sweeps.
    const CheckpointName fourth = checkpoint(writer, 40);
    belief_.abandoned = fourth.sequence;
    {
      Transaction given_up(writer, 100); // Spends a number.
      write_parts(given_up, 1);
    }
    const Line line = writer.begin_line(third.sequence, "again");
    belief_.line = line.sequence;
    belief_.highest = line.sequence;
    const CheckpointName fifth = checkpoint(writer, 45);
    checkpoint(writer, 50);
    belief_.leaving.insert(fifth.sequence);
    writer.remove(fifth);
  }

 private:
  CheckpointName checkpoint(Writer& writer, std::int64_t step) {
    const std::string id = random_id();
    Transaction transaction(writer, 5000);
    belief_.tried[transaction.sequence()] = id;
    write_parts(transaction, static_cast<std::uint64_t>(step));
    belief_.may_be_visible = true;
    const Committed committed = transaction.commit(manifest_for(step, id));
    belief_.acknowledged[committed.sequence] = id;
    belief_.highest = committed.sequence;
    return as_name(committed);
  }

  FileSystem& files_;
  Clock& clock_;
  Belief& belief_;
};

/// What must hold on a disk that a process with this belief left behind.
void check_what_is_left(MemoryFileSystem& disk, const Belief& belief) {
  ManualClock clock;
  const auto root = open_run(disk);
  const Catalog catalog = scan(*root);
  const LockMark mark = read_mark(*root);

  // Fresh only where nothing was lost; never an error where nothing was.
  if (!belief.acknowledged.empty()) {
    REQUIRE((catalog.has_trace() || mark.committed != 0));
  }
  if (!belief.may_be_visible) {
    REQUIRE_FALSE(catalog.has_trace());
    REQUIRE(mark.committed == 0);
  }

  // A line that was begun is the one that counts.
  REQUIRE(catalog.current_line() >= belief.line);
  REQUIRE(catalog.foreign.empty());

  std::optional<std::uint64_t> newest;
  for (const CheckpointName& name : catalog.search_order()) {
    CAPTURE(name.name);
    const Judgement judged = judge(*root, name, VerifyLevel::full, clock);
    CAPTURE(judged.reason);
    if (judged.verdict != Verdict::valid) {
      // Only what was never acknowledged, or was on its way out.
      REQUIRE(judged.may_pass_over());
      REQUIRE(
          (belief.acknowledged.count(name.sequence) == 0 ||
           belief.leaving.count(name.sequence) != 0));
      continue;
    }
    REQUIRE(judged.manifest->id == belief.tried.at(name.sequence));
    if (!newest) {
      newest = name.sequence;
    }
  }
  // The newest acknowledged or a newer one, and none of them is missing.
  const bool left_behind = catalog.current_line() != 0;
  for (const auto& entry : belief.acknowledged) {
    if (belief.leaving.count(entry.first) != 0) {
      continue;
    }
    CAPTURE(entry.first);
    const auto found = std::find_if(
        catalog.checkpoints.begin(),
        catalog.checkpoints.end(),
        [&](const CheckpointName& name) {
          return name.sequence == entry.first;
        });
    REQUIRE(found != catalog.checkpoints.end());
    REQUIRE(
        judge(*root, *found, VerifyLevel::full, clock).verdict ==
        Verdict::valid);
    if (!left_behind || entry.first != belief.abandoned) {
      REQUIRE(newest);
      REQUIRE(*newest >= entry.first);
    }
  }
  if (left_behind) {
    for (const CheckpointName& name : catalog.search_order()) {
      REQUIRE(name.sequence != belief.abandoned);
    }
  }

  // The next process sweeps, and saves under a number nobody ever had.
  Writer writer(root, clock, 0);
  REQUIRE(writer.mark().highest >= catalog.highest);
  for (const DirectoryEntry& entry : root->list()) {
    CAPTURE(entry.name);
    const NameKind kind = parse_name(entry.name).kind;
    REQUIRE(kind != NameKind::staging);
    REQUIRE(kind != NameKind::trash);
    REQUIRE(kind != NameKind::other);
  }
  const Committed next = save(writer, 90);
  REQUIRE(next.sequence > belief.highest);
  REQUIRE(next.sequence > catalog.highest);
  REQUIRE(next.sequence > mark.highest);
  const Catalog after = scan(*root);
  REQUIRE(after.search_order().front().sequence == next.sequence);
  REQUIRE(
      judge(*root, as_name(next), VerifyLevel::full, clock).verdict ==
      Verdict::valid);
  for (const auto& entry : belief.acknowledged) {
    if (belief.leaving.count(entry.first) == 0) {
      REQUIRE(std::any_of(
          after.checkpoints.begin(),
          after.checkpoints.end(),
          [&](const CheckpointName& name) {
            return name.sequence == entry.first;
          }));
    }
  }
}

struct CrashRun {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  ManualClock clock;
  Belief belief;
};

/// The run's directory, durable, then the script until its end or first error.
void run_script(CrashRun& run, const Fault* fault) {
  (void)open_run(*run.disk);
  run.disk->sync_all();
  if (fault != nullptr) {
    run.files.plan(*fault);
  }
  Script(run.files, run.clock, run.belief).run();
}

/// A power cut at the n-th operation that changes something: at those between,
/// the disk is the same.
Fault cut_at(std::uint64_t n) {
  return Fault::power_cut().on(Operations::changes()).at(n);
}

/// Runs the script with a power cut; false if it has fewer such operations.
bool run_until(CrashRun& run, std::uint64_t n) {
  const Fault cut = cut_at(n);
  (void)code_of([&] { run_script(run, &cut); });
  return run.files.power_is_cut();
}

} // namespace

TEST_CASE(
    "commit protocol: a power cut at any operation loses nothing acknowledged",
    "[store][crash][P2]") {
  const std::uint64_t from_seed = seed();
  CAPTURE(from_seed);
  const std::uint64_t every = one_in(4);
  std::uint64_t cuts = 0;
  std::uint64_t states = 0;
  for (std::uint64_t n = 1;; ++n, ++cuts) {
    CAPTURE(n);
    CrashRun run;
    if (!run_until(run, n)) {
      break;
    }
    const std::string last = run.files.log().back();
    CAPTURE(last);
    const std::vector<LossPattern> patterns =
        all_loss_patterns(*run.disk, 4, from_seed + n * 1000);
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (i != 0 && i % every != n % every) {
        continue;
      }
      const LossPattern& pattern = patterns[i];
      CAPTURE(pattern);
      const auto after = run.disk->snapshot();
      after->cut_power(pattern);
      check_what_is_left(*after, run.belief);
      ++states;
    }
  }
  WARN("power cuts " << cuts << ", disk states " << states);
  CHECK(cuts > 100);
  CHECK(states > 2000 / every);
}

TEST_CASE(
    "commit protocol: a kill at any operation loses nothing acknowledged",
    "[store][crash][P2]") {
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    CrashRun run;
    if (!run_until(run, n)) {
      CHECK(n > 100);
      break;
    }
    // What is pending stays pending: the machine goes on, and loses its power
    // only when the next process is through.
    const auto after = run.disk->snapshot();
    check_what_is_left(*after, run.belief);
    after->cut_power(LossPattern::all_lost());
    ManualClock clock;
    const auto root = open_run(*after);
    const auto order = scan(*root).search_order();
    REQUIRE_FALSE(order.empty());
    const Judgement judged =
        judge(*root, order.front(), VerifyLevel::full, clock);
    REQUIRE(judged.verdict == Verdict::valid);
    REQUIRE(order.front().step == 90);
  }
}

TEST_CASE(
    "commit protocol: a second power cut, while the first one is cleaned up",
    "[store][crash]") {
  const std::uint64_t from_seed = seed();
  CAPTURE(from_seed);
  const std::uint64_t every = one_in(4);
  std::uint64_t pairs = 0;
  for (std::uint64_t n = 1;; ++n) {
    CrashRun run;
    if (!run_until(run, n)) {
      CHECK(n > 100);
      break;
    }
    for (std::uint64_t second = 1 + n % every;; second += every) {
      ++pairs;
      CAPTURE(n, second);
      const auto disk = run.disk->snapshot();
      disk->cut_power(LossPattern::random(from_seed + n * 100 + second));
      FaultFileSystem files(disk);
      files.plan(cut_at(second));
      ManualClock clock;
      (void)code_of([&] { Writer(open_run(files), clock, 0); });
      const bool through = !files.power_is_cut();
      disk->cut_power(LossPattern::random(from_seed + n + second));
      check_what_is_left(*disk, run.belief);
      if (through) {
        break;
      }
    }
  }
  WARN("pairs of power cuts " << pairs);
  CHECK(pairs > 1000 / every);
}

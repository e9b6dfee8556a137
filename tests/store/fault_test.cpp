#include "store_support.hpp"

#include <cerrno>
#include <iterator>
#include <map>
#include <set>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;
using holdfast::testing::Operations;

namespace {

/// A directory with two checkpoints, one left-over of each kind, and a script
/// that goes on after errors, as a training run does.
struct FaultRun {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  ManualClock clock;
  std::map<std::uint64_t, std::string> whole; ///< Acknowledged, to be kept.
  std::set<std::uint64_t> leaving;
  std::uint64_t highest = 0;
  std::uint64_t errors = 0;
  std::unique_ptr<Writer> writer;

  FaultRun() {
    Writer before(open_run(*disk), clock, 0);
    for (const std::int64_t step : {10, 20}) {
      const std::string id = random_id();
      whole[save(before, step, id).sequence] = id;
    }
    before.root().create_directory(".staging-000003");
    before.root().create_directory(".trash-000004-abc");
    before.root().point_symlink(
        ".latest-0123456789abcdef0123456789abcdef", "x");
    disk->sync_all();
    highest = 4;
  }

  /// Nothing but an `Error` may come out of a verb.
  bool attempt(const std::function<void()>& verb) {
    try {
      verb();
      return true;
    } catch (const Error&) {
      ++errors;
      return false;
    }
  }

  void save_one(std::int64_t step) {
    const std::string id = random_id();
    Transaction transaction(*writer, 5000);
    highest = std::max(highest, transaction.sequence());
    write_parts(transaction, static_cast<std::uint64_t>(step));
    const Committed committed = transaction.commit(manifest_for(step, id));
    whole[committed.sequence] = id;
  }

  void leave(
      std::uint64_t sequence,
      const std::function<void(const CheckpointName&)>& verb) {
    for (const CheckpointName& name : scan(writer->root()).checkpoints) {
      if (name.sequence == sequence) {
        leaving.insert(sequence);
        verb(name);
      }
    }
  }

  void script() {
    if (!attempt([&] {
          writer = std::make_unique<Writer>(open_run(files), clock, 0);
        })) {
      return;
    }
    attempt([&] { save_one(30); });
    attempt([&] {
      leave(1, [&](const CheckpointName& name) { writer->remove(name); });
    });
    attempt([&] { save_one(40); });
    attempt([&] {
      leave(2, [&](const CheckpointName& name) {
        writer->quarantine(name, "for the test");
      });
    });
    attempt([&] {
      const Line line = writer->begin_line(0, "anew");
      highest = std::max(highest, line.sequence);
    });
    attempt([&] { (void)writer->asked_line(); });
    attempt([&] { save_one(50); });
  }

  void check_whole(FileSystem& on) {
    const auto root = open_run(on);
    const Catalog catalog = scan(*root);
    std::map<std::uint64_t, std::string> there;
    for (const CheckpointName& name : catalog.checkpoints) {
      CAPTURE(name.name);
      const Judgement judged = judge(*root, name, VerifyLevel::full, clock);
      CAPTURE(judged.reason);
      // Nothing under a checkpoint's name is anything but whole, unless its
      // removal was begun: a failed save leaves no trace of that kind.
      if (leaving.count(name.sequence) == 0) {
        REQUIRE(judged.verdict == Verdict::valid);
        there[name.sequence] = judged.manifest->id;
      } else {
        REQUIRE((judged.verdict == Verdict::valid || judged.may_pass_over()));
      }
    }
    for (const auto& entry : whole) {
      if (leaving.count(entry.first) == 0) {
        CAPTURE(entry.first);
        REQUIRE(there[entry.first] == entry.second);
      }
    }
  }

  /// The same process goes on once the fault is gone; then another one.
  void check_next() {
    files.clear_faults();
    if (writer) {
      save_one(80);
      REQUIRE(whole.size() >= 3);
      check_whole(*disk);
      writer.reset();
    }
    const Catalog before = scan(*open_run(*disk));
    Writer next(open_run(*disk), clock, 0);
    for (const DirectoryEntry& entry : next.root().list()) {
      const NameKind kind = parse_name(entry.name).kind;
      REQUIRE(kind != NameKind::staging);
      REQUIRE(kind != NameKind::trash);
      REQUIRE(kind != NameKind::other);
    }
    const Committed committed = save(next, 90);
    REQUIRE(committed.sequence > highest);
    REQUIRE(committed.sequence > before.highest);
    check_whole(*disk);
    // What was acknowledged was durable.
    disk->cut_power(LossPattern::all_lost());
    check_whole(*disk);
  }
};

void run_with(const Fault& fault, std::uint64_t& struck) {
  FaultRun run;
  run.files.plan(fault);
  run.script();
  const bool hit = run.files.faults() != 0;
  run.check_whole(*run.disk);
  run.check_next();
  struck += hit ? 1 : 0;
}

std::uint64_t operations_of_the_script() {
  FaultRun run;
  run.script();
  CHECK(run.errors == 0);
  run.check_next();
  return run.files.operations();
}

} // namespace

TEST_CASE(
    "store: every operation fails once with every error, and nothing is lost",
    "[store][fault]") {
  const std::uint64_t operations = operations_of_the_script();
  const int errors[] = {EIO, ENOSPC, EACCES, EROFS, ENOSYS, ESTALE};
  const std::uint64_t every = one_in(std::size(errors));
  const std::uint64_t which = GENERATE(0U, 1U, 2U, 3U, 4U, 5U);
  const int system_error = errors[which];
  CAPTURE(system_error);
  std::uint64_t struck = 0;
  for (std::uint64_t n = 1 + which % every; n <= operations; n += every) {
    CAPTURE(n);
    run_with(Fault::error(system_error).at(n), struck);
  }
  WARN("error " << system_error << ": struck " << struck);
  CHECK(struck > 200 / every);
}

TEST_CASE(
    "store: from any operation on all fail, and nothing is lost",
    "[store][fault]") {
  const std::uint64_t operations = operations_of_the_script();
  const int errors[] = {EIO, ENOSPC, EACCES, EROFS};
  const std::uint64_t every = one_in(std::size(errors));
  const std::uint64_t which = GENERATE(0U, 1U, 2U, 3U);
  const int system_error = errors[which];
  CAPTURE(system_error);
  const Operations kinds = system_error == EIO || system_error == EACCES
      ? Operations::all()
      : Operations::changes();
  std::uint64_t struck = 0;
  for (std::uint64_t n = 1 + which % every; n <= operations; n += every) {
    CAPTURE(n);
    run_with(Fault::error(system_error).on(kinds).at(n).for_ever(), struck);
  }
  WARN("error " << system_error << ": struck " << struck);
  CHECK(struck > 100 / every);
}

TEST_CASE("store: every write is cut short", "[store][fault]") {
  std::uint64_t struck = 0;
  for (std::uint64_t n = 1; n <= 60; ++n) {
    CAPTURE(n);
    run_with(Fault::short_write(ENOSPC).at(n), struck);
    run_with(Fault::short_write(EIO).at(n).for_ever(), struck);
  }
  CHECK(struck > 50);
}

TEST_CASE(
    "store: a change that happened although an error came back",
    "[store][fault]") {
  std::uint64_t struck = 0;
  for (std::uint64_t n = 1; n <= 150; ++n) {
    CAPTURE(n);
    run_with(
        Fault::error(EIO).on(Operations::changes()).applied().at(n), struck);
  }
  CHECK(struck > 80);
}

TEST_CASE(
    "store: a rename that happened although an error came back is success",
    "[store][fault]") {
  FaultRun run;
  run.files.plan(
      Fault::error(EIO).on({Operation::rename}).applied().for_ever());
  run.script();
  CHECK(run.files.faults() >= 6); // Sweep, saves, removal, quarantine, line.
  CHECK(run.errors == 0);
  run.check_whole(*run.disk);
}

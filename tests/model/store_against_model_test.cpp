#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/manual_clock.hpp>
#include <support/random.hpp>
#include <support/toy_run.hpp>

#include <model/protocol_model.hpp>
#include <model/protocol_operations.hpp>
#include <model/protocol_world.hpp>

#include <holdfast/store/catalog.hpp>
#include <holdfast/store/lock.hpp>
#include <holdfast/store/names.hpp>
#include <holdfast/testing/fault_file_system.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace holdfast;
using holdfast::test::model::Act;
using holdfast::test::model::Failure;
using holdfast::test::model::Health;
using holdfast::test::model::Kind;
using holdfast::test::model::kNumbers;
using holdfast::test::model::Number;
using holdfast::test::model::Operation;
using holdfast::test::model::Outcome;
using holdfast::test::model::Result;
using holdfast::test::model::Rules;
using holdfast::test::model::Set;
using holdfast::test::model::World;
using SaveStage = holdfast::test::model::Stage;

namespace {

const std::string kRun = "runs/a";

/// A process: its view of the disk, its state, its manager.
struct Life {
  std::shared_ptr<holdfast::testing::FaultFileSystem> files;
  std::int64_t value = -1;
  holdfast::test::ToyModel toy;
  std::unique_ptr<Manager> manager;
};

Failure failure_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::locked:
      return Failure::locked;
    case ErrorCode::lost_lock:
      return Failure::lost_lock;
    case ErrorCode::not_found:
      return Failure::swept;
    case ErrorCode::io_error:
      return Failure::io_error;
    case ErrorCode::no_usable_checkpoint:
      return Failure::no_usable_checkpoint;
    case ErrorCode::damaged:
      return Failure::damaged;
    case ErrorCode::incomplete:
      return Failure::incomplete;
    case ErrorCode::unreadable:
      return Failure::unreadable;
    case ErrorCode::foreign:
      return Failure::foreign;
    case ErrorCode::invalid_argument:
      return Failure::refused;
    default:
      return Failure::none;
  }
}

std::string numbers_in(Set set) {
  std::string text;
  for (unsigned n = 0; n < kNumbers; ++n) {
    if (test::model::contains(set, n)) {
      text += " " + std::to_string(n);
    }
  }
  return text;
}

std::string describe(const Outcome& outcome) {
  return "result " + std::to_string(static_cast<int>(outcome.result)) +
      ", failure " + std::to_string(static_cast<int>(outcome.failure)) +
      ", number " + std::to_string(outcome.number) + ", passed over" +
      numbers_in(outcome.passed_over) + ", quarantined" +
      numbers_in(outcome.quarantined) + ", listed" + numbers_in(outcome.listed);
}

/// One walk: operations at random, each done in the model and with real
/// managers on a disk in memory. The first difference ends it.
class Walk {
 public:
  Walk(std::uint64_t seed, int operations, const Rules& rules)
      : random_(seed), left_(operations), rules_(rules) {
    disk_->make_directory(kRun);
  }

  /// What happens first.
  void begin_with(std::vector<Operation> operations) {
    script_ = std::move(operations);
    std::reverse(script_.begin(), script_.end());
  }
  [[nodiscard]] const Outcome& last_predicted() const {
    return predicted_;
  }
  /// What differed; empty if nothing did.
  std::string run() {
    go_on();
    return difference_.empty() ? "" : difference_ + "\n  after" + path_;
  }
  [[nodiscard]] std::uint64_t done(Act act) const {
    return done_[static_cast<std::size_t>(act)];
  }

 private:
  using Files = holdfast::testing::FaultFileSystem;
  using Pattern = holdfast::testing::LossPattern;

  // The walk.

  [[nodiscard]] Operation choose() {
    if (!script_.empty()) {
      const Operation next = script_.back();
      script_.pop_back();
      return next;
    }
    const auto possible = test::model::operations(world_);
    // What has lost its directory does nothing new.
    if (world_.process.alive != 0 && world_.process.owns == 0 &&
        random_() % 2 == 0) {
      return Operation{Act::leave, 0, 0};
    }
    // Damage comes in all kinds; without this there would be little else.
    for (;;) {
      const Operation operation = possible[random_() % possible.size()];
      if (operation.act < Act::flip_part || random_() % 3 == 0) {
        return operation;
      }
    }
  }

  /// Until the walk ends, or the stalled process goes on (true) or is killed.
  bool go_on() {
    const bool nested = world_.stalled.alive != 0;
    while (difference_.empty()) {
      if (--left_ < 0 && !nested) {
        return true;
      }
      const Operation operation =
          left_ < 0 ? Operation{Act::wake, 0, 0} : choose();
      before_ = world_;
      predicted_ = test::model::apply(world_, operation, rules_);
      path_ += "; " + to_string(operation);
      ++done_[static_cast<std::size_t>(operation.act)];
      if (operation.act == Act::wake || operation.act == Act::kill_stalled) {
        return operation.act == Act::wake;
      }
      const Outcome outcome = perform(operation);
      compare(outcome);
    }
    return true;
  }

  void differ(const std::string& what) {
    if (difference_.empty()) {
      difference_ = what;
    }
  }

  void compare(Outcome outcome) {
    if (predicted_.failure == Failure::swept &&
        outcome.failure == Failure::lost_lock) {
      outcome.failure = Failure::swept;
    }
    outcome.removed = predicted_.removed; // The names tell.
    outcome.by_choice = predicted_.by_choice;
    if (!(outcome == predicted_)) {
      differ(
          "the model said: " + describe(predicted_) + "\n  it was:         " +
          describe(outcome) + (error_.empty() ? "" : "\n  " + error_));
    }
    compare_names();
    remember_saved();
  }

  void compare_names() {
    std::vector<std::string> expected;
    for (Number n = 1; n < kNumbers; ++n) {
      const auto& cell = world_.cells[n];
      const std::string number = std::to_string(n);
      if (cell.kind == Kind::checkpoint) {
        expected.push_back("checkpoint " + number);
      }
      if (cell.kind == Kind::line) {
        expected.push_back(
            "line " + number + " from " + std::to_string(cell.origin));
      }
      if (has(cell, test::model::kTwin)) {
        expected.push_back("checkpoint " + number);
      }
      if (has(cell, test::model::kBad)) {
        expected.push_back("bad " + number);
      }
      if (has(cell, test::model::kStaging)) {
        expected.push_back("staging " + number);
      }
    }
    std::vector<std::string> found;
    for (const DirectoryEntry& entry : root()->list()) {
      const ParsedName name = parse_name(entry.name);
      const std::string number = std::to_string(name.sequence);
      switch (name.kind) {
        case NameKind::checkpoint:
          found.push_back("checkpoint " + number);
          break;
        case NameKind::line:
          found.push_back(
              "line " + number + " from " + std::to_string(name.origin));
          break;
        case NameKind::quarantined:
          found.push_back("bad " + number);
          break;
        case NameKind::staging:
          found.push_back("staging " + number);
          break;
        default:
          break;
      }
    }
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    // One number may have been quarantined more than once.
    found.erase(
        std::unique(
            found.begin(),
            found.end(),
            [](const std::string& a, const std::string& b) {
              return a == b && a[0] == 'b';
            }),
        found.end());
    if (expected != found) {
      std::string text = "names; the model said:";
      for (const std::string& name : expected) {
        text += " " + name + ",";
      }
      text += "\n  there are:";
      for (const std::string& name : found) {
        text += " " + name + ",";
      }
      differ(text + (error_.empty() ? "" : "\n  " + error_));
    }
    const LockMark mark = read_mark(*root());
    if (mark.highest != world_.mark_highest ||
        mark.committed != world_.mark_committed) {
      differ(
          "LOCK: the model said " + std::to_string(world_.mark_highest) +
          " and " + std::to_string(world_.mark_committed) + ", it has " +
          std::to_string(mark.highest) + " and " +
          std::to_string(mark.committed));
    }
  }

  // The disk.

  [[nodiscard]] std::shared_ptr<Directory> root() {
    return disk_->open_root(kRun, Create::no);
  }
  [[nodiscard]] std::string path_of(Number n) const {
    return kRun + "/" + names_[n];
  }
  [[nodiscard]] static std::string backup_of(Number n) {
    return "backup/" + std::to_string(n);
  }

  /// Puts a copy aside of what was saved just now.
  void remember_saved() {
    for (Number n = 1; n < kNumbers; ++n) {
      if (before_.cells[n].kind == Kind::checkpoint ||
          world_.cells[n].kind != Kind::checkpoint ||
          world_.cells[n].health == Health::foreign || copied_back_ == n) {
        continue;
      }
      for (const DirectoryEntry& entry : root()->list()) {
        const ParsedName name = parse_name(entry.name);
        if (name.kind == NameKind::checkpoint && name.sequence == n) {
          names_[n] = entry.name;
        }
      }
      if (disk_->exists(backup_of(n))) {
        disk_->remove(backup_of(n));
      }
      disk_->copy(path_of(n), backup_of(n));
      values_[n] = saving_value_;
    }
    copied_back_ = 0;
  }

  /// Of the files of checkpoint `n`, the manifest apart, one.
  [[nodiscard]] std::string pick_part(Number n) {
    std::vector<std::string> files;
    for (const std::string& path : disk_->list_all(path_of(n))) {
      if (path.back() != '/' &&
          path.find("MANIFEST.json") == std::string::npos) {
        files.push_back(path_of(n) + "/" + path);
      }
    }
    return files.at(random_() % files.size());
  }
  void flip(const std::string& path) {
    disk_->flip_bit(path, random_() % (8 * disk_->read_file(path).size()));
  }

  // Operations.

  Outcome perform(const Operation& operation) {
    error_.clear();
    const Number n = operation.number;
    switch (operation.act) {
      case Act::save:
        return save(operation.argument);
      case Act::save_killed_staged:
        return save_killed(SaveStage::staged, 1, false);
      case Act::save_killed_renamed:
        return save_killed(SaveStage::renamed, operation.argument, false);
      case Act::save_cut_renamed:
        return save_killed(SaveStage::renamed, 1, true);
      case Act::save_killed_recorded:
        return save_killed(std::nullopt, operation.argument, false);
      case Act::save_failed:
        return save_broken(SaveStage::staged, 1);
      case Act::save_unconfirmed:
        return save_broken(SaveStage::renamed, operation.argument);
      case Act::list: {
        Outcome outcome;
        outcome.result = Result::listed;
        for (const CheckpointInfo& info : process_->manager->list()) {
          outcome.listed |=
              test::model::only(static_cast<unsigned>(info.sequence));
        }
        return outcome;
      }
      case Act::leave:
        process_.reset();
        return {};
      case Act::stall:
        return stall(static_cast<SaveStage>(operation.argument));
      case Act::resume:
        return begin([](Manager& manager) { return manager.resume(); });
      case Act::start_fresh:
        return begin([&](Manager& manager) {
          return manager.start_fresh(tag_of(operation.argument));
        });
      case Act::start_fresh_killed_staged:
        return start_fresh_killed(false, operation.argument);
      case Act::start_fresh_killed_renamed:
        return start_fresh_killed(true, operation.argument);
      case Act::resume_from:
        return begin([&](Manager& manager) {
          return manager.resume_from(names_[n], tag_of(operation.argument));
        });
      case Act::flip_part:
        flip(pick_part(n));
        return {};
      case Act::flip_manifest:
        flip(path_of(n) + "/MANIFEST.json");
        return {};
      case Act::take_part:
        parts_[n] = pick_part(n);
        disk_->move(parts_[n], "taken/" + std::to_string(n));
        return {};
      case Act::make_unreadable:
        parts_[n] = pick_part(n);
        disk_->set_unreadable(parts_[n], EIO);
        return {};
      case Act::forbid:
        parts_[n] = pick_part(n);
        disk_->set_unreadable(parts_[n], EACCES);
        return {};
      case Act::heal:
        if (disk_->exists(parts_[n])) {
          disk_->set_unreadable(parts_[n], 0);
        } else {
          disk_->move("taken/" + std::to_string(n), parts_[n]);
        }
        return {};
      case Act::remove:
        disk_->remove(path_of(n));
        return {};
      case Act::remove_all:
        for (const DirectoryEntry& entry : root()->list()) {
          if (parse_name(entry.name).kind == NameKind::checkpoint) {
            disk_->remove(kRun + "/" + entry.name);
          }
        }
        return {};
      case Act::remove_lock:
        disk_->remove(kRun + "/LOCK");
        return {};
      case Act::copy_back:
        disk_->copy(backup_of(n), path_of(n));
        copied_back_ = n;
        return {};
      case Act::copy_up: {
        const Number to = test::model::highest_visible(world_);
        names_[to] = checkpoint_name(to, parse_name(names_[n]).step);
        disk_->copy(path_of(n), path_of(to));
        return {};
      }
      case Act::twin:
        disk_->copy(path_of(n), twin_of(n));
        return {};
      case Act::remove_twin:
        disk_->remove(twin_of(n));
        return {};
      case Act::set_clock_back:
        clock_.wall -= 100'000; // people set clocks back
        return {};
      case Act::wake:
      case Act::kill_stalled:
        break;
    }
    return {};
  }

  [[nodiscard]] static std::string tag_of(unsigned tag) {
    return tag == 0 ? "" : "tag-" + std::to_string(tag);
  }
  [[nodiscard]] std::string twin_of(Number n) const {
    return kRun + "/" +
        checkpoint_name(n, parse_name(names_[n]).step + 1'000'000);
  }

  // Beginning.

  [[nodiscard]] std::unique_ptr<Life> new_life() {
    auto life = std::make_unique<Life>();
    life->files = std::make_shared<Files>(disk_);
    Options options;
    options.file_system(life->files)
        .clock(clock_)
        .lock_wait(std::chrono::seconds(0))
        .keep_last(rules_.keep_last)
        .on_event({});
    if (rules_.keep_best) {
      options.keep_best("loss");
    }
    life->manager = std::make_unique<Manager>(kRun, options);
    life->manager->add("value", life->value);
    life->manager->add("model", life->toy);
    return life;
  }

  Outcome failed(const Error& error) {
    error_ = error.what();
    Outcome outcome;
    outcome.result = Result::error;
    outcome.failure = failure_of(error);
    return outcome;
  }

  template <class Begin>
  Outcome begin(const Begin& call) {
    auto life = new_life();
    Outcome outcome;
    std::optional<ResumeReport> report;
    try {
      report = call(*life->manager);
    } catch (const Error& error) {
      outcome = failed(error);
      if (life->value != -1 || life->toy.weight[0] != 0.5F) {
        differ("a failed resume has changed live state");
      }
      return outcome;
    }
    if (report->resumed()) {
      outcome.result = Result::resumed;
      outcome.number = static_cast<Number>(report->checkpoint->sequence);
      for (const PassedOver& other : report->passed_over) {
        const Set one = test::model::only(
            static_cast<unsigned>(parse_name(other.name).sequence));
        outcome.passed_over |= one;
        outcome.quarantined |= other.quarantined ? one : 0;
      }
      if (life->value != values_[outcome.number] ||
          life->toy.weight[3] != static_cast<float>(life->value)) {
        differ(
            "resumed " + std::to_string(life->value) + " in the place of " +
            std::to_string(values_[outcome.number]));
      }
    } else {
      outcome.result =
          predicted_.result == Result::began ? Result::began : Result::fresh;
    }
    if (report->line != test::model::current_line(world_)) {
      differ("line " + std::to_string(report->line));
    }
    process_ = std::move(life);
    return outcome;
  }

  Outcome start_fresh_killed(bool renamed, std::uint8_t tag) {
    auto life = new_life();
    bool made = false;
    bool killed = false;
    life->files->set_hook([&](std::uint64_t, const std::string& what) {
      const bool line = what.find("-> line-") != std::string::npos;
      made = made || (starts(what, "create_file") && is_staging(what));
      const bool now = renamed ? named_ && starts(what, "sync_directory")
                               : made && starts(what, "write");
      named_ = named_ || (starts(what, "rename") && line);
      if (now) {
        killed = true;
        life->files->cut_power();
      }
    });
    named_ = false;
    try {
      (void)life->manager->start_fresh(tag_of(tag));
    } catch (const Error& error) {
      error_ = error.what();
    }
    Outcome outcome;
    outcome.result = killed ? Result::killed : Result::error;
    return outcome;
  }

  // Saving.

  [[nodiscard]] static bool starts(
      const std::string& what,
      const std::string& with) {
    return what.compare(0, with.size(), with) == 0;
  }
  [[nodiscard]] static bool is_staging(const std::string& what) {
    return what.find("/.staging-") != std::string::npos;
  }

  /// Tells when a save reaches a stage; `done`, when LOCK is synced.
  struct Watch {
    bool renamed = false;
    bool synced = false;

    [[nodiscard]] std::optional<SaveStage> reached(const std::string& what) {
      const bool renames = starts(what, "rename") && is_staging(what) &&
          what.find("-> ckpt-") != std::string::npos;
      if (renames) {
        renamed = true;
        return SaveStage::renaming;
      }
      if (starts(what, "create_directory") && is_staging(what)) {
        return SaveStage::unclaimed;
      }
      if (starts(what, "create_file") && is_staging(what)) {
        return SaveStage::staged;
      }
      if (renamed && starts(what, "sync_directory")) {
        return SaveStage::renamed;
      }
      if (renamed && starts(what, "sync_lock")) {
        synced = true;
        return SaveStage::recorded;
      }
      return std::nullopt;
    }
  };

  /// `action` is called once, when the save of `life` reaches `stage`; nothing:
  /// when LOCK is synced.
  template <class Action>
  static void when_reached(
      Life& life,
      std::optional<SaveStage> stage,
      Action action) {
    auto watch = std::make_shared<Watch>();
    auto fired = std::make_shared<bool>(false);
    life.files->set_hook([=](std::uint64_t, const std::string& what) {
      const bool synced = watch->synced;
      const std::optional<SaveStage> reached = watch->reached(what);
      if (!*fired && (stage ? reached == stage : synced)) {
        *fired = true;
        action();
      }
    });
  }

  Outcome save(std::uint8_t metric) {
    return save_with(*process_, metric);
  }

  Outcome save_with(Life& life, std::uint8_t metric) {
    life.value = ++last_value_;
    saving_value_ = life.value;
    life.toy.weight[3] = static_cast<float>(life.value);
    life.manager->step();
    Outcome outcome;
    try {
      const SaveHandle handle =
          life.manager->save({{"loss", static_cast<double>(metric)}});
      handle.wait();
      outcome.result = Result::saved;
      outcome.number = static_cast<Number>(
          parse_name(handle.path().substr(kRun.size() + 1)).sequence);
    } catch (const Error& error) {
      outcome = failed(error);
    }
    return outcome;
  }

  Outcome save_killed(
      std::optional<SaveStage> stage,
      std::uint8_t metric,
      bool cut) {
    if (cut) {
      disk_->sync_all();
    }
    bool killed = false;
    when_reached(*process_, stage, [&] {
      killed = true;
      if (cut) {
        disk_->cut_power(Pattern::all_lost());
      } else {
        process_->files->cut_power();
      }
    });
    Outcome outcome = save(metric);
    if (killed) {
      process_.reset();
      outcome = Outcome();
      outcome.result = Result::killed;
    }
    return outcome;
  }

  Outcome save_broken(SaveStage stage, std::uint8_t metric) {
    when_reached(*process_, stage, [] {
      ErrorDetails details;
      details.message = "injected";
      details.system_error = EIO;
      throw Error(ErrorCode::io_error, std::move(details));
    });
    const Outcome outcome = save(metric);
    process_->files->set_hook({});
    return outcome;
  }

  /// The rest of the walk, until this save goes on, happens inside of it.
  Outcome stall(SaveStage stage) {
    std::unique_ptr<Life> life = std::move(process_);
    bool reached = false;
    bool woken = true;
    std::int64_t value = 0;
    when_reached(*life, stage, [&] {
      reached = true;
      value = saving_value_;
      compare(Outcome());
      woken = go_on();
      saving_value_ = value;
      if (!woken) {
        life->files->cut_power();
      }
    });
    Outcome outcome = save_with(*life, 1);
    life->files->set_hook({});
    if (!reached) { // It had lost its directory before.
      process_ = std::move(life);
      return outcome;
    }
    if (!woken) {
      return Outcome();
    }
    if (!process_) {
      process_ = std::move(life);
    }
    return outcome;
  }

  std::mt19937_64 random_;
  int left_;
  std::vector<Operation> script_; ///< From its end.
  Rules rules_;
  World world_;
  World before_;
  Outcome predicted_;
  std::string path_;
  std::string difference_;
  std::string error_;
  std::array<std::uint64_t, 32> done_{};

  std::shared_ptr<holdfast::testing::MemoryFileSystem> disk_ =
      std::make_shared<holdfast::testing::MemoryFileSystem>();
  holdfast::test::ManualClock clock_;
  std::unique_ptr<Life> process_;
  std::int64_t last_value_ = 0;
  std::int64_t saving_value_ = 0;
  bool named_ = false;
  Number copied_back_ = 0;
  std::array<std::string, kNumbers> names_;
  std::array<std::string, kNumbers> parts_;
  std::array<std::int64_t, kNumbers> values_{};
};

} // namespace

TEST_CASE("store against the model: a thousand random histories", "[model]") {
  const std::uint64_t seed = test::seed();
  std::array<std::uint64_t, 32> done{};
  std::mt19937_64 random(seed);
  const std::uint64_t walks = 1200 / test::one_in(4);
  std::printf(
      "store against the model: seed %llu, %llu histories\n",
      static_cast<unsigned long long>(seed),
      static_cast<unsigned long long>(walks));
  for (std::uint64_t i = 0; i < walks; ++i) {
    Rules rules;
    rules.keep_last = static_cast<std::uint8_t>(1 + i % 2);
    rules.keep_best = i % 4 < 2;
    const std::uint64_t walk_seed = random();
    Walk walk(walk_seed, 30, rules);
    const std::string difference = walk.run();
    CAPTURE(seed, i, difference);
    REQUIRE(difference.empty());
    for (std::size_t act = 0; act < done.size(); ++act) {
      done[act] += walk.done(static_cast<Act>(act));
    }
  }
  // Nothing that can happen was left out.
  for (std::size_t act = 0;
       act <= static_cast<std::size_t>(Act::set_clock_back);
       ++act) {
    const Operation operation{static_cast<Act>(act), 0, 0};
    CAPTURE(to_string(operation));
    CHECK(done[act] >= walks / 100);
  }
}

TEST_CASE(
    "store against the model: another run's damaged checkpoint stays",
    "[model]") {
  // Hardly ever met at random: two runs on one line.
  const std::vector<Operation> script = {
      {Act::resume, 0, 0},
      {Act::save, 0, 1},
      {Act::save, 0, 1},
      {Act::leave, 0, 0},
      {Act::remove_all, 0, 0},
      {Act::remove_lock, 0, 0},
      {Act::resume, 0, 0},
      {Act::save, 0, 1},
      {Act::leave, 0, 0},
      {Act::copy_back, 2, 0},
      {Act::flip_part, 2, 0},
      {Act::resume, 0, 0}};
  Walk walk(test::seed(), static_cast<int>(script.size()), Rules());
  walk.begin_with(script);
  const std::string difference = walk.run();
  CAPTURE(difference);
  CHECK(difference.empty());
  CHECK(walk.last_predicted().number == 1);
  CHECK(walk.last_predicted().passed_over == test::model::only(2));
  CHECK(walk.last_predicted().quarantined == 0);
}

#pragma once

#include <model/protocol_world.hpp>

#include <algorithm>
#include <optional>
#include <vector>

/// The rules of numbers, lines, verdicts, quarantine, fence and retention,
/// written a second time and for themselves. Every naive alternative can be
/// put in a rule's place.
namespace holdfast::test::model {

struct Rules {
  std::uint8_t keep_last = 1;
  bool keep_best = true;

  // The naive ones.
  bool quarantine_at_once = false; ///< Whatever fails is moved while searching.
  bool no_line_file = false; ///< Going back leaves no name.
  bool next_after_visible = false; ///< LOCK and dot names do not count.
  bool no_fence = false;
  bool trust_empty = false; ///< LOCK does not count for a fresh start.
  bool unprotected = false; ///< Retention follows the keep rules alone.
  bool number_may_be_taken = false; ///< The fence looks at higher numbers only.
  bool all_lines = false; ///< The newest one, whatever line it is on.
};

/// What a resume may use by the names in the directory; the order of a search
/// is downwards.
[[nodiscard]] inline Set search_set(
    const World& world,
    bool all_lines = false) {
  const auto line_at_most = [&](Number number) {
    while (number > 0 && world.cells[number].kind != Kind::line) {
      --number;
    }
    return number;
  };
  Set set = 0;
  Number newest = kNumbers - 1;
  for (;;) {
    const Number line = all_lines ? Number{0} : line_at_most(newest);
    for (Number n = newest; n > line; --n) {
      const Cell& cell = world.cells[n];
      if (cell.kind == Kind::checkpoint && !has(cell, kTwin)) {
        set |= only(n);
      }
    }
    if (line == 0 || world.cells[line].origin == 0) {
      return set;
    }
    newest = world.cells[line].origin;
  }
}

[[nodiscard]] inline Number current_line(const World& world) {
  Number number = kNumbers - 1;
  while (number > 0 && world.cells[number].kind != Kind::line) {
    --number;
  }
  return number;
}

/// Carries out operations on a world.
class Model {
 public:
  Model(World& world, const Rules& rules) : w_(world), rules_(rules) {}

  Outcome apply(const Operation& operation) {
    const Number n = operation.number;
    Cell& cell = w_.cells[n];
    switch (operation.act) {
      case Act::save:
      case Act::save_killed_staged:
      case Act::save_killed_renamed:
      case Act::save_cut_renamed:
      case Act::save_killed_recorded:
      case Act::save_failed:
      case Act::save_unconfirmed:
        return save(operation);
      case Act::list: {
        Outcome outcome;
        outcome.result = Result::listed;
        outcome.listed = refresh(w_.process);
        return outcome;
      }
      case Act::leave:
        w_.process = Process();
        return {};
      case Act::stall:
        return stall(operation);
      case Act::wake:
        return wake();
      case Act::kill_stalled:
        w_.stalled = Process();
        return {};
      case Act::resume: {
        const Outcome taken = take();
        return taken.result == Result::error ? taken : go_on();
      }
      case Act::start_fresh:
      case Act::start_fresh_killed_staged:
      case Act::start_fresh_killed_renamed:
        return start_fresh(operation);
      case Act::resume_from:
        return resume_from(operation);
      case Act::flip_part:
        cell.health = Health::flipped_part;
        return {};
      case Act::flip_manifest:
        cell.health = Health::flipped_manifest;
        return {};
      case Act::take_part:
        cell.health = Health::incomplete;
        return {};
      case Act::make_unreadable:
        cell.health = Health::unreadable;
        return {};
      case Act::forbid:
        cell.health = Health::forbidden;
        return {};
      case Act::heal:
        cell.health = Health::intact;
        return {};
      case Act::remove:
        remove_by_hand(n);
        return {};
      case Act::remove_all:
        for (Number i = 1; i < kNumbers; ++i) {
          if (w_.cells[i].kind == Kind::checkpoint) {
            remove_by_hand(i);
          }
        }
        return {};
      case Act::remove_lock:
        w_.lock_exists = 0;
        w_.mark_highest = 0;
        w_.mark_committed = 0;
        w_.process.owns = 0;
        w_.stalled.owns = 0;
        forget_unseen();
        return {};
      case Act::copy_back:
        cell.kind = Kind::checkpoint;
        cell.health = Health::intact;
        if (has(cell, kForgotten) && n > current_line(w_)) {
          cell.true_line = w_.lines; // Its place is all that tells.
        }
        return {};
      case Act::copy_up: {
        Cell& copy = w_.cells[highest_visible(w_) + 1U];
        copy = Cell();
        copy.kind = Kind::checkpoint;
        copy.health = Health::foreign;
        copy.true_line = kHistories;
        return {};
      }
      case Act::twin:
        cell.flags |= kTwin;
        return {};
      case Act::remove_twin:
        cell.flags = static_cast<std::uint8_t>(cell.flags & ~kTwin);
        return {};
      case Act::set_clock_back:
        return {}; // Time decides nothing.
    }
    return {};
  }

 private:
  [[nodiscard]] static Outcome failed(Failure failure) {
    Outcome outcome;
    outcome.result = Result::error;
    outcome.failure = failure;
    return outcome;
  }
  static void set_flag(Cell& cell, Flag flag, bool value) {
    cell.flags = static_cast<std::uint8_t>(
        value ? cell.flags | flag : cell.flags & ~flag);
  }

  /// Names that went together with LOCK: nobody can know of them.
  void forget_unseen() {
    if (w_.lock_exists != 0) {
      return;
    }
    for (Number n = 1; n < kNumbers; ++n) {
      if (!is_visible(w_.cells[n])) {
        w_.used &= ~only(n);
        w_.saved &= ~only(n);
        set_flag(w_.cells[n], kForgotten, has(w_.cells[n], kSaved));
      }
    }
  }
  void remove_by_hand(Number n) {
    Cell& cell = w_.cells[n];
    cell.kind = Kind::none;
    cell.health = Health::intact;
    set_flag(cell, kTwin, false);
    if (!contains(w_.used, n)) { // No writer has seen it.
      set_flag(cell, kForgotten, has(cell, kSaved));
    }
    forget_unseen();
  }

  // Processes.

  Outcome take() {
    if (w_.stalled.alive != 0 && w_.stalled.owns != 0) {
      return failed(Failure::locked);
    }
    w_.lock_exists = 1;
    for (Number n = 1; n < kNumbers; ++n) {
      Cell& cell = w_.cells[n];
      if (!is_visible(cell)) {
        continue;
      }
      w_.used |= only(n);
      w_.mark_highest = std::max(w_.mark_highest, n);
      if (cell.kind == Kind::checkpoint || has(cell, kTwin) ||
          has(cell, kBad)) {
        w_.mark_committed = std::max(w_.mark_committed, n);
        w_.saved |= only(n);
      }
      set_flag(cell, kStaging, false);
    }
    w_.process = Process();
    w_.process.alive = 1;
    w_.process.owns = 1;
    w_.process.highest = w_.mark_highest;
    return {};
  }

  /// The fence. `claimed`: a number that only our staging may carry.
  bool fence(Process& process, Number claimed = 0) {
    if (rules_.no_fence) {
      return true;
    }
    if (process.owns == 0 || highest_visible(w_) > process.highest) {
      process.lost = 1;
    }
    if (claimed != 0 && !rules_.number_may_be_taken) {
      const Cell& cell = w_.cells[claimed];
      if (cell.kind != Kind::none || has(cell, kTwin) || has(cell, kBad)) {
        process.lost = 1;
      }
    }
    return process.lost == 0;
  }

  Number claim(Process& process) {
    if (rules_.next_after_visible) {
      Number highest = 0;
      for (Number n = 1; n < kNumbers; ++n) {
        if (w_.cells[n].kind != Kind::none) {
          highest = n;
        }
      }
      return static_cast<Number>(highest + 1);
    }
    ++process.highest;
    if (has(w_.cells[process.highest], kStaging)) {
      process.highest = std::max(process.highest, highest_visible(w_));
      ++process.highest;
    }
    return process.highest;
  }

  void record(Number number, bool committed) {
    w_.mark_highest = std::max(w_.mark_highest, number);
    if (committed) {
      w_.mark_committed = std::max(w_.mark_committed, number);
    }
  }

  // Resuming.

  Outcome go_on() {
    Process& process = w_.process;
    Outcome outcome;
    const Set order = search_set(w_, rules_.all_lines);
    for (Number n = kNumbers - 1; n > 0; --n) {
      if (!contains(order, n)) {
        continue;
      }
      const Health health = w_.cells[n].health;
      if (health == Health::intact) {
        outcome.number = n;
        break;
      }
      if (health == Health::forbidden) {
        process = Process();
        return failed(Failure::unreadable);
      }
      outcome.passed_over |= only(n);
      if (rules_.quarantine_at_once) {
        quarantine(n, outcome);
      }
    }
    if (outcome.number != 0) {
      outcome.result = Result::resumed;
      resumed(outcome.number, outcome.passed_over);
      for (Number n = 1; n < kNumbers; ++n) {
        const Cell& cell = w_.cells[n];
        if (contains(outcome.passed_over, n) && cell.kind == Kind::checkpoint &&
            cell.health == Health::flipped_part && cell.run == process.run) {
          quarantine(n, outcome);
        }
      }
      return outcome;
    }
    if (outcome.passed_over != 0 || !may_be_fresh()) {
      process = Process();
      outcome.result = Result::error;
      outcome.failure = Failure::no_usable_checkpoint;
      outcome.passed_over = 0;
      return outcome;
    }
    outcome.result = Result::fresh;
    process.run = ++w_.runs;
    return outcome;
  }

  [[nodiscard]] bool may_be_fresh() const {
    bool trace = false;
    Number highest_bad = 0;
    for (Number n = 1; n < kNumbers; ++n) {
      const Cell& cell = w_.cells[n];
      if (has(cell, kBad)) {
        highest_bad = n;
      }
      trace = trace || cell.kind != Kind::none || has(cell, kTwin) ||
          (has(cell, kBad) && !rules_.quarantine_at_once);
    }
    const Number committed = rules_.trust_empty || rules_.quarantine_at_once
        ? Number{0}
        : w_.mark_committed;
    if (!trace) {
      return committed == 0;
    }
    const Number line = current_line(w_);
    return line != 0 && w_.cells[line].origin == 0 && committed < line &&
        highest_bad < line;
  }

  void resumed(Number number, Set passed_over) {
    Process& process = w_.process;
    process.run = w_.cells[number].run;
    process.resumed_from = number;
    process.valid = only(number);
    process.excluded = passed_over;
  }

  void quarantine(Number n, Outcome& outcome) {
    Cell& cell = w_.cells[n];
    cell.kind = Kind::none;
    cell.health = Health::intact;
    cell.flags |= kBad;
    outcome.quarantined |= only(n);
  }

  enum class Asks { new_line, to_go_on, nonsense };

  /// What a line from `origin` with `tag` is, next to the newest one.
  [[nodiscard]] Asks asked(Number origin, std::uint8_t tag) const {
    const Number line = current_line(w_);
    if (line == 0 || w_.cells[line].tag != tag) {
      return Asks::new_line;
    }
    if (w_.cells[line].origin == origin) {
      return Asks::to_go_on;
    }
    return tag == 0 ? Asks::new_line : Asks::nonsense;
  }

  /// A line file, durable; false if killed on the way.
  Number make_line(Number origin, std::uint8_t tag, Act act) {
    const std::uint8_t parent =
        origin == 0 ? std::uint8_t{0} : w_.cells[origin].true_line;
    Number number = 0;
    if (!rules_.no_line_file) {
      number = claim(w_.process);
      Cell& cell = w_.cells[number];
      const bool bad = has(cell, kBad);
      cell = Cell();
      set_flag(cell, kBad, bad);
      if (act == Act::start_fresh_killed_staged) {
        cell.flags |= kStaging;
        return number;
      }
      cell.kind = Kind::line;
      cell.origin = origin;
      cell.tag = tag;
      if (act != Act::start_fresh_killed_renamed) {
        record(number, false);
        w_.used |= only(number);
      }
    }
    ++w_.lines;
    w_.line_origin[w_.lines] = origin;
    w_.line_parent[w_.lines] = parent;
    return number;
  }

  Outcome start_fresh(const Operation& operation) {
    const Outcome taken = take();
    if (taken.result == Result::error) {
      return taken;
    }
    switch (asked(0, operation.argument)) {
      case Asks::to_go_on:
        return go_on();
      case Asks::nonsense:
        w_.process = Process();
        return failed(Failure::refused);
      case Asks::new_line:
        break;
    }
    Outcome outcome;
    outcome.created = make_line(0, operation.argument, operation.act);
    if (operation.act != Act::start_fresh) {
      w_.process = Process();
      outcome.result = Result::killed;
      return outcome;
    }
    outcome.result = Result::began;
    w_.process.run = ++w_.runs;
    return outcome;
  }

  Outcome resume_from(const Operation& operation) {
    const Outcome taken = take();
    if (taken.result == Result::error) {
      return taken;
    }
    switch (asked(operation.number, operation.argument)) {
      case Asks::to_go_on:
        return go_on();
      case Asks::nonsense:
        w_.process = Process();
        return failed(Failure::refused);
      case Asks::new_line:
        break;
    }
    const Cell& cell = w_.cells[operation.number];
    Failure failure = Failure::none;
    switch (cell.health) {
      case Health::intact:
        failure = has(cell, kTwin) ? Failure::foreign : Failure::none;
        break;
      case Health::flipped_part:
      case Health::flipped_manifest:
        failure = Failure::damaged;
        break;
      case Health::incomplete:
        failure = Failure::incomplete;
        break;
      case Health::unreadable:
      case Health::forbidden:
        failure = Failure::unreadable;
        break;
      case Health::foreign:
        failure = Failure::foreign;
        break;
    }
    if (failure != Failure::none) {
      w_.process = Process();
      return failed(failure);
    }
    Outcome outcome;
    outcome.result = Result::resumed;
    outcome.number = operation.number;
    outcome.by_choice = true;
    outcome.created =
        make_line(operation.number, operation.argument, operation.act);
    resumed(operation.number, 0);
    return outcome;
  }

  // Saving.

  Outcome save(const Operation& operation) {
    Process& process = w_.process;
    if (!fence(process)) {
      return failed(Failure::lost_lock);
    }
    const Number n = claim(process);
    Outcome outcome;
    outcome.result = Result::killed;
    outcome.created = n;
    if (operation.act == Act::save_killed_staged) {
      w_.cells[n].flags |= kStaging;
      process = Process();
      return outcome;
    }
    if (operation.act == Act::save_cut_renamed) {
      outcome.created = 0;
      process = Process();
      return outcome;
    }
    if (operation.act == Act::save_failed) {
      process.excluded |= only(n);
      return failed(Failure::io_error);
    }
    put_checkpoint(n, process.run, operation.argument);
    if (operation.act == Act::save_killed_renamed) {
      process = Process();
      return outcome;
    }
    if (operation.act == Act::save_unconfirmed) {
      process.excluded |= only(n);
      Outcome unconfirmed = failed(Failure::io_error);
      unconfirmed.created = n;
      return unconfirmed;
    }
    record(n, true);
    if (operation.act == Act::save_killed_recorded) {
      acknowledge(process, n);
      process = Process();
      return outcome;
    }
    return finish(process, n);
  }

  void put_checkpoint(Number n, std::uint8_t run, std::uint8_t metric) {
    Cell& cell = w_.cells[n];
    if (cell.kind == Kind::checkpoint) {
      cell.flags |= kTwin; // Somebody else's has the number.
      return;
    }
    cell.kind = Kind::checkpoint;
    cell.health = Health::intact;
    cell.run = run;
    cell.metric = metric;
    cell.true_line = w_.lines;
    cell.flags |= kSaved;
    set_flag(cell, kForgotten, false);
    set_flag(cell, kStaging, false);
  }

  void acknowledge(const Process& process, Number n) {
    if (process.owns != 0) { // Else the next one to take LOCK has seen it.
      w_.used |= only(n);
      w_.saved |= only(n);
    }
  }

  Outcome finish(Process& process, Number n) {
    acknowledge(process, n);
    process.valid |= only(n);
    Outcome outcome;
    outcome.result = Result::saved;
    outcome.number = n;
    outcome.created = n;
    const Set doomed = superseded(process);
    if (doomed != 0 && fence(process)) {
      for (Number i = 1; i < kNumbers; ++i) {
        if (contains(doomed, i)) {
          w_.cells[i].kind = Kind::none;
          w_.cells[i].health = Health::intact;
        }
      }
      outcome.removed = doomed;
    }
    return outcome;
  }

  /// The run's checkpoints of the current line, as its manifests tell.
  Set refresh(Process& process) {
    const Set names = search_set(w_, rules_.all_lines) & ~process.excluded;
    Set ours = 0;
    for (Number n = 1; n < kNumbers; ++n) {
      if (!contains(names, n)) {
        process.known &= ~only(n);
        continue;
      }
      const Cell& cell = w_.cells[n];
      if (cell.health != Health::flipped_manifest &&
          cell.health != Health::foreign) {
        process.known |= only(n);
      }
      if (contains(process.known, n) && cell.run == process.run) {
        ours |= only(n);
      }
    }
    return ours;
  }

  /// What retention removes.
  Set superseded(Process& process) {
    const Set all = refresh(process);
    Set keep = 0;
    Set by_rule = 0;
    int last = 0;
    int valid = 0;
    Number best = 0;
    Number best_valid = 0;
    const auto better = [&](Number n, Number than) {
      return than == 0 || w_.cells[n].metric <= w_.cells[than].metric;
    };
    for (Number n = kNumbers - 1; n > 0; --n) {
      if (!contains(all, n)) {
        continue;
      }
      if (last++ < rules_.keep_last) {
        by_rule |= only(n);
      }
      if (contains(process.valid, n) && valid++ < 2) {
        keep |= only(n);
      }
      if (better(n, best)) {
        best = n;
      }
      if (contains(process.valid, n) && better(n, best_valid)) {
        best_valid = n;
      }
    }
    if (rules_.keep_best) {
      by_rule |= only(best) | only(best_valid);
    }
    if (rules_.unprotected) {
      return all & ~by_rule;
    }
    keep |= by_rule | only(process.resumed_from) | line_origins(w_);
    return valid < 2 ? 0 : all & ~keep;
  }

  // Two writers.

  Outcome stall(const Operation& operation) {
    Process& process = w_.process;
    const auto stage = static_cast<Stage>(operation.argument);
    if (!fence(process)) {
      return failed(Failure::lost_lock);
    }
    process.stage = stage;
    process.metric = 1;
    if (stage != Stage::unclaimed) {
      process.saving = claim(process);
      if (stage == Stage::staged || stage == Stage::renaming) {
        w_.cells[process.saving].flags |= kStaging;
      } else {
        put_checkpoint(process.saving, process.run, process.metric);
      }
      if (stage == Stage::recorded) {
        record(process.saving, true);
      }
    }
    w_.stalled = process;
    process = Process();
    return {};
  }

  Outcome wake() {
    Process process = w_.stalled;
    w_.stalled = Process();
    Outcome outcome = go_on_saving(process);
    if (outcome.result == Result::error && process.saving != 0) {
      process.excluded |= only(process.saving);
    }
    process.stage = Stage::unclaimed;
    process.saving = 0;
    process.metric = 0;
    if (w_.process.alive == 0) {
      w_.process = process;
    }
    return outcome;
  }

  Outcome go_on_saving(Process& process) {
    const Stage stage = process.stage;
    if (stage == Stage::unclaimed) {
      process.saving = claim(process);
    }
    const Number n = process.saving;
    Cell& cell = w_.cells[n];
    if (stage == Stage::staged && !has(cell, kStaging)) {
      return failed(Failure::swept);
    }
    if (stage == Stage::unclaimed || stage == Stage::staged) {
      set_flag(cell, kStaging, false);
      if (!fence(process, n)) {
        return failed(Failure::lost_lock);
      }
    }
    if (stage == Stage::renaming && !has(cell, kStaging)) {
      process.lost = 1;
      return failed(Failure::lost_lock);
    }
    if (stage <= Stage::renaming) {
      put_checkpoint(n, process.run, process.metric);
    }
    if (stage != Stage::recorded) {
      if (process.owns == 0 && !rules_.no_fence) {
        process.lost = 1;
        Outcome outcome = failed(Failure::lost_lock);
        outcome.created = stage == Stage::renamed ? Number{0} : n;
        return outcome;
      }
      record(n, true);
    }
    Outcome outcome = finish(process, n);
    if (stage >= Stage::renamed) {
      outcome.created = 0; // When it was stalled.
    }
    return outcome;
  }

  World& w_;
  const Rules& rules_;
};

inline Outcome apply(
    World& world,
    const Operation& operation,
    const Rules& rules) {
  return Model(world, rules).apply(operation);
}

} // namespace holdfast::test::model

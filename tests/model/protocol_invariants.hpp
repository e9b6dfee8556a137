#pragma once

#include <model/protocol_model.hpp>
#include <model/protocol_world.hpp>

#include <cstdint>

/// What must hold whatever happens. Told from the true history, not from the
/// names that the rules go by.
namespace holdfast::test::model {

enum class Violation : std::uint8_t {
  none,
  silent_fresh_start,
  abandoned_line_resumed,
  wrong_choice, ///< Not the newest intact one.
  intact_moved,
  number_reused,
  acknowledged_lost,
  other_writer_harmed,
  failure_not_repeatable, ///< A resume failed, and changed something.
};
inline constexpr std::size_t kViolations = 9;

[[nodiscard]] inline const char* to_string(Violation violation) {
  static const char* const names[kViolations] = {
      "none",
      "silent fresh start",
      "abandoned line resumed",
      "not the newest intact one",
      "intact checkpoint moved",
      "number reused",
      "acknowledged checkpoint lost",
      "other writer harmed",
      "failed resume is not repeatable",
  };
  return names[static_cast<std::size_t>(violation)];
}

/// Every number ever saved on the line that is the current one by history, and
/// on its ancestors, up to where they were left.
[[nodiscard]] inline Set true_line_set(const World& world) {
  Set set = 0;
  unsigned line = world.lines;
  Number newest = kNumbers - 1;
  for (;;) {
    for (Number n = 1; n <= newest; ++n) {
      const Cell& cell = world.cells[n];
      if (has(cell, kSaved) && cell.true_line == line) {
        set |= only(n);
      }
    }
    newest = world.line_origin[line];
    if (newest == 0) {
      return set;
    }
    line = world.line_parent[line];
  }
}

[[nodiscard]] inline bool is_checkpoint(const World& world, Number n) {
  return world.cells[n].kind == Kind::checkpoint;
}

/// Good, and what a reader would find.
[[nodiscard]] inline bool is_usable(const World& world, Number n) {
  const Cell& cell = world.cells[n];
  return cell.kind == Kind::checkpoint && cell.health == Health::intact &&
      !has(cell, kTwin);
}

/// The same names, leftovers of dead writers apart.
[[nodiscard]] inline bool same_names(const World& a, const World& b) {
  for (Number n = 1; n < kNumbers; ++n) {
    const Cell& x = a.cells[n];
    const Cell& y = b.cells[n];
    if (x.kind != y.kind || x.health != y.health || x.origin != y.origin ||
        x.tag != y.tag || ((x.flags ^ y.flags) & (kTwin | kBad)) != 0) {
      return false;
    }
  }
  return true;
}

[[nodiscard]] inline bool begins_a_run(Act act) {
  return act == Act::resume || act == Act::start_fresh ||
      act == Act::resume_from;
}
[[nodiscard]] inline bool removes_by_hand(Act act) {
  return act == Act::remove || act == Act::remove_all;
}

/// What retention may remove: nothing but what its rules and protections
/// allow, by history.
[[nodiscard]] inline bool may_remove(
    const World& before,
    const World& after,
    const Process& process,
    const Outcome& outcome,
    const Rules& rules) {
  const Set line = true_line_set(after);
  if ((outcome.removed & ~line) != 0 ||
      (outcome.removed & line_origins(before)) != 0 ||
      contains(outcome.removed, process.resumed_from)) {
    return false;
  }
  int valid = 0;
  Number best = 0;
  for (Number n = kNumbers - 1; n > 0; --n) {
    const bool is_new = n == outcome.number;
    if (!contains(line, n) || contains(process.excluded, n) ||
        !(is_new ? is_checkpoint(after, n) : is_checkpoint(before, n)) ||
        has(before.cells[n], kTwin)) {
      continue;
    }
    const Cell& cell = is_new ? after.cells[n] : before.cells[n];
    const bool removed = contains(outcome.removed, n);
    if (cell.run != process.run) {
      if (removed) {
        return false;
      }
      continue;
    }
    if ((is_new || contains(process.valid, n)) && ++valid <= 2 && removed) {
      return false;
    }
    // Known: it was read before it was damaged.
    const bool readable = contains(process.known, n) ||
        (cell.health != Health::flipped_manifest &&
         cell.health != Health::foreign);
    if (readable && (best == 0 || cell.metric <= after.cells[best].metric)) {
      best = n;
    }
  }
  return outcome.removed == 0 ||
      (valid >= 2 && !(rules.keep_best && contains(outcome.removed, best)));
}

/// Checks one step. `after` is by value: a failed resume is tried again on it.
[[nodiscard]] inline Violation check(
    const World& before,
    const Operation& operation,
    const Outcome& outcome,
    World after,
    const Rules& rules) {
  const Act act = operation.act;
  // Numbers.
  if (outcome.created != 0 && contains(before.used, outcome.created) &&
      !has(before.cells[outcome.created], kStaging)) {
    return Violation::number_reused;
  }
  // What a resume chose.
  const Set line = true_line_set(after);
  if (outcome.result == Result::fresh && (after.saved & line) != 0) {
    return Violation::silent_fresh_start;
  }
  if (outcome.result == Result::resumed && !outcome.by_choice) {
    if (!contains(line, outcome.number)) {
      return Violation::abandoned_line_resumed;
    }
  }
  if (outcome.result == Result::resumed && !is_usable(before, outcome.number)) {
    return Violation::wrong_choice;
  }
  const bool searched = begins_a_run(act) && !outcome.by_choice &&
      (outcome.result == Result::resumed || outcome.result == Result::fresh ||
       outcome.failure == Failure::no_usable_checkpoint);
  if (searched) {
    for (unsigned n = outcome.number + 1U; n < kNumbers; ++n) {
      if (contains(line, n) && is_usable(before, static_cast<Number>(n))) {
        return Violation::wrong_choice;
      }
    }
  }
  // What went.
  for (Number n = 1; n < kNumbers; ++n) {
    const Cell& old = before.cells[n];
    if (old.kind == Kind::line && after.cells[n].kind != Kind::line) {
      return Violation::acknowledged_lost;
    }
    if (old.kind != Kind::checkpoint || removes_by_hand(act)) {
      continue;
    }
    if (after.cells[n].kind == Kind::checkpoint) {
      if (!has(old, kTwin) && has(after.cells[n], kTwin) && act != Act::twin) {
        return Violation::acknowledged_lost; // Two have its number.
      }
      continue;
    }
    if (contains(outcome.quarantined, n)) {
      const bool wrong = old.health == Health::flipped_part ||
          old.health == Health::flipped_manifest;
      if (!wrong || has(old, kTwin)) {
        return Violation::intact_moved;
      }
    } else if (!contains(outcome.removed, n)) {
      return Violation::acknowledged_lost;
    }
  }
  if (outcome.result == Result::saved &&
      (act == Act::save ||
       (act == Act::wake && before.stalled.stage <= Stage::renaming)) &&
      !is_usable(after, outcome.number)) {
    return Violation::acknowledged_lost;
  }
  const Process& saver = act == Act::wake ? before.stalled : before.process;
  if (outcome.result == Result::saved &&
      !may_remove(before, after, saver, outcome, rules)) {
    return Violation::acknowledged_lost;
  }
  // A writer that no longer owns the directory.
  if ((act == Act::save || act == Act::save_unconfirmed) && saver.owns == 0 &&
      (outcome.failure != Failure::lost_lock || !same_names(before, after))) {
    return Violation::other_writer_harmed;
  }
  if (act == Act::wake && saver.owns == 0) {
    const bool acknowledged =
        outcome.result == Result::saved && saver.stage != Stage::recorded;
    World same = after;
    if (outcome.created != 0) { // It may still have come through in time.
      same.cells[outcome.created] = before.cells[outcome.created];
    }
    const bool claimed_by_other = before.process.alive != 0 &&
        outcome.created != 0 && outcome.created > saver.highest;
    if (acknowledged || claimed_by_other || !same_names(before, same) ||
        after.mark_highest != before.mark_highest ||
        after.mark_committed != before.mark_committed) {
      return Violation::other_writer_harmed;
    }
  }
  // A failed resume.
  if (begins_a_run(act) && outcome.result == Result::error) {
    if (!same_names(before, after) || after.process.alive != 0) {
      return Violation::failure_not_repeatable;
    }
    const World once = after;
    const Outcome again = apply(after, operation, rules);
    if (!(again == outcome) || after != once) {
      return Violation::failure_not_repeatable;
    }
  }
  return Violation::none;
}

} // namespace holdfast::test::model

#pragma once

#include <model/protocol_world.hpp>

#include <vector>

/// What can happen next in a world.
namespace holdfast::test::model {

/// Every operation that makes sense now. Two values of a metric, two tags.
[[nodiscard]] inline std::vector<Operation> operations(const World& world) {
  std::vector<Operation> all;
  const auto add = [&](Act act, unsigned number = 0, unsigned argument = 0) {
    all.push_back(Operation{
        act, static_cast<Number>(number), static_cast<std::uint8_t>(argument)});
  };
  const bool room = highest_visible(world) < kLastNumber &&
      world.mark_highest < kLastNumber && world.process.highest < kLastNumber &&
      world.stalled.highest < kLastNumber;
  const bool more = world.lines + 1 < kHistories && world.runs + 1 < kHistories;

  if (world.process.alive != 0) {
    if (room) {
      add(Act::save, 0, 1);
      add(Act::save, 0, 2);
      add(Act::save_killed_staged);
      add(Act::save_killed_renamed, 0, 1);
      if (world.stalled.alive == 0) {
        add(Act::save_cut_renamed);
      }
      add(Act::save_killed_recorded, 0, 2);
      add(Act::save_failed);
      add(Act::save_unconfirmed, 0, 1);
      if (world.stalled.alive == 0) {
        for (unsigned stage = 0; stage < 5; ++stage) {
          add(Act::stall, 0, stage);
        }
      }
    }
    if (world.process.owns != 0) {
      add(Act::list);
    }
    add(Act::leave);
  } else if (room && more) {
    add(Act::resume);
    for (unsigned tag : {1U, 2U}) {
      add(Act::start_fresh, 0, tag);
    }
    // With the tag of the newest line there is nothing to be killed in.
    unsigned current = 0;
    for (const Cell& cell : world.cells) {
      current = cell.kind == Kind::line ? cell.tag : current;
    }
    if (world.stalled.alive == 0 || world.stalled.owns == 0) {
      const unsigned other = current == 1 ? 2 : 1;
      add(Act::start_fresh_killed_staged, 0, other);
      add(Act::start_fresh_killed_renamed, 0, other);
    }
  }
  if (world.stalled.alive != 0) {
    add(Act::wake);
    add(Act::kill_stalled);
  }
  if (world.lock_exists != 0 &&
      (world.stalled.alive == 0 || world.stalled.owns != 0)) {
    add(Act::remove_lock);
  }
  if (world.mark_highest != 0) {
    add(Act::set_clock_back);
  }

  Number newest_intact = 0;
  bool any = false;
  for (Number n = 1; n < kNumbers; ++n) {
    const Cell& cell = world.cells[n];
    if (cell.kind == Kind::none && has(cell, kSaved) && !has(cell, kTwin) &&
        !has(cell, kStaging)) {
      add(Act::copy_back, n);
    }
    if (cell.kind != Kind::checkpoint) {
      continue;
    }
    any = true;
    if (world.process.alive == 0 && room && more) {
      add(Act::resume_from, n, 0);
      add(Act::resume_from, n, 1);
    }
    if (has(cell, kTwin)) {
      add(Act::remove_twin, n);
      continue;
    }
    add(Act::remove, n);
    switch (cell.health) {
      case Health::intact:
        add(Act::flip_part, n);
        add(Act::flip_manifest, n);
        add(Act::take_part, n);
        add(Act::make_unreadable, n);
        add(Act::forbid, n);
        add(Act::twin, n);
        newest_intact = n;
        break;
      case Health::flipped_part:
        add(Act::flip_manifest, n);
        break;
      case Health::incomplete:
      case Health::unreadable:
      case Health::forbidden:
        add(Act::heal, n);
        break;
      case Health::flipped_manifest:
      case Health::foreign:
        break;
    }
  }
  if (any) {
    add(Act::remove_all);
  }
  if (newest_intact != 0 && room) {
    add(Act::copy_up, newest_intact);
  }
  return all;
}

} // namespace holdfast::test::model

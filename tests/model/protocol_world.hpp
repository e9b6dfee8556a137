#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

/// A run directory and the processes at it, so abstract that hundreds of
/// thousands of them can be visited: what each number's names stand for, what
/// LOCK remembers, what a process believes, and the true history, which no
/// rule may look at and every invariant does.
namespace holdfast::test::model {

using Number = std::uint8_t; ///< A sequence number; 0: none.
inline constexpr Number kNumbers = 32;
/// Numbers above this are never given out: operations end before.
inline constexpr Number kLastNumber = kNumbers - 2;
inline constexpr std::uint8_t kHistories = 16; ///< Lines and runs, at most.

/// A set of numbers.
using Set = std::uint32_t;
[[nodiscard]] constexpr Set only(unsigned number) {
  return Set{1} << number;
}
[[nodiscard]] constexpr bool contains(Set set, unsigned number) {
  return (set & only(number)) != 0;
}

enum class Kind : std::uint8_t { none, checkpoint, line };

/// What a checkpoint's files are worth.
enum class Health : std::uint8_t {
  intact,
  flipped_part,
  flipped_manifest,
  incomplete, ///< A part is missing.
  unreadable, ///< A part gives EIO for as long as it lasts.
  forbidden, ///< A part gives EACCES: ends a search.
  foreign, ///< Its manifest is that of another number.
};

/// The names that carry one number, and what was once saved under it.
struct Cell {
  Kind kind = Kind::none;
  Health health = Health::intact;
  Number origin = 0; ///< Lines.
  std::uint8_t tag = 0; ///< Lines; 0: none.
  std::uint8_t run = 0; ///< Stays when the name goes, and so do the following.
  std::uint8_t metric = 0;
  std::uint8_t true_line = 0; ///< History: the line it was saved on.
  std::uint8_t flags = 0;
};
enum Flag : std::uint8_t {
  kTwin = 1, ///< Another checkpoint directory has this number, too.
  kBad = 2, ///< There is a `.bad-` of this number.
  kStaging = 4,
  kSaved = 8, ///< A checkpoint was saved, so somebody may have a copy.
  kForgotten = 16, ///< It went together with LOCK, or before it was in LOCK.
};
[[nodiscard]] constexpr bool has(const Cell& cell, Flag flag) {
  return (cell.flags & flag) != 0;
}

/// How far a save got when its process was suspended.
enum class Stage : std::uint8_t {
  unclaimed, ///< Before the staging directory is made.
  staged, ///< Before the first part is made.
  renaming, ///< Fenced, before the rename.
  renamed, ///< Before the root is synced.
  recorded, ///< LOCK is written, but not synced.
};

struct Process {
  Set valid = 0; ///< Saved or verified by it.
  Set excluded = 0; ///< Unconfirmed or passed over.
  Set known = 0; ///< Whose manifests it has read.
  Number highest = 0;
  Number resumed_from = 0;
  std::uint8_t run = 0;
  std::uint8_t alive = 0;
  std::uint8_t owns = 0; ///< LOCK is still the file it has locked.
  std::uint8_t lost = 0; ///< It has noticed a loss.
  Stage stage = Stage::unclaimed;
  Number saving = 0;
  std::uint8_t metric = 0;
  std::array<std::uint8_t, 3> reserved{};
};

struct World {
  std::array<Cell, kNumbers> cells{};
  Process process; ///< At work, between two calls.
  Process stalled; ///< Suspended in the middle of a save.
  /// History: numbers used for what was acknowledged or seen by a writer, and
  /// those of them that were checkpoints. What is deleted by hand together with
  /// LOCK is forgotten: nobody could know.
  Set used = 0;
  Set saved = 0;
  /// History: lines by their order, 0 is the first.
  std::array<Number, kHistories> line_origin{};
  std::array<std::uint8_t, kHistories> line_parent{};
  std::uint8_t lines = 0;
  std::uint8_t runs = 0;
  // LOCK.
  std::uint8_t lock_exists = 0;
  Number mark_highest = 0;
  Number mark_committed = 0;
  std::array<std::uint8_t, 3> reserved{};

  friend bool operator==(const World& a, const World& b) {
    return std::memcmp(&a, &b, sizeof(World)) == 0;
  }
  friend bool operator!=(const World& a, const World& b) {
    return !(a == b);
  }
};
// Compared and hashed as bytes.
static_assert(std::has_unique_object_representations_v<World>);
static_assert(sizeof(World) % sizeof(std::uint64_t) == 0);

[[nodiscard]] inline std::uint64_t hash_of(const World& world) {
  constexpr std::size_t words = sizeof(World) / sizeof(std::uint64_t);
  std::array<std::uint64_t, words> bits{};
  std::memcpy(bits.data(), &world, sizeof(World));
  std::uint64_t hash = 0x9e3779b97f4a7c15U;
  for (std::size_t i = 0; i < words; ++i) {
    hash = (hash ^ bits[i]) * 0xff51afd7ed558ccdU;
    hash ^= hash >> 32;
  }
  return hash;
}

enum class Act : std::uint8_t {
  // The process at work; `argument` is the metric of a save.
  save,
  save_killed_staged,
  save_killed_renamed,
  save_cut_renamed, ///< Power cut, and the rename did not reach the disk.
  save_killed_recorded, ///< Before retention.
  save_failed, ///< EIO from a part.
  save_unconfirmed, ///< EIO from the sync of the root.
  list,
  leave, ///< Ends, or is killed between two calls: it is the same.
  // Two writers; `argument` of stall is the Stage.
  stall,
  wake,
  kill_stalled,
  // A new process; `argument` is the tag.
  resume,
  start_fresh,
  start_fresh_killed_staged,
  start_fresh_killed_renamed,
  resume_from,
  // By hand, or by the hardware.
  flip_part,
  flip_manifest,
  take_part,
  make_unreadable,
  forbid,
  heal,
  remove,
  remove_all, ///< Every checkpoint.
  remove_lock,
  copy_back, ///< Under the old name.
  copy_up, ///< Under the next free number.
  twin, ///< Under the same number and another step.
  remove_twin,
  set_clock_back,
};

struct Operation {
  Act act = Act::save;
  Number number = 0;
  std::uint8_t argument = 0;
};

[[nodiscard]] inline std::string to_string(const Operation& operation) {
  static const char* const names[] = {
      "save",
      "save, killed when staged",
      "save, killed when renamed",
      "save, power cut before the rename is on the disk",
      "save, killed when LOCK is written",
      "save that fails",
      "save, the root's sync fails",
      "list",
      "leave",
      "stall a save",
      "wake",
      "kill the stalled one",
      "resume",
      "start_fresh",
      "start_fresh, killed when staged",
      "start_fresh, killed when renamed",
      "resume_from",
      "flip a bit in a part",
      "flip a bit in the manifest",
      "remove a part",
      "make unreadable",
      "forbid reading",
      "heal",
      "remove by hand",
      "remove all checkpoints by hand",
      "remove LOCK by hand",
      "copy back",
      "copy to the next number",
      "copy to the same number",
      "remove that copy",
      "set the clock back",
  };
  std::string text = names[static_cast<std::size_t>(operation.act)];
  if (operation.number != 0) {
    text += " " + std::to_string(operation.number);
  }
  if (operation.argument != 0) {
    text += " (" + std::to_string(operation.argument) + ")";
  }
  return text;
}

enum class Result : std::uint8_t {
  done, ///< By hand: nothing to answer.
  killed,
  saved,
  resumed,
  fresh, ///< From nothing, without having been told to.
  began, ///< From nothing, on a new line.
  listed,
  error,
};

enum class Failure : std::uint8_t {
  none,
  locked,
  lost_lock,
  /// The staging directory is gone: any error will do.
  swept,
  io_error,
  no_usable_checkpoint,
  damaged,
  incomplete,
  unreadable,
  foreign,
  refused, ///< The tag belongs to a line from elsewhere.
};

/// What an operation answers.
struct Outcome {
  Result result = Result::done;
  Failure failure = Failure::none;
  Number number = 0; ///< Saved or resumed.
  Set passed_over = 0;
  Set quarantined = 0;
  Set removed = 0; ///< By retention.
  Set listed = 0;
  Number created = 0; ///< The number of a name that was made.
  bool by_choice = false; ///< Resumed because it was asked for by name.

  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.result == b.result && a.failure == b.failure &&
        a.number == b.number && a.passed_over == b.passed_over &&
        a.quarantined == b.quarantined && a.removed == b.removed &&
        a.listed == b.listed && a.by_choice == b.by_choice;
  }
};

/// Everything that carries a number.
[[nodiscard]] inline bool is_visible(const Cell& cell) {
  return cell.kind != Kind::none ||
      (cell.flags & (kTwin | kBad | kStaging)) != 0;
}

[[nodiscard]] inline Number highest_visible(const World& world) {
  Number highest = kNumbers - 1;
  while (highest > 0 && !is_visible(world.cells[highest])) {
    --highest;
  }
  return highest;
}

/// The checkpoints at which lines began, as their names tell.
[[nodiscard]] inline Set line_origins(const World& world) {
  Set origins = 0;
  for (const Cell& cell : world.cells) {
    if (cell.kind == Kind::line && cell.origin != 0) {
      origins |= only(cell.origin);
    }
  }
  return origins;
}

} // namespace holdfast::test::model

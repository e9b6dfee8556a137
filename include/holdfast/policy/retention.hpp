#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/policy/best.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What to keep. A pure function over plain data: no disk, no clock.
namespace holdfast {

/// A committed checkpoint of the current line or its ancestors, as retention
/// sees it.
struct RetentionEntry {
  std::uint64_t sequence = 0;
  std::int64_t step = 0;
  std::int64_t epoch = 0; ///< Completed epochs.
  double wall_time = 0; ///< Seconds since 1970-01-01 UTC, as recorded.
  Metrics metrics;
  std::uint64_t bytes = 0;
  bool valid = false; ///< Committed, or fully verified, by this process.
  bool resumed_from = false; ///< This run was resumed from it.
  bool line_origin = false; ///< Somebody went back to it: a line began there.
  bool exact = true; ///< Not saved between a batch and its step.
  bool last_good = false; ///< The newest from before any divergence.
  bool pinned = false;
  std::string pin_label; ///< What the pin is for; may be empty.
  bool being_read = false; ///< Somebody holds a shared lock on it.
};

/// One checkpoint for every so many steps or epochs, for ever: the first at or
/// beyond each multiple of `interval`, so none is missed where a save comes a
/// few steps late. A run begins at 0. Going through the sequence, an entry
/// counts if the multiple that it has reached is another than that of the one
/// before it.
struct KeepEvery {
  enum class Unit { steps, epochs };
  Unit unit = Unit::steps;
  std::int64_t interval = 1; ///< At least 1.
};

/// One checkpoint per time bucket (an hour, a day): the first of each. A bucket
/// is floor(wall_time / bucket), so hours and days are those of UTC and weeks
/// begin on Thursdays. Going through the sequence, an entry in another bucket
/// than the one before it is a first: where the clock was set back, the bucket
/// is entered anew, and no earlier checkpoint loses its place to a wrong clock.
struct KeepPer {
  std::chrono::duration<double> bucket; ///< Positive and finite.
};

/// All checkpoints younger than `age`, and never fewer than the newest `floor`.
struct KeepYounger {
  std::chrono::duration<double> age; ///< Finite, not negative.
  std::size_t floor = 1;
};

/// A checkpoint is kept if any rule keeps it. Without any rule all are kept.
/// Counts are at least 1 (but for `floor`), metrics have a name.
struct RetentionRules {
  std::optional<std::size_t> last; ///< The newest so many, valid or not.
  std::vector<KeepBest> best;
  std::vector<KeepEvery> every;
  std::vector<KeepPer> per;
  std::optional<KeepYounger> younger;
  /// A limit on what the rules keep: while they hold more bytes in all, the
  /// lowest ranked one that no protection holds goes. Ranked lowest are those
  /// that neither `last` nor `best` holds, and among equals the oldest. At
  /// least 1. What is protected stays, even beyond the limit.
  std::optional<std::uint64_t> total_bytes;
};

/// True if a rule says what to keep; `total_bytes` alone says only how much.
[[nodiscard]] bool has_keep_rule(const RetentionRules& rules) noexcept;

/// Throws `invalid_argument` where `rules` break what is said above.
void validate(const RetentionRules& rules);

struct RetentionDecision {
  std::uint64_t sequence = 0;
  bool keep = true;
  /// Why: "last 3", "best val_loss (0.0412)", "newest two valid", ...: every
  /// rule and protection that holds it. For a dropped one, for each rule what
  /// superseded it: "older than the last 3 (from 000022)". Never empty.
  std::vector<std::string> reasons;
};

/// Decides for every entry; the answer is in order of sequence and does not
/// depend on the order of `entries`. O(n log n) for each rule, `total_bytes`
/// included.
///
/// Protected whatever the rules say: the newest two valid ones; of each tracked
/// metric (one with a `KeepBest` rule) the best, and the best valid one,
/// because the other may not survive a power cut; the one resumed from; those
/// at which a line began; the last good one; pinned ones; those being read. If
/// fewer than two are valid, nothing is dropped. Two entries with one sequence
/// are both kept, and no rule counts them.
///
/// Best is what `is_better` says, by value and then by age. NaN and a missing
/// metric are never the best; what else is done about them, and who wins a tie,
/// is the rule's to say.
///
/// Age errs on the side of keeping. The clock of every run is taken as possibly
/// wrong: an entry is as young as the youngest up to it in the sequence, so a
/// clock that was once behind makes no entry older than those before it, and
/// one that was ahead delays dropping by no more than it was ahead. A time
/// after `now`, or one that is not finite, is replaced by the least of all
/// later ones; where the newest entry itself is in the future, `now` cannot be
/// trusted and the age rule keeps all. Buckets do not look at `now`; an entry
/// without a finite time is kept by them.
///
/// Planning again over what is left, with the same `now` and rules, drops
/// nothing (with `total_bytes`, where no clock was set back); one more rule
/// next to others never drops more, `total_bytes` apart. Throws
/// `invalid_argument` for rules that `validate` refuses.
[[nodiscard]] std::vector<RetentionDecision> plan_retention(
    std::vector<RetentionEntry> entries,
    double now,
    const RetentionRules& rules);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/policy/impl/retention.ipp>
#endif

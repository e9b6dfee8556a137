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
  double wall_time = 0; ///< Seconds since 1970-01-01 UTC, as recorded.
  Metrics metrics;
  std::uint64_t bytes = 0;
  bool valid = false; ///< Committed, or fully verified, by this process.
  bool resumed_from = false; ///< This run was resumed from it.
  bool pinned = false;
  bool being_read = false; ///< Somebody holds a shared lock on it.
};

/// One checkpoint per time bucket (an hour, a day): the first of each.
struct KeepPer {
  std::chrono::duration<double> bucket;
};

/// All checkpoints younger than `age`, and never fewer than `floor` of them.
struct KeepYounger {
  std::chrono::duration<double> age;
  std::size_t floor = 1;
};

/// A checkpoint is kept if any rule keeps it. Without any rule all are kept.
struct RetentionRules {
  std::optional<std::size_t> last; ///< The newest so many.
  std::vector<KeepBest> best;
  std::vector<KeepPer> per;
  std::optional<KeepYounger> younger;
};

struct RetentionDecision {
  std::uint64_t sequence = 0;
  bool keep = true;
  /// Why: "last 3", "best val_loss (0.0412)", "newest two valid", ...; for a
  /// dropped one what superseded it.
  std::vector<std::string> reasons;
};

/// Decides for every entry; the answer is in order of sequence. Protected
/// whatever the rules say: the newest two valid ones, the best of each tracked
/// metric, the one resumed from, pinned ones and those being read. If fewer
/// than two are valid, nothing is dropped. An entry's time is the minimum of its own and all
/// later ones', so a clock that was once ahead does no harm; an entry that is
/// still in the future suspends every rule by age: nothing is dropped that the
/// age rules might keep under a right clock.
[[nodiscard]] std::vector<RetentionDecision> plan_retention(
    std::vector<RetentionEntry> entries,
    double now,
    const RetentionRules& rules);

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/policy/impl/retention.ipp>
#endif

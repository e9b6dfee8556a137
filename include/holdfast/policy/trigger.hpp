#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/units.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

/// When to save. Pure functions over plain data.
namespace holdfast {

/// Save every so many steps, epochs or seconds.
struct SaveEvery {
  enum class Unit { steps, epochs, seconds };
  Unit unit = Unit::steps;
  /// Positive; for steps and epochs whole and at most 2^53, for seconds finite.
  double interval = 1;
};

/// Throws `invalid_argument` for an interval that `SaveEvery` does not allow.
[[nodiscard]] SaveEvery save_every(Steps interval);
[[nodiscard]] SaveEvery save_every(Epochs interval);
[[nodiscard]] SaveEvery save_every(std::chrono::duration<double> interval);

/// Throws `invalid_argument` where `rule` breaks what `SaveEvery` says.
void validate(const SaveEvery& rule);

/// For people: "every 500 steps", "every epoch", "every 10 min".
[[nodiscard]] std::string to_string(const SaveEvery& rule);

/// A moment in a run, as triggers see it.
struct TriggerPoint {
  std::int64_t step = 0;
  std::int64_t epoch = 0; ///< Completed epochs.
  double elapsed_seconds = 0; ///< Training time over all attempts.
};

/// The rules that are due at `now`, given the last point at which a save was
/// made or tried; as reasons for people ("every 500 steps"), in the order of
/// `rules`. Steps and epochs are due when a multiple of the interval lies in
/// (last, now], so a run saves at the same steps however often it was killed,
/// and a multiple that no call hit exactly is caught up at the next. Seconds
/// are due once the interval has passed since `last`.
///
/// Should `last` lie ahead of `now`, no rule is dead until it is reached again:
/// steps and epochs are due when `now` itself is a multiple, seconds at once;
/// the save that follows sets `last` right.
///
/// A time that is not finite: never due at such a `now`; due at once after such
/// a `last`. Throws `invalid_argument` for a rule that `validate` refuses.
[[nodiscard]] std::vector<std::string> due(
    const std::vector<SaveEvery>& rules,
    const TriggerPoint& last,
    const TriggerPoint& now);

/// Saving may take a share of the time: as often as that allows.
struct SaveOverhead {
  double share = 0.02; ///< Of all time, above 0 and below 1.
  double least_seconds = 10; ///< Between two saves; finite, not negative.
};

/// Throws `invalid_argument` where `rule` breaks what `SaveOverhead` says.
void validate(const SaveOverhead& rule);

/// For people: "2 % of the time".
[[nodiscard]] std::string to_string(const SaveOverhead& rule);

/// True if a save that takes `save_seconds` is due: since the last one began,
/// at least `save_seconds / share` have passed, so that it was within the share
/// of the time until now. 0 seconds: unknown, and due as soon as
/// `least_seconds` allow, because that is how it gets known. What holds for
/// seconds in `due` holds here.
[[nodiscard]] bool is_due(
    const SaveOverhead& rule,
    double save_seconds,
    const TriggerPoint& last,
    const TriggerPoint& now);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/policy/impl/trigger.ipp>
#endif

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

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/policy/impl/trigger.ipp>
#endif

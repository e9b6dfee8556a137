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
  double interval = 1; ///< Positive; whole for steps and epochs.
};

[[nodiscard]] SaveEvery save_every(Steps interval);
[[nodiscard]] SaveEvery save_every(Epochs interval);
[[nodiscard]] SaveEvery save_every(std::chrono::duration<double> interval);

/// A moment in a run, as triggers see it.
struct TriggerPoint {
  std::int64_t step = 0;
  std::int64_t epoch = 0; ///< Completed epochs.
  double elapsed_seconds = 0; ///< Training time over all attempts.
};

/// The rules that are due at `now`, given the last point at which a save was
/// made or tried; as reasons for people ("every 500 steps"). Steps and epochs
/// are due when a multiple of the interval lies in (last, now], so a run saves
/// at the same steps however often it was killed, and a multiple that no call
/// hit exactly is caught up at the next. Seconds are due once the interval has
/// passed since `last`.
[[nodiscard]] std::vector<std::string> due(
    const std::vector<SaveEvery>& rules,
    const TriggerPoint& last,
    const TriggerPoint& now);

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/policy/impl/trigger.ipp>
#endif

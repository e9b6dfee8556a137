#pragma once

#include <cstdint>

namespace holdfast {

/// Where a training run stands. All counts are from the run's beginning and
/// survive a resume.
struct Progress {
  std::int64_t epoch = 0; ///< Completed epochs: calls of `end_epoch()`.
  std::int64_t batch = 0; ///< Calls of `step()` in the current epoch.
  std::int64_t step = 0; ///< Calls of `step()` in all.
  std::int64_t samples = 0; ///< Samples the attached loaders handed out.
  double elapsed_seconds = 0; ///< Time in training, over all attempts.
};

inline bool operator==(const Progress& a, const Progress& b) noexcept {
  return a.epoch == b.epoch && a.batch == b.batch && a.step == b.step &&
      a.samples == b.samples && a.elapsed_seconds == b.elapsed_seconds;
}

} // namespace holdfast

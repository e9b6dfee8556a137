#pragma once

#include <holdfast/base/metrics.hpp>
#include <holdfast/base/progress.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/manifest.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

/// A committed checkpoint as data.
struct CheckpointInfo {
  std::string path; ///< The run directory's path and the name.
  std::string name;
  std::uint64_t sequence = 0;
  std::int64_t step = 0;
  Progress progress;
  Metrics metrics; ///< Those of the call that saved it.
  double wall_time = 0; ///< Seconds since 1970-01-01 UTC.
  std::uint64_t bytes = 0; ///< On disk.
  std::vector<std::string> reasons; ///< Why it was saved.
  bool exact = true; ///< False if saved between a batch and its step.
  bool suspect = false; ///< A divergence may have begun before it was saved.
  std::vector<DivergenceRecord> divergences; ///< All before it, in order.
};

/// `name` is empty where `root` is the checkpoint itself.
[[nodiscard]] inline CheckpointInfo describe(
    const std::string& root,
    const std::string& name,
    const Manifest& manifest) {
  CheckpointInfo info;
  info.path = name.empty() ? root : root + "/" + name;
  info.name = name.empty() ? split_path(root).name : name;
  info.sequence = manifest.sequence;
  info.step = manifest.step;
  info.progress = manifest.progress;
  info.metrics = manifest.metrics;
  info.wall_time = manifest.wall_time;
  info.bytes = manifest.stored_bytes();
  info.reasons = manifest.reasons;
  info.exact = manifest.exact;
  info.suspect = manifest.suspect;
  info.divergences = manifest.divergences;
  return info;
}

} // namespace holdfast

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/checkpoint_info.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// A checkpoint, and what retention makes of it.
struct PlannedCheckpoint {
  CheckpointInfo checkpoint;
  bool keep = true;
  /// Why it is kept, or why each rule lets it go. Never empty.
  std::vector<std::string> reasons;
  /// The same once one more has been saved.
  bool keep_after_next = true;
  std::vector<std::string> reasons_after_next;
};

/// What is left on a line that somebody went away from.
struct AbandonedLine {
  std::uint64_t line = 0; ///< Its number; 0: the first one.
  std::size_t checkpoints = 0;
  std::uint64_t bytes = 0;
};

/// What retention would do. Prints as a line for each checkpoint.
struct RetentionPlan {
  std::string directory;
  std::vector<PlannedCheckpoint> checkpoints; ///< Ascending.
  std::optional<std::uint64_t> total_bytes; ///< The limit, where there is one.
  std::vector<AbandonedLine> abandoned; ///< Ascending; for `prune()`.

  /// Bytes of those that are kept now, and once one more has been saved,
  /// without that one.
  [[nodiscard]] std::uint64_t bytes_kept() const noexcept;
  [[nodiscard]] std::uint64_t bytes_kept_after_next() const noexcept;
  [[nodiscard]] std::string to_string() const;
};

std::ostream& operator<<(std::ostream& stream, const RetentionPlan& plan);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/retention_plan.ipp>
#endif

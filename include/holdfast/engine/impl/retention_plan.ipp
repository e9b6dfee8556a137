#pragma once

#include <holdfast/engine/retention_plan.hpp>

#include <holdfast/base/text.hpp>

#include <ostream>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::string joined(const std::vector<std::string>& reasons) {
  std::string text;
  for (const std::string& reason : reasons) {
    text += (text.empty() ? "" : ", ") + reason;
  }
  return text;
}

} // namespace detail

HOLDFAST_INLINE std::uint64_t RetentionPlan::bytes_kept() const noexcept {
  std::uint64_t bytes = 0;
  for (const PlannedCheckpoint& planned : checkpoints) {
    bytes += planned.keep ? planned.checkpoint.bytes : 0;
  }
  return bytes;
}

HOLDFAST_INLINE std::uint64_t RetentionPlan::bytes_kept_after_next()
    const noexcept {
  std::uint64_t bytes = 0;
  for (const PlannedCheckpoint& planned : checkpoints) {
    bytes += planned.keep_after_next ? planned.checkpoint.bytes : 0;
  }
  return bytes;
}

HOLDFAST_INLINE std::string RetentionPlan::to_string() const {
  std::string text = directory + ": " + std::to_string(checkpoints.size()) +
      (checkpoints.size() == 1 ? " checkpoint, " : " checkpoints, ") +
      format_bytes(bytes_kept()) + " kept";
  if (total_bytes) {
    text += ", at most " + format_bytes(*total_bytes);
    text += bytes_kept() > *total_bytes ? ": what is protected takes more" : "";
  }
  for (const PlannedCheckpoint& planned : checkpoints) {
    text += std::string("\n  ") + (planned.keep ? "keep " : "drop ") +
        planned.checkpoint.name + ", " +
        format_bytes(planned.checkpoint.bytes) + ": " +
        detail::joined(planned.reasons);
    if (planned.keep && !planned.keep_after_next) {
      text += "; goes with the next save: " +
          detail::joined(planned.reasons_after_next);
    }
  }
  for (const AbandonedLine& left : abandoned) {
    text += "\n  left until prune(): " + std::to_string(left.checkpoints) +
        (left.checkpoints == 1 ? " checkpoint" : " checkpoints") + " of line " +
        std::to_string(left.line) + ", " + format_bytes(left.bytes);
  }
  return text;
}

HOLDFAST_INLINE std::ostream& operator<<(
    std::ostream& stream,
    const RetentionPlan& plan) {
  return stream << plan.to_string();
}

} // namespace holdfast

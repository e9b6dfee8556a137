#pragma once

#include <holdfast/engine/report.hpp>

#include <holdfast/base/text.hpp>

#include <ostream>

namespace holdfast {

HOLDFAST_INLINE std::string to_string(const PassedOver& other) {
  return other.name + ": " + to_string(other.verdict) + ": " + other.reason;
}

HOLDFAST_INLINE bool ResumeReport::exact() const noexcept {
  if (!position_known || !parts_exact || (checkpoint && !checkpoint->exact) ||
      (probe && probe->outcome != ProbeResult::Outcome::equal)) {
    return false;
  }
  for (const EnvironmentDifference& difference : differences) {
    if (difference.severity == Severity::breaks_bit_equality) {
      return false;
    }
  }
  return true;
}

namespace detail {

HOLDFAST_INLINE std::string parts_and_bytes(
    const std::vector<RestoredPart>& parts) {
  std::uint64_t bytes = 0;
  for (const RestoredPart& part : parts) {
    bytes += part.bytes;
  }
  return std::to_string(parts.size()) +
      (parts.size() == 1 ? " part" : " parts") +
      (bytes == 0 ? std::string() : ", " + format_bytes(bytes));
}

} // namespace detail

HOLDFAST_INLINE std::string ResumeReport::to_string() const {
  std::string text;
  if (checkpoint) {
    text = "resumed " + checkpoint->name + " (epoch " +
        std::to_string(checkpoint->progress.epoch) + ", batch " +
        std::to_string(checkpoint->progress.batch) + ") from '" + directory +
        "': " + detail::parts_and_bytes(parts);
    if (!checkpoint->exact) {
      text += "\n  not exact: saved between a batch and its step";
    }
  } else {
    text = "fresh start in '" + directory + "'";
  }
  for (const PassedOver& other : passed_over) {
    text += "\n  passed over " + holdfast::to_string(other);
    if (other.quarantined) {
      text += " (moved aside)";
    }
  }
  if (steps_lost > 0) {
    text += "\n  " + std::to_string(steps_lost) +
        " steps of the newest checkpoint are lost";
  }
  for (const EnvironmentDifference& difference : differences) {
    text += "\n  environment: " + difference.name + " was '" + difference.was +
        "', is '" + difference.is + "' (" +
        holdfast::to_string(difference.severity) + ")";
  }
  if (probe) {
    text += std::string("\n  probe: ") + holdfast::to_string(probe->outcome) +
        ": it " + probe->text;
  }
  for (const std::string& note : notes) {
    text += "\n  note: " + note;
  }
  return text;
}

HOLDFAST_INLINE std::ostream& operator<<(
    std::ostream& stream,
    const ResumeReport& report) {
  return stream << report.to_string();
}

} // namespace holdfast

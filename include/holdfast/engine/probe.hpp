#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/state/part.hpp>

#include <string>

namespace holdfast {

/// What a probe gave after a restore, against what it gave at the save.
struct ProbeResult {
  enum class Outcome {
    equal, ///< To the bit.
    close, ///< Within the tolerance.
    different,
  };
  Outcome outcome = Outcome::different;
  /// The largest difference between two numbers, in parts of the largest number
  /// there is; 0 where there is none to tell.
  double difference = 0;
  std::string text; ///< One line for people.
};

[[nodiscard]] const char* to_string(ProbeResult::Outcome outcome) noexcept;

/// What is kept of a probe's output: a digest of all of it, its names, dtypes
/// and shapes, and numbers from it (64 of each tensor and array, evenly
/// spaced), so that a later output can be told to be close. A tensor's device
/// and flags are no part of it. Captures `output`, whose tensors
/// must not change meanwhile.
[[nodiscard]] Value record_probe(Part& output);

/// `tolerance` is in parts of the largest number.
[[nodiscard]] ProbeResult compare_probes(
    const Value& was,
    const Value& is,
    double tolerance);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/probe.ipp>
#endif

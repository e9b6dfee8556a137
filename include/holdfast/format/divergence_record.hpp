#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/value.hpp>

#include <cstdint>
#include <string>

namespace holdfast {

/// One time that a run diverged and went back by itself.
struct DivergenceRecord {
  std::string metric;
  double value = 0; ///< The last bad one.
  std::int64_t first_step = 0; ///< The first bad step of those in a row,
  std::int64_t last_step = 0; ///< and the last one.
  std::int64_t back_to = 0; ///< The step of the checkpoint it went back to.
  bool skipped_batches = false;
  double learning_rate_factor = 1; ///< What the rates were multiplied by.

  /// "loss was NaN at steps 812 to 816, went back to step 800, skipped the
  /// batches".
  [[nodiscard]] std::string to_string() const;
};

/// "loss was NaN at steps 812 to 816".
[[nodiscard]] std::string describe_divergence(const DivergenceRecord& record);

[[nodiscard]] Value to_value(const DivergenceRecord& record);
/// Throws what reading a value throws, and `malformed_value` for steps that
/// are not in this order: 0, `back_to`, `first_step`, `last_step`.
[[nodiscard]] DivergenceRecord divergence_record_from(const Value& value);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/divergence_record.ipp>
#endif

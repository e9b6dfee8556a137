#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/policy/best.hpp>

#include <cstddef>
#include <optional>
#include <vector>

namespace holdfast {

/// Steps whose mean is compared, so that noise averages out.
inline constexpr std::size_t kMetricBlock = 8;
/// Steps before a resume that are worth keeping: eight blocks.
inline constexpr std::size_t kMetricHistory = 8 * kMetricBlock;

/// A metric that got worse right after a resume, as it never had before.
struct MetricJump {
  double before = 0; ///< Mean of the last block before.
  double after = 0; ///< Mean of the first block after.
  double usual = 0; ///< The largest change between two blocks before.
};

/// Compares the first block `after` a resume with the steps `before` it (the
/// newest last). A jump is a change for the worse by more than four times the
/// largest change, in either direction, between neighbouring blocks of the
/// history; or a value that is not finite, where the history is. Only for the
/// worse, because a learning rate that was just lowered makes a loss drop.
/// Nothing where there are fewer than four blocks before, or fewer than one
/// after, unless that one holds a value that is not finite.
[[nodiscard]] std::optional<MetricJump> metric_jump(
    Best best,
    const std::vector<double>& before,
    const std::vector<double>& after);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/policy/impl/metric_jump.ipp>
#endif

#pragma once

#include <holdfast/policy/metric_jump.hpp>

#include <algorithm>
#include <cmath>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE double block_mean(const double* values, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += values[i];
  }
  return sum / static_cast<double>(count);
}

HOLDFAST_INLINE bool all_finite(const std::vector<double>& values) {
  for (const double value : values) {
    if (!std::isfinite(value)) {
      return false;
    }
  }
  return true;
}

} // namespace detail

HOLDFAST_INLINE std::optional<MetricJump> metric_jump(
    Best best,
    const std::vector<double>& before,
    const std::vector<double>& after) {
  constexpr std::size_t kFewestBlocks = 4;
  constexpr double kFactor = 4;
  constexpr double kRounding = 1e-6; // of a metric that hardly changes
  const std::size_t blocks = before.size() / kMetricBlock;
  const bool broken = !detail::all_finite(after);
  if (blocks < kFewestBlocks || (after.size() < kMetricBlock && !broken) ||
      !detail::all_finite(before)) {
    return std::nullopt;
  }
  MetricJump jump;
  const double* block = before.data() + (before.size() - blocks * kMetricBlock);
  for (std::size_t i = 0; i < blocks; ++i, block += kMetricBlock) {
    const double mean = detail::block_mean(block, kMetricBlock);
    if (i > 0) {
      jump.usual = std::max(jump.usual, std::abs(mean - jump.before));
    }
    jump.before = mean;
  }
  jump.after =
      detail::block_mean(after.data(), std::min(after.size(), kMetricBlock));
  const double change = best == Best::lowest ? jump.after - jump.before
                                             : jump.before - jump.after;
  const double rounding =
      kRounding * std::max(std::abs(jump.before), std::abs(jump.after));
  if (!broken && change <= std::max(kFactor * jump.usual, rounding)) {
    return std::nullopt;
  }
  return jump;
}

} // namespace holdfast

#pragma once

#include <holdfast/policy/best.hpp>

#include <cmath>
#include <limits>

namespace holdfast {

HOLDFAST_INLINE bool is_better(
    Best best,
    double value,
    std::optional<double> former) noexcept {
  const double infinity = std::numeric_limits<double>::infinity();
  // The bad infinity stands for "none yet": every value that may be a best is
  // strictly better than it, NaN and itself are not.
  double bar = best == Best::lowest ? infinity : -infinity;
  if (former && !std::isnan(*former)) {
    bar = *former;
  }
  return best == Best::lowest ? value < bar : value > bar;
}

HOLDFAST_INLINE Best best_of(
    const std::vector<KeepBest>& rules,
    const std::string& metric) noexcept {
  Best best = Best::lowest;
  for (const KeepBest& rule : rules) {
    if (rule.metric == metric) {
      best = rule.best;
    }
  }
  return best;
}

} // namespace holdfast

#pragma once

#include <holdfast/policy/best.hpp>

#include <cmath>
#include <limits>

namespace holdfast {

HOLDFAST_INLINE bool is_better(
    Best best,
    double value,
    std::optional<double> former,
    Tie tie) noexcept {
  const double infinity = std::numeric_limits<double>::infinity();
  // The bad infinity stands for "none yet": every value that may be a best is
  // strictly better than it, NaN and itself are not.
  double bar = best == Best::lowest ? infinity : -infinity;
  if (former && !std::isnan(*former)) {
    const bool may_rank = *former != bar;
    bar = *former;
    if (tie == Tie::newer && may_rank && value == bar) {
      return true;
    }
  }
  return best == Best::lowest ? value < bar : value > bar;
}

HOLDFAST_INLINE KeepBest
rule_of(const std::vector<KeepBest>& rules, const std::string& metric) {
  KeepBest last;
  last.metric = metric;
  for (const KeepBest& rule : rules) {
    if (rule.metric == metric) {
      last = rule;
    }
  }
  return last;
}

} // namespace holdfast

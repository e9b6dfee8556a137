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

} // namespace holdfast

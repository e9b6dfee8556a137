#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// Which way a metric gets better.
enum class Best { lowest, highest };

/// What is done about a value by which no checkpoint can be the best.
enum class Unranked {
  ignore, ///< It has no rank: other rules decide.
  worst, ///< It ranks behind all others, and is never the best for that.
  raise, ///< It is refused: `bad_metric`.
};

/// Which of two checkpoints with equal values ranks higher.
enum class Tie { older, newer };

/// Keep the `count` best checkpoints of `metric`.
struct KeepBest {
  std::string metric;
  Best best = Best::lowest;
  std::size_t count = 1;
  /// NaN, and infinity on the bad side. `raise` refuses every infinity.
  Unranked not_finite = Unranked::ignore;
  /// `raise`: by `end_epoch()`; a `step()` need not report it.
  Unranked missing = Unranked::ignore;
  Tie tie = Tie::older;
};

/// True if `value` is a new best: better than `former`, or the first. An equal
/// value is one only with `Tie::newer` (and 0.0 equals -0.0). What a diverged
/// run reports never is: NaN, or infinity on the bad side
/// (+inf where the lowest is best). Infinity on the good side may be. A
/// `former` that could itself never be a best counts as none.
[[nodiscard]] bool is_better(
    Best best,
    double value,
    std::optional<double> former,
    Tie tie = Tie::older) noexcept;

/// The last rule for `metric`; where it has none, one by which the lowest is
/// the best.
[[nodiscard]] KeepBest rule_of(
    const std::vector<KeepBest>& rules,
    const std::string& metric);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/policy/impl/best.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// Which way a metric gets better.
enum class Best { lowest, highest };

/// Keep the `count` best checkpoints of `metric`.
struct KeepBest {
  std::string metric;
  Best best = Best::lowest;
  std::size_t count = 1;
};

/// True if `value` is a new best: better than `former`, or the first. An equal
/// value is not (nor is 0.0 after -0.0), so the older checkpoint keeps its
/// rank. What a diverged run reports never is: NaN, or infinity on the bad side
/// (+inf where the lowest is best). Infinity on the good side may be. A
/// `former` that could itself never be a best counts as none.
[[nodiscard]] bool is_better(
    Best best,
    double value,
    std::optional<double> former) noexcept;

/// Which way `metric` gets better: as its last rule says, or the lower the
/// better where it has none.
[[nodiscard]] Best best_of(
    const std::vector<KeepBest>& rules,
    const std::string& metric) noexcept;

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/policy/impl/best.ipp>
#endif

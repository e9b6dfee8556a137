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

/// True if `value` is a new best: better than `former`, or the first. NaN never
/// is; an equal value is not, so the older checkpoint keeps its rank; an
/// infinite value on the good side may be.
[[nodiscard]] bool is_better(
    Best best,
    double value,
    std::optional<double> former) noexcept;

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/policy/impl/best.ipp>
#endif

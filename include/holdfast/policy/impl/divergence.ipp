#pragma once

#include <holdfast/policy/divergence.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace holdfast {

namespace detail {

/// Of an odd number of values the middle one, of an even number the upper one
/// of the two in the middle. Reorders them.
HOLDFAST_INLINE double median_of(std::vector<double>& values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The largest value that is still normal.
HOLDFAST_INLINE double divergence_limit(
    std::vector<double> values,
    double band) {
  constexpr double kDeviation = 1.4826;
  constexpr double kLeastSpread = 0.01; // of the median
  const double median = median_of(values);
  const double above = *std::max_element(values.begin(), values.end()) - median;
  for (double& value : values) {
    value = std::abs(value - median);
  }
  double spread =
      std::max(kDeviation * median_of(values), kLeastSpread * std::abs(median));
  if (spread == 0) {
    spread = above;
  }
  return spread == 0 ? std::numeric_limits<double>::infinity()
                     : median + band * spread;
}

} // namespace detail

HOLDFAST_INLINE void validate(const DivergenceOptions& options) {
  constexpr std::size_t kLargestWindow = 4096;
  const auto refuse = [](const char* name, const char* message, double found) {
    throw_invalid_argument(name, message, format_number(found));
  };
  if (options.metric().empty() || !is_utf8(options.metric())) {
    throw_invalid_argument(
        "metric", "a name must be UTF-8 and not empty", options.metric());
  }
  if (!(options.band() > 0)) {
    refuse("band", "must be above 0", options.band());
  }
  if (options.patience() == 0) {
    refuse("patience", "must be at least 1", 0);
  }
  if (options.window() < kFewestForBand || options.window() > kLargestWindow) {
    refuse(
        "window", "must be 32 to 4096", static_cast<double>(options.window()));
  }
  if (!(options.learning_rate_factor() > 0 &&
        options.learning_rate_factor() <= 1)) {
    refuse(
        "learning_rate_factor",
        "must be above 0 and at most 1",
        options.learning_rate_factor());
  }
}

HOLDFAST_INLINE bool DivergenceDetector::add(double value) {
  constexpr std::size_t kRefresh = 32;
  if (!std::isfinite(value) || value > memory_.limit) {
    ++memory_.bad;
    return false;
  }
  memory_.bad = 0;
  if (memory_.normal.size() == 2 * window_) {
    memory_.normal = memory().normal;
  }
  memory_.normal.push_back(value);
  ++memory_.since_limit;
  if (memory_.normal.size() >= kFewestForBand &&
      memory_.since_limit >= kRefresh) {
    memory_.limit = limit();
    memory_.since_limit = 0;
  }
  return true;
}

HOLDFAST_INLINE DivergenceDetector::Memory DivergenceDetector::memory() const {
  Memory memory = memory_;
  const std::size_t older =
      memory.normal.size() - std::min(memory.normal.size(), window_);
  memory.normal.erase(
      memory.normal.begin(),
      memory.normal.begin() + static_cast<std::ptrdiff_t>(older));
  return memory;
}

HOLDFAST_INLINE double DivergenceDetector::limit() const {
  return !std::isfinite(band_) || memory_.normal.size() < kFewestForBand
      ? std::numeric_limits<double>::infinity()
      : detail::divergence_limit(memory().normal, band_);
}

HOLDFAST_INLINE void DivergenceDetector::recall(Memory memory) {
  memory_ = std::move(memory);
  memory_ = this->memory();
  if (memory_.band != band_) {
    memory_.band = band_;
    memory_.limit = limit();
  }
}

} // namespace holdfast

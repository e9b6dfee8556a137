#pragma once

#include <holdfast/policy/trigger.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/policy/describe.hpp>
#include <holdfast/policy/multiple.hpp>

#include <algorithm>
#include <cmath>

namespace holdfast {

namespace detail {

// Doubles up to here hold every whole number.
inline constexpr double kLargestSaveInterval = 9007199254740992.0;

HOLDFAST_INLINE bool count_is_due(
    std::int64_t interval,
    std::int64_t last,
    std::int64_t now) noexcept {
  if (last > now) {
    return now % interval == 0;
  }
  return multiple_reached(now, interval) > multiple_reached(last, interval);
}

HOLDFAST_INLINE bool time_is_due(
    double interval,
    double last,
    double now) noexcept {
  if (!std::isfinite(now)) {
    return false;
  }
  return !std::isfinite(last) || last > now || now - last >= interval;
}

HOLDFAST_INLINE SaveEvery
save_every_count(SaveEvery::Unit unit, std::int64_t count) {
  // Before the conversion: 2^53 + 1 would become 2^53.
  if (count > static_cast<std::int64_t>(kLargestSaveInterval)) {
    throw_invalid_argument(
        "save_every",
        "the interval is larger than 2^53",
        std::to_string(count));
  }
  const SaveEvery rule{unit, static_cast<double>(count)};
  validate(rule);
  return rule;
}

} // namespace detail

HOLDFAST_INLINE void validate(const SaveEvery& rule) {
  const auto refuse = [&](const char* message) {
    throw_invalid_argument(
        "save_every", message, detail::describe_number(rule.interval));
  };
  if (!std::isfinite(rule.interval) || rule.interval <= 0) {
    refuse("the interval must be positive and finite");
  }
  if (rule.unit == SaveEvery::Unit::seconds) {
    return;
  }
  if (rule.interval != std::floor(rule.interval)) {
    refuse("an interval in steps or epochs must be a whole number");
  }
  if (rule.interval > detail::kLargestSaveInterval) {
    refuse("the interval is larger than 2^53");
  }
}

HOLDFAST_INLINE SaveEvery save_every(Steps interval) {
  return detail::save_every_count(SaveEvery::Unit::steps, interval.count);
}

HOLDFAST_INLINE SaveEvery save_every(Epochs interval) {
  return detail::save_every_count(SaveEvery::Unit::epochs, interval.count);
}

HOLDFAST_INLINE SaveEvery save_every(std::chrono::duration<double> interval) {
  const SaveEvery rule{SaveEvery::Unit::seconds, interval.count()};
  validate(rule);
  return rule;
}

HOLDFAST_INLINE std::string to_string(const SaveEvery& rule) {
  if (rule.unit == SaveEvery::Unit::seconds) {
    return "every " +
        detail::describe_duration(std::chrono::duration<double>(rule.interval));
  }
  const char* const unit =
      rule.unit == SaveEvery::Unit::steps ? "step" : "epoch";
  if (rule.interval == 1) {
    return std::string("every ") + unit;
  }
  // Digits in full: six of them would turn 1234567 into 1.23457e+06.
  const bool whole = rule.interval == std::floor(rule.interval) &&
      std::abs(rule.interval) <= detail::kLargestSaveInterval;
  return "every " +
      (whole ? std::to_string(static_cast<std::int64_t>(rule.interval))
             : detail::describe_number(rule.interval)) +
      " " + unit + "s";
}

HOLDFAST_INLINE void validate(const SaveOverhead& rule) {
  if (!(rule.share > 0 && rule.share < 1)) {
    throw_invalid_argument(
        "save_overhead",
        "the share must be above 0 and below 1",
        detail::describe_number(rule.share));
  }
  if (!std::isfinite(rule.least_seconds) || rule.least_seconds < 0) {
    throw_invalid_argument(
        "save_overhead",
        "the time between saves must be finite and not negative",
        detail::describe_number(rule.least_seconds));
  }
}

HOLDFAST_INLINE std::string to_string(const SaveOverhead& rule) {
  return detail::describe_number(rule.share * 100) + " % of the time";
}

HOLDFAST_INLINE bool is_due(
    const SaveOverhead& rule,
    double save_seconds,
    const TriggerPoint& last,
    const TriggerPoint& now) {
  const double known = std::isfinite(save_seconds) ? save_seconds : 0;
  return detail::time_is_due(
      std::max(rule.least_seconds, known / rule.share),
      last.elapsed_seconds,
      now.elapsed_seconds);
}

HOLDFAST_INLINE std::vector<std::string> due(
    const std::vector<SaveEvery>& rules,
    const TriggerPoint& last,
    const TriggerPoint& now) {
  std::vector<std::string> reasons;
  for (const SaveEvery& rule : rules) {
    validate(rule);
    bool is_due = false;
    switch (rule.unit) {
      case SaveEvery::Unit::steps:
        is_due = detail::count_is_due(
            static_cast<std::int64_t>(rule.interval), last.step, now.step);
        break;
      case SaveEvery::Unit::epochs:
        is_due = detail::count_is_due(
            static_cast<std::int64_t>(rule.interval), last.epoch, now.epoch);
        break;
      case SaveEvery::Unit::seconds:
        is_due = detail::time_is_due(
            rule.interval, last.elapsed_seconds, now.elapsed_seconds);
        break;
    }
    if (is_due) {
      reasons.push_back(to_string(rule));
    }
  }
  return reasons;
}

} // namespace holdfast

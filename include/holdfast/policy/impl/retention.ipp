#pragma once

#include <holdfast/policy/retention.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/policy/describe.hpp>
#include <holdfast/policy/impl/retention_planner.ipp>

#include <cmath>
#include <string>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE bool has_keep_rule(const RetentionRules& rules) noexcept {
  return rules.last || !rules.best.empty() || !rules.every.empty() ||
      !rules.per.empty() || rules.younger;
}

HOLDFAST_INLINE void validate(const RetentionRules& rules) {
  if (rules.last && *rules.last == 0) {
    throw_invalid_argument("keep_last", "the count must be at least 1", "0");
  }
  for (const KeepBest& rule : rules.best) {
    if (rule.metric.empty()) {
      throw_invalid_argument("keep_best", "the metric has no name");
    }
    if (rule.count == 0) {
      throw_invalid_argument("keep_best", "the count must be at least 1", "0");
    }
  }
  for (const KeepEvery& rule : rules.every) {
    if (rule.interval < 1) {
      throw_invalid_argument(
          "keep_every",
          "the interval must be at least 1",
          std::to_string(rule.interval));
    }
  }
  for (const KeepPer& rule : rules.per) {
    if (!std::isfinite(rule.bucket.count()) || rule.bucket.count() <= 0) {
      throw_invalid_argument(
          "keep_one_per",
          "the bucket must be positive and finite",
          detail::describe_duration(rule.bucket));
    }
  }
  if (rules.younger &&
      (!std::isfinite(rules.younger->age.count()) ||
       rules.younger->age.count() < 0)) {
    throw_invalid_argument(
        "keep_younger_than",
        "the age must be finite and not negative",
        detail::describe_duration(rules.younger->age));
  }
  if (rules.total_bytes && *rules.total_bytes == 0) {
    throw_invalid_argument("keep_at_most", "must be at least 1 byte", "0");
  }
}

HOLDFAST_INLINE std::vector<RetentionDecision> plan_retention(
    std::vector<RetentionEntry> entries,
    double now,
    const RetentionRules& rules) {
  validate(rules);
  detail::RetentionPlanner planner(std::move(entries));
  planner.apply(rules, now);
  return planner.take();
}

} // namespace holdfast

#pragma once

#include "policy_support.hpp"

#include <holdfast/policy/retention.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::test {

inline constexpr double kMinute = 60;
inline constexpr double kHour = 3600;
inline constexpr double kDay = 86400;

using Entries = std::vector<RetentionEntry>;
using Sequences = std::vector<std::uint64_t>;

inline RetentionEntry entry(
    std::uint64_t sequence,
    double wall_time = 0,
    const Metrics& metrics = {}) {
  RetentionEntry made;
  made.sequence = sequence;
  made.wall_time = wall_time;
  made.metrics = metrics;
  made.valid = true;
  return made;
}

/// Sequences 1 to `count`, one a second.
inline Entries history(std::uint64_t count) {
  Entries entries;
  for (std::uint64_t i = 1; i <= count; ++i) {
    entries.push_back(entry(i, static_cast<double>(i)));
  }
  return entries;
}

inline RetentionRules keep_last(std::size_t count) {
  RetentionRules rules;
  rules.last = count;
  return rules;
}

inline Sequences kept(
    const Entries& entries,
    double now,
    const RetentionRules& rules) {
  Sequences sequences;
  for (const RetentionDecision& d : plan_retention(entries, now, rules)) {
    if (d.keep) {
      sequences.push_back(d.sequence);
    }
  }
  return sequences;
}

} // namespace holdfast::test

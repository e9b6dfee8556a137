#pragma once

#include <holdfast/engine/metric_watch.hpp>

#include <holdfast/base/text.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

namespace detail {

/// More than a loop reports; bounds what a name made anew each step costs.
inline constexpr std::size_t kMaxWatched = 64;

HOLDFAST_INLINE std::string jump_text(
    const std::string& metric,
    const MetricJump& jump,
    std::size_t steps) {
  return "metric '" + metric + "' got worse right after the resume: its mean " +
      "over " + std::to_string(steps) + (steps == 1 ? " step" : " steps") +
      " is " + format_number(jump.after) + ", over the " +
      std::to_string(kMetricBlock) + " before it was " +
      format_number(jump.before) + ", and such means had changed by at most " +
      format_number(jump.usual) +
      "; is everything the loop needs among the parts?";
}

} // namespace detail

HOLDFAST_INLINE std::vector<std::string> MetricWatch::add(
    const Metrics& metrics,
    const std::vector<KeepBest>& rules) {
  std::vector<std::string> said;
  for (const auto& metric : metrics.values()) {
    auto found = series_.find(metric.first);
    if (found == series_.end()) {
      if (series_.size() == detail::kMaxWatched) {
        continue;
      }
      found = series_.emplace(metric.first, Series()).first;
    }
    Series& series = found->second;
    if (series.since.size() == kMetricHistory) {
      series.since.erase(series.since.begin());
    }
    series.since.push_back(metric.second);
    if (!series.watched) {
      continue;
    }
    const auto jump = metric_jump(
        rule_of(rules, metric.first).best, series.before, series.since);
    if (jump) {
      said.push_back(
          detail::jump_text(metric.first, *jump, series.since.size()));
    }
    series.watched = !jump && series.since.size() < kMetricBlock;
  }
  return said;
}

HOLDFAST_INLINE Value MetricWatch::to_value() const {
  Values history;
  for (const auto& entry : series_) {
    const Series& series = entry.second;
    Value::Array values;
    const std::size_t left = kMetricHistory - series.since.size();
    const std::size_t skipped =
        series.before.size() - std::min(left, series.before.size());
    for (std::size_t i = skipped; i < series.before.size(); ++i) {
      values.push_back(series.before[i]);
    }
    for (const double value : series.since) {
      values.push_back(value);
    }
    history[entry.first] = std::move(values);
  }
  return history;
}

HOLDFAST_INLINE void MetricWatch::load(const Value& value) {
  std::map<std::string, Series> loaded;
  for (const auto& entry : value.object("history")) {
    Series& series = loaded[entry.first];
    series.watched = true;
    for (const Value& item : entry.second.array(entry.first)) {
      series.before.push_back(item.as<double>(entry.first));
    }
  }
  series_ = std::move(loaded);
}

} // namespace holdfast

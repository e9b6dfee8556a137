#pragma once

#include <holdfast/engine/running_means.hpp>

#include <holdfast/base/error.hpp>

#include <utility>

namespace holdfast {

HOLDFAST_INLINE void RunningMeans::add(const Metrics& metrics) {
  if (ended_) {
    sums_.clear();
    ended_ = false;
  }
  for (const auto& metric : metrics.values()) {
    Sum& sum = sums_[metric.first];
    sum.sum += metric.second;
    ++sum.count;
  }
}

HOLDFAST_INLINE double RunningMeans::mean(const std::string& metric) const {
  const auto found = sums_.find(metric);
  if (found == sums_.end()) {
    ErrorDetails details;
    details.name = metric;
    details.message = "no step of this epoch reported this metric";
    throw Error(ErrorCode::unknown_metric, std::move(details));
  }
  return found->second.sum / static_cast<double>(found->second.count);
}

HOLDFAST_INLINE Value RunningMeans::to_value() const {
  Values sums;
  for (const auto& entry : sums_) {
    Values sum;
    sum["sum"] = entry.second.sum;
    sum["count"] = entry.second.count;
    sums[entry.first] = std::move(sum);
  }
  Values values;
  values["sums"] = std::move(sums);
  values["ended"] = ended_;
  return values;
}

HOLDFAST_INLINE void RunningMeans::load(const Value& value) {
  const Values& values = value.object("means");
  std::map<std::string, Sum> sums;
  for (const auto& entry : at(values, "sums").object("sums")) {
    const Values& sum = entry.second.object(entry.first);
    sums[entry.first] =
        Sum{at(sum, "sum").as<double>("sum"),
            at(sum, "count").as<std::int64_t>("count")};
  }
  ended_ = at(values, "ended").as<bool>("ended");
  sums_ = std::move(sums);
}

} // namespace holdfast

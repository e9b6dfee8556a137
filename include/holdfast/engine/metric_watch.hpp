#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/policy/best.hpp>
#include <holdfast/policy/metric_jump.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace holdfast {

/// Remembers the last values of the metrics given to `step()`, also across a
/// resume, and tells when the first ones after it do not go on from there: a
/// sign that something the loop needs was not restored (`metric_jump`).
class MetricWatch {
 public:
  /// Takes one step's metrics; `rules` tell which of them get better as they
  /// grow (`rule_of`). Returns what is to be said about them, a line each: once
  /// a metric and resume at most.
  [[nodiscard]] std::vector<std::string> add(
      const Metrics& metrics,
      const std::vector<KeepBest>& rules = {});

  [[nodiscard]] Value to_value() const;
  /// Goes on from a saved history, and watches what comes next.
  void load(const Value& value);
  /// Starts from nothing, with nothing to compare with.
  void clear() noexcept {
    series_.clear();
  }

 private:
  struct Series {
    std::vector<double> before; ///< The last resume; the newest last.
    std::vector<double> since;
    bool watched = false;
  };
  std::map<std::string, Series> series_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/metric_watch.ipp>
#endif

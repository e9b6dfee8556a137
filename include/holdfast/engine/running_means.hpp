#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/format/value.hpp>

#include <cstdint>
#include <map>
#include <string>

namespace holdfast {

/// Means of the metrics given to `step()`, over the current epoch. Part of the
/// saved state, so a resume in mid-epoch does not lose them. After the epoch's
/// end they stay readable until the next epoch's first step.
class RunningMeans {
 public:
  void add(const Metrics& metrics);
  void end_epoch() noexcept {
    ended_ = true;
  }
  /// `unknown_metric` if no step of the epoch reported it.
  [[nodiscard]] double mean(const std::string& metric) const;

  [[nodiscard]] Value to_value() const;
  void load(const Value& value);

 private:
  struct Sum {
    double sum = 0;
    std::int64_t count = 0;
  };
  std::map<std::string, Sum> sums_;
  bool ended_ = false;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/running_means.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/engine/data_sources.hpp>
#include <holdfast/format/divergence_record.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/policy/divergence.hpp>

#include <cstdint>
#include <vector>

namespace holdfast {

/// Places as a value, and back: `{"data": [epoch, position]}`.
[[nodiscard]] Value to_value(const std::vector<SourcePlace>& places);
[[nodiscard]] std::vector<SourcePlace> source_places_from(const Value& value);

/// Follows one metric through the steps of a run, and knows up to which step
/// the run is known to be good: a step's loss is that of the weights before it,
/// so a normal one vouches for the step before.
class DivergenceWatch {
 public:
  explicit DivergenceWatch(DivergenceOptions options)
      : options_(std::move(options)), detector_(options_) {}

  [[nodiscard]] const DivergenceOptions& options() const noexcept {
    return options_;
  }

  /// Before the step that comes is counted: where its data began.
  void step_begins(const DataSources& sources) {
    sources.places(step_places_);
  }
  /// `step` was counted. Nothing where it did not report the metric.
  void add(std::int64_t step, const Metrics& metrics);

  /// The run has gone back to `step`, which a later one had vouched for.
  void goes_on_from(std::int64_t step, const DataSources& sources) {
    good_step_ = step;
    sources.places(good_places_);
  }

  /// True if the metric was ever reported, in this life.
  [[nodiscard]] bool has_seen_any() const noexcept {
    return seen_;
  }
  /// True if the last value was bad.
  [[nodiscard]] bool suspects() const noexcept {
    return detector_.suspects();
  }
  [[nodiscard]] bool has_diverged() const noexcept {
    return detector_.has_diverged();
  }
  /// The last step that is known to be good; -1: none is.
  [[nodiscard]] std::int64_t good_step() const noexcept {
    return good_step_;
  }
  /// Where the data stood after it.
  [[nodiscard]] const std::vector<SourcePlace>& good_places() const noexcept {
    return good_places_;
  }
  /// The bad steps up to now, while it suspects; the rest of it is not known
  /// here.
  [[nodiscard]] DivergenceRecord record() const;

  [[nodiscard]] Value to_value() const;
  /// Goes on from a saved one; from nothing where that one followed another
  /// metric.
  void load(const Value& value);

 private:
  DivergenceOptions options_;
  DivergenceDetector detector_;
  std::int64_t good_step_ = -1;
  std::vector<SourcePlace> good_places_;
  std::vector<SourcePlace> step_places_;
  std::int64_t first_bad_ = 0;
  std::int64_t last_bad_ = 0;
  double bad_value_ = 0;
  bool seen_ = false;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/divergence_watch.ipp>
#endif

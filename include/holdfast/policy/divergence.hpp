#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

/// When a run has diverged. Pure functions over plain data.
namespace holdfast {

/// What counts as divergence of a loss, and what is done about it. Every setter
/// returns the options, so calls chain.
class DivergenceOptions {
 public:
  /// `metric`: one that is given to `step()`, and gets better as it falls.
  explicit DivergenceOptions(std::string metric = "loss")
      : metric_(std::move(metric)) {}

  /// A value is bad if it is NaN or infinite, or more than `width` robust
  /// standard deviations above the median of the last normal ones. Default 10;
  /// infinity: only NaN and infinite ones are bad.
  DivergenceOptions& band(double width) {
    band_ = width;
    return *this;
  }
  /// The run has diverged when so many steps in a row were bad. Default 5.
  DivergenceOptions& patience(std::size_t steps) {
    patience_ = steps;
    return *this;
  }
  /// How many normal values the band is made of: 32, from which on there is
  /// one, to 4096. Default 128.
  DivergenceOptions& window(std::size_t steps) {
    window_ = steps;
    return *this;
  }

  /// How often a run may go back, over all its lives. Default 3.
  DivergenceOptions& max_rollbacks(std::size_t count) {
    max_rollbacks_ = count;
    return *this;
  }
  /// Attached data sources that can do not hand out again what was consumed
  /// after the last good state. Default: yes.
  DivergenceOptions& skip_batches(bool skip) {
    skip_batches_ = skip;
    return *this;
  }
  /// What the learning rates of all optimizers are multiplied by, each time: at
  /// most 1, the default, and above 0. A schedule that sets a rate anew, rather
  /// than multiplying it, undoes that.
  DivergenceOptions& learning_rate_factor(double factor) {
    learning_rate_factor_ = factor;
    return *this;
  }

  [[nodiscard]] const std::string& metric() const noexcept {
    return metric_;
  }
  [[nodiscard]] double band() const noexcept {
    return band_;
  }
  [[nodiscard]] std::size_t patience() const noexcept {
    return patience_;
  }
  [[nodiscard]] std::size_t window() const noexcept {
    return window_;
  }
  [[nodiscard]] std::size_t max_rollbacks() const noexcept {
    return max_rollbacks_;
  }
  [[nodiscard]] bool skip_batches() const noexcept {
    return skip_batches_;
  }
  [[nodiscard]] double learning_rate_factor() const noexcept {
    return learning_rate_factor_;
  }

 private:
  std::string metric_;
  double band_ = 10;
  std::size_t patience_ = 5;
  std::size_t window_ = 128;
  std::size_t max_rollbacks_ = 3;
  bool skip_batches_ = true;
  double learning_rate_factor_ = 1;
};

/// Throws `invalid_argument` where `options` break what is said above.
void validate(const DivergenceOptions& options);

/// How many normal values there have to be before there is a band.
inline constexpr std::size_t kFewestForBand = 32;

/// Tells normal values of a metric from bad ones. The upper end of the band is
/// the median plus `band` times the spread: 1.4826 times the median absolute
/// deviation, which for normally distributed values is their standard deviation
/// (F. R. Hampel, "The influence curve and its role in robust estimation", JASA
/// 69, 1974), or a hundredth of the median where that is more. Where both are 0
/// it is what lies between the median and the largest value, and there is no
/// band if that is 0, too. Bad values never widen the band. It is computed anew
/// with every 32nd normal value.
class DivergenceDetector {
 public:
  /// All that it remembers; what a checkpoint holds.
  struct Memory {
    std::vector<double> normal; ///< The last `window` ones, the newest last.
    std::size_t since_limit = 0; ///< Normal ones since the limit was computed.
    double limit = std::numeric_limits<double>::infinity();
    double band = std::numeric_limits<double>::infinity(); ///< Of the limit.
    std::size_t bad = 0; ///< In a row, up to now.
  };

  explicit DivergenceDetector(const DivergenceOptions& options)
      : band_(options.band()),
        patience_(options.patience()),
        window_(options.window()) {
    memory_.band = band_;
  }

  /// False if `value` is bad.
  bool add(double value);

  /// True if the last value was bad.
  [[nodiscard]] bool suspects() const noexcept {
    return memory_.bad > 0;
  }
  [[nodiscard]] bool has_diverged() const noexcept {
    return memory_.bad >= patience_;
  }

  [[nodiscard]] Memory memory() const;
  /// Goes on from what another one remembered, which may have had another
  /// window and another band.
  void recall(Memory memory);

 private:
  double band_;
  std::size_t patience_;
  std::size_t window_;
  [[nodiscard]] double limit() const;

  Memory memory_; ///< With up to `window_` older values: dropped together.
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/policy/impl/divergence.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/error.hpp>

#include <initializer_list>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

namespace holdfast {

namespace detail {

template <class T, class = void>
struct HasItem : std::false_type {};
template <class T>
struct HasItem<
    T,
    std::void_t<decltype(std::declval<const T&>().template item<double>())>>
    : std::true_type {};

template <class T, class = void>
struct HasNumel : std::false_type {};
template <class T>
struct HasNumel<T, std::void_t<decltype(std::declval<const T&>().numel())>>
    : std::true_type {};

template <class T, class = void>
struct HasToDouble : std::false_type {};
template <class T>
struct HasToDouble<
    T,
    std::void_t<decltype(std::declval<const T&>().toDouble())>>
    : std::true_type {};

template <class T>
double metric_value(const std::string& name, const T& value) {
  if constexpr (HasNumel<T>::value) {
    if (value.numel() != 1) { // 0 where it is undefined
      throw_invalid_argument(
          name,
          "a metric is a number or a tensor of one element",
          std::to_string(value.numel()) + " elements");
    }
  }
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<double>(value);
  } else if constexpr (HasItem<T>::value) {
    return value.template item<double>();
  } else {
    static_assert(
        HasToDouble<T>::value,
        "holdfast: a metric is a number, a one-element tensor or a Scalar");
    return value.toDouble();
  }
}

} // namespace detail

/// A name and a number. The number is taken from anything arithmetic, a
/// one-element tensor (`.item<double>()`, which waits for its device) or a
/// Scalar; a tensor's graph is not kept. `invalid_argument` for a tensor that
/// is undefined or has several elements.
struct Metric {
  template <class T>
  Metric(std::string metric_name, const T& metric_value)
      : name(std::move(metric_name)),
        value(detail::metric_value(name, metric_value)) {}

  std::string name;
  double value;
};

/// Metrics by name. Written as `{{"loss", loss}, {"accuracy", 0.97}}`.
class Metrics {
 public:
  using Map = std::map<std::string, double>;

  Metrics() = default;
  Metrics(std::initializer_list<Metric> metrics) {
    for (const Metric& metric : metrics) {
      values_[metric.name] = metric.value;
    }
  }
  /// Any map from text to what a `Metric` can be made of.
  template <
      class M,
      class = std::enable_if_t<std::is_convertible_v<
          typename M::value_type::first_type,
          std::string>>>
  Metrics(const M& map) {
    for (const auto& entry : map) {
      values_[entry.first] = detail::metric_value(entry.first, entry.second);
    }
  }

  [[nodiscard]] const Map& values() const noexcept {
    return values_;
  }
  [[nodiscard]] bool empty() const noexcept {
    return values_.empty();
  }
  [[nodiscard]] bool contains(const std::string& name) const {
    return values_.count(name) != 0;
  }
  void set(const std::string& name, double value) {
    values_[name] = value;
  }

 private:
  Map values_;
};

} // namespace holdfast

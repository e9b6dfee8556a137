#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/format/value.hpp>

#include <cmath>
#include <cstring>
#include <limits>

// The templates of value.hpp, in every build form.

namespace holdfast {

namespace detail {

template <class>
inline constexpr bool kNoValueType = false;

} // namespace detail

template <
    class Integer,
    std::enable_if_t<
        std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>,
        int>>
Value::Value(Integer value)
    : kind_(Kind::integer), word_(static_cast<std::uint64_t>(value)) {
  static_assert(
      sizeof(Integer) <= sizeof(std::int64_t),
      "holdfast: a value holds integers of up to 64 bits");
  if constexpr (std::is_unsigned_v<Integer>) {
    beyond_int64_ = word_ >> 63 != 0;
  }
}

template <class T>
T Value::as(std::string_view name) const {
  if constexpr (std::is_same_v<T, bool>) {
    return as_boolean(name);
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    return static_cast<T>(as_signed(
        name, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(as_unsigned(name, std::numeric_limits<T>::max()));
  } else if constexpr (std::is_same_v<T, double>) {
    return as_real(name);
  } else if constexpr (std::is_same_v<T, float>) {
    const double real = as_real(name);
    // Beyond the range the conversion itself would be undefined.
    if (!std::isfinite(real) ||
        std::fabs(real) <= std::numeric_limits<float>::max()) {
      const float narrow = static_cast<float>(real);
      const double back = static_cast<double>(narrow);
      if (std::memcmp(&back, &real, sizeof(real)) == 0) {
        return narrow;
      }
    }
    ErrorDetails details;
    details.message = "the real is not exactly a float";
    details.name = std::string(name);
    throw Error(ErrorCode::value_out_of_range, std::move(details));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return text(name);
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return bytes(name);
  } else if constexpr (std::is_same_v<T, Array>) {
    return array(name);
  } else if constexpr (std::is_same_v<T, Values>) {
    return object(name);
  } else {
    static_assert(
        detail::kNoValueType<T>,
        "holdfast: a value is a bool, an integer, a double, a float, text, "
        "bytes, an array or an object");
  }
}

} // namespace holdfast

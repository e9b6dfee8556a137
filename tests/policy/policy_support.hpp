#pragma once

#include <chrono>
#include <limits>

namespace holdfast::test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

inline std::chrono::duration<double> seconds(double count) {
  return std::chrono::duration<double>(count);
}

} // namespace holdfast::test

#pragma once

#include <holdfast/base/config.hpp>

#include <chrono>
#include <string>

/// Words for people in the reasons that triggers and retention give.
namespace holdfast::detail {

/// Six significant digits, independent of the locale: "0.0412", "nan", "-inf".
[[nodiscard]] std::string describe_number(double value);

/// In the largest unit that gives a whole number: "7 d", "1 h", "10 min",
/// "90 s", "0.5 s".
[[nodiscard]] std::string describe_duration(
    std::chrono::duration<double> duration);

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/policy/impl/describe.ipp>
#endif

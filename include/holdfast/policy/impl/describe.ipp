#pragma once

#include <holdfast/policy/describe.hpp>

#include <cmath>
#include <locale>
#include <sstream>

namespace holdfast::detail {

HOLDFAST_INLINE std::string describe_number(double value) {
  // Streams of some standard libraries write "-nan" too.
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value > 0 ? "inf" : "-inf";
  }
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << value;
  return text.str();
}

HOLDFAST_INLINE std::string describe_duration(
    std::chrono::duration<double> duration) {
  const double seconds = duration.count();
  struct Unit {
    double seconds;
    const char* name;
  };
  for (const Unit unit :
       {Unit{86400, " d"}, Unit{3600, " h"}, Unit{60, " min"}}) {
    if (seconds >= unit.seconds && std::fmod(seconds, unit.seconds) == 0) {
      return describe_number(seconds / unit.seconds) + unit.name;
    }
  }
  return describe_number(seconds) + " s";
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/io/process.hpp>

namespace holdfast::test {

/// Time that passes only when somebody sleeps or sets it.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] double wall_seconds() override {
    return wall;
  }
  [[nodiscard]] double monotonic_seconds() override {
    return monotonic;
  }
  void sleep(double seconds) override {
    pass(seconds);
  }
  void pass(double seconds) {
    wall += seconds;
    monotonic += seconds;
  }

  double wall = 1'700'000'000;
  double monotonic = 1000;
};

} // namespace holdfast::test

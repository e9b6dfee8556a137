#pragma once

#include <holdfast/io/process.hpp>

#include <functional>

namespace holdfast::test {

/// Time that passes only when somebody sleeps or a test says so.
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
    ++sleeps;
    if (on_sleep) {
      on_sleep();
    }
  }
  void pass(double seconds) {
    wall += seconds;
    monotonic += seconds;
  }

  double wall = 1'700'000'000;
  double monotonic = 1000;
  int sleeps = 0;
  std::function<void()> on_sleep;
};

} // namespace holdfast::test

#pragma once

#include <holdfast/io/process.hpp>

#include <holdfast/io/impl/posix_process.ipp>

#include <chrono>
#include <thread>

namespace holdfast {

namespace detail {

class SystemClock final : public Clock {
 public:
  double wall_seconds() override {
    return seconds(std::chrono::system_clock::now());
  }
  double monotonic_seconds() override {
    return seconds(std::chrono::steady_clock::now());
  }
  void sleep(double duration) override {
    if (duration > 0) {
      std::this_thread::sleep_for(std::chrono::duration<double>(duration));
    }
  }

 private:
  template <class TimePoint>
  static double seconds(TimePoint moment) {
    return std::chrono::duration<double>(moment.time_since_epoch()).count();
  }
};

} // namespace detail

HOLDFAST_INLINE Clock& system_clock() {
  static detail::SystemClock clock;
  return clock;
}

} // namespace holdfast

#pragma once

#include <holdfast/base/config.hpp>

#include <cstdint>
#include <string>

namespace holdfast {

/// Who a process is, as far as another one on this or another host can tell.
struct ProcessIdentity {
  std::string host;
  std::string boot_id; ///< Changes at every start of the host; may be empty.
  std::string pid_namespace; ///< Tells containers apart; may be empty.
  std::int64_t pid = 0;
  std::uint64_t start_time = 0; ///< Clock ticks after boot; 0 if unknown.
};

[[nodiscard]] ProcessIdentity this_process();

/// True unless `process` is known to be gone: same boot and pid namespace as
/// ours, and no process with that pid and start time.
[[nodiscard]] bool may_be_alive(const ProcessIdentity& process);

/// 128 random bits from the operating system, as 32 hex digits.
[[nodiscard]] std::string random_id();

/// Time as the engine sees it; tests put their own in its place.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Seconds since 1970-01-01 UTC; may be set back.
  [[nodiscard]] virtual double wall_seconds() = 0;
  /// Seconds since some moment; never goes back.
  [[nodiscard]] virtual double monotonic_seconds() = 0;
  virtual void sleep(double seconds) = 0;
};

[[nodiscard]] Clock& system_clock();

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/process.ipp>
#endif

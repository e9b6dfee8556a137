#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>

#include <string>
#include <vector>

namespace holdfast {

/// "SIGTERM"; "signal 63" for one without a name.
[[nodiscard]] std::string signal_name(int signal);

/// Notes that one of some signals has come, in place of what it would do. For
/// as long as this lives; the former handlers come back then. A signal that is
/// ignored when it begins stays ignored: whoever started the program wanted
/// that. System calls that a signal interrupts go on.
///
/// A second signal does what it did before the watch: as a rule it ends the
/// process at once. Only not within `kSameSignalSeconds`, because launchers
/// pass one request on twice. In a forked child every signal does.
///
/// One at a time in a process.
class SignalWatch {
 public:
  static constexpr double kSameSignalSeconds = 0.5;

  /// `invalid_argument` for a signal that cannot be handled, and while there is
  /// another watch.
  explicit SignalWatch(const std::vector<int>& signals);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  /// The first one that came; 0: none. An atomic load, from any thread.
  [[nodiscard]] int received() const noexcept;
  /// Seconds since it came.
  [[nodiscard]] double seconds_ago() const noexcept;

  /// From one other thread: blocks until a signal has come, or `stop_waiting()`
  /// was called.
  void wait() noexcept;
  void stop_waiting() noexcept;

 private:
  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_signal_watch.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/progress.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace holdfast {

inline constexpr const char* kHeartbeatName = "HEARTBEAT";
/// One sector, written at once: a reader finds the former or the new one.
inline constexpr std::size_t kHeartbeatBytes = 512;

/// Tells monitors that a run lives, and how far it is: one JSON object, filled
/// up with blanks, overwritten in place (docs/operations.md). Not synced, and
/// never read for a decision; where it cannot be written, the run goes on
/// without.
class Heartbeat {
 public:
  enum class State {
    resuming, ///< Or starting.
    running,
    saving,
    finished, ///< The goal is reached.
    stopped, ///< By `request_stop()`.
    preempted,
    left, ///< The manager is gone, and the goal was not reached.
  };

  /// `interval`: seconds between two of one state; 0: never writes. `clock`
  /// must outlive this.
  Heartbeat(std::shared_ptr<Directory> root, Clock& clock, double interval)
      : root_(std::move(root)), clock_(clock), interval_(interval) {}

  /// Writes if the state is another one, or the interval has passed on the
  /// clock that `seconds` come from; or that was set back, as by a rollback.
  void beat(State state, const Progress& progress, double seconds) noexcept {
    if (interval_ > 0 &&
        (!begun_ || state != state_ || seconds - last_ >= interval_ ||
         seconds < last_)) {
      begun_ = true;
      state_ = state;
      last_ = seconds;
      write(progress);
    }
  }
  [[nodiscard]] State state() const noexcept {
    return state_;
  }

 private:
  void write(const Progress& progress) noexcept;

  std::shared_ptr<Directory> root_;
  Clock& clock_;
  double interval_;
  const ProcessIdentity process_ = this_process();
  std::unique_ptr<LockFile> file_;
  State state_ = State::running;
  double last_ = 0;
  bool begun_ = false;
};

[[nodiscard]] const char* to_string(Heartbeat::State state) noexcept;

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/heartbeat.ipp>
#endif

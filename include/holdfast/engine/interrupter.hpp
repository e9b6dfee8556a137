#pragma once

#include <string>

namespace holdfast {

/// A run that ends early, when the manager has done what it could.
struct InterruptedRun {
  std::string reason; ///< "SIGTERM"
  bool saved = false; ///< All that was trained is in a durable checkpoint.
  std::string checkpoint; ///< Path of the newest durable one; may be empty.
  std::string text; ///< One line for people.
};

/// What ends a run early from outside: a manager asks it at every safe point,
/// and saves before it lets it act. See `Preemption`.
class Interrupter {
 public:
  virtual ~Interrupter() = default;

  /// Why the run has to end now; empty: it need not. Asked at each `step()` and
  /// `end_epoch()`, so it has to be quick. `save_seconds`: what a save is
  /// expected to take; 0: unknown.
  [[nodiscard]] virtual std::string pending(double save_seconds) = 0;

  /// Once `pending()` gave a reason: how long a save may take.
  [[nodiscard]] virtual double seconds_left() = 0;

  /// The goal is reached and saved, and nothing has interrupted the run: there
  /// is no hurry any more.
  virtual void run_is_over() noexcept {}

  /// Called once, at the end of the manager's call; may end the process. What
  /// it throws leaves that call. If it returns, the run is stopped as by
  /// `request_stop()`.
  virtual void interrupted(const InterruptedRun& run) = 0;
};

} // namespace holdfast

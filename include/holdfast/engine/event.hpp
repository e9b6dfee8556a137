#pragma once

#include <holdfast/base/config.hpp>

#include <functional>
#include <string>

namespace holdfast {

/// Something a manager did or met.
struct Event {
  enum class Kind {
    resumed,
    fresh_start,
    save_started, ///< `saved` or `save_failed` follows, or the process ended.
    save_staged, ///< What the loop does to its objects no more changes it.
    saved,
    save_failed,
    passed_over, ///< A checkpoint that could not be used at a resume.
    quarantined,
    removed,
    diverged, ///< A metric, as `Options::rollback_on_divergence` says.
    rolled_back,
    preempted, ///< The run ends early: whether it was saved.
    warning,
  };
  Kind kind = Kind::warning;
  std::string checkpoint; ///< Name, where it is about one.
  std::string text; ///< One line for people.
};

[[nodiscard]] const char* to_string(Event::Kind kind) noexcept;

/// Called on the thread that called the manager, at its safe point. What it
/// throws is swallowed.
using EventHandler = std::function<void(const Event&)>;

/// Prints `save_failed`, `passed_over`, `quarantined`, `diverged`,
/// `rolled_back`, `preempted` and `warning` to stderr.
void print_warnings(const Event& event);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/event.ipp>
#endif

#pragma once

#include <holdfast/base/metrics.hpp>

#include <functional>

namespace holdfast {

class Manager;
class PartSet;

/// A moment at which a run is whole: what `resume()` and the like, `step()` or
/// `end_epoch()` had to do is done, a save that was due included.
struct SafePoint {
  enum class Kind {
    fresh_start,
    resumed, ///< Or rolled back: all parts hold a checkpoint's state.
    step,
    epoch,
  };
  Kind kind;
  Manager& manager; ///< To be asked, and stopped by `request_stop()`.
  const PartSet& parts; ///< `capture(parts)` tells their state.
  const Metrics& metrics; ///< Those of the call.
};

/// Called last in the manager's call, on its thread. It may look at everything
/// and change nothing. What it throws leaves that call, whose work is done.
using SafePointHandler = std::function<void(const SafePoint&)>;

} // namespace holdfast

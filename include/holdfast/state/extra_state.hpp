#pragma once

#include <holdfast/format/value.hpp>

namespace holdfast {

/// For modules with state besides parameters and buffers (counters, schedules):
/// derive from this as well, and the module's adapter saves it under the
/// submodule's name. `load_state` may throw: then it must have changed nothing.
class ExtraState {
 public:
  virtual ~ExtraState() = default;
  [[nodiscard]] virtual Values save_state() const = 0;
  virtual void load_state(const Values& values) = 0;
};

} // namespace holdfast

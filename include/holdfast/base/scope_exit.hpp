#pragma once

#include <utility>

namespace holdfast {

/// Runs `action` when the scope is left, however. The action must not throw.
template <class Action>
class ScopeExit {
 public:
  explicit ScopeExit(Action action) : action_(std::move(action)) {}
  ~ScopeExit() {
    if (armed_) {
      action_();
    }
  }
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;

  void dismiss() noexcept {
    armed_ = false;
  }

 private:
  Action action_;
  bool armed_ = true;
};

} // namespace holdfast

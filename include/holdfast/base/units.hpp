#pragma once

#include <cstdint>

namespace holdfast {

/// A number of training steps: calls of `step()`.
struct Steps {
  std::int64_t count = 0;
};

/// A number of epochs: calls of `end_epoch()`.
struct Epochs {
  std::int64_t count = 0;
};

[[nodiscard]] constexpr Steps steps(std::int64_t count) noexcept {
  return Steps{count};
}
[[nodiscard]] constexpr Epochs epochs(std::int64_t count) noexcept {
  return Epochs{count};
}

} // namespace holdfast

#pragma once

#include <holdfast/io/terminal.hpp>

#include <unistd.h>

namespace holdfast {

HOLDFAST_INLINE bool stderr_is_terminal() noexcept {
  return ::isatty(STDERR_FILENO) == 1;
}

} // namespace holdfast

#pragma once

#include <holdfast/io/terminal.hpp>

#include <cstdlib>
#include <string_view>

#include <unistd.h>

namespace holdfast {

HOLDFAST_INLINE bool stderr_is_in_foreground() noexcept {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 &&
      ::tcgetpgrp(STDERR_FILENO) == ::getpgrp() &&
      (terminal == nullptr || std::string_view(terminal) != "dumb");
}

} // namespace holdfast

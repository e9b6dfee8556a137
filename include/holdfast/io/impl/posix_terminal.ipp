#pragma once

#include <holdfast/io/terminal.hpp>

#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace holdfast {

HOLDFAST_INLINE bool stderr_is_in_foreground() noexcept {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 &&
      ::tcgetpgrp(STDERR_FILENO) == ::getpgrp() &&
      (terminal == nullptr || std::string_view(terminal) != "dumb");
}

HOLDFAST_INLINE std::size_t stderr_columns() noexcept {
  struct ::winsize size = {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

} // namespace holdfast

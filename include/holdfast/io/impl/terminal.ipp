#pragma once

#include <holdfast/io/terminal.hpp>

#include <holdfast/io/impl/posix_terminal.ipp>

#include <algorithm>
#include <cstdio>

namespace holdfast {

HOLDFAST_INLINE void rewrite_line(const std::string& text) noexcept {
  // In the last column the cursor waits beyond the line, and CSI K would wipe
  // what is there.
  const std::size_t columns = stderr_columns();
  const std::size_t room =
      columns == 0 ? text.size() : std::min(text.size(), columns - 1);
  // ECMA-48: CSI K clears from the cursor to the line's end.
  std::fprintf(stderr, "\r%.*s\x1b[K\r", static_cast<int>(room), text.c_str());
  std::fflush(stderr);
}

} // namespace holdfast

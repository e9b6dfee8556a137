#pragma once

#include <holdfast/io/terminal.hpp>

#include <holdfast/io/impl/posix_terminal.ipp>

#include <cstdio>

namespace holdfast {

HOLDFAST_INLINE void rewrite_line(const std::string& text) noexcept {
  // ECMA-48: CSI K clears from the cursor to the line's end.
  std::fprintf(stderr, "\r%s\x1b[K\r", text.c_str());
  std::fflush(stderr);
}

} // namespace holdfast

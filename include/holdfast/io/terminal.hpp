#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <string>

namespace holdfast {

/// True if a person may be watching stderr: it is the terminal in whose
/// foreground this process runs, and not a "dumb" one (TERM).
[[nodiscard]] bool stderr_is_in_foreground() noexcept;

/// The width of the terminal at stderr, in characters; 0: not known.
[[nodiscard]] std::size_t stderr_columns() noexcept;

/// Writes `text` in the place of what is in the current line of the terminal at
/// stderr, cut where it would not fit into that line, and leaves the cursor at
/// the line's beginning. Does not report errors.
void rewrite_line(const std::string& text) noexcept;

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/terminal.ipp>
#endif

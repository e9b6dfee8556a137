#pragma once

#include <holdfast/base/config.hpp>

#include <optional>
#include <string>
#include <string_view>

/// Shell-style patterns over names: `*` stands for any text, the empty one and
/// points included, `?` for one character; everything else for itself. The
/// whole name has to match.
namespace holdfast {

/// False for an empty text, and for one with `[ ] { } \`, which a shell would
/// read as sets, choices and escapes: `?` stands for such a character.
[[nodiscard]] bool is_pattern(std::string_view text) noexcept;

[[nodiscard]] bool matches_pattern(
    std::string_view pattern,
    std::string_view name) noexcept;

/// True if `to` has the wildcards of `from` in their order, so that
/// `renamed_by_pattern` knows what to put in their place.
[[nodiscard]] bool same_wildcards(
    std::string_view from,
    std::string_view to) noexcept;

/// `to`, with what the wildcards of `from` stand for in `name` in the place of
/// its own; nothing if `from` does not match. From left to right, a `*` takes
/// as little as it can.
[[nodiscard]] std::optional<std::string> renamed_by_pattern(
    std::string_view from,
    std::string_view to,
    std::string_view name);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/base/impl/pattern.ipp>
#endif

#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/config.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// Lower-case, two digits a byte.
[[nodiscard]] std::string to_hex(ByteView bytes);
/// Lower-case only; nothing for an odd length or another character.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

/// RFC 4648, with padding.
[[nodiscard]] std::string to_base64(ByteView bytes);
/// Strict: padding demanded, unused bits zero; nothing otherwise.
[[nodiscard]] std::optional<Bytes> from_base64(std::string_view text);

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// The first line of a text from elsewhere, at most 200 bytes of it, fit to be
/// quoted in one of our own: '?' stands for what is not UTF-8 and for control
/// characters, "..." at the end for what was left out.
[[nodiscard]] std::string first_line(std::string_view text);

/// Decimal digits only, no sign, no blank; independent of the locale. Nothing
/// for an empty text, another character, or a number beyond 2^64 - 1.
[[nodiscard]] std::optional<std::uint64_t> parse_decimal(
    std::string_view text) noexcept;

/// Decimal with leading zeros up to `width` digits, independent of the locale.
[[nodiscard]] std::string zero_padded(std::uint64_t value, std::size_t width);

/// Part and tag names: `[a-z0-9_-]{1,64}`.
[[nodiscard]] bool is_name(std::string_view text) noexcept;

struct SplitPath {
  std::string parent; ///< Empty where the path is a bare name.
  std::string name; ///< The last component.
};
/// Cuts a path before its last component; trailing slashes do not count.
[[nodiscard]] SplitPath split_path(std::string_view path);

/// "1.2 GB", "640 bytes": for people, decimal units.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// Four significant digits, "0.4123", "3.1e-07": for people; independent of the
/// locale.
[[nodiscard]] std::string format_number(double number);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/base/impl/text.ipp>
#endif

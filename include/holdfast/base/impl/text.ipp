#pragma once

#include <holdfast/base/text.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace holdfast {

namespace detail {

/// The value of a lower-case hex digit, or -1.
HOLDFAST_INLINE int hex_digit_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  return -1;
}

HOLDFAST_INLINE const char* base64_alphabet() noexcept {
  return "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

/// The value of a base64 digit, or -1.
HOLDFAST_INLINE int base64_digit_value(char digit) noexcept {
  if (digit >= 'A' && digit <= 'Z') {
    return digit - 'A';
  }
  if (digit >= 'a' && digit <= 'z') {
    return digit - 'a' + 26;
  }
  if (digit >= '0' && digit <= '9') {
    return digit - '0' + 52;
  }
  return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/// The length of the UTF-8 sequence at the front of `text`, 0 if there is
/// none. The second byte's range excludes overlong forms, surrogates and
/// numbers beyond U+10FFFF.
HOLDFAST_INLINE std::size_t utf8_sequence_length(
    std::string_view text) noexcept {
  const auto byte_at = [text](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(text[i]));
  };
  const unsigned lead = byte_at(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead < 0xc2 || lead > 0xf4) {
    return 0;
  }
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length) {
    return 0;
  }
  const unsigned lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte_at(1) < lowest || byte_at(1) > highest) {
    return 0;
  }
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte_at(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  return length;
}

} // namespace detail

HOLDFAST_INLINE std::string to_hex(ByteView bytes) {
  const char* const digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size * 2);
  for (std::size_t i = 0; i < bytes.size; ++i) {
    const auto value = std::to_integer<unsigned>(bytes.data[i]);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

HOLDFAST_INLINE std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return std::nullopt;
  }
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = detail::hex_digit_value(text[i]);
    const int low = detail::hex_digit_value(text[i + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return bytes;
}

HOLDFAST_INLINE std::string to_base64(ByteView bytes) {
  const char* const alphabet = detail::base64_alphabet();
  std::string text;
  text.reserve((bytes.size + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size; i += 3) {
    const std::size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 |
          (k < count ? std::to_integer<unsigned>(bytes.data[i + k]) : 0U);
    }
    text += alphabet[group >> 18];
    text += alphabet[group >> 12 & 63];
    text += count > 1 ? alphabet[group >> 6 & 63] : '=';
    text += count > 2 ? alphabet[group & 63] : '=';
  }
  return text;
}

HOLDFAST_INLINE std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t digits = 4;
    if (i + 4 == text.size()) {
      digits = text[i + 3] != '=' ? 4 : text[i + 2] != '=' ? 3 : 2;
    }
    unsigned group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int value =
          k < digits ? detail::base64_digit_value(text[i + k]) : 0;
      if (value < 0) {
        return std::nullopt;
      }
      group = group << 6 | static_cast<unsigned>(value);
    }
    const unsigned unused = digits == 4 ? 0 : digits == 3 ? 0xff : 0xffff;
    if ((group & unused) != 0) {
      return std::nullopt;
    }
    for (std::size_t k = 0; k + 1 < digits; ++k) {
      bytes.push_back(static_cast<std::byte>(group >> (16 - 8 * k) & 0xff));
    }
  }
  return bytes;
}

HOLDFAST_INLINE bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = detail::utf8_sequence_length(text);
    if (length == 0) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

HOLDFAST_INLINE std::string first_line(std::string_view text) {
  constexpr std::size_t most = 200;
  std::string line;
  while (!text.empty() && text.front() != '\n') {
    const std::size_t length = detail::utf8_sequence_length(text);
    const auto first = static_cast<unsigned char>(text.front());
    const bool printable = length > 0 && first >= 0x20 && first != 0x7f;
    const std::size_t taken = length == 0 ? 1 : length;
    if (line.size() + taken > most) {
      break;
    }
    line += printable ? text.substr(0, length) : std::string_view("?");
    text.remove_prefix(taken);
  }
  return text.empty() || text == "\n" ? line : line + "...";
}

HOLDFAST_INLINE std::optional<std::uint64_t> parse_decimal(
    std::string_view text) noexcept {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (text.empty()) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (const char character : text) {
    if (character < '0' || character > '9') {
      return std::nullopt;
    }
    const auto digit = static_cast<std::uint64_t>(character - '0');
    if (value > (most - digit) / 10) {
      return std::nullopt;
    }
    value = value * 10 + digit;
  }
  return value;
}

HOLDFAST_INLINE std::string zero_padded(
    std::uint64_t value,
    std::size_t width) {
  std::string text = std::to_string(value);
  if (text.size() < width) {
    text.insert(0, width - text.size(), '0');
  }
  return text;
}

HOLDFAST_INLINE bool is_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > 64) {
    return false;
  }
  for (const char c : text) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
        c == '_' || c == '-';
    if (!allowed) {
      return false;
    }
  }
  return true;
}

HOLDFAST_INLINE std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1000) {
    return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
  }
  const std::array<const char*, 6> units = {"kB", "MB", "GB", "TB", "PB", "EB"};
  std::uint64_t unit = 1000;
  std::size_t i = 0;
  // Rounded to tenths in integers; what rounds up to 1000 takes the next unit.
  const auto tenths = [&] {
    const std::uint64_t tenth = unit / 10;
    return bytes / tenth + (bytes % tenth * 2 >= tenth ? 1U : 0U);
  };
  while (tenths() >= 10000 && i + 1 < units.size()) {
    unit *= 1000;
    ++i;
  }
  const std::uint64_t value = tenths();
  return std::to_string(value / 10) + "." + std::to_string(value % 10) + " " +
      units[i];
}

HOLDFAST_INLINE std::string format_number(double number) {
  if (std::isnan(number)) {
    return "nan"; // and not "-nan", which tells nobody anything
  }
  constexpr int kDigits = 4;
  std::array<char, 32> text;
  const auto end = std::to_chars(
                       text.data(),
                       text.data() + text.size(),
                       number,
                       std::chars_format::general,
                       kDigits)
                       .ptr;
  return std::string(text.data(), end);
}

HOLDFAST_INLINE SplitPath split_path(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') {
    path.remove_suffix(1);
  }
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    return SplitPath{"", std::string(path)};
  }
  return SplitPath{
      std::string(path.substr(0, slash == 0 ? 1 : slash)),
      std::string(path.substr(slash + 1))};
}

} // namespace holdfast

#pragma once

#include <holdfast/base/pattern.hpp>

#include <cstddef>

namespace holdfast {

namespace detail {

/// Bytes of the UTF-8 character at the front of `text`, which is not empty; a
/// byte that begins none counts as one.
HOLDFAST_INLINE std::size_t character_length(std::string_view text) noexcept {
  std::size_t length = 1;
  const auto is_continuation = [&](std::size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
  };
  if ((static_cast<unsigned char>(text[0]) & 0xC0U) == 0xC0U) {
    while (length < text.size() && length < 4 && is_continuation(length)) {
      ++length;
    }
  }
  return length;
}

/// Whether `pattern` matches. What its wildcards stand for is appended to
/// `taken`, where that is asked for.
///
/// Only the last `*` seen ever has to take more: what stands before it matches
/// as far to the left as it can.
HOLDFAST_INLINE bool match_pattern(
    std::string_view pattern,
    std::string_view name,
    std::string* taken,
    std::string_view to) {
  struct Star {
    std::size_t pattern = 0;
    std::size_t name = 0;
    std::size_t output = 0;
    std::size_t to = 0;
  };
  const std::size_t none = std::string_view::npos;
  Star star;
  bool has_star = false;
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t t = 0;
  const auto literal = [&] { // of `to`, up to its next wildcard
    if (taken != nullptr) {
      const std::size_t end = to.find_first_of("*?", t);
      taken->append(to.substr(t, end == none ? none : end - t));
      t = end == none ? to.size() : end;
    }
  };
  const auto wildcard = [&](std::string_view text) {
    if (taken != nullptr) {
      taken->append(text);
      ++t;
    }
  };
  literal();
  while (n < name.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = Star{++p, n, taken == nullptr ? 0 : taken->size(), t};
      has_star = true;
      wildcard({});
      literal();
    } else if (p < pattern.size() && n < name.size() && pattern[p] == '?') {
      const std::size_t length = character_length(name.substr(n));
      wildcard(name.substr(n, length));
      literal();
      ++p;
      n += length;
    } else if (p < pattern.size() && n < name.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (has_star && star.name < name.size()) {
      const std::size_t length = character_length(name.substr(star.name));
      p = star.pattern;
      t = star.to;
      if (taken != nullptr) {
        taken->resize(star.output);
        taken->append(name.substr(star.name, length));
        star.output = taken->size();
      }
      star.name += length;
      n = star.name;
      wildcard({});
      literal();
    } else {
      return false;
    }
  }
  return true;
}

} // namespace detail

HOLDFAST_INLINE bool is_pattern(std::string_view text) noexcept {
  return !text.empty() &&
      text.find_first_of("[]{}\\") == std::string_view::npos;
}

HOLDFAST_INLINE bool matches_pattern(
    std::string_view pattern,
    std::string_view name) noexcept {
  return detail::match_pattern(pattern, name, nullptr, {});
}

HOLDFAST_INLINE bool same_wildcards(
    std::string_view from,
    std::string_view to) noexcept {
  std::size_t f = from.find_first_of("*?");
  std::size_t t = to.find_first_of("*?");
  while (f != std::string_view::npos && t != std::string_view::npos &&
         from[f] == to[t]) {
    f = from.find_first_of("*?", f + 1);
    t = to.find_first_of("*?", t + 1);
  }
  return f == t && f == std::string_view::npos;
}

HOLDFAST_INLINE std::optional<std::string> renamed_by_pattern(
    std::string_view from,
    std::string_view to,
    std::string_view name) {
  std::string renamed;
  if (!detail::match_pattern(from, name, &renamed, to)) {
    return std::nullopt;
  }
  return renamed;
}

} // namespace holdfast

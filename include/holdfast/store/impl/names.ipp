#pragma once

#include <holdfast/store/names.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/process.hpp>

#include <limits>
#include <optional>

namespace holdfast {

namespace detail {

/// Takes `prefix` off the front of `text`; false if it is not there.
HOLDFAST_INLINE bool take_prefix(
    std::string_view& text,
    std::string_view prefix) noexcept {
  if (text.substr(0, prefix.size()) != prefix) {
    return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes the decimal digits off the front of `text`, `least` to `most` of them.
HOLDFAST_INLINE std::optional<std::uint64_t> take_digits(
    std::string_view& text,
    std::size_t least,
    std::size_t most) noexcept {
  std::size_t count = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') {
    ++count;
  }
  if (count < least || count > most) {
    return std::nullopt;
  }
  const auto number = parse_decimal(text.substr(0, count));
  text.remove_prefix(count);
  return number;
}

HOLDFAST_INLINE std::optional<std::uint64_t> take_sequence(
    std::string_view& text) noexcept {
  return take_digits(text, 6, 15);
}

/// The random suffix of trash and quarantine.
HOLDFAST_INLINE bool is_random_suffix(std::string_view text) noexcept {
  if (text.empty() || text.size() > 32) {
    return false;
  }
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

HOLDFAST_INLINE std::string sequence_text(std::uint64_t sequence) {
  if (sequence > kMaxSequence) {
    ErrorDetails details;
    details.message = "the numbers of this directory are used up";
    details.expected = "at most " + std::to_string(kMaxSequence);
    details.found = std::to_string(sequence);
    throw Error(ErrorCode::limit_exceeded, std::move(details));
  }
  return zero_padded(sequence, 6);
}

HOLDFAST_INLINE std::string name_with_suffix(
    const char* prefix,
    std::uint64_t sequence) {
  return prefix + sequence_text(sequence) + "-" + random_id().substr(0, 12);
}

} // namespace detail

HOLDFAST_INLINE ParsedName parse_name(std::string_view name) noexcept {
  const ParsedName other;
  ParsedName parsed;
  if (name == kLockName) {
    parsed.kind = NameKind::lock;
    return parsed;
  }
  if (name == kLatestName) {
    parsed.kind = NameKind::latest;
    return parsed;
  }
  std::string_view rest = name;
  if (detail::take_prefix(rest, "ckpt-")) {
    parsed.kind = NameKind::checkpoint;
  } else if (detail::take_prefix(rest, "line-")) {
    parsed.kind = NameKind::line;
  } else if (detail::take_prefix(rest, ".staging-")) {
    parsed.kind = NameKind::staging;
  } else if (detail::take_prefix(rest, ".trash-")) {
    parsed.kind = NameKind::trash;
  } else if (detail::take_prefix(rest, ".bad-")) {
    parsed.kind = NameKind::quarantined;
  } else {
    return other;
  }

  const auto sequence = detail::take_sequence(rest);
  if (!sequence || *sequence == 0) {
    return other;
  }
  parsed.sequence = *sequence;

  if (parsed.kind == NameKind::staging) {
    return rest.empty() ? parsed : other;
  }
  if (parsed.kind == NameKind::checkpoint) {
    constexpr auto most =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!detail::take_prefix(rest, "-step-")) {
      return other;
    }
    const auto step = detail::take_digits(rest, 1, 19);
    if (!step || *step > most || !rest.empty()) {
      return other;
    }
    parsed.step = static_cast<std::int64_t>(*step);
    return parsed;
  }
  if (parsed.kind == NameKind::line) {
    if (!detail::take_prefix(rest, "-from-")) {
      return other;
    }
    const auto origin = detail::take_sequence(rest);
    if (!origin || *origin >= parsed.sequence || !rest.empty()) {
      return other;
    }
    parsed.origin = *origin;
    return parsed;
  }
  if (!detail::take_prefix(rest, "-") || !detail::is_random_suffix(rest)) {
    return other;
  }
  return parsed;
}

HOLDFAST_INLINE std::string checkpoint_name(
    std::uint64_t sequence,
    std::int64_t step) {
  if (step < 0) {
    throw_invalid_argument("step", "is negative", std::to_string(step));
  }
  return "ckpt-" + detail::sequence_text(sequence) + "-step-" +
      std::to_string(step);
}

HOLDFAST_INLINE std::string line_name(
    std::uint64_t sequence,
    std::uint64_t origin) {
  return "line-" + detail::sequence_text(sequence) + "-from-" +
      detail::sequence_text(origin);
}

HOLDFAST_INLINE std::string staging_name(std::uint64_t sequence) {
  return ".staging-" + detail::sequence_text(sequence);
}

HOLDFAST_INLINE std::string trash_name(std::uint64_t sequence) {
  return detail::name_with_suffix(".trash-", sequence);
}

HOLDFAST_INLINE std::string quarantine_name(std::uint64_t sequence) {
  return detail::name_with_suffix(".bad-", sequence);
}

} // namespace holdfast

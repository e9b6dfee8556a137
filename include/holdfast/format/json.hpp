#pragma once

#include <holdfast/format/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {

/// Values as JSON. What JSON holds exactly stands as it is: `true`, `-3`
/// (integers up to 2^53), `0.1` (reals always with a point or an exponent, the
/// shortest text that reads back the same), `"text"` (UTF-8), arrays, objects.
/// The rest is an object with one tag:
///
///     {"$real": "7ff0000000000000"}   a double's bits: infinite, NaN
///     {"$integer": "9223372036854775807"}
///     {"$bytes": "AAEC"}  {"$text": "/w=="}   base64; text that is not UTF-8
///
/// A member name that begins with `$` gets one more `$` in front. Independent
/// of the locale.
[[nodiscard]] std::string to_json(const Value& value);

struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 30;
  std::size_t max_depth = 64;
};

/// The inverse of `to_json`. Strict: `malformed_json` for anything that is not
/// one JSON text (RFC 8259) or has a duplicate member name, `limit_exceeded`
/// beyond the limits, `malformed_value` for an unknown or ill-formed tag and
/// for plain numbers that `to_json` would have tagged.
[[nodiscard]] Value from_json(std::string_view text, JsonLimits limits = {});

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/format/impl/json.ipp>
#endif

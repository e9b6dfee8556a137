#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/json_walk.hpp>
#include <holdfast/format/value.hpp>

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
/// of the locale. Members in the order of their names' bytes, no blanks, so
/// equal values give equal texts. `limit_exceeded` beyond a depth of 64;
/// `malformed_value` for a member name that is not UTF-8.
[[nodiscard]] std::string to_json(const Value& value);

/// The inverse of `to_json`. Strict: `malformed_json` for anything that is not
/// one JSON text (RFC 8259) or has a duplicate member name, `limit_exceeded`
/// beyond the limits, `malformed_value` for an unknown or ill-formed tag and
/// for plain numbers that `to_json` would have tagged.
[[nodiscard]] Value from_json(std::string_view text, JsonLimits limits = {});

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/json.ipp>
#endif

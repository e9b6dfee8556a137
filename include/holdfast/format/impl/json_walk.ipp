#pragma once

#include <holdfast/format/json_walk.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/format/impl/shared.hpp>

#include <nlohmann/json.hpp>

#include <charconv>
#include <system_error>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE void throw_json_limit(const char* message, std::size_t limit) {
  ErrorDetails details;
  details.message = message;
  details.expected = "at most " + std::to_string(limit);
  throw Error(ErrorCode::limit_exceeded, std::move(details));
}

[[noreturn]] HOLDFAST_INLINE void throw_json_number(std::string found) {
  ErrorDetails details;
  details.message = "a number that no value holds exactly as written";
  details.found = std::move(found);
  throw Error(ErrorCode::malformed_value, std::move(details));
}

/// nlohmann's events turned into ours. Its integers and doubles wrap or round
/// silently where they do not fit, which is why numbers are looked at again.
struct JsonSaxBridge {
  JsonLimits limits;
  JsonEvents& events;
  std::size_t depth = 0;

  bool null() {
    events.null();
    return true;
  }
  bool boolean(bool value) {
    events.boolean(value);
    return true;
  }
  bool number_integer(std::int64_t value) {
    if (value == 0) {
      throw_json_number("-0"); // the only way a minus leads to zero
    }
    events.negative(value);
    return true;
  }
  bool number_unsigned(std::uint64_t value) {
    events.natural(value);
    return true;
  }
  bool number_float(double, const std::string& raw) {
    // `raw` has the locale's decimal point, and so had the conversion.
    std::string digits = raw;
    bool is_real = false;
    for (char& c : digits) {
      if ((c < '0' || c > '9') && c != '-' && c != '+') {
        is_real = true;
        if (c != 'e' && c != 'E') {
          c = '.';
        }
      }
    }
    double value = 0;
    const char* const end = digits.data() + digits.size();
    const auto result = std::from_chars(digits.data(), end, value);
    if (!is_real || result.ec != std::errc() || result.ptr != end) {
      throw_json_number(digits.substr(0, 64));
    }
    events.real(value);
    return true;
  }
  bool string(std::string& value) {
    events.text(std::move(value));
    return true;
  }
  bool binary(std::vector<std::uint8_t>&) {
    return false; // JSON text has none
  }
  bool start_object(std::size_t) {
    enter();
    events.begin_object();
    return true;
  }
  bool key(std::string& name) {
    events.key(std::move(name));
    return true;
  }
  bool end_object() {
    --depth;
    events.end_object();
    return true;
  }
  bool start_array(std::size_t) {
    enter();
    events.begin_array();
    return true;
  }
  bool end_array() {
    --depth;
    events.end_array();
    return true;
  }
  template <class Exception>
  bool parse_error(
      std::size_t position,
      const std::string&,
      const Exception& error) {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow) {
      throw_json_number("a number beyond the largest double");
    }
    ErrorDetails details;
    details.message = "not a JSON text";
    details.found = "an error at byte " + std::to_string(position);
    throw Error(ErrorCode::malformed_json, std::move(details));
  }

  void enter() {
    if (++depth > limits.max_depth) {
      throw_json_limit("JSON nested too deeply", limits.max_depth);
    }
  }
};

} // namespace detail

HOLDFAST_INLINE void walk_json(
    std::string_view text,
    JsonLimits limits,
    JsonEvents& events) {
  if (text.size() > limits.max_bytes) {
    detail::throw_json_limit("a JSON text of too many bytes", limits.max_bytes);
  }
  // The parser would take a NUL for the end, and skip a byte order mark.
  if (text.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::malformed_json, "not a JSON text: it has a NUL");
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    throw Error(
        ErrorCode::malformed_json,
        "not a JSON text: it begins with a byte order mark");
  }
  detail::JsonSaxBridge bridge{limits, events, 0};
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &bridge)) {
    throw Error(ErrorCode::malformed_json, "not a JSON text");
  }
}

} // namespace holdfast

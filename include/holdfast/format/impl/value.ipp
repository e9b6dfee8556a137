#pragma once

#include <holdfast/format/value.hpp>

#include <holdfast/base/error.hpp>

#include <cstddef>
#include <utility>

namespace holdfast {

namespace detail {

[[noreturn]] HOLDFAST_INLINE void throw_kind_mismatch(
    std::string_view name,
    Value::Kind expected,
    Value::Kind found) {
  ErrorDetails details;
  details.message = "a value of another kind";
  details.name = std::string(name);
  details.expected = to_string(expected);
  details.found = to_string(found);
  throw Error(ErrorCode::type_mismatch, std::move(details));
}

[[noreturn]] HOLDFAST_INLINE void throw_integer_range(
    std::string_view name,
    const std::string& found,
    const std::string& lowest,
    const std::string& highest) {
  ErrorDetails details;
  details.message = "the integer does not fit";
  details.name = std::string(name);
  details.expected = lowest + " to " + highest;
  details.found = found;
  throw Error(ErrorCode::value_out_of_range, std::move(details));
}

} // namespace detail

HOLDFAST_INLINE const char* to_string(Value::Kind kind) noexcept {
  switch (kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::boolean:
      return "boolean";
    case Value::Kind::integer:
      return "integer";
    case Value::Kind::real:
      return "real";
    case Value::Kind::text:
      return "text";
    case Value::Kind::bytes:
      return "bytes";
    case Value::Kind::array:
      return "array";
    case Value::Kind::object:
      return "object";
  }
  return "unknown";
}

HOLDFAST_INLINE Value::Kind Value::kind() const noexcept {
  switch (data_.index()) {
    case 0:
      return Kind::null;
    case 1:
      return Kind::boolean;
    case 2:
    case 3:
      return Kind::integer;
    case 4:
      return Kind::real;
    case 5:
      return Kind::text;
    case 6:
      return Kind::bytes;
    case 7:
      return Kind::array;
    default:
      return Kind::object;
  }
}

HOLDFAST_INLINE const std::string& Value::text(std::string_view name) const {
  if (const auto* text = std::get_if<std::string>(&data_)) {
    return *text;
  }
  detail::throw_kind_mismatch(name, Kind::text, kind());
}

HOLDFAST_INLINE const Bytes& Value::bytes(std::string_view name) const {
  if (const auto* bytes = std::get_if<Bytes>(&data_)) {
    return *bytes;
  }
  detail::throw_kind_mismatch(name, Kind::bytes, kind());
}

HOLDFAST_INLINE const Value::Array& Value::array(std::string_view name) const {
  if (const auto* array = std::get_if<Array>(&data_)) {
    return *array;
  }
  detail::throw_kind_mismatch(name, Kind::array, kind());
}

HOLDFAST_INLINE const Values& Value::object(std::string_view name) const {
  if (const auto* object = std::get_if<Values>(&data_)) {
    return *object;
  }
  detail::throw_kind_mismatch(name, Kind::object, kind());
}

HOLDFAST_INLINE bool Value::as_boolean(std::string_view name) const {
  if (const auto* boolean = std::get_if<bool>(&data_)) {
    return *boolean;
  }
  detail::throw_kind_mismatch(name, Kind::boolean, kind());
}

HOLDFAST_INLINE double Value::as_real(std::string_view name) const {
  if (const auto* real = std::get_if<double>(&data_)) {
    return *real;
  }
  detail::throw_kind_mismatch(name, Kind::real, kind());
}

HOLDFAST_INLINE std::int64_t Value::as_signed(
    std::string_view name,
    std::int64_t lowest,
    std::int64_t highest) const {
  if (const auto* large = std::get_if<std::uint64_t>(&data_)) {
    detail::throw_integer_range(
        name,
        std::to_string(*large),
        std::to_string(lowest),
        std::to_string(highest));
  }
  const auto* integer = std::get_if<std::int64_t>(&data_);
  if (integer == nullptr) {
    detail::throw_kind_mismatch(name, Kind::integer, kind());
  }
  if (*integer < lowest || *integer > highest) {
    detail::throw_integer_range(
        name,
        std::to_string(*integer),
        std::to_string(lowest),
        std::to_string(highest));
  }
  return *integer;
}

HOLDFAST_INLINE std::uint64_t Value::as_unsigned(
    std::string_view name,
    std::uint64_t highest) const {
  if (const auto* large = std::get_if<std::uint64_t>(&data_)) {
    if (*large > highest) {
      detail::throw_integer_range(
          name, std::to_string(*large), "0", std::to_string(highest));
    }
    return *large;
  }
  const auto* integer = std::get_if<std::int64_t>(&data_);
  if (integer == nullptr) {
    detail::throw_kind_mismatch(name, Kind::integer, kind());
  }
  if (*integer < 0 || static_cast<std::uint64_t>(*integer) > highest) {
    detail::throw_integer_range(
        name, std::to_string(*integer), "0", std::to_string(highest));
  }
  return static_cast<std::uint64_t>(*integer);
}

HOLDFAST_INLINE bool operator==(const Value& a, const Value& b) {
  if (a.data_.index() != b.data_.index()) {
    return false;
  }
  if (const auto* real = std::get_if<double>(&a.data_)) {
    return std::memcmp(real, &std::get<double>(b.data_), sizeof(*real)) == 0;
  }
  return a.data_ == b.data_;
}

HOLDFAST_INLINE const Value& at(const Values& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) {
    ErrorDetails details;
    details.message = "there is no value of this name";
    details.name = name;
    throw Error(ErrorCode::name_missing, std::move(details));
  }
  return found->second;
}

} // namespace holdfast

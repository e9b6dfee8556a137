#pragma once

#include <holdfast/format/value.hpp>

#include <holdfast/base/error.hpp>

#include <cstddef>
#include <cstring>
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

HOLDFAST_INLINE Value::Value(Value&& other) noexcept
    : kind_(std::exchange(other.kind_, Kind::null)),
      beyond_int64_(std::exchange(other.beyond_int64_, false)),
      word_(std::exchange(other.word_, 0)),
      content_(std::move(other.content_)) {}

HOLDFAST_INLINE Value& Value::operator=(Value&& other) noexcept {
  Value moved(std::move(other)); // which may be part of what is left here
  kind_ = moved.kind_;
  beyond_int64_ = moved.beyond_int64_;
  word_ = moved.word_;
  content_.swap(moved.content_);
  return *this;
}

HOLDFAST_INLINE Value::Value(double value) : kind_(Kind::real) {
  static_assert(sizeof(value) == sizeof(word_), "a double has 64 bits");
  std::memcpy(&word_, &value, sizeof(word_));
}

HOLDFAST_INLINE Value::Value(std::string text)
    : kind_(Kind::text), content_(new std::string(std::move(text))) {}

HOLDFAST_INLINE Value::Value(Bytes bytes)
    : kind_(Kind::bytes), content_(new Bytes(std::move(bytes))) {}

HOLDFAST_INLINE Value::Value(Array array)
    : kind_(Kind::array), content_(new Array(std::move(array))) {}

HOLDFAST_INLINE Value::Value(Values object)
    : kind_(Kind::object), content_(new Values(std::move(object))) {}

HOLDFAST_INLINE Value::Kind Value::kind() const noexcept {
  return kind_;
}

HOLDFAST_INLINE void Value::require(Kind kind, std::string_view name) const {
  if (kind_ != kind) {
    detail::throw_kind_mismatch(name, kind, kind_);
  }
}

HOLDFAST_INLINE const std::string& Value::text(std::string_view name) const {
  require(Kind::text, name);
  return *static_cast<const std::string*>(content_.get());
}

HOLDFAST_INLINE const Bytes& Value::bytes(std::string_view name) const {
  require(Kind::bytes, name);
  return *static_cast<const Bytes*>(content_.get());
}

HOLDFAST_INLINE const Value::Array& Value::array(std::string_view name) const {
  require(Kind::array, name);
  return *static_cast<const Array*>(content_.get());
}

HOLDFAST_INLINE const Values& Value::object(std::string_view name) const {
  require(Kind::object, name);
  return *static_cast<const Values*>(content_.get());
}

HOLDFAST_INLINE bool Value::as_boolean(std::string_view name) const {
  require(Kind::boolean, name);
  return word_ != 0;
}

HOLDFAST_INLINE double Value::as_real(std::string_view name) const {
  require(Kind::real, name);
  double real = 0;
  std::memcpy(&real, &word_, sizeof(real));
  return real;
}

HOLDFAST_INLINE std::int64_t Value::as_signed(
    std::string_view name,
    std::int64_t lowest,
    std::int64_t highest) const {
  require(Kind::integer, name);
  const auto integer = static_cast<std::int64_t>(word_);
  if (beyond_int64_ || integer < lowest || integer > highest) {
    detail::throw_integer_range(
        name,
        beyond_int64_ ? std::to_string(word_) : std::to_string(integer),
        std::to_string(lowest),
        std::to_string(highest));
  }
  return integer;
}

HOLDFAST_INLINE std::uint64_t Value::as_unsigned(
    std::string_view name,
    std::uint64_t highest) const {
  require(Kind::integer, name);
  const auto integer = static_cast<std::int64_t>(word_);
  const bool is_negative = !beyond_int64_ && integer < 0;
  if (is_negative || word_ > highest) {
    detail::throw_integer_range(
        name,
        is_negative ? std::to_string(integer) : std::to_string(word_),
        "0",
        std::to_string(highest));
  }
  return word_;
}

HOLDFAST_INLINE bool operator==(const Value& a, const Value& b) {
  if (a.kind_ != b.kind_ || a.beyond_int64_ != b.beyond_int64_ ||
      a.word_ != b.word_) {
    return false;
  }
  if (a.content_ == b.content_) {
    return true;
  }
  switch (a.kind_) {
    case Value::Kind::text:
      return a.text() == b.text();
    case Value::Kind::bytes:
      return a.bytes() == b.bytes();
    case Value::Kind::array:
      return a.array() == b.array();
    case Value::Kind::object:
      return a.object() == b.object();
    default:
      return true; // all in the word
  }
}

HOLDFAST_INLINE const Value& at(const Values& values, std::string_view name) {
  const auto found = values.find(std::string(name));
  if (found == values.end()) {
    ErrorDetails details;
    details.message = "there is no value of this name";
    details.name = name;
    throw Error(ErrorCode::name_missing, std::move(details));
  }
  return found->second;
}

} // namespace holdfast

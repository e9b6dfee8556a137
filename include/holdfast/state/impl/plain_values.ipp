#pragma once

#include <holdfast/state/plain_values.hpp>

#include <string>

namespace holdfast::detail {

HOLDFAST_INLINE Error
error_inside(const std::string& place, const Error& error) {
  ErrorDetails details = error.details();
  details.name =
      details.name.empty() || details.name[0] == '[' || details.name[0] == '.'
      ? place + details.name
      : place + "." + details.name;
  return Error(error.code(), std::move(details));
}

HOLDFAST_INLINE void throw_wrong_size(std::size_t expected, std::size_t found) {
  ErrorDetails details;
  details.message = "another number of elements";
  details.expected = std::to_string(expected) + " elements";
  details.found = std::to_string(found) + " elements";
  throw Error(ErrorCode::shape_mismatch, std::move(details));
}

HOLDFAST_INLINE void throw_key_twice() {
  throw Error(ErrorCode::duplicate_name, "a map's key is there twice");
}

} // namespace holdfast::detail

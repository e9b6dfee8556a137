#pragma once

#include <holdfast/base/error.hpp>

#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::string compose_message(
    ErrorCode code,
    const ErrorDetails& d) {
  std::string text;
  if (!d.path.empty()) {
    text += "'" + d.path + "': ";
  }
  if (!d.name.empty()) {
    text += "'" + d.name + "': ";
  }
  text += d.message;
  if (!d.found.empty()) {
    text += (d.message.empty() ? "found " : ": found ") + d.found;
  }
  if (!d.expected.empty()) {
    text += (d.found.empty() ? ": expected " : ", expected ") + d.expected;
  }
  return text + " (" + to_string(code) + ")";
}

} // namespace detail

HOLDFAST_INLINE const char* to_string(ErrorCode code) noexcept {
  switch (code) {
#define HOLDFAST_CASE(name) \
  case ErrorCode::name:     \
    return #name
    HOLDFAST_CASE(invalid_argument);
    HOLDFAST_CASE(not_resumed);
    HOLDFAST_CASE(already_resumed);
    HOLDFAST_CASE(bad_metric);
    HOLDFAST_CASE(unknown_metric);
    HOLDFAST_CASE(epoch_not_ended);
    HOLDFAST_CASE(preempted);
    HOLDFAST_CASE(diverged);
    HOLDFAST_CASE(rolled_back);
    HOLDFAST_CASE(duplicate_name);
    HOLDFAST_CASE(forked);
    HOLDFAST_CASE(not_capturable);
    HOLDFAST_CASE(part_missing);
    HOLDFAST_CASE(part_unexpected);
    HOLDFAST_CASE(type_mismatch);
    HOLDFAST_CASE(name_missing);
    HOLDFAST_CASE(name_unexpected);
    HOLDFAST_CASE(shape_mismatch);
    HOLDFAST_CASE(dtype_mismatch);
    HOLDFAST_CASE(value_out_of_range);
    HOLDFAST_CASE(data_changed);
    HOLDFAST_CASE(not_found);
    HOLDFAST_CASE(already_exists);
    HOLDFAST_CASE(no_space);
    HOLDFAST_CASE(permission_denied);
    HOLDFAST_CASE(read_only);
    HOLDFAST_CASE(not_a_directory);
    HOLDFAST_CASE(cross_device);
    HOLDFAST_CASE(not_supported);
    HOLDFAST_CASE(io_error);
    HOLDFAST_CASE(malformed_json);
    HOLDFAST_CASE(malformed_value);
    HOLDFAST_CASE(malformed_tensors);
    HOLDFAST_CASE(malformed_manifest);
    HOLDFAST_CASE(malformed_compression);
    HOLDFAST_CASE(limit_exceeded);
    HOLDFAST_CASE(unsupported_dtype);
    HOLDFAST_CASE(unsupported_version);
    HOLDFAST_CASE(checksum_mismatch);
    HOLDFAST_CASE(incomplete);
    HOLDFAST_CASE(damaged);
    HOLDFAST_CASE(unstable);
    HOLDFAST_CASE(unreadable);
    HOLDFAST_CASE(foreign);
    HOLDFAST_CASE(other_run);
    HOLDFAST_CASE(no_usable_checkpoint);
    HOLDFAST_CASE(locked);
    HOLDFAST_CASE(lost_lock);
#undef HOLDFAST_CASE
  }
  return "unknown";
}

HOLDFAST_INLINE Error::Error(ErrorCode code, ErrorDetails details)
    : std::runtime_error(detail::compose_message(code, details)),
      code_(code),
      details_(std::move(details)) {}

HOLDFAST_INLINE Error::Error(ErrorCode code, std::string message)
    : Error(code, [&] {
        ErrorDetails details;
        details.message = std::move(message);
        return details;
      }()) {}

HOLDFAST_INLINE Error Error::at(std::string_view path) const {
  if (!details_.path.empty()) {
    return *this;
  }
  ErrorDetails details = details_;
  details.path = std::string(path);
  return Error(code_, std::move(details));
}

HOLDFAST_INLINE void throw_invalid_argument(
    std::string name,
    std::string message,
    std::string found) {
  ErrorDetails details;
  details.name = std::move(name);
  details.message = std::move(message);
  details.found = std::move(found);
  throw Error(ErrorCode::invalid_argument, std::move(details));
}

HOLDFAST_INLINE std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

} // namespace holdfast

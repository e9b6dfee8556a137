#pragma once

#include <holdfast/io/posix_descriptor.hpp>

#include <system_error>
#include <utility>

namespace holdfast::detail {

HOLDFAST_INLINE ErrorCode code_of_system_error(int error) noexcept {
  switch (error) {
    case ENOENT:
      return ErrorCode::not_found;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorCode::already_exists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::no_space;
    case EACCES:
    case EPERM:
      return ErrorCode::permission_denied;
    case EROFS:
      return ErrorCode::read_only;
    case ENOTDIR:
    case ELOOP:
      return ErrorCode::not_a_directory;
    case EXDEV:
      return ErrorCode::cross_device;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOLCK:
      return ErrorCode::not_supported;
    default:
      return ErrorCode::io_error;
  }
}

HOLDFAST_INLINE Error
system_error_of(int error, const char* action, const std::string& path) {
  ErrorDetails details;
  details.message = std::string("cannot ") + action + ": " +
      std::generic_category().message(error);
  details.path = path;
  details.system_error = error;
  return Error(code_of_system_error(error), std::move(details));
}

HOLDFAST_INLINE void throw_system_error(
    int error,
    const char* action,
    const std::string& path) {
  throw system_error_of(error, action, path);
}

HOLDFAST_INLINE int Descriptor::close() noexcept {
  if (!is_open()) {
    return 0;
  }
  const int number = release();
  if (calls_->close(number) == 0 || errno == EINTR) {
    return 0;
  }
  return errno;
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/engine/space_report.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/text.hpp>

#include <cerrno>
#include <limits>
#include <optional>

namespace holdfast {

namespace detail {

/// Fewer than a checkpoint of a few parts needs.
inline constexpr std::uint64_t kFewFiles = 16;

HOLDFAST_INLINE std::optional<SpaceInfo> space_of(Directory& root) noexcept {
  try {
    return root.space();
  } catch (...) {
    return std::nullopt;
  }
}

} // namespace detail

HOLDFAST_INLINE std::string why_no_space(const Error& error, Directory& root) {
  if (error.code() == ErrorCode::read_only) {
    return "the file system has become read-only; the system's log says why";
  }
  if (error.code() != ErrorCode::no_space) {
    return {};
  }
  if (error.system_error() == EDQUOT) {
    return "a quota of the user, the group or the project is used up";
  }
  if (error.system_error() == EFBIG) {
    return "a file may not become that large: the process's RLIMIT_FSIZE, or a "
           "limit of the file system";
  }
  const std::optional<SpaceInfo> space = detail::space_of(root);
  if (!space ||
      space->available_bytes == std::numeric_limits<std::uint64_t>::max()) {
    return {};
  }
  if (space->available_files < detail::kFewFiles) {
    return "the file system has " + format_bytes(space->available_bytes) +
        " free, but room for " + std::to_string(space->available_files) +
        " more files only";
  }
  const std::string free = format_bytes(space->available_bytes) + " are free";
  // Found by our own look beforehand, which says what it needs.
  return error.system_error() == 0 || space->available_bytes == 0 ? free
                                                                  : free +
          "; if that is enough, a quota or a device that is fuller than "
          "its file system knows is behind it";
}

HOLDFAST_INLINE std::string what_will_not_fit(
    std::size_t count,
    std::uint64_t bytes,
    std::uint64_t present,
    Directory& root) {
  const std::optional<SpaceInfo> space = detail::space_of(root);
  if (!space) {
    return {};
  }
  const std::uint64_t needed =
      checked_multiply(count + 1, bytes)
          .value_or(std::numeric_limits<std::uint64_t>::max());
  const std::uint64_t room =
      checked_add(space->available_bytes, present)
          .value_or(std::numeric_limits<std::uint64_t>::max());
  if (needed <= room) {
    return {};
  }
  return "the disk will be full: " + std::to_string(count) +
      " checkpoints of about " + format_bytes(bytes) +
      " are kept, and one more while it is saved; " +
      format_bytes(space->available_bytes) + " are free, " +
      format_bytes(needed - room) + " too little";
}

} // namespace holdfast

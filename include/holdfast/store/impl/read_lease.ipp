#pragma once

#include <holdfast/store/read_lease.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/names.hpp>

#include <utility>
#include <vector>

namespace holdfast {

namespace detail {

[[noreturn]] HOLDFAST_INLINE void throw_no_lease(
    ErrorCode code,
    std::string path,
    std::string message) {
  ErrorDetails details;
  details.path = std::move(path);
  details.message = std::move(message);
  throw Error(code, std::move(details));
}

HOLDFAST_INLINE ReadLease
lease_at(const std::string& path, FileSystem& file_system) {
  const SplitPath split = split_path(path);
  if (parse_name(split.name).kind == NameKind::checkpoint) {
    const std::string parent = split.parent.empty() ? "." : split.parent;
    return ReadLease(*file_system.open_root(parent, Create::no), split.name);
  }
  const auto root = file_system.open_root(path, Create::no);
  const std::vector<CheckpointName> newest_first = scan(*root).search_order();
  if (newest_first.empty()) {
    throw_no_lease(
        ErrorCode::not_found, path, "there is no checkpoint to hold here");
  }
  return ReadLease(*root, newest_first.front().name);
}

} // namespace detail

HOLDFAST_INLINE ReadLease::ReadLease(const std::string& path)
    : ReadLease(path, *default_file_system()) {}

HOLDFAST_INLINE ReadLease::ReadLease(
    const std::string& path,
    FileSystem& file_system)
    : ReadLease(detail::lease_at(path, file_system)) {}

HOLDFAST_INLINE ReadLease::ReadLease(Directory& root, const std::string& name)
    : path_(root.path() + "/" + name),
      manifest_(root.open_directory(name)->open_file(kManifestName)) {
  const bool is_locked = manifest_->try_lock_shared();
  // A removal keeps the lock to itself until the name is gone: if it is still
  // there now, it is there to stay.
  if (!root.exists(name)) {
    detail::throw_no_lease(
        ErrorCode::not_found, path_, "the checkpoint was just removed");
  }
  if (!is_locked && manifest_->is_unlocked()) {
    detail::throw_no_lease(
        ErrorCode::not_supported, path_, "the file system keeps no locks");
  }
  if (!is_locked) {
    detail::throw_no_lease(
        ErrorCode::locked, path_, "the checkpoint is being removed");
  }
}

} // namespace holdfast

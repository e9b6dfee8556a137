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

} // namespace detail

HOLDFAST_INLINE ReadLease
ReadLease::at(const std::string& path, FileSystem& file_system) {
  const SplitPath split = split_path(path);
  if (parse_name(split.name).kind == NameKind::checkpoint) {
    const std::string parent = split.parent.empty() ? "." : split.parent;
    return ReadLease(*file_system.open_root(parent, Create::no), split.name);
  }
  const auto root = file_system.open_root(path, Create::no);
  if (root->exists(kManifestName)) { // a copy, or what LATEST points at
    const std::string target = root->identity();
    ReadLease lease(*root);
    if (file_system.open_root(path, Create::no)->identity() != target) {
      detail::throw_no_lease(
          ErrorCode::not_found,
          path,
          "it was just removed, or leads elsewhere");
    }
    lease.require_lock();
    return lease;
  }
  const std::vector<CheckpointName> newest_first = scan(*root).search_order();
  if (newest_first.empty()) {
    detail::throw_no_lease(
        ErrorCode::not_found, path, "there is no checkpoint to hold here");
  }
  return ReadLease(*root, newest_first.front().name);
}

HOLDFAST_INLINE ReadLease::ReadLease(const std::string& path)
    : ReadLease(path, *default_file_system()) {}

HOLDFAST_INLINE ReadLease::ReadLease(
    const std::string& path,
    FileSystem& file_system)
    : ReadLease(at(path, file_system)) {}

HOLDFAST_INLINE ReadLease::ReadLease(Directory& checkpoint)
    : path_(checkpoint.path()),
      manifest_(checkpoint.open_file(kManifestName)),
      is_locked_(manifest_->try_lock_shared()) {}

HOLDFAST_INLINE ReadLease::ReadLease(Directory& root, const std::string& name)
    : ReadLease(*root.open_directory(name)) {
  path_ = root.path() + "/" + name;
  // A removal keeps the lock to itself until the name is gone: if it is still
  // there now, it is there to stay.
  if (!root.exists(name)) {
    detail::throw_no_lease(
        ErrorCode::not_found, path_, "the checkpoint was just removed");
  }
  require_lock();
}

HOLDFAST_INLINE void ReadLease::require_lock() const {
  if (is_locked_) {
    return;
  }
  if (manifest_->is_unlocked()) {
    detail::throw_no_lease(
        ErrorCode::not_supported, path_, "the file system keeps no locks");
  }
  detail::throw_no_lease(
      ErrorCode::locked, path_, "the checkpoint is being removed");
}

} // namespace holdfast

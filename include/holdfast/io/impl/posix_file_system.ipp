#pragma once

#include <holdfast/io/posix_file_system.hpp>

#include <holdfast/io/posix_directory.hpp>

#include <utility>

namespace holdfast {

namespace detail {

/// The number of an open directory, or -1 and errno. Links are followed: only
/// for the root and what leads to it.
HOLDFAST_INLINE int open_path(
    const PosixCalls& calls,
    int directory,
    const std::string& path) noexcept {
  return uninterrupted([&] {
    return calls.openat(
        directory, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  });
}

/// Opens `path`, and makes it and what is missing above it. A name is durable
/// before anything is made below it, so whoever finds the directory later has
/// only its own name left to sync.
HOLDFAST_INLINE Descriptor
make_path(const PosixCalls& calls, const std::string& path) {
  const int found = open_path(calls, AT_FDCWD, path);
  if (found != -1) {
    return Descriptor(calls, found);
  }
  if (errno != ENOENT) {
    throw_system_error(errno, "open the directory", path);
  }
  const std::size_t last = path.find_last_not_of('/');
  const std::size_t slash =
      last == std::string::npos ? last : path.find_last_of('/', last);
  std::string parent_path = ".";
  std::string name = path.substr(0, last + 1);
  if (slash != std::string::npos) {
    parent_path = slash == 0 ? "/" : path.substr(0, slash);
    name = name.substr(slash + 1);
  }
  const Descriptor parent = make_path(calls, parent_path);
  const int made = uninterrupted(
      [&] { return calls.mkdirat(parent.get(), name.c_str(), 0777); });
  if (made == -1 && errno != EEXIST) {
    throw_system_error(errno, "create the directory", path);
  }
  sync_directory(parent, parent_path);
  const int opened = open_path(calls, parent.get(), name);
  if (opened == -1) {
    throw_system_error(errno, "open the directory", path);
  }
  return Descriptor(calls, opened);
}

/// Syncs the directory that holds an open one: its maker may have been killed
/// before it did. Where it may not be read, somebody else made it.
HOLDFAST_INLINE void sync_parent(
    const Descriptor& directory,
    const std::string& path) {
  const int number = open_path(directory.calls(), directory.get(), "..");
  if (number != -1) {
    sync_directory(Descriptor(directory.calls(), number), path + "/..");
  } else if (errno != EACCES && errno != EPERM) {
    throw_system_error(errno, "open the directory", path + "/..");
  }
}

} // namespace detail

HOLDFAST_INLINE PosixFileSystem::PosixFileSystem()
    : PosixFileSystem(real_posix_calls()) {}

HOLDFAST_INLINE PosixFileSystem::PosixFileSystem(const PosixCalls& calls)
    : calls_(calls) {}

HOLDFAST_INLINE std::shared_ptr<Directory> PosixFileSystem::open_root(
    const std::string& path,
    Create create) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    ErrorDetails details;
    details.message = "not the path of a directory";
    details.found = "'" + path + "'";
    throw Error(ErrorCode::invalid_argument, std::move(details));
  }
  int number = detail::open_path(calls_, AT_FDCWD, path);
  if (number == -1 && (create == Create::no || errno != ENOENT)) {
    detail::throw_system_error(errno, "open the directory", path);
  }
  detail::Descriptor descriptor = number != -1
      ? detail::Descriptor(calls_, number)
      : detail::make_path(calls_, path);
  if (number != -1 && create == Create::yes) {
    detail::sync_parent(descriptor, path);
  }
  return std::shared_ptr<Directory>(
      new detail::PosixDirectory(detail::share(std::move(descriptor)), path));
}

HOLDFAST_INLINE std::shared_ptr<FileSystem> default_file_system() {
  static const std::shared_ptr<FileSystem> file_system(new PosixFileSystem());
  return file_system;
}

} // namespace holdfast

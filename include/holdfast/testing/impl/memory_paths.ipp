#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/testing/impl/memory_disk.ipp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// Paths of a disk in memory, and the trees they lead to.
namespace holdfast::testing::detail {

HOLDFAST_INLINE std::vector<std::string> components_of(
    const std::string& path) {
  std::vector<std::string> components;
  std::string component;
  for (const char c : path + "/") {
    if (c != '/') {
      component += c;
    } else if (!component.empty()) {
      if (component != ".") {
        components.push_back(component);
      }
      component.clear();
    }
  }
  return components;
}

/// Walks `path`, links followed (in the last component too, if `follow`).
/// With `create`, missing directories are made and made durable. 0 if the last
/// component is missing; throws if another one is, or is not a directory.
HOLDFAST_INLINE NodeId
resolve(MemoryDisk& disk, const std::string& path, bool create, bool follow) {
  std::vector<std::string> left = components_of(path);
  std::reverse(left.begin(), left.end());
  std::vector<NodeId> trail{MemoryDisk::kRoot};
  std::size_t links = 0;
  while (!left.empty()) {
    const std::string name = left.back();
    left.pop_back();
    const NodeId here = trail.back();
    if (disk.at(here).kind != FileKind::directory) {
      throw system_error_of(ENOTDIR, "open", path);
    }
    if (name == "..") {
      if (trail.size() > 1) {
        trail.pop_back();
      }
      continue;
    }
    const auto found = disk.at(here).entries.find(name);
    NodeId next = found == disk.at(here).entries.end() ? 0 : found->second;
    if (next == 0 && create) {
      next = disk.add(here, name, FileKind::directory, path);
      disk.sync_directory(here);
    }
    if (next == 0) {
      if (left.empty()) {
        return 0;
      }
      throw system_error_of(ENOENT, "open", path);
    }
    const MemoryNode& node = disk.at(next);
    if (node.kind == FileKind::symlink && (follow || !left.empty())) {
      if (++links > 40) {
        throw system_error_of(ELOOP, "open", path);
      }
      if (!node.target.empty() && node.target.front() == '/') {
        trail.resize(1);
      }
      std::vector<std::string> more = components_of(node.target);
      left.insert(left.end(), more.rbegin(), more.rend());
      continue;
    }
    trail.push_back(next);
  }
  return trail.back();
}

HOLDFAST_INLINE NodeId demand(MemoryDisk& disk, const std::string& path) {
  const NodeId id = resolve(disk, path, false, false);
  if (id == 0) {
    throw system_error_of(ENOENT, "find", path);
  }
  return id;
}

HOLDFAST_INLINE MemoryNode& demand_file(
    MemoryDisk& disk,
    const std::string& path) {
  MemoryNode& node = disk.at(demand(disk, path));
  if (node.kind != FileKind::file) {
    throw Error(ErrorCode::io_error, "not a file").at(path);
  }
  return node;
}

/// The directory that holds the last component of `path`, and that component.
HOLDFAST_INLINE std::pair<NodeId, std::string> parent_of(
    MemoryDisk& disk,
    const std::string& path,
    bool create) {
  std::vector<std::string> components = components_of(path);
  if (components.empty()) {
    throw Error(ErrorCode::invalid_argument, "not a path below the root")
        .at(path);
  }
  const std::string name = components.back();
  components.pop_back();
  std::string directory;
  for (const std::string& component : components) {
    directory += "/" + component;
  }
  const NodeId id = resolve(disk, directory, create, true);
  if (id == 0 || disk.at(id).kind != FileKind::directory) {
    throw system_error_of(ENOENT, "open directory", directory);
  }
  return {id, name};
}

/// Takes a name away, and everything below it, for good.
HOLDFAST_INLINE void unlink_tree(
    MemoryDisk& disk,
    NodeId directory,
    const std::string& name) {
  const NodeId id = disk.at(directory).entries.at(name);
  if (disk.at(id).kind == FileKind::directory) {
    while (!disk.at(id).entries.empty()) {
      // A copy: the entry that holds the name goes.
      const std::string first = disk.at(id).entries.begin()->first;
      unlink_tree(disk, id, first);
    }
    disk.sync_directory(id);
  }
  disk.erase(directory, name);
}

HOLDFAST_INLINE void list_below(
    const MemoryDisk& disk,
    NodeId directory,
    const std::string& prefix,
    std::vector<std::string>& into) {
  for (const auto& [name, id] : disk.at(directory).entries) {
    const FileKind kind = disk.at(id).kind;
    into.push_back(
        prefix + name +
        (kind == FileKind::directory     ? "/"
             : kind == FileKind::symlink ? "@"
                                         : ""));
    if (kind == FileKind::directory) {
      list_below(disk, id, prefix + name + "/", into);
    }
  }
}

HOLDFAST_INLINE void sync_below(MemoryDisk& disk, NodeId id) {
  MemoryNode& node = disk.at(id);
  if (node.kind == FileKind::file) {
    disk.sync_file(id);
  }
  node.durable_entries = node.entries;
  node.pending_names.clear();
  for (const auto& entry : node.entries) {
    sync_below(disk, entry.second);
  }
}

/// The same tree once more, without handles, locks and pending changes.
HOLDFAST_INLINE void link_copies(MemoryDisk& disk, NodeId id) {
  MemoryNode& node = disk.at(id);
  node.links = 1;
  node.handles = 0;
  node.reserved = 0;
  node.exclusive_lock = 0;
  node.shared_locks.clear();
  for (const auto& entry : node.entries) {
    link_copies(disk, entry.second);
  }
}

} // namespace holdfast::testing::detail

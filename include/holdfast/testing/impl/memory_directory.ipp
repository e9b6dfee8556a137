#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/testing/impl/memory_handles.ipp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

/// A directory that is open on a disk in memory.
namespace holdfast::testing::detail {

class MemoryDirectory final : public Directory {
 public:
  MemoryDirectory(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      std::string path)
      : handle_(std::move(disk), node, std::move(path)) {}

  [[nodiscard]] const std::string& path() const noexcept override {
    return handle_.path();
  }

  [[nodiscard]] std::vector<DirectoryEntry> list() override {
    const auto lock = use_living();
    std::vector<std::pair<std::uint64_t, DirectoryEntry>> found;
    for (const auto& [name, id] : handle_.node().entries) {
      DirectoryEntry entry;
      entry.name = name;
      entry.kind = handle_.disk().at(id).kind;
      found.emplace_back(id * 0x9e3779b97f4a7c15ULL, std::move(entry));
    }
    // In no order, so that nobody relies on one.
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
      return a.first < b.first;
    });
    std::vector<DirectoryEntry> entries;
    for (auto& item : found) {
      entries.push_back(std::move(item.second));
    }
    return entries;
  }

  [[nodiscard]] bool exists(const std::string& name) override {
    check_name(name);
    const auto lock = handle_.use();
    return find(name) != 0;
  }

  [[nodiscard]] std::unique_ptr<WritableFile> create_file(
      const std::string& name) override {
    check_name(name);
    const auto lock = use_living();
    refuse_taken(name, "create file");
    const NodeId id =
        handle_.disk().add(handle_.node_id(), name, FileKind::file, at(name));
    return std::make_unique<MemoryWritableFile>(
        handle_.shared_disk(), id, at(name));
  }

  [[nodiscard]] std::unique_ptr<ReadableFile> open_file(
      const std::string& name) override {
    check_name(name);
    const auto lock = handle_.use();
    const NodeId id = demand(name, "open file");
    const MemoryNode& node = handle_.disk().at(id);
    if (node.kind != FileKind::file) {
      throw not_a_file(name);
    }
    if (node.read_error == EACCES || node.read_error == EPERM) {
      throw system_error_of(node.read_error, "open file", at(name));
    }
    return std::make_unique<MemoryReadableFile>(
        handle_.shared_disk(), id, at(name));
  }

  [[nodiscard]] std::unique_ptr<LockFile> open_lock_file(
      const std::string& name) override {
    check_name(name);
    const auto lock = use_living();
    NodeId id = find(name);
    if (id == 0) {
      id =
          handle_.disk().add(handle_.node_id(), name, FileKind::file, at(name));
    }
    const MemoryNode& node = handle_.disk().at(id);
    if (node.kind != FileKind::file) {
      throw not_a_file(name);
    }
    if (node.read_error == EACCES || node.read_error == EPERM) {
      throw system_error_of(node.read_error, "open file", at(name));
    }
    return std::make_unique<MemoryLockFile>(
        handle_.shared_disk(), id, handle_.node_id(), name, at(name));
  }

  void create_directory(const std::string& name) override {
    check_name(name);
    const auto lock = use_living();
    refuse_taken(name, "create directory");
    handle_.disk().add(handle_.node_id(), name, FileKind::directory, at(name));
  }

  [[nodiscard]] std::unique_ptr<Directory> open_directory(
      const std::string& name) override {
    check_name(name);
    const auto lock = handle_.use();
    const NodeId id = demand(name, "open directory");
    if (handle_.disk().at(id).kind != FileKind::directory) {
      throw system_error_of(ENOTDIR, "open directory", at(name));
    }
    return std::make_unique<MemoryDirectory>(
        handle_.shared_disk(), id, at(name));
  }

  void rename(const std::string& from, const std::string& to) override {
    check_name(from);
    check_name(to);
    const auto lock = handle_.use();
    const NodeId id = demand(from, "rename");
    refuse_taken(to, "rename");
    auto& entries = handle_.node().entries;
    entries.erase(from);
    entries[to] = id;
    NameChange change;
    change.kind = NameChange::Kind::rename;
    change.name = to;
    change.from = from;
    change.node = id;
    handle_.disk().record(handle_.node_id(), std::move(change));
  }

  void remove_file(const std::string& name) override {
    check_name(name);
    const auto lock = handle_.use();
    const NodeId id = demand(name, "remove");
    if (handle_.disk().at(id).kind == FileKind::directory) {
      throw system_error_of(EISDIR, "remove", at(name));
    }
    handle_.disk().erase(handle_.node_id(), name);
  }

  void remove_directory(const std::string& name) override {
    check_name(name);
    const auto lock = handle_.use();
    const NodeId id = demand(name, "remove directory");
    const MemoryNode& node = handle_.disk().at(id);
    if (node.kind != FileKind::directory) {
      throw system_error_of(ENOTDIR, "remove directory", at(name));
    }
    if (!node.entries.empty()) {
      throw system_error_of(ENOTEMPTY, "remove directory", at(name));
    }
    handle_.disk().erase(handle_.node_id(), name);
  }

  void point_symlink(const std::string& name, const std::string& target)
      override {
    check_name(name);
    const auto lock = use_living();
    MemoryDisk& disk = handle_.disk();
    const NodeId former = find(name);
    if (former == 0) {
      const NodeId id =
          disk.add(handle_.node_id(), name, FileKind::symlink, at(name));
      disk.at(id).target = target;
      return;
    }
    if (disk.at(former).kind != FileKind::symlink) {
      throw system_error_of(EEXIST, "replace by a link", at(name));
    }
    const NodeId id =
        disk.add(handle_.node_id(), name, FileKind::symlink, at(name));
    disk.at(id).target = target;
    --disk.at(former).links;
    handle_.node().pending_names.back().kind = NameChange::Kind::replace;
  }

  void sync() override {
    const auto lock = handle_.use();
    handle_.disk().sync_directory(handle_.node_id());
  }

  [[nodiscard]] SpaceInfo space() override {
    const auto lock = handle_.use();
    SpaceInfo info;
    info.available_bytes = handle_.disk().available_bytes();
    info.available_files = handle_.disk().available_files();
    return info;
  }

  [[nodiscard]] std::string identity() override {
    const auto lock = handle_.use();
    return "memory:" + std::to_string(handle_.disk().serial) + ":" +
        std::to_string(handle_.node_id());
  }

 private:
  static void check_name(const std::string& name) {
    if (name.empty() || name == "." || name == ".." ||
        name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      throw_invalid_argument(name, "not a name of a file");
    }
    if (name.size() > 255) {
      throw system_error_of(ENAMETOOLONG, "use this name", name);
    }
  }
  [[nodiscard]] std::string at(const std::string& name) const {
    return (handle_.path() == "/" ? "" : handle_.path()) + "/" + name;
  }
  [[nodiscard]] NodeId find(const std::string& name) const {
    const auto& entries = handle_.node().entries;
    const auto found = entries.find(name);
    return found == entries.end() ? 0 : found->second;
  }
  NodeId demand(const std::string& name, const char* what) const {
    const NodeId id = find(name);
    if (id == 0) {
      throw system_error_of(ENOENT, what, at(name));
    }
    return id;
  }
  void refuse_taken(const std::string& name, const char* what) const {
    if (find(name) != 0) {
      throw system_error_of(EEXIST, what, at(name));
    }
  }
  [[nodiscard]] Error not_a_file(const std::string& name) const {
    ErrorDetails details;
    details.message = "not a regular file";
    details.path = at(name);
    return Error(ErrorCode::io_error, std::move(details));
  }
  /// A removed directory has no contents any more, and takes no new ones.
  [[nodiscard]] std::unique_lock<std::mutex> use_living() const {
    auto lock = handle_.use();
    if (handle_.node().links == 0) {
      throw handle_.failure(ENOENT, "use a removed directory");
    }
    return lock;
  }

  MemoryHandle handle_;
};

} // namespace holdfast::testing::detail

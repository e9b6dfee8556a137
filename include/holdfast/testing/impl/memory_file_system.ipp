#pragma once

#include <holdfast/testing/memory_file_system.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/testing/impl/memory_directory.ipp>
#include <holdfast/testing/impl/memory_disk.ipp>
#include <holdfast/testing/impl/memory_paths.ipp>
#include <holdfast/testing/impl/memory_power.ipp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::testing {

HOLDFAST_INLINE MemoryFileSystem::MemoryFileSystem()
    : disk_(std::make_shared<detail::MemoryDisk>()) {}

HOLDFAST_INLINE MemoryFileSystem::MemoryFileSystem(
    std::shared_ptr<detail::MemoryDisk> disk)
    : disk_(std::move(disk)) {}

HOLDFAST_INLINE MemoryFileSystem::~MemoryFileSystem() = default;

HOLDFAST_INLINE std::shared_ptr<Directory> MemoryFileSystem::open_root(
    const std::string& path,
    Create create) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const detail::NodeId id =
      detail::resolve(*disk_, path, create == Create::yes, true);
  if (id == 0) {
    throw detail::system_error_of(ENOENT, "open directory", path);
  }
  if (disk_->at(id).kind != FileKind::directory) {
    throw detail::system_error_of(ENOTDIR, "open directory", path);
  }
  return std::make_shared<detail::MemoryDirectory>(disk_, id, path);
}

HOLDFAST_INLINE void MemoryFileSystem::cut_power(const LossPattern& pattern) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  disk_->cut(pattern);
}

HOLDFAST_INLINE void MemoryFileSystem::sync_all() {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  detail::sync_below(*disk_, detail::MemoryDisk::kRoot);
  disk_->forget_unreachable();
}

HOLDFAST_INLINE std::shared_ptr<MemoryFileSystem> MemoryFileSystem::snapshot()
    const {
  auto copy = std::make_shared<detail::MemoryDisk>();
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  copy->nodes = disk_->nodes;
  copy->next_node = disk_->next_node;
  copy->next_handle = disk_->next_handle;
  copy->next_sequence = disk_->next_sequence;
  copy->capacity_bytes = disk_->capacity_bytes;
  copy->capacity_files = disk_->capacity_files;
  copy->locks_supported = disk_->locks_supported;
  for (auto& [id, node] : copy->nodes) {
    node.handles = 0;
    node.reserved = 0;
    node.exclusive_lock = 0;
    node.shared_locks.clear();
  }
  copy->forget_unreachable();
  return std::shared_ptr<MemoryFileSystem>(
      new MemoryFileSystem(std::move(copy)));
}

HOLDFAST_INLINE std::size_t MemoryFileSystem::pending_operations() const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  std::size_t count = 0;
  for (const auto& [id, node] : disk_->nodes) {
    count += node.pending_names.size() + node.pending_data.size();
  }
  return count;
}

HOLDFAST_INLINE std::vector<std::string> MemoryFileSystem::pending_names()
    const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  std::vector<std::string> texts;
  for (const auto& item : disk_->pending(&detail::MemoryNode::pending_names)) {
    texts.push_back(item.change->describe());
  }
  return texts;
}

HOLDFAST_INLINE std::vector<std::string> MemoryFileSystem::pending_data()
    const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  std::vector<std::string> texts;
  for (const auto& item : disk_->pending(&detail::MemoryNode::pending_data)) {
    texts.push_back(
        "file " + std::to_string(item.node) + ": " +
        std::to_string(item.change->bytes->size()) + " bytes at " +
        std::to_string(item.change->offset));
  }
  return texts;
}

HOLDFAST_INLINE std::vector<std::size_t> MemoryFileSystem::pending_renames()
    const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  std::vector<std::size_t> indices;
  std::size_t index = 0;
  for (const auto& item : disk_->pending(&detail::MemoryNode::pending_names)) {
    if (item.change->kind == detail::NameChange::Kind::rename ||
        item.change->kind == detail::NameChange::Kind::replace) {
      indices.push_back(index);
    }
    ++index;
  }
  return indices;
}

HOLDFAST_INLINE void MemoryFileSystem::set_capacity(
    std::uint64_t bytes,
    std::uint64_t files) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  disk_->capacity_bytes = bytes;
  disk_->capacity_files = files;
}

HOLDFAST_INLINE void MemoryFileSystem::set_locks_supported(bool supported) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  disk_->locks_supported = supported;
}

HOLDFAST_INLINE bool MemoryFileSystem::exists(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  try {
    return detail::resolve(*disk_, path, false, false) != 0;
  } catch (const Error&) {
    return false;
  }
}

HOLDFAST_INLINE Bytes
MemoryFileSystem::read_file(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const detail::MemoryNode& node = detail::demand_file(*disk_, path);
  return node.content ? *node.content : Bytes();
}

HOLDFAST_INLINE std::string MemoryFileSystem::read_text(
    const std::string& path) const {
  const Bytes bytes = read_file(path);
  return std::string(ByteView(bytes).text());
}

HOLDFAST_INLINE std::string MemoryFileSystem::read_link(
    const std::string& path) const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const detail::MemoryNode& node = disk_->at(detail::demand(*disk_, path));
  if (node.kind != FileKind::symlink) {
    throw Error(ErrorCode::io_error, "not a link").at(path);
  }
  return node.target;
}

HOLDFAST_INLINE std::vector<std::string> MemoryFileSystem::list_all(
    const std::string& path) const {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  std::vector<std::string> paths;
  const detail::NodeId id = detail::resolve(*disk_, path, false, true);
  if (id == 0) {
    throw detail::system_error_of(ENOENT, "find", path);
  }
  detail::list_below(*disk_, id, "", paths);
  std::sort(paths.begin(), paths.end());
  return paths;
}

HOLDFAST_INLINE void MemoryFileSystem::write_file(
    const std::string& path,
    ByteView bytes) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const auto [directory, name] = detail::parent_of(*disk_, path, true);
  const auto found = disk_->at(directory).entries.find(name);
  const detail::NodeId id = found != disk_->at(directory).entries.end()
      ? found->second
      : disk_->add(directory, name, FileKind::file, path);
  detail::MemoryNode& node = disk_->at(id);
  if (node.kind != FileKind::file) {
    throw Error(ErrorCode::io_error, "not a file").at(path);
  }
  node.content = std::make_shared<Bytes>(bytes.data, bytes.data + bytes.size);
  disk_->sync_file(id);
  disk_->sync_directory(directory);
}

HOLDFAST_INLINE void MemoryFileSystem::make_directory(const std::string& path) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  (void)detail::resolve(*disk_, path, true, true);
}

HOLDFAST_INLINE void MemoryFileSystem::make_symlink(
    const std::string& path,
    const std::string& target) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const auto [directory, name] = detail::parent_of(*disk_, path, true);
  if (disk_->at(directory).entries.count(name) != 0) {
    throw detail::system_error_of(EEXIST, "make a link", path);
  }
  const detail::NodeId id =
      disk_->add(directory, name, FileKind::symlink, path);
  disk_->at(id).target = target;
  disk_->sync_directory(directory);
}

HOLDFAST_INLINE void MemoryFileSystem::flip_bit(
    const std::string& path,
    std::uint64_t bit) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  detail::MemoryNode& node = detail::demand_file(*disk_, path);
  if (bit / 8 >= node.size()) {
    throw Error(ErrorCode::invalid_argument, "no such bit").at(path);
  }
  Bytes& content = detail::MemoryDisk::writable(node);
  content[static_cast<std::size_t>(bit / 8)] ^= std::byte{1}
      << static_cast<int>(bit % 8);
  disk_->sync_file(detail::demand(*disk_, path));
}

HOLDFAST_INLINE void MemoryFileSystem::truncate(
    const std::string& path,
    std::uint64_t size) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  detail::MemoryNode& node = detail::demand_file(*disk_, path);
  detail::MemoryDisk::writable(node).resize(static_cast<std::size_t>(size));
  disk_->sync_file(detail::demand(*disk_, path));
}

HOLDFAST_INLINE void MemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  (void)detail::demand(*disk_, path);
  const auto [directory, name] = detail::parent_of(*disk_, path, false);
  detail::unlink_tree(*disk_, directory, name);
  disk_->sync_directory(directory);
}

HOLDFAST_INLINE void MemoryFileSystem::move(
    const std::string& from,
    const std::string& to) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const detail::NodeId id = detail::demand(*disk_, from);
  const auto [source, old_name] = detail::parent_of(*disk_, from, false);
  const auto [target, new_name] = detail::parent_of(*disk_, to, true);
  if (disk_->at(target).entries.count(new_name) != 0) {
    detail::unlink_tree(*disk_, target, new_name);
  }
  detail::MemoryNode& left = disk_->at(source);
  left.entries.erase(old_name);
  disk_->at(target).entries[new_name] = id;
  detail::MemoryDisk::sync_name(disk_->at(target), new_name);
  detail::MemoryDisk::sync_name(left, old_name);
  disk_->sync_directory(source);
  disk_->sync_directory(target);
}

HOLDFAST_INLINE void MemoryFileSystem::copy(
    const std::string& from,
    const std::string& to) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  const detail::NodeId id = detail::demand(*disk_, from);
  const auto [directory, name] = detail::parent_of(*disk_, to, true);
  if (disk_->at(directory).entries.count(name) != 0) {
    throw detail::system_error_of(EEXIST, "copy", to);
  }
  const detail::NodeId clone = disk_->clone_tree(id);
  detail::link_copies(*disk_, clone);
  detail::sync_below(*disk_, clone);
  disk_->at(directory).entries[name] = clone;
  detail::MemoryDisk::sync_name(disk_->at(directory), name);
  disk_->sync_directory(directory);
}

HOLDFAST_INLINE void MemoryFileSystem::set_unreadable(
    const std::string& path,
    int system_error) {
  const std::lock_guard<std::mutex> lock(disk_->mutex);
  detail::demand_file(*disk_, path).read_error = system_error;
}

HOLDFAST_INLINE std::vector<LossPattern> all_loss_patterns(
    const MemoryFileSystem& disk,
    std::size_t random,
    std::uint64_t first_seed) {
  using Survivors = LossPattern::Survivors;
  using Sectors = LossPattern::Sectors;
  using RenameTear = LossPattern::RenameTear;

  const std::size_t names = disk.pending_names().size();
  const std::size_t data = disk.pending_data().size();
  std::vector<LossPattern> patterns{LossPattern::all_kept()};
  if (names + data == 0) {
    return patterns;
  }
  const auto add = [&](LossPattern pattern) {
    patterns.push_back(pattern);
    if (data != 0 && pattern.data == Survivors::all) {
      pattern.data = Survivors::none;
      patterns.push_back(pattern);
    }
  };
  if (data != 0) {
    patterns.push_back(LossPattern::data_lost());
    patterns.push_back(LossPattern::data_zeroed());
  }
  if (names != 0) {
    add(LossPattern::names_lost());
  }
  // Of one operation, alone kept and alone lost are all and nothing.
  for (std::size_t i = 0; names > 1 && i < names; ++i) {
    add(LossPattern::only_name_lost(i));
    add(LossPattern::only_name_kept(i));
    if (i > 1 && i + 1 < names) {
      add(LossPattern::first_names_kept(i));
    }
  }
  for (const std::size_t i : disk.pending_renames()) {
    add(LossPattern::rename_torn(RenameTear::absent, i));
    add(LossPattern::rename_torn(RenameTear::both, i));
  }
  for (std::size_t i = 0; data > 1 && i < data; ++i) {
    patterns.push_back(LossPattern::only_data_lost(i));
    patterns.push_back(LossPattern::only_data_kept(i));
  }
  if (data != 0) {
    for (const std::size_t sector : {std::size_t{512}, std::size_t{4096}}) {
      for (const Sectors sectors :
           {Sectors::even,
            Sectors::odd,
            Sectors::first_half,
            Sectors::last_half}) {
        patterns.push_back(LossPattern::data_torn(sectors, sector, true));
        patterns.push_back(LossPattern::data_torn(sectors, sector, false));
      }
    }
  }
  for (std::size_t i = 0; i < random; ++i) {
    patterns.push_back(LossPattern::random(first_seed + i));
  }
  return patterns;
}

} // namespace holdfast::testing

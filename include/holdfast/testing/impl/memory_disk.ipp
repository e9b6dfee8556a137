#pragma once

#include <holdfast/testing/memory_file_system.hpp>

#include <holdfast/base/bytes.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/posix_descriptor.hpp>
#include <holdfast/testing/loss_pattern.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// What a disk in memory holds, and what is pending on it.
namespace holdfast::testing::detail {

using NodeId = std::uint64_t;

using holdfast::detail::system_error_of;

/// A pending change of one directory.
struct NameChange {
  enum class Kind { add, replace, erase, rename };
  std::uint64_t sequence = 0;
  Kind kind = Kind::add;
  std::string name; ///< The new one of a rename.
  std::string from; ///< Only of a rename.
  NodeId node = 0;

  [[nodiscard]] std::string describe() const {
    switch (kind) {
      case Kind::add:
        return "create " + name;
      case Kind::replace:
        return "replace " + name;
      case Kind::erase:
        return "remove " + name;
      case Kind::rename:
        return "rename " + from + " -> " + name;
    }
    return name;
  }
};

/// A pending write to one file.
struct DataChange {
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;
  std::shared_ptr<const Bytes> bytes;

  [[nodiscard]] std::uint64_t end() const {
    return offset + bytes->size();
  }
};

struct MemoryNode {
  FileKind kind = FileKind::file;
  std::size_t links = 0; ///< Names as of now.
  std::size_t handles = 0;

  // A directory.
  std::map<std::string, NodeId> entries;
  std::map<std::string, NodeId> durable_entries;
  std::vector<NameChange> pending_names;

  // A file. Shared with snapshots; null is empty.
  std::shared_ptr<Bytes> content;
  std::shared_ptr<const Bytes> durable_content;
  std::vector<DataChange> pending_data;
  std::uint64_t reserved = 0;
  int read_error = 0;
  std::uint64_t exclusive_lock = 0; ///< The handle that holds it.
  std::set<std::uint64_t> shared_locks;

  // A link.
  std::string target;

  [[nodiscard]] std::uint64_t size() const {
    return content ? content->size() : 0;
  }
};

/// Everything behind a `MemoryFileSystem`, shared with its handles. Members are
/// called with the mutex held.
struct MemoryDisk {
  static constexpr NodeId kRoot = 1;

  mutable std::mutex mutex;
  std::map<NodeId, MemoryNode> nodes;
  NodeId next_node = kRoot + 1;
  std::uint64_t next_handle = 1;
  std::uint64_t next_sequence = 1;
  std::uint64_t power = 1; ///< Changes when it is cut.
  std::uint64_t serial = 0; ///< Tells disks apart.
  std::uint64_t capacity_bytes = MemoryFileSystem::kUnlimited;
  std::uint64_t capacity_files = MemoryFileSystem::kUnlimited;
  bool locks_supported = true;

  MemoryDisk() : serial(next_serial()) {
    MemoryNode root;
    root.kind = FileKind::directory;
    root.links = 1;
    nodes.emplace(kRoot, std::move(root));
  }

  static std::uint64_t next_serial() {
    static std::atomic<std::uint64_t> serials{0};
    return ++serials;
  }

  MemoryNode& at(NodeId id) {
    return nodes.at(id);
  }
  [[nodiscard]] const MemoryNode& at(NodeId id) const {
    return nodes.at(id);
  }

  // Space.

  [[nodiscard]] static bool occupies(const MemoryNode& node) {
    return node.links != 0 || node.handles != 0;
  }
  [[nodiscard]] std::uint64_t available_bytes() const {
    if (capacity_bytes == MemoryFileSystem::kUnlimited) {
      return capacity_bytes;
    }
    std::uint64_t used = 0;
    for (const auto& [id, node] : nodes) {
      if (occupies(node)) {
        used += std::max(node.size(), node.reserved);
      }
    }
    return capacity_bytes > used ? capacity_bytes - used : 0;
  }
  [[nodiscard]] std::uint64_t available_files() const {
    if (capacity_files == MemoryFileSystem::kUnlimited) {
      return capacity_files;
    }
    std::uint64_t used = 0;
    for (const auto& [id, node] : nodes) {
      used += id != kRoot && occupies(node) ? 1 : 0;
    }
    return capacity_files > used ? capacity_files - used : 0;
  }

  // Names.

  void record(NodeId directory, NameChange change) {
    change.sequence = next_sequence++;
    at(directory).pending_names.push_back(std::move(change));
  }

  NodeId add(
      NodeId directory,
      const std::string& name,
      FileKind kind,
      const std::string& path) {
    if (available_files() == 0) {
      throw system_error_of(ENOSPC, "create", path);
    }
    const NodeId id = next_node++;
    MemoryNode node;
    node.kind = kind;
    node.links = 1;
    nodes.emplace(id, std::move(node));
    at(directory).entries[name] = id;
    NameChange change;
    change.name = name;
    change.node = id;
    record(directory, std::move(change));
    return id;
  }

  void erase(NodeId directory, const std::string& name) {
    MemoryNode& parent = at(directory);
    const NodeId id = parent.entries.at(name);
    parent.entries.erase(name);
    --at(id).links;
    NameChange change;
    change.kind = NameChange::Kind::erase;
    change.name = name;
    change.node = id;
    record(directory, std::move(change));
  }

  /// Makes one name of a directory durable: what it is now, or that it is gone.
  static void sync_name(MemoryNode& directory, const std::string& name) {
    const auto found = directory.entries.find(name);
    if (found == directory.entries.end()) {
      directory.durable_entries.erase(name);
    } else {
      directory.durable_entries[name] = found->second;
    }
  }

  /// Costs what is pending, not what is there: directories may be large.
  void sync_directory(NodeId directory) {
    MemoryNode& node = at(directory);
    bool removed = false;
    for (const NameChange& change : node.pending_names) {
      removed = removed || change.kind != NameChange::Kind::add;
      sync_name(node, change.name);
      if (change.kind == NameChange::Kind::rename) {
        sync_name(node, change.from);
      }
    }
    node.pending_names.clear();
    if (removed) {
      forget_unreachable();
    }
  }

  /// Drops what no name leads to, neither now nor after any loss.
  void forget_unreachable() {
    std::set<NodeId> reached;
    std::vector<NodeId> open{kRoot};
    for (const auto& [id, node] : nodes) {
      if (node.handles != 0) {
        open.push_back(id);
      }
    }
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      if (!reached.insert(id).second) {
        continue;
      }
      const MemoryNode& node = at(id);
      for (const auto& entry : node.entries) {
        open.push_back(entry.second);
      }
      for (const auto& entry : node.durable_entries) {
        open.push_back(entry.second);
      }
      for (const NameChange& change : node.pending_names) {
        open.push_back(change.node);
      }
    }
    for (auto it = nodes.begin(); it != nodes.end();) {
      it = reached.count(it->first) != 0 ? std::next(it) : nodes.erase(it);
    }
  }

  // Bytes.

  static Bytes& writable(MemoryNode& node) {
    if (!node.content) {
      node.content = std::make_shared<Bytes>();
    } else if (node.content.use_count() > 1) {
      node.content = std::make_shared<Bytes>(*node.content);
    }
    return *node.content;
  }

  /// Writes what fits; false if that was not all.
  bool write(NodeId id, std::uint64_t offset, ByteView bytes) {
    MemoryNode& node = at(id);
    const std::uint64_t room = std::max(node.size(), node.reserved);
    std::size_t count = bytes.size;
    const std::uint64_t free = available_bytes();
    if (offset + count > room && offset + count - room > free) {
      const std::uint64_t end = room + free;
      count = end > offset ? static_cast<std::size_t>(end - offset) : 0;
    }
    if (count != 0) {
      const std::byte* const last = bytes.data + count;
      DataChange change;
      change.sequence = next_sequence++;
      change.offset = offset;
      change.bytes = std::make_shared<const Bytes>(bytes.data, last);
      Bytes& content = writable(node);
      const auto at_offset = static_cast<std::size_t>(offset);
      if (at_offset == content.size()) {
        content.insert(content.end(), bytes.data, last);
      } else {
        content.resize(std::max(content.size(), at_offset + count));
        std::copy(
            bytes.data,
            last,
            content.begin() + static_cast<std::ptrdiff_t>(at_offset));
      }
      node.pending_data.push_back(std::move(change));
    }
    return count == bytes.size;
  }

  void sync_file(NodeId id) {
    MemoryNode& node = at(id);
    node.durable_content = node.content;
    node.pending_data.clear();
  }

  // Power.

  template <class Change>
  struct Pending {
    NodeId node = 0;
    const Change* change = nullptr;
  };

  template <class Change>
  [[nodiscard]] std::vector<Pending<Change>> pending(
      std::vector<Change> MemoryNode::*list) const {
    std::vector<Pending<Change>> all;
    for (const auto& [id, node] : nodes) {
      for (const Change& change : node.*list) {
        all.push_back({id, &change});
      }
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.change->sequence < b.change->sequence;
    });
    return all;
  }

  void cut(const LossPattern& pattern);
  NodeId clone_tree(NodeId id);
  void link_from(NodeId directory, std::set<NodeId>& reached);
};

HOLDFAST_INLINE NodeId MemoryDisk::clone_tree(NodeId id) {
  MemoryNode copy = at(id);
  for (auto& entry : copy.entries) {
    entry.second = clone_tree(entry.second);
  }
  copy.durable_entries = copy.entries;
  copy.links = 0;
  const NodeId clone = next_node++;
  nodes.emplace(clone, std::move(copy));
  return clone;
}

} // namespace holdfast::testing::detail

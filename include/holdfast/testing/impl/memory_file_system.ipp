#pragma once

#include <holdfast/testing/memory_file_system.hpp>

#include <holdfast/io/posix_descriptor.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace holdfast::testing {

namespace detail {

using NodeId = std::uint64_t;

using holdfast::detail::system_error_of;

/// What every call says after a power cut.
HOLDFAST_INLINE ErrorDetails no_power(std::string path) {
  ErrorDetails details;
  details.message = "the power was cut";
  details.path = std::move(path);
  details.system_error = EIO;
  return details;
}

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

  void sync_directory(NodeId directory) {
    MemoryNode& node = at(directory);
    const bool removed = std::any_of(
        node.pending_names.begin(),
        node.pending_names.end(),
        [](const NameChange& change) {
          return change.kind != NameChange::Kind::add;
        });
    node.durable_entries = node.entries;
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

/// splitmix64: the same numbers everywhere, good from the first draw on.
struct LossRandom {
  std::uint64_t state = 0;

  LossRandom(std::uint64_t seed, std::uint64_t stream)
      : state(seed * 0x9e3779b97f4a7c15ULL + stream) {
    (void)next();
    state ^= stream * 0xd1b54a32d192ed03ULL;
  }
  std::uint64_t next() {
    state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t limit) {
    return next() % limit;
  }
};

enum class NameFate { kept, lost, absent, both };

HOLDFAST_INLINE bool survives(
    LossPattern::Survivors survivors,
    std::size_t chosen,
    std::size_t index) {
  switch (survivors) {
    case LossPattern::Survivors::all:
      return true;
    case LossPattern::Survivors::none:
      return false;
    case LossPattern::Survivors::all_but_one:
      return index != chosen;
    case LossPattern::Survivors::only_one:
      return index == chosen;
    case LossPattern::Survivors::first:
      return index < chosen;
  }
  return true;
}

/// Some disks were nearly done, some had hardly begun: three keep rates.
HOLDFAST_INLINE bool random_survives(std::uint64_t seed, LossRandom& random) {
  const std::uint64_t rate = seed % 3 == 0 ? 50 : (seed % 3 == 1 ? 85 : 15);
  return random.below(100) < rate;
}

HOLDFAST_INLINE NameFate fate_of(
    const LossPattern& pattern,
    const NameChange& change,
    std::size_t index) {
  const bool tears = change.kind == NameChange::Kind::rename ||
      change.kind == NameChange::Kind::replace;
  if (pattern.seed) {
    LossRandom random(*pattern.seed, 2 * index);
    if (tears && random.below(4) == 0) {
      return random.below(2) == 0 ? NameFate::absent : NameFate::both;
    }
    return random_survives(*pattern.seed, random) ? NameFate::kept
                                                  : NameFate::lost;
  }
  if (!survives(pattern.names, pattern.name_index, index)) {
    return NameFate::lost;
  }
  if (!tears || pattern.rename_tear == LossPattern::RenameTear::whole ||
      (pattern.torn_rename != LossPattern::kEvery &&
       pattern.torn_rename != index)) {
    return NameFate::kept;
  }
  return pattern.rename_tear == LossPattern::RenameTear::absent
      ? NameFate::absent
      : NameFate::both;
}

/// What is left of one write: which sectors, and how far it moved the size.
class DataFate {
 public:
  DataFate(
      const LossPattern& pattern,
      const DataChange& change,
      std::size_t index)
      : offset_(change.offset), end_(change.end()) {
    sector_bytes_ = std::max<std::uint64_t>(pattern.sector_bytes, 1);
    size_survives_ = pattern.size_survives;
    if (pattern.seed) {
      LossRandom random(*pattern.seed, 2 * index + 1);
      if (random.below(3) == 0) {
        scatter_ = random.next() | 1;
        sector_bytes_ = random.below(2) == 0 ? 512 : 4096;
        size_survives_ = random.below(2) == 0;
      } else if (!random_survives(*pattern.seed, random)) {
        lost_ = true;
      }
    } else {
      lost_ = !survives(pattern.data, pattern.data_index, index);
      sectors_ = pattern.sectors;
    }
  }

  [[nodiscard]] bool whole() const {
    return !lost_ && scatter_ == 0 && sectors_ == LossPattern::Sectors::all;
  }
  [[nodiscard]] bool lost() const {
    return lost_;
  }
  [[nodiscard]] bool size_survives() const {
    return size_survives_;
  }
  /// Whether the bytes at this position of the file reach the disk.
  [[nodiscard]] bool keeps(std::uint64_t position) const {
    if (lost_) {
      return false;
    }
    const std::uint64_t sector = position / sector_bytes_;
    if (scatter_ != 0) {
      return LossRandom(scatter_, sector).below(2) == 0;
    }
    const std::uint64_t first = offset_ / sector_bytes_;
    const std::uint64_t last = (end_ - 1) / sector_bytes_ + 1;
    switch (sectors_) {
      case LossPattern::Sectors::all:
        return true;
      case LossPattern::Sectors::none:
        return false;
      case LossPattern::Sectors::even:
        return sector % 2 == 0;
      case LossPattern::Sectors::odd:
        return sector % 2 == 1;
      case LossPattern::Sectors::first_half:
        return sector < (first + last) / 2;
      case LossPattern::Sectors::last_half:
        return sector >= (first + last) / 2;
    }
    return true;
  }

 private:
  std::uint64_t offset_;
  std::uint64_t end_;
  bool lost_ = false;
  bool size_survives_ = true;
  LossPattern::Sectors sectors_ = LossPattern::Sectors::all;
  std::uint64_t sector_bytes_ = 512;
  std::uint64_t scatter_ = 0;
};

/// The bytes of a file after a loss. A sector of 512 bytes is written as a
/// whole, from what the cache held: it comes out as it was after one of the
/// writes to it, the earlier ones included.
HOLDFAST_INLINE std::shared_ptr<Bytes> surviving_content(
    const MemoryNode& node,
    const std::vector<DataFate>& fates) {
  constexpr std::uint64_t kAtom = 512;
  const auto whole = [](const DataFate& fate) {
    return fate.whole();
  };
  if (std::all_of(fates.begin(), fates.end(), whole)) {
    return node.content;
  }
  auto content = node.durable_content
      ? std::make_shared<Bytes>(*node.durable_content)
      : std::make_shared<Bytes>();
  std::uint64_t size = content->size();
  std::uint64_t end = size;
  for (const DataChange& change : node.pending_data) {
    end = std::max(end, change.end());
  }
  // Per atom the number of writes that are in it; and the size.
  std::vector<std::size_t> versions(
      static_cast<std::size_t>((end + kAtom - 1) / kAtom));
  for (std::size_t i = 0; i < fates.size(); ++i) {
    const DataChange& change = node.pending_data[i];
    if (fates[i].lost()) {
      continue;
    }
    for (std::uint64_t atom = change.offset / kAtom;
         atom * kAtom < change.end();
         ++atom) {
      if (fates[i].keeps(atom * kAtom)) {
        versions[static_cast<std::size_t>(atom)] = i + 1;
        size = std::max(size, std::min((atom + 1) * kAtom, change.end()));
      }
    }
    if (fates[i].size_survives()) {
      size = std::max(size, change.end());
    }
  }
  content->resize(static_cast<std::size_t>(end));
  for (std::size_t i = 0; i < fates.size(); ++i) {
    const DataChange& change = node.pending_data[i];
    for (std::uint64_t atom = change.offset / kAtom;
         atom * kAtom < change.end();
         ++atom) {
      if (versions[static_cast<std::size_t>(atom)] <= i) {
        continue;
      }
      const std::uint64_t first = std::max(change.offset, atom * kAtom);
      const std::uint64_t last = std::min(change.end(), (atom + 1) * kAtom);
      std::memcpy(
          content->data() + first,
          change.bytes->data() + (first - change.offset),
          static_cast<std::size_t>(last - first));
    }
  }
  content->resize(static_cast<std::size_t>(size));
  return content;
}

/// A directory after a loss.
HOLDFAST_INLINE std::map<std::string, NodeId> surviving_entries(
    const MemoryNode& node,
    const std::vector<NameFate>& fates) {
  std::map<std::string, NodeId> entries = node.durable_entries;
  for (std::size_t i = 0; i < fates.size(); ++i) {
    const NameChange& change = node.pending_names[i];
    if (fates[i] == NameFate::lost) {
      continue;
    }
    const auto erase_if_same = [&](const std::string& name) {
      const auto found = entries.find(name);
      const bool same = found != entries.end() && found->second == change.node;
      if (same) {
        entries.erase(found);
      }
      return same;
    };
    switch (change.kind) {
      case NameChange::Kind::add:
        entries[change.name] = change.node;
        break;
      case NameChange::Kind::replace:
        // Torn: neither the old link nor the new one.
        if (fates[i] == NameFate::absent) {
          entries.erase(change.name);
        } else {
          entries[change.name] = change.node;
        }
        break;
      case NameChange::Kind::erase:
        (void)erase_if_same(change.name);
        break;
      case NameChange::Kind::rename:
        // A former rename of the same file may be lost: it has moved on.
        if (fates[i] != NameFate::both && !erase_if_same(change.from)) {
          for (auto it = entries.begin(); it != entries.end();) {
            it = it->second == change.node ? entries.erase(it) : std::next(it);
          }
        }
        if (fates[i] != NameFate::absent) {
          entries[change.name] = change.node;
        }
        break;
    }
  }
  return entries;
}

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

/// Counts the names below `directory`, and gives a directory that has two of
/// them (a torn rename) a tree for each.
HOLDFAST_INLINE void MemoryDisk::link_from(
    NodeId directory,
    std::set<NodeId>& reached) {
  for (auto& entry : at(directory).entries) {
    if (at(entry.second).kind == FileKind::directory &&
        !reached.insert(entry.second).second) {
      entry.second = clone_tree(entry.second);
      reached.insert(entry.second);
    }
    MemoryNode& child = at(entry.second);
    ++child.links;
    if (child.kind == FileKind::directory) {
      link_from(entry.second, reached);
    }
  }
}

HOLDFAST_INLINE void MemoryDisk::cut(const LossPattern& pattern) {
  std::map<NodeId, std::vector<NameFate>> names;
  std::size_t index = 0;
  for (const auto& item : pending(&MemoryNode::pending_names)) {
    names[item.node].push_back(fate_of(pattern, *item.change, index++));
  }
  std::map<NodeId, std::vector<DataFate>> data;
  index = 0;
  for (const auto& item : pending(&MemoryNode::pending_data)) {
    data[item.node].emplace_back(pattern, *item.change, index++);
  }
  for (auto& [id, node] : nodes) {
    node.entries = surviving_entries(node, names[id]);
    node.pending_names.clear();
    node.content = surviving_content(node, data[id]);
    node.pending_data.clear();
    node.durable_content = node.content;
    node.reserved = 0;
    node.links = 0;
    node.handles = 0;
    node.exclusive_lock = 0;
    node.shared_locks.clear();
  }
  std::set<NodeId> reached{kRoot};
  at(kRoot).links = 1;
  link_from(kRoot, reached);
  for (auto& [id, node] : nodes) {
    node.durable_entries = node.entries;
  }
  forget_unreachable();
  ++power;
}

// Handles.

/// What every handle has: its disk, the power it lives on, and its node.
/// Made with the disk's mutex held.
class MemoryHandle {
 public:
  MemoryHandle(std::shared_ptr<MemoryDisk> disk, NodeId node, std::string path)
      : disk_(std::move(disk)),
        power_(disk_->power),
        node_(node),
        id_(disk_->next_handle++),
        path_(std::move(path)) {
    ++disk_->at(node_).handles;
  }
  ~MemoryHandle() {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    if (disk_->power == power_) {
      release_locks();
      MemoryNode& node = disk_->at(node_);
      if (--node.handles == 0) {
        node.reserved = 0;
      }
    }
  }
  MemoryHandle(const MemoryHandle&) = delete;
  MemoryHandle& operator=(const MemoryHandle&) = delete;

  /// The mutex, if there still is power.
  [[nodiscard]] std::unique_lock<std::mutex> use() const {
    std::unique_lock<std::mutex> lock(disk_->mutex);
    if (disk_->power != power_) {
      throw Error(ErrorCode::io_error, no_power(path_));
    }
    return lock;
  }
  void release_locks() {
    MemoryNode& node = disk_->at(node_);
    if (node.exclusive_lock == id_) {
      node.exclusive_lock = 0;
    }
    node.shared_locks.erase(id_);
  }

  [[nodiscard]] MemoryNode& node() const {
    return disk_->at(node_);
  }
  [[nodiscard]] MemoryDisk& disk() const {
    return *disk_;
  }
  [[nodiscard]] const std::shared_ptr<MemoryDisk>& shared_disk() const {
    return disk_;
  }
  [[nodiscard]] NodeId node_id() const {
    return node_;
  }
  [[nodiscard]] std::uint64_t id() const {
    return id_;
  }
  [[nodiscard]] const std::string& path() const noexcept {
    return path_;
  }
  [[nodiscard]] bool has_power() const {
    return disk_->power == power_;
  }
  [[nodiscard]] Error failure(int system_error, const char* what) const {
    return system_error_of(system_error, what, path_);
  }

 private:
  std::shared_ptr<MemoryDisk> disk_;
  std::uint64_t power_;
  NodeId node_;
  std::uint64_t id_;
  std::string path_;
};

class MemoryWritableFile final : public WritableFile {
 public:
  MemoryWritableFile(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      std::string path)
      : handle_(std::move(disk), node, std::move(path)) {}

  void write(ByteView bytes) override {
    const auto lock = use();
    if (!handle_.disk().write(handle_.node_id(), written_, bytes)) {
      written_ = handle_.node().size();
      throw handle_.failure(ENOSPC, "write");
    }
    written_ += bytes.size;
  }
  void reserve(std::uint64_t bytes) override {
    const auto lock = use();
    MemoryNode& node = handle_.node();
    const std::uint64_t room = std::max(node.size(), node.reserved);
    if (bytes > room && bytes - room > handle_.disk().available_bytes()) {
      throw handle_.failure(ENOSPC, "reserve space");
    }
    node.reserved = std::max(node.reserved, bytes);
  }
  void sync() override {
    const auto lock = use();
    handle_.disk().sync_file(handle_.node_id());
  }
  void close() override {
    const auto lock = use();
    closed_ = true;
    handle_.node().reserved = 0;
  }

 private:
  [[nodiscard]] std::unique_lock<std::mutex> use() const {
    auto lock = handle_.use();
    if (closed_) {
      throw Error(ErrorCode::invalid_argument, "the file is closed")
          .at(handle_.path());
    }
    return lock;
  }

  MemoryHandle handle_;
  std::uint64_t written_ = 0;
  bool closed_ = false;
};

class MemoryReadableFile final : public ReadableFile {
 public:
  MemoryReadableFile(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      std::string path)
      : handle_(std::move(disk), node, std::move(path)) {}

  [[nodiscard]] std::uint64_t size() const override {
    const auto lock = handle_.use();
    return handle_.node().size();
  }
  [[nodiscard]] std::size_t read_at(
      std::uint64_t offset,
      std::byte* into,
      std::size_t count) override {
    const auto lock = handle_.use();
    const MemoryNode& node = handle_.node();
    if (node.read_error != 0) {
      throw handle_.failure(node.read_error, "read");
    }
    if (offset >= node.size()) {
      return 0;
    }
    count = static_cast<std::size_t>(
        std::min<std::uint64_t>(count, node.size() - offset));
    if (count != 0) {
      std::memcpy(into, node.content->data() + offset, count);
    }
    return count;
  }
  void drop_cache() noexcept override {}
  [[nodiscard]] bool try_lock_shared() override {
    const auto lock = handle_.use();
    MemoryNode& node = handle_.node();
    if (!handle_.disk().locks_supported || node.exclusive_lock != 0) {
      return false;
    }
    node.shared_locks.insert(handle_.id());
    return true;
  }
  [[nodiscard]] bool is_unlocked() override {
    const auto lock = handle_.use();
    const MemoryNode& node = handle_.node();
    return !handle_.disk().locks_supported ||
        (node.exclusive_lock == 0 &&
         node.shared_locks.size() == node.shared_locks.count(handle_.id()));
  }

 private:
  MemoryHandle handle_;
};

class MemoryLockFile final : public LockFile {
 public:
  MemoryLockFile(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      NodeId directory,
      std::string name,
      std::string path)
      : handle_(disk, node, std::move(path)),
        directory_(std::move(disk), directory, handle_.path()),
        name_(std::move(name)) {}

  [[nodiscard]] LockResult try_lock() override {
    const auto lock = handle_.use();
    MemoryNode& node = handle_.node();
    if (!handle_.disk().locks_supported) {
      return LockResult::not_supported;
    }
    if (node.exclusive_lock == handle_.id()) {
      return LockResult::acquired;
    }
    if (node.exclusive_lock != 0 || !node.shared_locks.empty()) {
      return LockResult::held_by_other;
    }
    node.exclusive_lock = handle_.id();
    return LockResult::acquired;
  }
  void unlock() noexcept override {
    const std::lock_guard<std::mutex> lock(handle_.disk().mutex);
    if (handle_.has_power()) {
      handle_.release_locks();
    }
  }
  [[nodiscard]] std::string read(std::size_t count) override {
    const auto lock = handle_.use();
    const MemoryNode& node = handle_.node();
    if (node.read_error != 0) {
      throw handle_.failure(node.read_error, "read");
    }
    count =
        static_cast<std::size_t>(std::min<std::uint64_t>(count, node.size()));
    return count == 0
        ? std::string()
        : std::string(
              reinterpret_cast<const char*>(node.content->data()), count);
  }
  void write_at(std::uint64_t offset, std::string_view text) override {
    const auto lock = handle_.use();
    if (!handle_.disk().write(handle_.node_id(), offset, ByteView(text))) {
      throw handle_.failure(ENOSPC, "write");
    }
  }
  void sync() override {
    const auto lock = handle_.use();
    handle_.disk().sync_file(handle_.node_id());
  }
  [[nodiscard]] bool is_still_named() override {
    const auto lock = handle_.use();
    const auto& entries = directory_.node().entries;
    const auto found = entries.find(name_);
    return found != entries.end() && found->second == handle_.node_id();
  }

 private:
  MemoryHandle handle_;
  MemoryHandle directory_;
  std::string name_;
};

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

// Paths, for open_root and the helpers.

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

} // namespace detail

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
  disk_->at(source).entries.erase(old_name);
  disk_->at(target).entries[new_name] = id;
  disk_->at(target).durable_entries[new_name] = id;
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

#pragma once

#include <holdfast/testing/impl/memory_disk.ipp>
#include <holdfast/testing/loss_pattern.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

/// What a power cut leaves of the pending changes.
namespace holdfast::testing::detail {

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

} // namespace holdfast::testing::detail

#pragma once

#include <holdfast/engine/history.hpp>

#include <holdfast/format/manifest.hpp>
#include <holdfast/io/file_system.hpp>

#include <utility>

namespace holdfast {

HOLDFAST_INLINE void History::refresh() {
  std::map<std::uint64_t, Known> current;
  const Catalog catalog = scan(root_);
  line_origins_.clear();
  for (const LineName& line : catalog.lines) {
    line_origins_.insert(line.origin);
  }
  for (const CheckpointName& name : catalog.search_order()) {
    if (excluded_.count(name.sequence) != 0) {
      continue;
    }
    const auto known = manifests_.find(name.sequence);
    if (known != manifests_.end() && known->second.info.name == name.name) {
      current.emplace(name.sequence, std::move(known->second));
      continue;
    }
    try {
      const auto directory = root_.open_directory(name.name);
      const Manifest manifest = parse_manifest(
          read_file(*directory, kManifestName, kMaxManifestBytes));
      if (manifest.sequence == name.sequence && manifest.step == name.step) {
        current.emplace(
            name.sequence,
            Known{
                describe(root_.path(), name.name, manifest),
                manifest.run_id == run_id_});
      }
    } catch (const Error&) { // not something that can be counted on
    }
  }
  manifests_ = std::move(current);
}

HOLDFAST_INLINE std::vector<CheckpointInfo> History::list() {
  refresh();
  std::vector<CheckpointInfo> infos;
  for (const auto& entry : manifests_) {
    if (entry.second.ours) {
      infos.push_back(entry.second.info);
    }
  }
  return infos;
}

HOLDFAST_INLINE std::vector<RetentionEntry> History::entries() {
  std::vector<RetentionEntry> entries;
  for (const CheckpointInfo& info : list()) {
    RetentionEntry entry;
    entry.sequence = info.sequence;
    entry.step = info.step;
    entry.wall_time = info.wall_time;
    entry.metrics = info.metrics;
    entry.bytes = info.bytes;
    entry.valid = valid_.count(info.sequence) != 0;
    entry.resumed_from = resumed_from_ == info.sequence;
    entry.line_origin = line_origins_.count(info.sequence) != 0;
    entries.push_back(std::move(entry));
  }
  return entries;
}

HOLDFAST_INLINE std::optional<CheckpointInfo> History::best(
    const std::string& metric,
    Best best) {
  std::optional<CheckpointInfo> winner;
  std::optional<double> value;
  for (const CheckpointInfo& info : list()) {
    const auto found = info.metrics.values().find(metric);
    if (found != info.metrics.values().end() &&
        is_better(best, found->second, value)) {
      value = found->second;
      winner = info;
    }
  }
  return winner;
}

} // namespace holdfast

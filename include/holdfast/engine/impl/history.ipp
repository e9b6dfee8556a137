#pragma once

#include <holdfast/engine/history.hpp>

#include <holdfast/format/manifest.hpp>
#include <holdfast/io/file_system.hpp>

#include <utility>

namespace holdfast {

HOLDFAST_INLINE void History::refresh() {
  std::vector<Known> current;
  const Catalog catalog = scan(root_);
  line_origins_.clear();
  for (const LineName& line : catalog.lines) {
    line_origins_.insert(line.origin);
  }
  const std::vector<CheckpointName> newest_first = catalog.search_order();
  auto known = manifests_.begin();
  for (auto next = newest_first.rbegin(); next != newest_first.rend(); ++next) {
    const CheckpointName& name = *next;
    if (excluded_.count(name.sequence) != 0) {
      continue;
    }
    while (known != manifests_.end() && known->info.sequence < name.sequence) {
      ++known;
    }
    if (known != manifests_.end() && known->info.name == name.name) {
      current.push_back(std::move(*known));
      continue;
    }
    try {
      const auto directory = root_.open_directory(name.name);
      const Manifest manifest = parse_manifest(
          read_file(*directory, kManifestName, kMaxManifestBytes));
      if (manifest.sequence == name.sequence && manifest.step == name.step) {
        current.push_back(Known{
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
  for (const Known& known : manifests_) {
    if (known.ours) {
      infos.push_back(known.info);
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

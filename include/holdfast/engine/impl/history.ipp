#pragma once

#include <holdfast/engine/history.hpp>

#include <holdfast/format/manifest.hpp>
#include <holdfast/io/file_system.hpp>

#include <utility>

namespace holdfast {

namespace detail {

/// Nothing where the directory has no manifest that can be read and tells the
/// same as its name: not something that can be counted on.
HOLDFAST_INLINE std::optional<Manifest> manifest_of(
    Directory& root,
    const CheckpointName& name) {
  try {
    const auto directory = root.open_directory(name.name);
    Manifest manifest =
        parse_manifest(read_file(*directory, kManifestName, kMaxManifestBytes));
    if (manifest.sequence == name.sequence && manifest.step == name.step) {
      return manifest;
    }
  } catch (const Error&) {
  }
  return std::nullopt;
}

} // namespace detail

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
    const std::optional<Manifest> manifest = detail::manifest_of(root_, name);
    if (manifest) {
      current.push_back(Known{
          describe(root_.path(), name.name, *manifest),
          manifest->run_id == run_id_});
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

HOLDFAST_INLINE std::vector<RetentionEntry> History::entries(
    const std::vector<CheckpointInfo>& infos) const {
  std::vector<RetentionEntry> entries;
  for (const CheckpointInfo& info : infos) {
    RetentionEntry entry;
    entry.sequence = info.sequence;
    entry.step = info.step;
    entry.epoch = info.progress.epoch;
    entry.wall_time = info.wall_time;
    entry.metrics = info.metrics;
    entry.bytes = info.bytes;
    entry.valid = valid_.count(info.sequence) != 0 && !info.suspect;
    entry.exact = info.exact;
    entry.resumed_from = resumed_from_ == info.sequence;
    entry.line_origin = line_origins_.count(info.sequence) != 0;
    entries.push_back(std::move(entry));
  }
  return entries;
}

HOLDFAST_INLINE std::vector<AbandonedCheckpoint> History::abandoned() {
  const Catalog catalog = scan(root_);
  std::set<std::uint64_t> in_use;
  for (const CheckpointName& name : catalog.search_order()) {
    in_use.insert(name.sequence);
  }
  std::vector<AbandonedCheckpoint> abandoned;
  for (const CheckpointName& name : catalog.checkpoints) {
    if (in_use.count(name.sequence) != 0) {
      continue;
    }
    AbandonedCheckpoint one{name, catalog.line_of(name.sequence), {}};
    const std::optional<Manifest> manifest = detail::manifest_of(root_, name);
    if (manifest) {
      one.info = describe(root_.path(), name.name, *manifest);
    }
    abandoned.push_back(std::move(one));
  }
  return abandoned;
}

HOLDFAST_INLINE std::optional<CheckpointInfo> History::best(
    const KeepBest& rule) {
  std::optional<CheckpointInfo> winner;
  std::optional<double> value;
  for (const CheckpointInfo& info : list()) {
    const auto found = info.metrics.values().find(rule.metric);
    if (found != info.metrics.values().end() &&
        is_better(rule.best, found->second, value, rule.tie)) {
      value = found->second;
      winner = info;
    }
  }
  return winner;
}

} // namespace holdfast

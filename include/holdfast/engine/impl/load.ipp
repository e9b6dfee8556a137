#pragma once

#include <holdfast/engine/load.hpp>

#include <holdfast/base/text.hpp>
#include <holdfast/engine/search.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/names.hpp>

#include <utility>

namespace holdfast {

namespace detail {

/// The newest valid checkpoint of a run directory, or the one that is named.
HOLDFAST_INLINE SearchResult find_to_load(
    Directory& root,
    const std::vector<CheckpointName>& candidates,
    const LoadOptions& options,
    const PartSet& parts,
    Clock& clock) {
  SearchResult result =
      search(root, candidates, parts, &options, options.on_transfer(), clock);
  if (!result.found) {
    throw_nothing_usable(root, result.passed_over);
  }
  return result;
}

/// A checkpoint under whatever name: a copy, or what LATEST points at. There is
/// no name to hold against its manifest, and nothing to pass over to.
HOLDFAST_INLINE SearchResult open_to_load(
    Directory& checkpoint,
    const LoadOptions& options,
    const PartSet& parts,
    Clock& clock) {
  try {
    const auto lease = checkpoint.open_file(kManifestName);
    static_cast<void>(lease->try_lock_shared());
    Manifest manifest =
        parse_manifest(read_file(checkpoint, kManifestName, kMaxManifestBytes));
    Salvage salvage;
    if (options.salvage()) {
      salvage = inspect(checkpoint, manifest, parts, clock);
      if (salvage.hindrance.verdict != Verdict::valid) {
        throw Error(
            code_of(salvage.hindrance.verdict), salvage.hindrance.reason);
      }
    }
    TransferMeter meter(
        options.on_transfer(),
        clock,
        TransferProgress::Kind::loading,
        split_path(checkpoint.path()).name);
    PreparedRestore restore(
        checkpoint,
        options.salvage() ? salvage.intact : manifest,
        parts,
        &options,
        meter);
    SearchResult result;
    result.found.emplace(Found{
        CheckpointName{},
        std::move(manifest),
        std::move(restore),
        std::move(salvage.damaged)});
    return result;
  } catch (const Error& error) {
    throw error.at(checkpoint.path());
  }
}

} // namespace detail

HOLDFAST_INLINE LoadReport load(
    const std::string& path,
    const LoadOptions& options,
    const PartSet& parts,
    FileSystem& file_system,
    Clock& clock) {
  RandomSnapshot random(parts);
  try {
    const SplitPath split = split_path(path);
    const ParsedName parsed = parse_name(split.name);
    const bool named = parsed.kind == NameKind::checkpoint;
    const std::shared_ptr<Directory> root = file_system.open_root(
        !named                     ? path
            : split.parent.empty() ? "."
                                   : split.parent,
        Create::no);
    SearchResult result = named
        ? detail::find_to_load(
              *root,
              {CheckpointName{parsed.sequence, parsed.step, split.name}},
              options,
              parts,
              clock)
        : root->exists(kManifestName)
        ? detail::open_to_load(*root, options, parts, clock)
        : detail::find_to_load(
              *root, scan(*root).search_order(), options, parts, clock);
    Found& found = *result.found;
    found.restore.apply();
    LoadReport report;
    report.directory = root->path();
    report.checkpoint = describe(root->path(), found.name.name, found.manifest);
    report.passed_over = std::move(result.passed_over);
    report.parts = found.restore.restored();
    report.tensors = found.restore.fates();
    report.damaged = std::move(found.damaged);
    report.notes = found.restore.notes();
    return report;
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    random.put_back();
    std::rethrow_exception(error);
  }
}

HOLDFAST_INLINE LoadReport load(
    const std::string& path,
    const LoadOptions& options,
    const PartSet& parts) {
  return load(path, options, parts, *default_file_system(), system_clock());
}

HOLDFAST_INLINE LoadReport load(
    const std::string& path,
    const PartSet& parts,
    FileSystem& file_system,
    Clock& clock) {
  return load(path, LoadOptions(), parts, file_system, clock);
}

HOLDFAST_INLINE LoadReport load(const std::string& path, const PartSet& parts) {
  return load(path, LoadOptions(), parts);
}

} // namespace holdfast

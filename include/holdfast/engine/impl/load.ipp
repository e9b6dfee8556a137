#pragma once

#include <holdfast/engine/load.hpp>

#include <holdfast/base/text.hpp>
#include <holdfast/engine/search.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/names.hpp>

#include <utility>

namespace holdfast {

HOLDFAST_INLINE ResumeReport load(
    const std::string& path,
    const PartSet& parts,
    FileSystem& file_system,
    Clock& clock) {
  const SplitPath split = split_path(path);
  const ParsedName parsed = parse_name(split.name);
  const bool single = parsed.kind == NameKind::checkpoint;
  const std::shared_ptr<Directory> root = file_system.open_root(
      !single ? path : split.parent.empty() ? "." : split.parent, Create::no);
  const std::vector<CheckpointName> candidates = single
      ? std::vector<CheckpointName>{CheckpointName{
            parsed.sequence, parsed.step, split.name}}
      : scan(*root).search_order();

  RandomSnapshot random(parts);
  try {
    SearchResult result =
        search(*root, candidates, parts, Unregistered::ignored, clock);
    if (!result.found) {
      throw_nothing_usable(*root, result.passed_over);
    }
    result.found->restore.apply();
    ResumeReport report;
    report.directory = root->path();
    report.checkpoint = describe(
        root->path(), result.found->name.name, result.found->manifest);
    report.passed_over = std::move(result.passed_over);
    report.parts = result.found->restore.restored();
    return report;
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    random.put_back();
    std::rethrow_exception(error);
  }
}

HOLDFAST_INLINE ResumeReport
load(const std::string& path, const PartSet& parts) {
  return load(path, parts, *default_file_system(), system_clock());
}

} // namespace holdfast

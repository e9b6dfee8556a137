#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/engine/restore.hpp>
#include <holdfast/engine/transfer.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/io/process.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/lock.hpp>

#include <optional>
#include <vector>

namespace holdfast {

/// What a search found: a restore that only needs to be applied.
struct Found {
  CheckpointName name;
  Manifest manifest;
  PreparedRestore restore;
  std::vector<DamagedFile> damaged = {}; ///< What a salvage did without.
};

struct SearchResult {
  std::optional<Found> found;
  std::vector<PassedOver> passed_over; ///< The newest first.
  /// Those of `passed_over` that are damaged but still tell their run.
  std::vector<Manifest> damaged;
};

/// Tries `candidates` in their order and prepares the first that is valid.
/// Damaged, incomplete and foreign ones, and those with a lasting EIO, are
/// passed over; everything else that goes wrong is thrown: unstable,
/// unreadable, unsupported, and a checkpoint that is intact but does not match
/// `parts` - falling back would hide a mistake. `options` as for
/// `PreparedRestore`; a salvage passes over only what is damaged in what is
/// asked for. `listener` is told how far the reading is.
[[nodiscard]] SearchResult search(
    Directory& root,
    const std::vector<CheckpointName>& candidates,
    const PartSet& parts,
    const LoadOptions* options,
    const TransferListener& listener,
    Clock& clock);

/// What a salvage finds in a checkpoint whose manifest is intact.
struct Salvage {
  Manifest intact; ///< The manifest without what is damaged.
  std::vector<DamagedFile> damaged;
  /// Not `valid`: about the first damaged file that `parts` cannot do without.
  Judgement hindrance;
};
[[nodiscard]] Salvage inspect(
    Directory& checkpoint,
    const Manifest& manifest,
    const PartSet& parts,
    Clock& clock);

/// The error that a verdict other than `valid` becomes.
[[nodiscard]] ErrorCode code_of(Verdict verdict) noexcept;

/// Throws `no_usable_checkpoint`, with every reason.
[[noreturn]] void throw_nothing_usable(
    const Directory& root,
    const std::vector<PassedOver>& passed_over);

/// Throws `no_usable_checkpoint`, with every reason, unless a run may begin
/// from nothing: in a directory without a trace of a former run, or on a line
/// that began from nothing and on which nothing was ever committed.
void require_fresh(
    const Directory& root,
    const Catalog& catalog,
    const LockMark& mark,
    const std::vector<PassedOver>& passed_over);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/search.ipp>
#endif

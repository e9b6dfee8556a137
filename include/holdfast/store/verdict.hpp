#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>
#include <holdfast/store/catalog.hpp>

#include <optional>
#include <string>

namespace holdfast {

/// What a checkpoint is worth.
enum class Verdict {
  valid,
  /// A part is missing: a copy half done. Passed over, not moved.
  incomplete,
  /// Two complete reads, caches dropped between, give the same wrong bytes.
  /// Passed over, and quarantined once another one has been applied.
  damaged,
  /// Two reads differ: reader or path is broken. Ends the search.
  unstable,
  /// A system error that outlasts the retries. A lasting EIO is passed over,
  /// anything else ends the search. Never moved.
  unreadable,
  /// A newer major version or an unknown codec. Ends the search.
  unsupported,
  /// Its manifest contradicts its name. Never used or touched.
  foreign,
};

[[nodiscard]] const char* to_string(Verdict verdict) noexcept;

struct Judgement {
  Verdict verdict = Verdict::valid;
  std::string reason; ///< For people; empty if valid.
  int system_error = 0; ///< errno, if unreadable.
  /// Present whenever the manifest itself is intact.
  std::optional<Manifest> manifest;

  /// True if the next older checkpoint may be tried.
  [[nodiscard]] bool may_pass_over() const noexcept;
};

enum class VerifyLevel {
  quick, ///< The manifest, and every part's presence and size (looked up twice
         ///< if wrong).
  full, ///< And every byte.
};

/// Judges the checkpoint `name` of `root`. Opens nothing for writing, and
/// throws nothing for what is on the disk. System errors are retried three
/// times over about a second on `clock` before they count.
[[nodiscard]] Judgement judge(
    Directory& root,
    const CheckpointName& name,
    VerifyLevel level,
    Clock& clock);

/// Judges one file of a checkpoint in the same way.
[[nodiscard]] Judgement judge_part(
    Directory& checkpoint,
    const PartFile& part,
    VerifyLevel level,
    Clock& clock);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/verdict.ipp>
#endif

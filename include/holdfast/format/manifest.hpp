#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/base/progress.hpp>
#include <holdfast/format/divergence_record.hpp>
#include <holdfast/format/environment.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/checksum.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// The version of the on-disk format. A reader refuses a greater major and
/// reads every minor of its own major, ignoring members it does not know.
struct FormatVersion {
  int major = 1;
  int minor = 0;
};

inline constexpr FormatVersion kFormatVersion{1, 0};
inline constexpr const char* kManifestName = "MANIFEST.json";
inline constexpr const char* kStateName = "state.json";
inline constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxParts = 4096;

/// The only codec besides none.
inline constexpr const char* kZstdCodec = "zstd";

/// A compressed file as it lies on disk.
struct StoredForm {
  std::string codec;
  std::uint64_t bytes = 0;
  Digest128 digest;
};

/// One file of a checkpoint, by its plain contents.
struct PartFile {
  std::string
      path; ///< Relative, '/' between at most two components, without ".zst".
  std::uint64_t bytes = 0;
  Digest128 digest;
  std::optional<StoredForm> stored;

  /// The name on disk: `path`, with ".zst" where compressed.
  [[nodiscard]] std::string stored_path() const;
  [[nodiscard]] std::uint64_t stored_bytes() const noexcept {
    return stored ? stored->bytes : bytes;
  }
  [[nodiscard]] const Digest128& stored_digest() const noexcept {
    return stored ? stored->digest : digest;
  }
};

/// A checkpoint named for good: its number and its random id.
struct CheckpointIdentity {
  std::uint64_t sequence = 0;
  std::string id;
};

/// The commit record of a checkpoint.
struct Manifest {
  FormatVersion format = kFormatVersion;
  std::string id; ///< 32 hex digits, random.
  std::string run_id; ///< 32 hex digits, the same for all attempts of a run.
  std::string run_name; ///< As the user calls the run; may be empty.
  std::uint64_t line = 0; ///< Sequence of the line file; 0: the first line.
  std::int64_t attempt = 0; ///< Processes that trained before, in this run.
  std::uint64_t sequence = 0;
  std::int64_t step = 0;
  double wall_time = 0; ///< Seconds since 1970-01-01 UTC.
  Progress progress;
  Metrics metrics; ///< Those of the call that saved.
  std::vector<std::string> reasons; ///< Why it was saved.
  bool exact = true; ///< False if saved between a batch and its step.
  bool suspect = false; ///< A divergence may have begun before it was saved.
  std::vector<DivergenceRecord> divergences; ///< All before it, in order.
  Environment environment;
  std::optional<CheckpointIdentity> resumed_from;
  std::vector<PartFile> parts; ///< Every file but the manifest itself.

  /// Bytes on disk, the manifest not counted.
  [[nodiscard]] std::uint64_t stored_bytes() const noexcept;
};

/// The text of the file; ends in `,"xxh3_128":"<32 hex>"}` and a newline, the
/// digest being that of every byte before that comma. `limit_exceeded` where a
/// reader would refuse it.
[[nodiscard]] std::string manifest_text(const Manifest& manifest);

/// Reads a manifest. In this order: `limit_exceeded`; `checksum_mismatch` if
/// the tail is not exactly as written or the digest differs;
/// `unsupported_version` for a greater major or an unknown codec;
/// `malformed_manifest` for members that are missing, of another kind, out of
/// range, for paths that are absolute, have a "." or ".." or a third component,
/// and for names that occur twice.
[[nodiscard]] Manifest parse_manifest(ByteView text);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/manifest.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>

/// The names in a run directory: the only place that knows their grammar.
///
///     ckpt-000024-step-12000    line-000026-from-000010
///     .staging-000028           .trash-000011-<random>    .bad-000025-<random>
///     LOCK                      LATEST
///
/// Numbers have at least 6 and at most 15 digits and are compared as numbers.
namespace holdfast {

inline constexpr const char* kLockName = "LOCK";
inline constexpr const char* kLatestName = "LATEST";
/// Sequences are at most this: 15 digits.
inline constexpr std::uint64_t kMaxSequence = 999'999'999'999'999;

enum class NameKind {
  checkpoint,
  line,
  staging,
  trash,
  quarantined,
  lock,
  latest,
  other,
};

struct ParsedName {
  NameKind kind = NameKind::other;
  std::uint64_t sequence = 0; ///< 0 for lock, latest and other.
  std::int64_t step = 0; ///< Checkpoints.
  std::uint64_t origin = 0; ///< Lines: the checkpoint they go on from; 0: none.
};

/// What is not of the grammar is `other`; so is a sequence of 0, a step beyond
/// int64, and a line whose origin is not below its own number.
[[nodiscard]] ParsedName parse_name(std::string_view name) noexcept;

[[nodiscard]] std::string checkpoint_name(
    std::uint64_t sequence,
    std::int64_t step);
[[nodiscard]] std::string line_name(
    std::uint64_t sequence,
    std::uint64_t origin);
[[nodiscard]] std::string staging_name(std::uint64_t sequence);
/// With a random suffix, so that it is free.
[[nodiscard]] std::string trash_name(std::uint64_t sequence);
[[nodiscard]] std::string quarantine_name(std::uint64_t sequence);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/names.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/store/catalog.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// The file that begins a line: JSON with a digest at its end, as a manifest.
namespace holdfast {

inline constexpr std::size_t kMaxLineBytes = std::size_t{64} << 10;

/// A line file's contents.
struct Line {
  std::uint64_t sequence = 0;
  std::uint64_t origin = 0;
  std::string tag; ///< Empty if none was given.
  /// Begun by a running process that went back, not by whoever started it.
  bool rollback = false;
};

[[nodiscard]] std::string line_text(const Line& line, double wall_time);

/// `checksum_mismatch` where `text` is damaged, `unsupported_version` where it
/// is of a newer format, `foreign` where it contradicts `name`; `path` is for
/// messages.
[[nodiscard]] Line parse_line(
    const LineName& name,
    std::string_view text,
    const std::string& path);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/line_file.ipp>
#endif

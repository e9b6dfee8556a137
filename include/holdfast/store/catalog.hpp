#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>

#include <cstdint>
#include <string>
#include <vector>

/// What one listing of a run directory says, without opening anything in it.
namespace holdfast {

/// A directory with a checkpoint's name.
struct CheckpointName {
  std::uint64_t sequence = 0;
  std::int64_t step = 0;
  std::string name;
};

/// A line file: everything numbered above `sequence` (and below the next line)
/// goes on from checkpoint `origin`, or from nothing if that is 0.
struct LineName {
  std::uint64_t sequence = 0;
  std::uint64_t origin = 0;
  std::string name;
};

struct Catalog {
  std::vector<CheckpointName>
      checkpoints; ///< Ascending, foreign ones left out.
  std::vector<LineName> lines; ///< Ascending.
  std::vector<std::string> quarantined;
  std::vector<std::string> staging; ///< Left-overs, or of the writer at work.
  std::vector<std::string> trash;
  /// Checkpoints whose number another checkpoint or a line has, lines whose
  /// number another line has, checkpoint names that are no directory, lines
  /// that are no file: reported, never used or touched.
  std::vector<std::string> foreign;
  std::uint64_t highest = 0; ///< Of every number in any name.
  std::uint64_t highest_quarantined = 0;

  /// Number of the newest line; 0: nobody ever went back.
  [[nodiscard]] std::uint64_t current_line() const noexcept;
  /// The line that checkpoint `sequence` belongs to.
  [[nodiscard]] std::uint64_t line_of(std::uint64_t sequence) const noexcept;
  /// The checkpoints that a resume may use, in its order: the newest line
  /// downwards, its origin, older ones on the origin's line, and so on until a
  /// line that began from nothing. Never anything else.
  [[nodiscard]] std::vector<CheckpointName> search_order() const;
  /// Any checkpoint, quarantined, line or foreign name.
  [[nodiscard]] bool has_trace() const noexcept;
};

[[nodiscard]] Catalog scan(Directory& root);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/catalog.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

namespace holdfast::testing {

/// What a power cut leaves of the changes that were not yet synced.
///
/// Pending changes are of two kinds, each numbered from 0 in the order in which
/// they were made, over the whole disk:
/// - name operations: create, mkdir, remove, rename, symlink;
/// - data operations: one for each write to a file, its size change included.
///
/// A pattern decides on each of them, always in the same way for the same disk.
/// Start from one of the named patterns and refine it:
///
///     auto pattern = LossPattern::only_name_kept(3);
///     pattern.data = LossPattern::Survivors::none;
struct LossPattern {
  /// Which operations of a kind reach the disk.
  enum class Survivors {
    all,
    none,
    all_but_one, ///< All except the one of the index.
    only_one, ///< None except the one of the index.
    first, ///< Those before the index: a journal that is written in order.
  };
  /// What becomes of a rename that reaches the disk.
  enum class RenameTear {
    whole,
    absent, ///< The old name is gone and the new one is not there.
    both, ///< Both names are there; a directory is then there twice.
  };
  /// Which sectors of a surviving write reach the disk. Sectors count from the
  /// start of the file; halves are halves of the write. The others hold what
  /// they held before, or zeros where the file was shorter.
  enum class Sectors { all, none, even, odd, first_half, last_half };

  static constexpr std::size_t kEvery = static_cast<std::size_t>(-1);

  Survivors names = Survivors::all;
  std::size_t name_index = 0;
  RenameTear rename_tear = RenameTear::whole;
  /// The name operation that `rename_tear` tears, or all renames.
  std::size_t torn_rename = kEvery;

  Survivors data = Survivors::all;
  std::size_t data_index = 0;
  Sectors sectors = Sectors::all;
  /// 512 or a multiple of it. Bytes within 512 never tear.
  std::size_t sector_bytes = 512;
  /// A torn write has changed the size to its full end; otherwise only up to
  /// its last surviving sector.
  bool size_survives = true;

  /// Set: every operation is kept, lost or torn by a pseudo-random choice of
  /// its own, the same on every platform, and all other fields are ignored.
  std::optional<std::uint64_t> seed;

  /// Only what was synced is there.
  [[nodiscard]] static LossPattern all_lost();
  /// As if everything had been synced.
  [[nodiscard]] static LossPattern all_kept();
  /// Names without data: new files have zero length.
  [[nodiscard]] static LossPattern data_lost();
  /// Names and sizes without data: new files are zeros.
  [[nodiscard]] static LossPattern data_zeroed();
  /// Data without names.
  [[nodiscard]] static LossPattern names_lost();
  /// All data, and all names but one.
  [[nodiscard]] static LossPattern only_name_lost(std::size_t index);
  /// All data, and one name operation.
  [[nodiscard]] static LossPattern only_name_kept(std::size_t index);
  /// All data, and the name operations before `count`.
  [[nodiscard]] static LossPattern first_names_kept(std::size_t count);
  /// Everything, but the rename with this index (or every one) is torn.
  [[nodiscard]] static LossPattern rename_torn(
      RenameTear tear,
      std::size_t index = kEvery);
  /// All names, and all writes but one.
  [[nodiscard]] static LossPattern only_data_lost(std::size_t index);
  /// All names, and one write.
  [[nodiscard]] static LossPattern only_data_kept(std::size_t index);
  /// All names, and these sectors of all writes.
  [[nodiscard]] static LossPattern data_torn(
      Sectors sectors,
      std::size_t sector_bytes,
      bool size_survives = true);
  [[nodiscard]] static LossPattern random(std::uint64_t seed);

  /// In words, for messages of tests.
  [[nodiscard]] std::string describe() const;
};

std::ostream& operator<<(std::ostream& stream, const LossPattern& pattern);

} // namespace holdfast::testing

#if HOLDFAST_BODIES
#include <holdfast/testing/impl/loss_pattern.ipp>
#endif

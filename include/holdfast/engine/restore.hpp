#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/file_system.hpp>

#include <vector>

namespace holdfast {

/// Parts in a checkpoint that nobody registered: an error, or left alone. The
/// latter is `load()`, to which what belongs to the loop alone is as foreign
/// (`Part::drop_loop_state`).
enum class Unregistered { refused, ignored };

/// A checkpoint that is read, verified and matched, but not yet applied.
/// Destroying it leaves everything untouched.
class PreparedRestore {
 public:
  /// Phase one: reads `manifest`'s checkpoint from its directory. All bytes are
  /// hashed while they are read, and only those bytes are ever applied. Throws
  /// one error that lists *all* mismatches; `checksum_mismatch` where bytes are
  /// not those of the manifest.
  PreparedRestore(
      Directory& checkpoint,
      const Manifest& manifest,
      const PartSet& parts,
      Unregistered unregistered);
  ~PreparedRestore();
  PreparedRestore(PreparedRestore&&) noexcept;
  PreparedRestore& operator=(PreparedRestore&&) noexcept;

  /// Phase two: applies all parts in the order of their stages. If one throws,
  /// those applied before are taken back, and its error goes on. What a
  /// callback (`Part::restored`) throws goes on too, but everything is applied
  /// then: `is_applied()`.
  void apply();
  /// True once there is no way back.
  [[nodiscard]] bool is_applied() const noexcept;

  /// The engine's own values.
  [[nodiscard]] const Values& engine() const noexcept;
  [[nodiscard]] const std::vector<RestoredPart>& restored() const noexcept;

 private:
  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/engine/impl/restore.ipp>
#endif

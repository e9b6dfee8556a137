#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/engine/load_options.hpp>
#include <holdfast/engine/load_report.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/engine/transfer.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/file_system.hpp>

#include <vector>

namespace holdfast {

/// A checkpoint that is read, verified and matched, but not yet applied.
/// Destroying it leaves everything untouched.
class PreparedRestore {
 public:
  /// Phase one: reads `manifest`'s checkpoint from its directory. All bytes are
  /// hashed while they are read, and only those bytes are ever applied. Throws
  /// one error that lists *all* mismatches; `checksum_mismatch` where bytes are
  /// not those of the manifest. Tensors that share memory in the program are a
  /// mismatch where the checkpoint has other bytes for the one than for the
  /// other.
  ///
  /// `options` are those of a `load()`, null for a resume. To a load, parts of
  /// the checkpoint that nobody registered are nothing, and so is what belongs
  /// to the loop alone (`Part::drop_loop_state`); to a resume they are an
  /// error. Where a salvage's `manifest` lacks state.json, modules make do with
  /// their tensors. `meter` follows the bytes of all tensors.
  PreparedRestore(
      Directory& checkpoint,
      const Manifest& manifest,
      const PartSet& parts,
      const LoadOptions* options,
      TransferMeter& meter);
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
  /// Of a load: what became of each tensor.
  [[nodiscard]] const std::vector<TensorFate>& fates() const noexcept;
  /// Remarks; after `apply()` those of the restored parts, too.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept;

 private:
  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/restore.ipp>
#endif

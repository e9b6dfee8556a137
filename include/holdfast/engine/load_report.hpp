#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/checkpoint_info.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/store/verdict.hpp>

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace holdfast {

/// What became of a tensor in a load.
enum class Fate {
  loaded, ///< As it was saved.
  converted, ///< Loaded, with another dtype.
  missing, ///< Not in the checkpoint: left as it was.
  other_shape, ///< Of another shape in the checkpoint: left as it was.
  unused, ///< In the checkpoint only.
};

/// "loaded", "converted", "missing", "other_shape", "unused".
[[nodiscard]] const char* to_string(Fate fate) noexcept;

/// One name of a tensor, and its fate; a tied tensor has a row for each name.
/// What is missing or unused may also be another piece of state, such as the
/// extra state of a module.
struct TensorFate {
  std::string part;
  std::string name; ///< In the object; of what is unused, after renaming.
  std::string renamed_from; ///< In the checkpoint; empty: the same.
  Fate fate = Fate::loaded;
  std::string was; ///< In the checkpoint: "F32 [2, 3]".
  std::string is; ///< In the object, where that differs.

  /// "'a.weight' (renamed from 'b.weight'): converted from F32 to F64".
  [[nodiscard]] std::string to_string() const;
};

/// A file that a salvage did without.
struct DamagedFile {
  std::string path; ///< In the checkpoint.
  Verdict verdict = Verdict::damaged;
  std::string reason;
};

/// What a load did. Prints as a few lines for people: how many tensors had
/// which fate, and each one that was not simply loaded.
struct LoadReport {
  std::string directory;
  CheckpointInfo checkpoint;
  std::vector<PassedOver> passed_over; ///< The newest first.
  std::vector<RestoredPart> parts;
  /// Of every tensor of every part that was asked for; part by part, those of
  /// the checkpoint in its order, then those that it lacks.
  std::vector<TensorFate> tensors;
  std::vector<DamagedFile> damaged; ///< Not empty: this was a salvage.
  std::vector<std::string> notes; ///< What is worth knowing besides.

  [[nodiscard]] bool salvaged() const noexcept {
    return !damaged.empty();
  }
  [[nodiscard]] std::size_t count(Fate fate) const noexcept;
  [[nodiscard]] std::string to_string() const;
  /// Every tensor, a line each.
  [[nodiscard]] std::string table() const;
};

std::ostream& operator<<(std::ostream& stream, const LoadReport& report);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/load_report.ipp>
#endif

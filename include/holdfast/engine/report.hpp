#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/checkpoint_info.hpp>
#include <holdfast/engine/probe.hpp>
#include <holdfast/format/environment.hpp>
#include <holdfast/store/verdict.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// A checkpoint that was newer than the one used, and why it was not.
struct PassedOver {
  std::string name;
  std::int64_t step = 0;
  Verdict verdict = Verdict::damaged;
  std::string reason;
  bool quarantined = false;
};

/// "ckpt-000026-step-13000: damaged: <reason>"
[[nodiscard]] std::string to_string(const PassedOver& other);

/// A part that was put back.
struct RestoredPart {
  std::string name;
  std::string kind;
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

/// What a resume did. Prints as a few lines for people.
struct ResumeReport {
  std::string directory;
  /// The checkpoint that was applied; nothing after a fresh start.
  std::optional<CheckpointInfo> checkpoint;
  std::uint64_t line = 0; ///< The line that goes on now; 0: the first.
  std::vector<PassedOver> passed_over; ///< The newest first.
  /// Steps between the newest checkpoint there is and the one applied.
  std::int64_t steps_lost = 0;
  /// False after a resume in mid-epoch without an attached loader.
  bool position_known = true;
  /// False if a part could not go on exactly where it was; the notes say why.
  bool parts_exact = true;
  std::vector<EnvironmentDifference> differences;
  /// With `Manager::probe()`, if the checkpoint was saved with one, too.
  std::optional<ProbeResult> probe;
  std::vector<RestoredPart> parts;
  std::vector<std::string> notes; ///< What is worth knowing besides.

  [[nodiscard]] bool resumed() const noexcept {
    return checkpoint.has_value();
  }
  /// False if something is known that may make the run go on differently.
  [[nodiscard]] bool exact() const noexcept;
  [[nodiscard]] std::string to_string() const;
};

std::ostream& operator<<(std::ostream& stream, const ResumeReport& report);

namespace detail {
/// "2 parts, 1.2 MB"; the bytes are those of tensors, and left out without any.
[[nodiscard]] std::string parts_and_bytes(
    const std::vector<RestoredPart>& parts);
} // namespace detail

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/report.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/state/part.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// What would have been saved at one moment, without a copy of all of it: of
/// small tensors it keeps the bytes, of large ones a digest, so that later the
/// live ones can stand in for them, if nothing has changed them since.
class StateStamp {
 public:
  /// Captures `parts` and reads every tensor once. The smallest are kept, up to
  /// `kept_bytes` in all, in the memory of the last time where that fits.
  /// Throws what a capture throws; there is no stamp then.
  void take(const PartSet& parts, std::uint64_t kept_bytes);
  /// From here on there is no stamp, but its memory is kept for the next one.
  void forget() noexcept {
    taken_ = false;
  }
  [[nodiscard]] bool is_taken() const noexcept {
    return taken_;
  }

  struct Recovered {
    /// The state of then, bit by bit; empty where that is lost.
    std::vector<CapturedPart> state;
    /// Parts of which a tensor that was not kept is another now.
    std::vector<std::string> changed;
  };
  /// What was taken. `parts` are those it was taken of.
  [[nodiscard]] Recovered recover(const PartSet& parts) const;

 private:
  class KeptTensor;
  struct Tensor {
    TensorInfo info;
    std::shared_ptr<KeptTensor> kept; ///< Null: only the digest is.
    Digest128 digest;
  };
  struct StampedPart {
    CapturedPart captured; ///< Without its tensors.
    std::vector<Tensor> tensors;
  };

  /// Null where it is lost. `index`: where it was, and most likely is.
  [[nodiscard]] static std::shared_ptr<const TensorSource> find(
      const Tensor& tensor,
      std::size_t index,
      const CapturedPart& now);

  [[nodiscard]] static std::vector<StampedPart> stamp(
      std::vector<CapturedPart> captured,
      std::uint64_t kept_bytes,
      const std::vector<StampedPart>& former);

  std::vector<StampedPart> parts_;
  bool taken_ = false;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/state_stamp.ipp>
#endif

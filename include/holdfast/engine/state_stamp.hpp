#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/state/part.hpp>

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
  /// `kept_bytes` in all. Throws what a capture throws.
  StateStamp(const PartSet& parts, std::uint64_t kept_bytes);

  struct Recovered {
    /// The state of then, bit by bit; empty where that is lost.
    std::vector<CapturedPart> state;
    /// Parts of which a tensor that was not kept is another now.
    std::vector<std::string> changed;
  };
  /// `parts` are those of the constructor.
  [[nodiscard]] Recovered recover(const PartSet& parts) const;

 private:
  struct Tensor {
    TensorInfo info;
    std::shared_ptr<const TensorSource> kept; ///< Null: only the digest is.
    Digest128 digest;
  };
  struct StampedPart {
    CapturedPart captured; ///< Without its tensors.
    std::vector<Tensor> tensors;
  };

  /// Null where it is lost.
  [[nodiscard]] static std::shared_ptr<const TensorSource> find(
      const Tensor& tensor,
      const CapturedPart& now);

  std::vector<StampedPart> parts_;
  bool all_kept_ = true;
};

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/engine/impl/state_stamp.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/transfer.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/format/safetensors.hpp>
#include <holdfast/format/state_document.hpp>
#include <holdfast/store/transaction.hpp>

#include <cstdint>
#include <vector>

namespace holdfast {

/// Where a part's tensors lie: "model/model.safetensors" for a module, so that
/// its folder is a Hugging Face folder, "<part>/state.safetensors" for others.
[[nodiscard]] std::string tensor_file(const CapturedPart& part);

/// The digest of the row-major bytes that a checkpoint would hold of `tensor`.
[[nodiscard]] Digest128 digest_of(const TensorOut& tensor);

/// How the files of a checkpoint will look, before a byte of them is written.
struct CheckpointPlan {
  std::vector<SafetensorsLayout> layouts; ///< Per part; empty without tensors.
  std::uint64_t bytes = 0; ///< Of all tensor files, uncompressed.
};

/// Throws what a reader would refuse: names, sizes, dtypes.
[[nodiscard]] CheckpointPlan plan_checkpoint(
    const std::vector<CapturedPart>& parts);

/// About what state.json will take, which `CheckpointPlan::bytes` leaves out.
[[nodiscard]] std::uint64_t state_bytes(const std::vector<CapturedPart>& parts);

/// Writes all files of a checkpoint but its manifest from captured parts,
/// straight from their tensors and without a copy of the state. `transaction`
/// was begun for `plan.bytes`, which `meter` follows.
void write_parts(
    Transaction& transaction,
    const std::vector<CapturedPart>& parts,
    const CheckpointPlan& plan,
    Values engine,
    const Compression& compression,
    TransferMeter& meter);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/write.ipp>
#endif

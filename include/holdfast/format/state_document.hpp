#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/config.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/checksum.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

/// What state.json adds to a tensor of a safetensors file.
struct TensorRecord {
  std::string name;
  Digest128 digest; ///< Of its row-major bytes; for partial loads and salvage.
  std::vector<std::int64_t> strides; ///< Empty: row-major.
  std::vector<std::string> aliases; ///< Other names of the same tensor.
};

/// What state.json holds of one part.
struct PartRecord {
  std::string name;
  std::string kind; ///< "module", "optimizer", ...: compared at a restore.
  std::string file; ///< Its safetensors file; empty without tensors.
  Values values;
  std::vector<TensorRecord> tensors; ///< In the order of the file.
};

/// The contents of state.json.
struct StateDocument {
  Values engine; ///< The manager's own: trigger positions, running means.
  std::vector<PartRecord> parts;
};

/// `limit_exceeded` beyond 1 GiB.
[[nodiscard]] std::string state_document_text(const StateDocument& document);
/// `malformed_json`, `malformed_value`, `limit_exceeded`, `duplicate_name`.
[[nodiscard]] StateDocument parse_state_document(ByteView text);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/state_document.ipp>
#endif

#pragma once

#include <holdfast/engine/write.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

namespace detail {

/// A piece is hashed twice and written while it is still in the cache.
inline constexpr std::size_t kPieceBytes = std::size_t{512} << 10;

HOLDFAST_INLINE SafetensorsLayout layout_of(const CapturedPart& part) {
  std::vector<TensorSpec> specs;
  specs.reserve(part.state.tensors.size());
  for (const TensorOut& tensor : part.state.tensors) {
    specs.push_back(
        TensorSpec{tensor.info.name, tensor.info.dtype, tensor.info.shape});
  }
  try {
    return plan_safetensors(specs);
  } catch (const Error& error) {
    throw error.at("part " + part.name);
  }
}

/// Hands out one tensor's row-major bytes, piece by piece.
template <class Use>
void each_piece(
    const TensorSource& source,
    std::uint64_t bytes,
    Bytes& staging,
    Use&& use) {
  const std::byte* const data = source.data();
  for (std::uint64_t offset = 0; offset < bytes;) {
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(kPieceBytes, bytes - offset));
    ByteView piece;
    if (data != nullptr) {
      piece = ByteView(data + offset, count);
    } else {
      staging.resize(kPieceBytes);
      source.copy_out(offset, staging.data(), count);
      piece = ByteView(staging.data(), count);
    }
    use(piece);
    offset += count;
  }
}

/// Writes one tensor's bytes and returns their digest.
HOLDFAST_INLINE Digest128 write_tensor(
    ByteSink& sink,
    const TensorSource& source,
    std::uint64_t bytes,
    Bytes& staging,
    TransferMeter& meter) {
  Hasher hasher;
  each_piece(source, bytes, staging, [&](ByteView piece) {
    hasher.update(piece);
    sink.write(piece);
    meter.add(piece.size);
  });
  return hasher.digest();
}

HOLDFAST_INLINE void write_tensors(
    ByteSink& sink,
    const CapturedPart& part,
    const SafetensorsLayout& layout,
    PartRecord& record,
    TransferMeter& meter) {
  sink.write(ByteView(layout.header));
  meter.add(layout.header.size());
  sink.border();
  Bytes staging;
  for (std::size_t i = 0; i < layout.entries.size(); ++i) {
    const TensorEntry& entry = layout.entries[i];
    const TensorOut& tensor = part.state.tensors[layout.sources[i]];
    TensorRecord tensor_record;
    tensor_record.name = tensor.info.name;
    tensor_record.strides = tensor.info.strides;
    tensor_record.aliases = tensor.info.aliases;
    tensor_record.digest = write_tensor(
        sink, *tensor.source, entry.end - entry.begin, staging, meter);
    record.tensors.push_back(std::move(tensor_record));
    sink.border();
  }
}

} // namespace detail

HOLDFAST_INLINE Digest128 digest_of(const TensorOut& tensor) {
  Hasher hasher;
  Bytes staging;
  detail::each_piece(
      *tensor.source, tensor.size(), staging, [&](ByteView piece) {
        hasher.update(piece);
      });
  return hasher.digest();
}

HOLDFAST_INLINE std::string tensor_file(const CapturedPart& part) {
  return part.name +
      (part.kind == "module" ? "/model.safetensors" : "/state.safetensors");
}

HOLDFAST_INLINE CheckpointPlan
plan_checkpoint(const std::vector<CapturedPart>& parts) {
  CheckpointPlan plan;
  for (const CapturedPart& part : parts) {
    plan.layouts.push_back(
        part.state.tensors.empty() ? SafetensorsLayout()
                                   : detail::layout_of(part));
    plan.bytes += plan.layouts.back().file_bytes();
  }
  return plan;
}

namespace detail {

/// What state.json says of a part, without its tensors.
HOLDFAST_INLINE PartRecord record_of(const CapturedPart& part) {
  PartRecord record;
  record.name = part.name;
  record.kind = part.kind;
  record.values = part.state.values;
  if (!part.state.tensors.empty()) {
    record.file = tensor_file(part);
  }
  return record;
}

} // namespace detail

HOLDFAST_INLINE std::uint64_t state_bytes(
    const std::vector<CapturedPart>& parts) {
  StateDocument document;
  for (const CapturedPart& part : parts) {
    document.parts.push_back(detail::record_of(part));
    for (const TensorOut& tensor : part.state.tensors) {
      TensorRecord record;
      record.name = tensor.info.name;
      document.parts.back().tensors.push_back(std::move(record));
    }
  }
  return state_document_text(document).size();
}

HOLDFAST_INLINE void write_parts(
    Transaction& transaction,
    const std::vector<CapturedPart>& parts,
    const CheckpointPlan& plan,
    Values engine,
    const Compression& compression,
    TransferMeter& meter) {
  meter.expect(plan.bytes);
  StateDocument document;
  document.engine = std::move(engine);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const CapturedPart& part = parts[i];
    PartRecord record = detail::record_of(part);
    if (!part.state.tensors.empty()) {
      transaction.write_part(
          record.file,
          plan.layouts[i].file_bytes(),
          compression,
          [&](ByteSink& sink) {
            detail::write_tensors(sink, part, plan.layouts[i], record, meter);
          });
    }
    document.parts.push_back(std::move(record));
  }
  const std::string text = state_document_text(document);
  transaction.write_part(
      kStateName, text.size(), Compression(), [&](ByteSink& sink) {
        sink.write(ByteView(text));
      });
}

} // namespace holdfast

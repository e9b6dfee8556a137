#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/engine/transfer.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/format/safetensors.hpp>
#include <holdfast/format/state_document.hpp>
#include <holdfast/store/part_reader.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

/// How the parts of a checkpoint are read: the step from files to states.
namespace holdfast::detail {

[[noreturn]] HOLDFAST_INLINE void throw_wrong_bytes(const std::string& path) {
  ErrorDetails details;
  details.path = path;
  details.message = "the bytes are not those of the manifest";
  throw Error(ErrorCode::checksum_mismatch, std::move(details));
}

HOLDFAST_INLINE const PartFile* find_file(
    const Manifest& manifest,
    const std::string& path) {
  for (const PartFile& file : manifest.parts) {
    if (file.path == path) {
      return &file;
    }
  }
  return nullptr;
}

/// Reads a file that is small enough to be parsed as a whole.
HOLDFAST_INLINE Bytes read_part(Directory& checkpoint, const PartFile& file) {
  PartReader reader(checkpoint, file);
  Bytes bytes;
  // Piece by piece: the size is only what the manifest says.
  const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(
                        std::uint64_t{1} << 20, file.bytes)) +
      1;
  for (std::size_t got = step; got == step;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + step);
    got = 0;
    while (got < step) {
      const std::size_t count =
          reader.read(bytes.data() + before + got, step - got);
      if (count == 0) {
        break;
      }
      got += count;
    }
    bytes.resize(before + got);
  }
  if (!reader.finish()) {
    throw_wrong_bytes(file.path);
  }
  return bytes;
}

HOLDFAST_INLINE void read_exactly(
    PartReader& reader,
    const std::string& path,
    std::byte* into,
    std::uint64_t count,
    TransferMeter& meter) {
  constexpr std::uint64_t most = std::uint64_t{1} << 20; // between two looks
  while (count > 0) {
    const std::size_t got =
        reader.read(into, static_cast<std::size_t>(std::min(count, most)));
    if (got == 0) {
      throw_wrong_bytes(path); // shorter than its own header says
    }
    into += got;
    count -= got;
    meter.add(got);
  }
}

/// One part on its way back.
struct PendingPart {
  const NamedPart* target = nullptr;
  bool names_known = true; ///< False: the file alone says what there is.
  RestoredPart report;
  Owned<PartReader> reader; ///< Null without tensors.
  std::string file;
  Saved saved;
  std::vector<std::uint64_t> sizes;
  std::unique_ptr<Restore> restore;
  std::vector<Bytes> staging;
  std::vector<const std::byte*> bytes;
};

/// Joins what the file's header and state.json say about the tensors.
HOLDFAST_INLINE void read_table(
    Directory& checkpoint,
    const Manifest& manifest,
    const PartRecord& record,
    PendingPart& pending) {
  if (record.file.empty()) {
    return;
  }
  const PartFile* file = find_file(manifest, record.file);
  if (file == nullptr) {
    ErrorDetails details;
    details.path = record.file;
    details.message = "state.json names a file that the manifest lacks";
    throw Error(ErrorCode::malformed_manifest, std::move(details));
  }
  pending.file = record.file;
  pending.reader = Owned<PartReader>(new PartReader(checkpoint, *file));
  Bytes raw;
  const SafetensorsHeader header =
      read_safetensors_header(*pending.reader, file->bytes, raw);
  bool same_names = header.entries.size() == record.tensors.size();
  for (std::size_t i = 0; same_names && i < record.tensors.size(); ++i) {
    same_names = header.entries[i].spec.name == record.tensors[i].name;
  }
  if (pending.names_known && !same_names) {
    ErrorDetails details;
    details.path = record.file;
    details.message = "state.json lists other tensors than the file";
    throw Error(ErrorCode::malformed_tensors, std::move(details));
  }
  for (std::size_t i = 0; i < header.entries.size(); ++i) {
    const TensorEntry& entry = header.entries[i];
    TensorInfo info;
    info.name = entry.spec.name;
    info.dtype = entry.spec.dtype;
    info.shape = entry.spec.shape;
    if (pending.names_known) {
      info.strides = record.tensors[i].strides;
      info.aliases = record.tensors[i].aliases;
    }
    pending.saved.tensors.push_back(std::move(info));
    pending.sizes.push_back(entry.end - entry.begin);
    pending.report.bytes += entry.end - entry.begin;
  }
  pending.report.tensors = header.entries.size();
}

HOLDFAST_INLINE void read_tensors(PendingPart& pending, TransferMeter& meter) {
  const std::size_t count = pending.saved.tensors.size();
  pending.staging.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::byte* into = pending.restore->buffer(i);
    if (into == nullptr) {
      pending.staging[i].resize(static_cast<std::size_t>(pending.sizes[i]));
      into = pending.staging[i].data();
    }
    read_exactly(*pending.reader, pending.file, into, pending.sizes[i], meter);
    pending.bytes.push_back(into);
  }
  if (!pending.reader->finish()) {
    throw_wrong_bytes(pending.file);
  }
  pending.reader.reset();
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/format/safetensors.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/base/sorting.hpp>
#include <holdfast/format/impl/safetensors_read.ipp>
#include <holdfast/format/impl/safetensors_rules.ipp>
#include <holdfast/format/impl/safetensors_write.ipp>
#include <holdfast/format/impl/shared.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

HOLDFAST_INLINE SafetensorsLayout plan_safetensors(
    const std::vector<TensorSpec>& tensors,
    const std::map<std::string, std::string>& metadata) {
  SafetensorsLayout layout;
  layout.sources =
      detail::sorted_indices(tensors.size(), [&](std::size_t a, std::size_t b) {
        const DType left = info(tensors[a].dtype).stored_as;
        const DType right = info(tensors[b].dtype).stored_as;
        return left != right ? left > right : tensors[a].name < tensors[b].name;
      });
  layout.entries.reserve(tensors.size());
  for (const std::size_t source : layout.sources) {
    const std::uint64_t bytes = detail::check_tensor(
        detail::stored_spec(tensors[source]),
        ErrorCode::limit_exceeded,
        ErrorCode::invalid_argument);
    TensorEntry entry;
    entry.spec = tensors[source];
    entry.begin = layout.data_bytes;
    const auto end = checked_add(entry.begin, bytes);
    if (!end ||
        *end > static_cast<std::uint64_t>(
                   std::numeric_limits<std::int64_t>::max())) {
      throw_invalid_argument(
          entry.spec.name, "more bytes than a file can hold");
    }
    entry.end = *end;
    layout.data_bytes = *end;
    layout.entries.push_back(std::move(entry));
  }
  try {
    (void)detail::by_name(layout.entries);
  } catch (const Error& error) {
    throw Error(ErrorCode::duplicate_name, error.details());
  }
  std::string json = "{\"__metadata__\":{";
  char separator = 0;
  for (const auto& [name, text] :
       detail::stored_metadata(metadata, layout.entries)) {
    if (separator != 0) {
      json += separator;
    }
    detail::append_json_text(json, name);
    json += ':';
    detail::append_json_text(json, text);
    separator = ',';
  }
  json += '}';
  for (const TensorEntry& entry : layout.entries) {
    json += ',';
    detail::append_entry(json, entry);
  }
  json += '}';
  layout.header = detail::header_of(json);
  return layout;
}

HOLDFAST_INLINE SafetensorsHeader read_safetensors_header(
    ByteSource& source,
    std::uint64_t file_bytes,
    Bytes& raw) {
  const std::size_t begin = raw.size();
  if (file_bytes < detail::kHeaderLengthBytes) {
    detail::throw_tensor_error(
        ErrorCode::malformed_tensors,
        "",
        "a file too short for a header",
        std::to_string(file_bytes) + " bytes");
  }
  detail::append_from(source, detail::kHeaderLengthBytes, raw);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < detail::kHeaderLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(raw[begin + i]) << (8 * i);
  }
  const std::uint64_t left = file_bytes - detail::kHeaderLengthBytes;
  const std::uint64_t most = std::min(left, kMaxSafetensorsHeader);
  if (length > most) {
    detail::throw_tensor_error(
        ErrorCode::malformed_tensors,
        "",
        "a header longer than allowed or than the file",
        std::to_string(length) + " bytes",
        "at most " + std::to_string(most));
  }
  detail::append_from(source, length, raw);
  const std::string_view json =
      ByteView(raw)
          .subview(
              begin + detail::kHeaderLengthBytes,
              raw.size() - begin - detail::kHeaderLengthBytes)
          .text();
  SafetensorsHeader header = detail::parse_header(json, left - length);
  header.header_bytes = detail::kHeaderLengthBytes + length;
  return header;
}

} // namespace holdfast

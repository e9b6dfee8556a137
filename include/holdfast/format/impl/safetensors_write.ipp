#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/format/impl/safetensors_rules.ipp>
#include <holdfast/format/impl/shared.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/format/value.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// The text of a safetensors header.
namespace holdfast::detail {

HOLDFAST_INLINE bool is_pair(DType dtype) noexcept {
  return info(dtype).stored_as != dtype;
}

/// As the file has it: complex numbers that it lacks become pairs.
HOLDFAST_INLINE TensorSpec stored_spec(const TensorSpec& spec) {
  TensorSpec stored = spec;
  if (is_pair(spec.dtype)) {
    stored.dtype = info(spec.dtype).stored_as;
    stored.shape.push_back(2);
  }
  return stored;
}

HOLDFAST_INLINE void append_entry(std::string& json, const TensorEntry& entry) {
  const TensorSpec stored = stored_spec(entry.spec);
  append_json_text(json, stored.name);
  json += ":{\"dtype\":\"";
  json += info(stored.dtype).name;
  json += "\",\"shape\":[";
  for (std::size_t i = 0; i < stored.shape.size(); ++i) {
    if (i != 0) {
      json += ',';
    }
    append_decimal(json, static_cast<std::uint64_t>(stored.shape[i]));
  }
  json += "],\"data_offsets\":[";
  append_decimal(json, entry.begin);
  json += ',';
  append_decimal(json, entry.end);
  json += "]}";
}

/// The metadata as it goes into the file.
HOLDFAST_INLINE std::map<std::string, std::string> stored_metadata(
    const std::map<std::string, std::string>& metadata,
    const std::vector<TensorEntry>& entries) {
  for (const auto& [name, text] : metadata) {
    const bool is_reserved =
        name == kComplexMarker || (name == "format" && text != "pt");
    if (is_reserved || !is_utf8(name) || !is_utf8(text)) {
      throw_invalid_argument(name, "not allowed in a file's metadata");
    }
  }
  std::map<std::string, std::string> all = metadata;
  all["format"] = "pt"; // loaders of model files demand it
  Value::Array pairs;
  for (const TensorEntry& entry : entries) {
    if (is_pair(entry.spec.dtype)) {
      pairs.emplace_back(entry.spec.name);
    }
  }
  if (!pairs.empty()) {
    all[kComplexMarker] = to_json(std::move(pairs));
  }
  return all;
}

HOLDFAST_INLINE std::string header_of(const std::string& json) {
  // Blanks bring the data to the alignment.
  const std::size_t used = kHeaderLengthBytes + json.size();
  const std::size_t padded =
      (used + kDataAlignment - 1) / kDataAlignment * kDataAlignment;
  const std::uint64_t length = padded - kHeaderLengthBytes;
  if (length > kMaxSafetensorsHeader) {
    throw_tensor_error(
        ErrorCode::limit_exceeded,
        "",
        "a safetensors header of too many bytes",
        std::to_string(length),
        "at most " + std::to_string(kMaxSafetensorsHeader));
  }
  std::string header;
  header.reserve(padded);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    header += static_cast<char>(length >> shift & 0xff);
  }
  header += json;
  header.resize(padded, ' ');
  return header;
}

} // namespace holdfast::detail

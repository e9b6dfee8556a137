#pragma once

#include <holdfast/format/safetensors.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/sorting.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the writer and the reader of safetensors files both hold tensors to.
namespace holdfast::detail {

inline constexpr const char* kMetadataMember = "__metadata__";
inline constexpr const char* kComplexMarker = "holdfast.complex";
inline constexpr std::size_t kDataAlignment = 64;
inline constexpr std::size_t kHeaderLengthBytes = 8;

HOLDFAST_INLINE bool has_control_character(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return true;
    }
  }
  return false;
}

/// As much of a text as a message should hold.
HOLDFAST_INLINE std::string excerpt(std::string text) {
  constexpr std::size_t kMost = 256;
  if (text.size() > kMost) {
    text.resize(kMost);
    text += "...";
  }
  return text;
}

[[noreturn]] HOLDFAST_INLINE void throw_tensor_error(
    ErrorCode code,
    std::string name,
    std::string message,
    std::string found = {},
    std::string expected = {}) {
  ErrorDetails details;
  details.name = excerpt(std::move(name));
  details.message = std::move(message);
  details.found = excerpt(std::move(found));
  details.expected = std::move(expected);
  throw Error(code, std::move(details));
}

/// Checks a tensor as it is stored; `limit` is the code of a broken limit,
/// `rule` that of anything else. Returns its bytes.
HOLDFAST_INLINE std::uint64_t check_tensor(
    const TensorSpec& stored,
    ErrorCode limit,
    ErrorCode rule) {
  const std::string& name = stored.name;
  if (name.empty()) {
    throw_tensor_error(rule, "", "a tensor without a name");
  }
  if (name.size() > kMaxTensorNameBytes) {
    throw_tensor_error(
        limit,
        name,
        "a tensor's name is too long",
        std::to_string(name.size()) + " bytes",
        "at most " + std::to_string(kMaxTensorNameBytes));
  }
  if (name == kMetadataMember || has_control_character(name) ||
      !is_utf8(name)) {
    throw_tensor_error(rule, name, "not a name for a tensor");
  }
  if (stored.shape.size() > kMaxTensorRank) {
    throw_tensor_error(
        limit,
        name,
        "a tensor with too many dimensions",
        std::to_string(stored.shape.size()),
        "at most " + std::to_string(kMaxTensorRank));
  }
  const auto bytes = tensor_bytes(stored.dtype, stored.shape);
  if (!bytes) {
    throw_tensor_error(
        rule, name, "a shape whose bytes overflow or end within a byte");
  }
  return *bytes;
}

/// Indices of the entries by name; `malformed_tensors` if two have one.
HOLDFAST_INLINE std::vector<std::size_t> by_name(
    const std::vector<TensorEntry>& entries) {
  // Sorted, not hashed: no choice of names makes it slow.
  std::vector<std::size_t> order =
      sorted_indices(entries.size(), [&](std::size_t a, std::size_t b) {
        return entries[a].spec.name < entries[b].spec.name;
      });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const std::string& name = entries[order[i]].spec.name;
    if (name == entries[order[i - 1]].spec.name) {
      throw_tensor_error(
          ErrorCode::malformed_tensors, name, "two tensors with one name");
    }
  }
  return order;
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/io/zstd.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// safetensors files (https://github.com/huggingface/safetensors): 8 bytes
/// little-endian length, a JSON header of that length, then the tensors'
/// row-major bytes without holes. Both writer and reader are stricter than the
/// reference: see docs/format.md.
namespace holdfast {

/// The largest header, of the reference too.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;
/// Dimensions in the file, the last one of a pair included.
inline constexpr std::size_t kMaxTensorRank = 64;
inline constexpr std::size_t kMaxTensorNameBytes = 4096;

struct TensorSpec {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
};

inline bool operator==(const TensorSpec& a, const TensorSpec& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
}

/// A tensor and its bytes' place in the data after the header.
struct TensorEntry {
  TensorSpec spec;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// How a file of given tensors will look, before a byte of it is written.
struct SafetensorsLayout {
  std::string header; ///< Length, JSON and padding: the file's first bytes.
  std::vector<TensorEntry> entries; ///< In the order of the file.
  std::vector<std::size_t> sources; ///< Per entry: its index in `tensors`.
  std::uint64_t data_bytes = 0;

  [[nodiscard]] std::uint64_t file_bytes() const noexcept {
    return header.size() + data_bytes;
  }
};

/// Lays a file out: the reference's order (dtype descending, then name), header
/// padded with blanks so that the data begins at a multiple of 64, "format":
/// "pt" and `metadata` in `__metadata__`. Complex numbers that safetensors
/// lacks become pairs, listed in the metadata entry "holdfast.complex".
/// Errors: `duplicate_name`; `limit_exceeded` (header, rank, name length);
/// `invalid_argument` for an empty name, control characters, text that is not
/// UTF-8, "__metadata__", a shape that overflows, and for a metadata entry
/// "holdfast.complex" or a "format" other than "pt".
[[nodiscard]] SafetensorsLayout plan_safetensors(
    const std::vector<TensorSpec>& tensors,
    const std::map<std::string, std::string>& metadata = {});

/// A header that was read and checked.
struct SafetensorsHeader {
  std::vector<TensorEntry> entries; ///< In the order of the file.
  std::map<std::string, std::string> metadata;
  std::uint64_t header_bytes = 0; ///< Length field included.
  std::uint64_t data_bytes = 0;
};

/// Reads and checks the header of a file of `file_bytes` bytes from the front
/// of `source`, and leaves `source` at the first byte of data. Appends the raw
/// bytes to `raw`, for a digest. `malformed_tensors` with the broken rule and
/// the tensor's name; nothing is allocated on the word of the file alone.
/// Pairs come back as the complex numbers they are, in dtype and shape.
[[nodiscard]] SafetensorsHeader read_safetensors_header(
    ByteSource& source,
    std::uint64_t file_bytes,
    Bytes& raw);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/safetensors.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace holdfast {

/// Element types of stored tensors: every dtype of safetensors 0.8, in the
/// order of its enumeration, and two kinds of complex numbers it lacks, which
/// are stored as pairs (`DTypeInfo::stored_as`). The numbers are not
/// persistent: only the names are.
enum class DType : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
  c32, ///< Complex of two f16; in the file F16 with a last dimension of 2.
  c128, ///< Complex of two f64; in the file F64 with a last dimension of 2.
};

struct DTypeInfo {
  DType dtype;
  std::string_view name; ///< As in the file: "F32"; "C128" for people only.
  unsigned bits; ///< Of one element.
  DType stored_as; ///< `dtype` itself, or the type of a pair's half.
};

[[nodiscard]] const DTypeInfo& info(DType dtype) noexcept;
/// Only names that a safetensors file may hold; nothing for any other.
[[nodiscard]] std::optional<DType> dtype_from_name(
    std::string_view name) noexcept;

/// True if a load may convert elements of one dtype to another when asked:
/// floating-point numbers to f16, bf16, f32 or f64, rounded (what is too large
/// becomes infinite), and integers to integers that hold every value of theirs.
/// Not booleans, not complex numbers, not integers to floating point.
[[nodiscard]] bool is_convertible(DType from, DType to) noexcept;

/// Bytes of a row-major tensor. Nothing where a dimension is negative, where
/// the elements or bytes overflow (whatever the order of the dimensions), or
/// where the bits do not fill whole bytes.
[[nodiscard]] std::optional<std::uint64_t> tensor_bytes(
    DType dtype,
    const std::vector<std::int64_t>& shape) noexcept;

/// One element as a number: booleans, integers, and floating-point numbers of
/// 16 bits and more; nothing for the others, and for complex ones. `element`
/// holds its bytes as files do, little-endian.
[[nodiscard]] std::optional<double> element_value(
    DType dtype,
    const std::byte* element) noexcept;

/// Strides, in elements, of a row-major tensor of this shape.
[[nodiscard]] std::vector<std::int64_t> row_major_strides(
    const std::vector<std::int64_t>& shape);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/dtype.ipp>
#endif

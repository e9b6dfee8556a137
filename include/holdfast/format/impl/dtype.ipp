#pragma once

#include <holdfast/format/dtype.hpp>

#include <holdfast/base/checked.hpp>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE const DTypeInfo* dtype_table() noexcept {
  // One row per enumerator, in its order: `info` uses the number as the index.
  static constexpr DTypeInfo table[] = {
      {DType::boolean, "BOOL", 8, DType::boolean},
      {DType::f4, "F4", 4, DType::f4},
      {DType::f6_e2m3, "F6_E2M3", 6, DType::f6_e2m3},
      {DType::f6_e3m2, "F6_E3M2", 6, DType::f6_e3m2},
      {DType::u8, "U8", 8, DType::u8},
      {DType::i8, "I8", 8, DType::i8},
      {DType::f8_e5m2, "F8_E5M2", 8, DType::f8_e5m2},
      {DType::f8_e4m3, "F8_E4M3", 8, DType::f8_e4m3},
      {DType::f8_e8m0, "F8_E8M0", 8, DType::f8_e8m0},
      {DType::f8_e4m3fnuz, "F8_E4M3FNUZ", 8, DType::f8_e4m3fnuz},
      {DType::f8_e5m2fnuz, "F8_E5M2FNUZ", 8, DType::f8_e5m2fnuz},
      {DType::i16, "I16", 16, DType::i16},
      {DType::u16, "U16", 16, DType::u16},
      {DType::f16, "F16", 16, DType::f16},
      {DType::bf16, "BF16", 16, DType::bf16},
      {DType::i32, "I32", 32, DType::i32},
      {DType::u32, "U32", 32, DType::u32},
      {DType::f32, "F32", 32, DType::f32},
      {DType::c64, "C64", 64, DType::c64},
      {DType::f64, "F64", 64, DType::f64},
      {DType::i64, "I64", 64, DType::i64},
      {DType::u64, "U64", 64, DType::u64},
      {DType::c32, "C32", 32, DType::f16},
      {DType::c128, "C128", 128, DType::f64},
  };
  static_assert(
      sizeof(table) / sizeof(table[0]) ==
          static_cast<std::size_t>(DType::c128) + 1,
      "one row per dtype");
  return table;
}

/// 0 for what is no integer.
HOLDFAST_INLINE int integer_bits(DType dtype) noexcept {
  const std::string_view name = info(dtype).name;
  return name[0] == 'I' || name[0] == 'U' ? static_cast<int>(info(dtype).bits)
                                          : 0;
}

} // namespace detail

HOLDFAST_INLINE const DTypeInfo& info(DType dtype) noexcept {
  return detail::dtype_table()[static_cast<std::size_t>(dtype)];
}

HOLDFAST_INLINE std::optional<DType> dtype_from_name(
    std::string_view name) noexcept {
  for (std::size_t i = 0; i <= static_cast<std::size_t>(DType::u64); ++i) {
    const DTypeInfo& row = detail::dtype_table()[i];
    if (row.name == name) {
      return row.dtype;
    }
  }
  return std::nullopt;
}

HOLDFAST_INLINE bool is_convertible(DType from, DType to) noexcept {
  const bool to_float = to == DType::f16 || to == DType::bf16 ||
      to == DType::f32 || to == DType::f64;
  switch (from) {
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64:
    case DType::f8_e5m2:
    case DType::f8_e4m3:
    case DType::f8_e4m3fnuz:
    case DType::f8_e5m2fnuz:
      return to_float;
    default:
      break;
  }
  const int from_bits = detail::integer_bits(from);
  const int to_bits = detail::integer_bits(to);
  if (from_bits == 0 || to_bits == 0) {
    return false;
  }
  const bool from_signed = info(from).name[0] == 'I';
  const bool to_signed = info(to).name[0] == 'I';
  return from_signed == to_signed ? to_bits >= from_bits
                                  : to_signed && to_bits > from_bits;
}

HOLDFAST_INLINE std::optional<std::uint64_t> tensor_bytes(
    DType dtype,
    const std::vector<std::int64_t>& shape) noexcept {
  // A zero makes the product zero but excuses no overflow: strides and the
  // products of other readers are computed from the same dimensions.
  std::uint64_t elements = 1;
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) {
      return std::nullopt;
    }
    if (dimension == 0) {
      empty = true;
      continue;
    }
    const auto product =
        checked_multiply(elements, static_cast<std::uint64_t>(dimension));
    if (!product ||
        *product > static_cast<std::uint64_t>(
                       std::numeric_limits<std::int64_t>::max())) {
      return std::nullopt;
    }
    elements = *product;
  }
  const std::uint64_t bits = info(dtype).bits;
  // Eight elements are `bits` bytes: no product of bits that could overflow.
  const auto whole = checked_multiply(elements / 8, bits);
  const std::uint64_t rest_bits = elements % 8 * bits;
  if (!whole) {
    return std::nullopt;
  }
  const auto bytes = checked_add(*whole, rest_bits / 8);
  if (empty) {
    return bytes ? std::optional<std::uint64_t>(0) : std::nullopt;
  }
  return rest_bits % 8 == 0 ? bytes : std::nullopt;
}

namespace detail {

template <class Number>
double number_at(const std::byte* element) noexcept {
  Number number;
  std::memcpy(&number, element, sizeof(number));
  return static_cast<double>(number);
}

/// IEEE 754 binary16.
HOLDFAST_INLINE double half_value(std::uint16_t bits) noexcept {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double magnitude = std::ldexp(fraction, -24);
  if (exponent == 31) {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent != 0) {
    magnitude = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

/// The upper half of an IEEE 754 binary32.
HOLDFAST_INLINE double bfloat_value(std::uint16_t bits) noexcept {
  const std::uint32_t word = std::uint32_t{bits} << 16;
  float number = 0;
  std::memcpy(&number, &word, sizeof(number));
  return number;
}

} // namespace detail

HOLDFAST_INLINE std::optional<double> element_value(
    DType dtype,
    const std::byte* element) noexcept {
  std::uint16_t bits = 0;
  switch (dtype) {
    case DType::boolean:
    case DType::u8:
      return detail::number_at<std::uint8_t>(element);
    case DType::i8:
      return detail::number_at<std::int8_t>(element);
    case DType::i16:
      return detail::number_at<std::int16_t>(element);
    case DType::u16:
      return detail::number_at<std::uint16_t>(element);
    case DType::i32:
      return detail::number_at<std::int32_t>(element);
    case DType::u32:
      return detail::number_at<std::uint32_t>(element);
    case DType::i64:
      return detail::number_at<std::int64_t>(element);
    case DType::u64:
      return detail::number_at<std::uint64_t>(element);
    case DType::f32:
      return detail::number_at<float>(element);
    case DType::f64:
      return detail::number_at<double>(element);
    case DType::f16:
      std::memcpy(&bits, element, sizeof(bits));
      return detail::half_value(bits);
    case DType::bf16:
      std::memcpy(&bits, element, sizeof(bits));
      return detail::bfloat_value(bits);
    default:
      return std::nullopt;
  }
}

HOLDFAST_INLINE std::vector<std::int64_t> row_major_strides(
    const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::uint64_t stride = 1; // unsigned: wraps where the shape is no shape
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = static_cast<std::int64_t>(stride);
    stride *= shape[i] > 1 ? static_cast<std::uint64_t>(shape[i]) : 1;
  }
  return strides;
}

} // namespace holdfast

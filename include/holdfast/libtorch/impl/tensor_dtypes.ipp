#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/dtype.hpp>

#include <c10/core/ScalarType.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>

namespace holdfast::detail {

/// LibTorch's names of the dtypes: types that a version lacks have no number
/// there, but the names never change.
struct DTypeName {
  DType dtype;
  const char* name;
};

HOLDFAST_INLINE const std::array<DTypeName, 21>& dtype_names() {
  static const std::array<DTypeName, 21> names{{
      {DType::boolean, "Bool"},
      {DType::u8, "Byte"},
      {DType::i8, "Char"},
      {DType::i16, "Short"},
      {DType::i32, "Int"},
      {DType::i64, "Long"},
      {DType::u16, "UInt16"},
      {DType::u32, "UInt32"},
      {DType::u64, "UInt64"},
      {DType::f16, "Half"},
      {DType::bf16, "BFloat16"},
      {DType::f32, "Float"},
      {DType::f64, "Double"},
      {DType::c32, "ComplexHalf"},
      {DType::c64, "ComplexFloat"},
      {DType::c128, "ComplexDouble"},
      {DType::f8_e5m2, "Float8_e5m2"},
      {DType::f8_e4m3, "Float8_e4m3fn"},
      {DType::f8_e5m2fnuz, "Float8_e5m2fnuz"},
      {DType::f8_e4m3fnuz, "Float8_e4m3fnuz"},
      {DType::f8_e8m0, "Float8_e8m0fnu"},
  }};
  return names;
}

struct DTypeTable {
  static constexpr std::size_t kTypes =
      static_cast<std::size_t>(c10::ScalarType::NumOptions);
  std::array<std::optional<DType>, kTypes> dtypes{};

  DTypeTable() {
    for (std::size_t i = 0; i < kTypes; ++i) {
      const auto type = static_cast<c10::ScalarType>(i);
      for (const DTypeName& entry : dtype_names()) {
        if (std::strcmp(c10::toString(type), entry.name) == 0) {
          dtypes[i] = entry.dtype;
        }
      }
    }
  }
};

HOLDFAST_INLINE const DTypeTable& scalar_type_table() {
  static const DTypeTable table;
  return table;
}

} // namespace holdfast::detail

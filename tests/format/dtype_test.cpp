#include <support/catch.hpp>

#include <holdfast/format/dtype.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

using namespace holdfast;

namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

} // namespace

TEST_CASE("dtype: every row stands at its enumerator", "[format]") {
  for (int i = 0; i <= static_cast<int>(DType::c128); ++i) {
    const auto dtype = static_cast<DType>(i);
    CAPTURE(i);
    CHECK(info(dtype).dtype == dtype);
  }
}

TEST_CASE("dtype: names and bits are those of safetensors", "[format]") {
  struct Row {
    const char* name;
    DType dtype;
    unsigned bits;
  };
  const Row rows[] = {
      {"BOOL", DType::boolean, 8},
      {"F4", DType::f4, 4},
      {"F6_E2M3", DType::f6_e2m3, 6},
      {"F6_E3M2", DType::f6_e3m2, 6},
      {"U8", DType::u8, 8},
      {"I8", DType::i8, 8},
      {"F8_E5M2", DType::f8_e5m2, 8},
      {"F8_E4M3", DType::f8_e4m3, 8},
      {"F8_E8M0", DType::f8_e8m0, 8},
      {"F8_E4M3FNUZ", DType::f8_e4m3fnuz, 8},
      {"F8_E5M2FNUZ", DType::f8_e5m2fnuz, 8},
      {"I16", DType::i16, 16},
      {"U16", DType::u16, 16},
      {"F16", DType::f16, 16},
      {"BF16", DType::bf16, 16},
      {"I32", DType::i32, 32},
      {"U32", DType::u32, 32},
      {"F32", DType::f32, 32},
      {"C64", DType::c64, 64},
      {"F64", DType::f64, 64},
      {"I64", DType::i64, 64},
      {"U64", DType::u64, 64},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(dtype_from_name(row.name) == row.dtype);
    CHECK(info(row.dtype).name == row.name);
    CHECK(info(row.dtype).bits == row.bits);
    CHECK(info(row.dtype).stored_as == row.dtype);
  }
}

TEST_CASE("dtype: names that no file may hold are none", "[format]") {
  for (const char* name : {"", "f32", "F32 ", "C32", "C128", "FLOAT", "F"}) {
    CAPTURE(name);
    CHECK_FALSE(dtype_from_name(name).has_value());
  }
  CHECK(info(DType::c32).stored_as == DType::f16);
  CHECK(info(DType::c32).bits == 32);
  CHECK(info(DType::c128).stored_as == DType::f64);
  CHECK(info(DType::c128).bits == 128);
}

TEST_CASE("dtype: bytes of a tensor", "[format]") {
  CHECK(tensor_bytes(DType::f32, {}) == 4U);
  CHECK(tensor_bytes(DType::f32, {2, 3}) == 24U);
  CHECK(tensor_bytes(DType::c128, {5}) == 80U);
  CHECK(tensor_bytes(DType::boolean, {0}) == 0U);
  CHECK(tensor_bytes(DType::u8, {kMax}) == static_cast<std::uint64_t>(kMax));
}

TEST_CASE("dtype: bits must fill whole bytes", "[format]") {
  CHECK(tensor_bytes(DType::f4, {2}) == 1U);
  CHECK(tensor_bytes(DType::f4, {18}) == 9U);
  CHECK_FALSE(tensor_bytes(DType::f4, {3}).has_value());
  CHECK_FALSE(tensor_bytes(DType::f4, {}).has_value());
  CHECK(tensor_bytes(DType::f6_e2m3, {4}) == 3U);
  CHECK(tensor_bytes(DType::f6_e3m2, {12}) == 9U);
  CHECK_FALSE(tensor_bytes(DType::f6_e3m2, {6}).has_value());
  CHECK(tensor_bytes(DType::f4, {3, 0}) == 0U);
}

TEST_CASE("dtype: overflow is found whatever the order", "[format]") {
  constexpr std::int64_t kHalf = std::int64_t{1} << 62;
  const Shape shapes[] = {
      {0, kHalf, 4},
      {kHalf, 0, 4},
      {kHalf, 4, 0},
      {kHalf, 4},
      {kMax, kMax, 0},
      {kMax, 2},
      {-1},
      {0, -1},
      {-1, 0},
      {std::numeric_limits<std::int64_t>::min()},
  };
  for (const Shape& shape : shapes) {
    CAPTURE(shape);
    CHECK_FALSE(tensor_bytes(DType::u8, shape).has_value());
  }
  CHECK_FALSE(tensor_bytes(DType::f64, {kMax}).has_value());
  CHECK_FALSE(tensor_bytes(DType::f64, {kMax, 0}).has_value());
  CHECK(
      tensor_bytes(DType::f4, {kMax - 1}) ==
      static_cast<std::uint64_t>(kMax) / 2);
}

TEST_CASE("dtype: row-major strides", "[format]") {
  CHECK(row_major_strides({}) == Shape{});
  CHECK(row_major_strides({7}) == Shape{1});
  CHECK(row_major_strides({2, 3, 4}) == Shape{12, 4, 1});
  CHECK(row_major_strides({2, 0, 4}) == Shape{4, 4, 1});
  CHECK(row_major_strides({kMax, kMax, kMax}).size() == 3);
}

TEST_CASE("dtype: elements as numbers", "[format]") {
  const auto value = [](DType dtype, auto number) {
    std::byte bytes[sizeof(number)];
    std::memcpy(bytes, &number, sizeof(number));
    return element_value(dtype, bytes);
  };
  CHECK(value(DType::boolean, std::uint8_t{1}) == 1.0);
  CHECK(value(DType::i8, std::int8_t{-3}) == -3.0);
  CHECK(value(DType::u8, std::uint8_t{200}) == 200.0);
  CHECK(value(DType::i16, std::int16_t{-300}) == -300.0);
  CHECK(value(DType::u16, std::uint16_t{60000}) == 60000.0);
  CHECK(value(DType::i32, std::int32_t{-70000}) == -70000.0);
  CHECK(value(DType::u32, std::uint32_t{3'000'000'000}) == 3e9);
  CHECK(value(DType::i64, std::int64_t{-5'000'000'000}) == -5e9);
  CHECK(value(DType::u64, std::uint64_t{1} << 63) == 9223372036854775808.0);
  CHECK(value(DType::f32, 0.1F) == static_cast<double>(0.1F));
  CHECK(value(DType::f64, 0.1) == 0.1);
  // IEEE 754 binary16: 1, -2, 65504, the smallest normal and subnormal ones.
  CHECK(value(DType::f16, std::uint16_t{0x3C00}) == 1.0);
  CHECK(value(DType::f16, std::uint16_t{0xC000}) == -2.0);
  CHECK(value(DType::f16, std::uint16_t{0x7BFF}) == 65504.0);
  CHECK(value(DType::f16, std::uint16_t{0x0400}) == std::ldexp(1.0, -14));
  CHECK(value(DType::f16, std::uint16_t{0x0001}) == std::ldexp(1.0, -24));
  CHECK(std::isinf(*value(DType::f16, std::uint16_t{0x7C00})));
  CHECK(std::isnan(*value(DType::f16, std::uint16_t{0x7E00})));
  CHECK(std::signbit(*value(DType::f16, std::uint16_t{0x8000})));
  CHECK(value(DType::bf16, std::uint16_t{0x3F80}) == 1.0);
  CHECK(value(DType::bf16, std::uint16_t{0xC049}) == -3.140625);
  CHECK_FALSE(value(DType::f8_e4m3, std::uint8_t{1}));
  CHECK_FALSE(value(DType::c64, std::uint64_t{1}));
}

TEST_CASE("dtype: what a load may convert", "[format]") {
  const auto targets_of = [](DType from) {
    std::string names;
    for (int i = 0; i <= static_cast<int>(DType::c128); ++i) {
      const auto to = static_cast<DType>(i);
      if (to != from && is_convertible(from, to)) {
        names += std::string(info(to).name) + " ";
      }
    }
    return names;
  };
  CHECK(targets_of(DType::f32) == "F16 BF16 F64 ");
  CHECK(targets_of(DType::f64) == "F16 BF16 F32 ");
  CHECK(targets_of(DType::f16) == "BF16 F32 F64 ");
  CHECK(targets_of(DType::bf16) == "F16 F32 F64 ");
  CHECK(targets_of(DType::f8_e4m3) == "F16 BF16 F32 F64 ");
  CHECK(targets_of(DType::u8) == "I16 U16 I32 U32 I64 U64 ");
  CHECK(targets_of(DType::i8) == "I16 I32 I64 ");
  CHECK(targets_of(DType::u32) == "I64 U64 ");
  CHECK(targets_of(DType::i32) == "I64 ");
  CHECK(targets_of(DType::i64).empty());
  CHECK(targets_of(DType::u64).empty());
  for (const DType never :
       {DType::boolean, DType::f4, DType::f8_e8m0, DType::c64, DType::c128}) {
    CHECK(targets_of(never).empty());
  }
}

#pragma once

#include <holdfast/base/bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>

namespace holdfast::test {

/// The seed of every random test: fixed, unless HOLDFAST_SEED says otherwise.
/// A test prints it with CAPTURE.
inline std::uint64_t seed() {
  if (const char* text = std::getenv("HOLDFAST_SEED")) {
    return std::strtoull(text, nullptr, 10);
  }
  return 20240229;
}

/// `count` bytes that do not compress.
inline Bytes random_bytes(std::size_t count, std::uint64_t from_seed) {
  std::mt19937_64 engine(from_seed);
  Bytes bytes(count);
  for (std::size_t i = 0; i < count;) {
    std::uint64_t word = engine();
    for (int k = 0; k < 8 && i < count; ++k, ++i, word >>= 8) {
      bytes[i] = static_cast<std::byte>(word & 0xff);
    }
  }
  return bytes;
}

/// `count` bytes in runs, which compress well.
inline Bytes repetitive_bytes(std::size_t count, std::uint64_t from_seed) {
  std::mt19937_64 engine(from_seed);
  Bytes bytes(count);
  for (std::size_t i = 0; i < count;) {
    const auto value = static_cast<std::byte>(engine() & 0x0f);
    for (std::size_t run = engine() % 100 + 1; run != 0 && i < count; --run) {
      bytes[i++] = value;
    }
  }
  return bytes;
}

} // namespace holdfast::test

#pragma once

#include <holdfast/io/checksum.hpp>

#include <holdfast/base/text.hpp>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include <array>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::string hex_of_digest(const Digest128& digest) {
  std::array<std::byte, 16> bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    const std::size_t shift = 56 - 8 * i;
    bytes[i] = static_cast<std::byte>(digest.high >> shift & 0xff);
    bytes[i + 8] = static_cast<std::byte>(digest.low >> shift & 0xff);
  }
  return to_hex({bytes.data(), bytes.size()});
}

} // namespace detail

HOLDFAST_INLINE std::string Digest128::hex() const {
  return detail::hex_of_digest(*this);
}

HOLDFAST_INLINE std::optional<Digest128> Digest128::from_hex(
    std::string_view text) {
  const std::optional<Bytes> bytes = holdfast::from_hex(text);
  if (!bytes || bytes->size() != 16) {
    return std::nullopt;
  }
  Digest128 digest;
  for (std::size_t i = 0; i < 8; ++i) {
    digest.high =
        digest.high << 8 | std::to_integer<std::uint64_t>((*bytes)[i]);
    digest.low =
        digest.low << 8 | std::to_integer<std::uint64_t>((*bytes)[i + 8]);
  }
  return digest;
}

struct Hasher::State {
  XXH3_state_t xxh3;
};

HOLDFAST_INLINE Hasher::Hasher() : state_(new State()) {
  reset();
}
HOLDFAST_INLINE Hasher::~Hasher() = default;
HOLDFAST_INLINE Hasher::Hasher(Hasher&&) noexcept = default;
HOLDFAST_INLINE Hasher& Hasher::operator=(Hasher&&) noexcept = default;

HOLDFAST_INLINE void Hasher::update(ByteView bytes) {
  if (!bytes.empty()) {
    XXH3_128bits_update(&state_->xxh3, bytes.data, bytes.size);
  }
}

HOLDFAST_INLINE Digest128 Hasher::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh3);
  return {hash.high64, hash.low64};
}

HOLDFAST_INLINE void Hasher::reset() {
  XXH3_128bits_reset(&state_->xxh3);
}

HOLDFAST_INLINE Digest128 digest_of(ByteView bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data, bytes.size);
  return {hash.high64, hash.low64};
}

} // namespace holdfast

#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// XXH3, 128 bits (https://github.com/Cyan4973/xxHash). Finds accidents, not
/// attackers.
struct Digest128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// 32 lower-case hex digits, the high half first (xxHash's canonical form).
  [[nodiscard]] std::string hex() const;
  /// Nothing unless `text` is exactly such 32 digits.
  [[nodiscard]] static std::optional<Digest128> from_hex(std::string_view text);
};

inline bool operator==(const Digest128& a, const Digest128& b) noexcept {
  return a.high == b.high && a.low == b.low;
}
inline bool operator!=(const Digest128& a, const Digest128& b) noexcept {
  return !(a == b);
}

/// Incremental XXH3-128. The digest does not depend on how the bytes are cut.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(ByteView bytes);
  [[nodiscard]] Digest128 digest() const;
  void reset();

 private:
  struct State;
  detail::Owned<State> state_;
};

/// The digest of `bytes` in one call.
[[nodiscard]] Digest128 digest_of(ByteView bytes);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/checksum.ipp>
#endif

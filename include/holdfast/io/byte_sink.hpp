#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/io/checksum.hpp>

#include <cstdint>

namespace holdfast {

/// Where a stream of bytes goes. One thread at a time.
class ByteSink {
 public:
  virtual ~ByteSink() = default;

  /// Takes all of `bytes`, or throws.
  virtual void write(ByteView bytes) = 0;

  /// Tells that a unit (a header, a tensor) ends here: a good place to cut a
  /// compressed frame. Most sinks do not care.
  virtual void border() {}
};

/// Passes everything on and keeps the count and the digest of what went by.
class HashingSink final : public ByteSink {
 public:
  /// `next` must outlive this.
  explicit HashingSink(ByteSink& next) : next_(next) {}

  void write(ByteView bytes) override {
    next_.write(bytes);
    hasher_.update(bytes);
    bytes_ += bytes.size;
  }
  void border() override {
    next_.border();
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_;
  }
  [[nodiscard]] Digest128 digest() const {
    return hasher_.digest();
  }

 private:
  ByteSink& next_;
  Hasher hasher_;
  std::uint64_t bytes_ = 0;
};

} // namespace holdfast

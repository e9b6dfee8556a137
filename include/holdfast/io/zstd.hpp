#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/io/byte_sink.hpp>
#include <holdfast/io/file_system.hpp>

#include <cstddef>
#include <cstdint>

namespace holdfast {

/// Writes zstd's seekable format 0.1.0 (contrib/seekable_format in the zstd
/// repository): independent frames with content size and checksum, cut at
/// `border()` and at most `max_frame_bytes` of content each, then the seek
/// table in a skippable frame. `zstd -d` gives the plain bytes back.
class ZstdSink final : public ByteSink {
 public:
  static constexpr std::size_t kMaxFrameBytes = std::size_t{64} << 20;

  /// `next` must outlive this. `level` is zstd's, 1 to 19.
  ZstdSink(
      ByteSink& next,
      int level,
      std::size_t max_frame_bytes = kMaxFrameBytes);
  HOLDFAST_INLINE ~ZstdSink() override;

  HOLDFAST_INLINE void write(ByteView bytes) override;
  HOLDFAST_INLINE void border() override;
  /// Ends the last frame and writes the seek table. Once, at the end.
  void finish();

 private:
  struct State;
  detail::Owned<State> state_;
};

/// A source of plain bytes, read front to back. One thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `count` bytes, fewer only at the end.
  [[nodiscard]] virtual std::size_t read(
      std::byte* into,
      std::size_t count) = 0;
};

/// Reads a file as it is.
class FileSource final : public ByteSource {
 public:
  /// `file` must outlive this.
  explicit FileSource(ReadableFile& file) : file_(file) {}
  [[nodiscard]] std::size_t read(std::byte* into, std::size_t count) override {
    const std::size_t got = file_.read_at(offset_, into, count);
    offset_ += got;
    return got;
  }

 private:
  ReadableFile& file_;
  std::uint64_t offset_ = 0;
};

/// Decompresses concatenated zstd frames, skipping skippable ones. Never gives
/// more than `plain_bytes`, the size the manifest declares; more or less of it,
/// a window beyond 2^27, a frame without content size, trailing or missing
/// bytes are `malformed_compression`. Memory: one window and small buffers,
/// whatever the input says.
class ZstdSource final : public ByteSource {
 public:
  /// `stored` must outlive this.
  ZstdSource(ByteSource& stored, std::uint64_t plain_bytes);
  HOLDFAST_INLINE ~ZstdSource() override;

  [[nodiscard]] HOLDFAST_INLINE std::size_t read(
      std::byte* into,
      std::size_t count) override;

 private:
  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/zstd.ipp>
#endif

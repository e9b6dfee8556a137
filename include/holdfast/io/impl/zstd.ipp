#pragma once

#include <holdfast/io/zstd.hpp>

#include <holdfast/base/error.hpp>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

namespace detail {

// Numbers of the zstd frame format and of its seekable format.
inline constexpr std::uint32_t kZstdFrameMagic = 0xFD2FB528U;
/// The low four bits are free.
inline constexpr std::uint32_t kSkippableFrameMagic = 0x184D2A50U;
inline constexpr std::uint32_t kSeekTableFrameMagic = 0x184D2A5EU;
inline constexpr std::uint32_t kSeekTableMagic = 0x8F92EAB1U;
inline constexpr std::size_t kSeekTableEntryBytes = 12;
inline constexpr std::size_t kSeekTableFooterBytes = 9;
inline constexpr std::size_t kMaxSeekTableFrames = 0x8000000;
inline constexpr std::byte kSeekTableHasChecksums{0x80};
inline constexpr int kZstdMaxWindowLog = 27;
inline constexpr std::uint64_t kZstdMaxWindow = std::uint64_t{1}
    << kZstdMaxWindowLog;
inline constexpr std::size_t kZstdMaxHeaderBytes = 18;

HOLDFAST_INLINE void append_little_endian(Bytes& bytes, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<std::byte>(value >> shift & 0xff));
  }
}

HOLDFAST_INLINE std::uint32_t read_little_endian(const std::byte* bytes) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    value |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
  }
  return value;
}

/// The window of a frame with a complete header: its own field, or the content
/// where the frame is a single segment.
HOLDFAST_INLINE std::uint64_t zstd_window(
    const std::byte* header,
    std::uint64_t content) {
  constexpr unsigned single_segment = 0x20;
  if ((std::to_integer<unsigned>(header[4]) & single_segment) != 0) {
    return content;
  }
  const auto field = std::to_integer<unsigned>(header[5]);
  const std::uint64_t base = std::uint64_t{1} << (10 + (field >> 3));
  return base + base / 8 * (field & 7);
}

[[noreturn]] HOLDFAST_INLINE void throw_malformed_compression(
    std::string message,
    std::string expected = {},
    std::string found = {}) {
  ErrorDetails details;
  details.message = std::move(message);
  details.expected = std::move(expected);
  details.found = std::move(found);
  throw Error(ErrorCode::malformed_compression, std::move(details));
}

struct ZstdContextDeleter {
  void operator()(ZSTD_CCtx* context) const noexcept {
    ZSTD_freeCCtx(context);
  }
  void operator()(ZSTD_DCtx* context) const noexcept {
    ZSTD_freeDCtx(context);
  }
};

} // namespace detail

struct ZstdSink::State {
  struct Entry {
    std::uint32_t stored_bytes;
    std::uint32_t plain_bytes;
    std::uint32_t checksum;
  };

  void require_open() const;
  void check(std::size_t result) const;
  void write_frame(ByteView content);
  void write_buffered();
  void reserve(std::size_t bytes);

  ByteSink* next = nullptr;
  std::unique_ptr<ZSTD_CCtx, detail::ZstdContextDeleter> context;
  std::size_t max_frame_bytes = 0;
  std::unique_ptr<std::byte[]> content;
  std::size_t content_room = 0; // Grows: most parts are far below a frame.
  std::size_t content_bytes = 0;
  Bytes output;
  std::vector<Entry> entries;
  bool is_open = true;
};

HOLDFAST_INLINE void ZstdSink::State::require_open() const {
  if (!is_open) {
    throw Error(
        ErrorCode::invalid_argument,
        "the compressed stream was finished, or failed before");
  }
}

HOLDFAST_INLINE void ZstdSink::State::check(std::size_t result) const {
  if (ZSTD_isError(result) != 0) {
    if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
      throw std::bad_alloc();
    }
    throw Error(
        ErrorCode::io_error,
        std::string("zstd cannot compress: ") + ZSTD_getErrorName(result));
  }
}

HOLDFAST_INLINE void ZstdSink::State::write_frame(ByteView frame) {
  if (entries.size() == detail::kMaxSeekTableFrames) {
    throw Error(
        ErrorCode::limit_exceeded, "too many frames for one seek table");
  }
  check(ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_only));
  check(ZSTD_CCtx_setPledgedSrcSize(context.get(), frame.size));
  ZSTD_inBuffer in = {frame.data, frame.size, 0};
  std::uint64_t stored = 0;
  std::size_t left = 0;
  do {
    ZSTD_outBuffer out = {output.data(), output.size(), 0};
    left = ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_end);
    check(left);
    next->write({output.data(), out.pos});
    stored += out.pos;
  } while (left != 0);
  entries.push_back(
      {static_cast<std::uint32_t>(stored),
       static_cast<std::uint32_t>(frame.size),
       static_cast<std::uint32_t>(XXH64(frame.data, frame.size, 0))});
}

HOLDFAST_INLINE void ZstdSink::State::write_buffered() {
  if (content_bytes != 0) {
    write_frame({content.get(), content_bytes});
    content_bytes = 0;
  }
}

HOLDFAST_INLINE void ZstdSink::State::reserve(std::size_t bytes) {
  if (bytes <= content_room) {
    return;
  }
  const std::size_t room = std::min(
      max_frame_bytes,
      std::max({bytes, 2 * content_room, std::size_t{64} << 10}));
  std::unique_ptr<std::byte[]> larger(new std::byte[room]);
  if (content_bytes != 0) {
    std::memcpy(larger.get(), content.get(), content_bytes);
  }
  content = std::move(larger);
  content_room = room;
}

HOLDFAST_INLINE ZstdSink::ZstdSink(
    ByteSink& next,
    int level,
    std::size_t max_frame_bytes)
    : state_(new State()) {
  if (level < 1 || level > 19) {
    throw_invalid_argument(
        "level", "a compression level is 1 to 19", std::to_string(level));
  }
  if (max_frame_bytes < 1 || max_frame_bytes > kMaxFrameBytes) {
    throw_invalid_argument(
        "max_frame_bytes",
        "a frame holds 1 to " + std::to_string(kMaxFrameBytes) + " bytes",
        std::to_string(max_frame_bytes));
  }
  state_->next = &next;
  state_->max_frame_bytes = max_frame_bytes;
  state_->context.reset(ZSTD_createCCtx());
  if (!state_->context) {
    throw std::bad_alloc();
  }
  ZSTD_CCtx* const context = state_->context.get();
  state_->check(
      ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level));
  state_->check(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1));
  state_->check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1));
  state_->output.resize(ZSTD_CStreamOutSize());
}

HOLDFAST_INLINE ZstdSink::~ZstdSink() = default;

HOLDFAST_INLINE void ZstdSink::write(ByteView bytes) {
  State& state = *state_;
  state.require_open();
  state.is_open = false; // Until this went well.
  while (!bytes.empty()) {
    const std::size_t count =
        std::min(bytes.size, state.max_frame_bytes - state.content_bytes);
    if (count == state.max_frame_bytes) {
      state.write_frame(bytes.subview(0, count)); // No copy is needed.
    } else {
      state.reserve(state.content_bytes + count);
      std::memcpy(state.content.get() + state.content_bytes, bytes.data, count);
      state.content_bytes += count;
      if (state.content_bytes == state.max_frame_bytes) {
        state.write_buffered();
      }
    }
    bytes = bytes.subview(count, bytes.size - count);
  }
  state.is_open = true;
}

HOLDFAST_INLINE void ZstdSink::border() {
  state_->require_open();
  state_->is_open = false;
  state_->write_buffered();
  state_->next->border();
  state_->is_open = true;
}

HOLDFAST_INLINE void ZstdSink::finish() {
  State& state = *state_;
  state.require_open();
  state.is_open = false; // For good: once, at the end.
  state.write_buffered();
  const std::size_t table_bytes =
      state.entries.size() * detail::kSeekTableEntryBytes +
      detail::kSeekTableFooterBytes;
  Bytes table;
  table.reserve(8 + table_bytes);
  detail::append_little_endian(table, detail::kSeekTableFrameMagic);
  detail::append_little_endian(table, static_cast<std::uint32_t>(table_bytes));
  for (const State::Entry& entry : state.entries) {
    detail::append_little_endian(table, entry.stored_bytes);
    detail::append_little_endian(table, entry.plain_bytes);
    detail::append_little_endian(table, entry.checksum);
  }
  detail::append_little_endian(
      table, static_cast<std::uint32_t>(state.entries.size()));
  table.push_back(detail::kSeekTableHasChecksums);
  detail::append_little_endian(table, detail::kSeekTableMagic);
  state.next->write(ByteView(table));
}

struct ZstdSource::State {
  [[nodiscard]] std::size_t available() const noexcept {
    return end - begin;
  }
  [[nodiscard]] const std::byte* front() const noexcept {
    return input.data() + begin;
  }
  bool fill(std::size_t wanted);
  bool begin_frame();
  void skip_frame();
  std::size_t decompress(std::byte* into, std::size_t count);
  void finish_stream();

  ByteSource* stored = nullptr;
  std::unique_ptr<ZSTD_DCtx, detail::ZstdContextDeleter> context;
  Bytes input;
  std::size_t begin = 0; ///< Of what was read and not yet used.
  std::size_t end = 0;
  std::uint64_t left = 0; ///< Plain bytes still to come, in all.
  std::uint64_t left_in_frame = 0;
  bool in_frame = false;
  bool failed = false;
  bool finished = false;
};

/// Reads until `wanted` bytes are there; false if the input ends before.
HOLDFAST_INLINE bool ZstdSource::State::fill(std::size_t wanted) {
  if (available() >= wanted) {
    return true;
  }
  std::memmove(input.data(), front(), available());
  end = available();
  begin = 0;
  while (end < wanted) {
    const std::size_t got =
        stored->read(input.data() + end, input.size() - end);
    if (got == 0) {
      return false;
    }
    end += got;
  }
  return true;
}

/// Goes to the next frame with content; false at the end of the input.
HOLDFAST_INLINE bool ZstdSource::State::begin_frame() {
  for (;;) {
    (void)fill(detail::kZstdMaxHeaderBytes);
    if (available() == 0) {
      return false;
    }
    if (available() < 5) {
      detail::throw_malformed_compression("a frame is cut off");
    }
    const std::uint32_t magic = detail::read_little_endian(front());
    if (magic == detail::kZstdFrameMagic) {
      break;
    }
    if ((magic & 0xFFFFFFF0U) != detail::kSkippableFrameMagic) {
      detail::throw_malformed_compression(
          "neither a zstd frame nor a skippable one");
    }
    skip_frame();
  }
  const unsigned long long content =
      ZSTD_getFrameContentSize(front(), available());
  if (content == ZSTD_CONTENTSIZE_ERROR) {
    detail::throw_malformed_compression("a frame's header is cut off or wrong");
  }
  if (content == ZSTD_CONTENTSIZE_UNKNOWN) {
    detail::throw_malformed_compression("a frame does not tell its size");
  }
  if (content > left) {
    detail::throw_malformed_compression(
        "the content is larger than declared",
        "at most " + std::to_string(left) + " more bytes",
        "a frame of " + std::to_string(content));
  }
  // zstd looks at the window only where it needs one, which hangs on how the
  // input is cut: what is accepted must not.
  const std::uint64_t window = detail::zstd_window(front(), content);
  if (window > detail::kZstdMaxWindow) {
    detail::throw_malformed_compression(
        "a frame's window is too large",
        "at most " + std::to_string(detail::kZstdMaxWindow) + " bytes",
        std::to_string(window));
  }
  (void)ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  left_in_frame = content;
  in_frame = true;
  return true;
}

HOLDFAST_INLINE void ZstdSource::State::skip_frame() {
  if (available() < 8) {
    detail::throw_malformed_compression("a skippable frame is cut off");
  }
  std::uint64_t bytes =
      8 + std::uint64_t{detail::read_little_endian(front() + 4)};
  while (bytes != 0) {
    if (!fill(1)) {
      detail::throw_malformed_compression("a skippable frame is cut off");
    }
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, available()));
    begin += count;
    bytes -= count;
  }
}

/// One step within a frame; gives at most `count` bytes, perhaps none.
HOLDFAST_INLINE std::size_t ZstdSource::State::decompress(
    std::byte* into,
    std::size_t count) {
  (void)fill(1);
  // When all of a frame's content is out, only its end may come: a byte more
  // would go here.
  std::byte excess{};
  const bool is_complete = left_in_frame == 0;
  ZSTD_outBuffer out = {
      is_complete ? &excess : into,
      is_complete ? 1
                  : static_cast<std::size_t>(
                        std::min<std::uint64_t>(count, left_in_frame)),
      0};
  ZSTD_inBuffer in = {front(), available(), 0};
  const std::size_t result = ZSTD_decompressStream(context.get(), &out, &in);
  if (ZSTD_isError(result) != 0) {
    if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
      throw std::bad_alloc();
    }
    detail::throw_malformed_compression(
        std::string("zstd cannot decompress: ") + ZSTD_getErrorName(result));
  }
  begin += in.pos;
  if (is_complete && out.pos != 0) {
    detail::throw_malformed_compression("a frame is larger than it says");
  }
  left -= out.pos;
  left_in_frame -= out.pos;
  if (result == 0) {
    in_frame = false;
    if (left_in_frame != 0) {
      detail::throw_malformed_compression("a frame is smaller than it says");
    }
  } else if (in.pos == 0 && out.pos == 0 && available() == 0) {
    detail::throw_malformed_compression("a frame is cut off");
  }
  return out.pos;
}

/// All plain bytes are out: nothing but frames without content may follow.
HOLDFAST_INLINE void ZstdSource::State::finish_stream() {
  while (in_frame || begin_frame()) {
    (void)decompress(nullptr, 0);
  }
  finished = true;
}

HOLDFAST_INLINE ZstdSource::ZstdSource(
    ByteSource& stored,
    std::uint64_t plain_bytes)
    : state_(new State()) {
  state_->stored = &stored;
  state_->left = plain_bytes;
  state_->input.resize(std::size_t{128} << 10);
  state_->context.reset(ZSTD_createDCtx());
  if (!state_->context ||
      ZSTD_isError(ZSTD_DCtx_setParameter(
          state_->context.get(),
          ZSTD_d_windowLogMax,
          detail::kZstdMaxWindowLog)) != 0) {
    throw std::bad_alloc();
  }
}

HOLDFAST_INLINE ZstdSource::~ZstdSource() = default;

HOLDFAST_INLINE std::size_t ZstdSource::read(
    std::byte* into,
    std::size_t count) {
  State& state = *state_;
  if (state.failed) {
    detail::throw_malformed_compression("reading failed before");
  }
  state.failed = true; // Until this went well.
  std::size_t done = 0;
  while (done < count && state.left != 0) {
    if (!state.in_frame && !state.begin_frame()) {
      detail::throw_malformed_compression(
          "the content is smaller than declared",
          std::to_string(state.left) + " more bytes",
          "the end");
    }
    done += state.decompress(into + done, count - done);
  }
  // With the last byte, so that nobody has to ask for what follows it.
  if (state.left == 0 && !state.finished) {
    state.finish_stream();
  }
  state.failed = false;
  return done;
}

} // namespace holdfast

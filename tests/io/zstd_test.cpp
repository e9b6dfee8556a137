#include <support/catch.hpp>
#include <support/random.hpp>
#include <support/temporary_directory.hpp>

#include <holdfast/io/zstd.hpp>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using namespace holdfast;
using namespace holdfast::test;

class MemorySink final : public ByteSink {
 public:
  void write(ByteView view) override {
    bytes.insert(bytes.end(), view.data, view.data + view.size);
  }
  void border() override {
    ++borders;
  }
  Bytes bytes;
  int borders = 0;
};

/// Gives its bytes in pieces, as slow sources do.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(const Bytes& bytes, std::size_t piece = 1U << 20)
      : bytes_(bytes), piece_(piece) {}
  std::size_t read(std::byte* into, std::size_t count) override {
    const std::size_t given =
        std::min({count, piece_, bytes_.size() - offset_});
    std::copy_n(bytes_.data() + offset_, given, into);
    offset_ += given;
    return given;
  }

 private:
  const Bytes& bytes_;
  std::size_t piece_;
  std::size_t offset_ = 0;
};

/// `count` bytes again and again, without holding them.
class RepeatingSource final : public ByteSource {
 public:
  RepeatingSource(const Bytes& unit, std::size_t times)
      : unit_(unit), left_(unit.size() * times) {}
  std::size_t read(std::byte* into, std::size_t count) override {
    std::size_t given = 0;
    for (; given < count && left_ != 0; ++given, --left_) {
      into[given] = unit_[offset_];
      offset_ = (offset_ + 1) % unit_.size();
    }
    return given;
  }

 private:
  const Bytes& unit_;
  std::size_t left_;
  std::size_t offset_ = 0;
};

Bytes compress(
    const Bytes& plain,
    std::size_t max_frame = ZstdSink::kMaxFrameBytes,
    std::size_t border_every = 0,
    int level = 1) {
  MemorySink stored;
  ZstdSink sink(stored, level, max_frame);
  const std::size_t unit = border_every == 0 ? plain.size() : border_every;
  for (std::size_t i = 0; i < plain.size(); i += unit) {
    sink.write(ByteView(plain).subview(i, std::min(unit, plain.size() - i)));
    if (border_every != 0) {
      sink.border();
    }
  }
  sink.finish();
  return stored.bytes;
}

/// Reads all, in pieces of `piece`; never gets more than `plain_bytes`.
Bytes decompress(
    const Bytes& stored,
    std::uint64_t plain_bytes,
    std::size_t piece = 1U << 16,
    std::size_t stored_piece = 1U << 20) {
  MemorySource source(stored, stored_piece);
  ZstdSource plain_source(source, plain_bytes);
  Bytes plain;
  Bytes into(piece);
  for (;;) {
    const std::size_t got = plain_source.read(into.data(), into.size());
    plain.insert(
        plain.end(), into.begin(), into.begin() + static_cast<long>(got));
    REQUIRE(plain.size() <= plain_bytes);
    if (got < into.size()) {
      return plain;
    }
  }
}

std::string code_of_decompressing(
    const Bytes& stored,
    std::uint64_t plain_bytes) {
  return code_of([&] { (void)decompress(stored, plain_bytes); });
}

std::uint32_t u32_at(const Bytes& bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= std::to_integer<std::uint32_t>(bytes[offset + i]) << (8 * i);
  }
  return value;
}

Bytes joined(const Bytes& a, const Bytes& b) {
  Bytes both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

Bytes skippable_frame(std::size_t content) {
  Bytes frame(8 + content, std::byte{0x5a});
  const unsigned magic = 0x184D2A53;
  for (std::size_t i = 0; i < 4; ++i) {
    frame[i] = static_cast<std::byte>(magic >> (8 * i) & 0xff);
    frame[4 + i] = static_cast<std::byte>(content >> (8 * i) & 0xff);
  }
  return frame;
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace

TEST_CASE("zstd: what is written comes back, whatever the cuts", "[io]") {
  const std::uint64_t from_seed = seed();
  CAPTURE(from_seed);
  const std::size_t size = GENERATE(
      std::size_t{0}, std::size_t{1}, std::size_t{999}, std::size_t{200'001});
  CAPTURE(size);
  const Bytes random = random_bytes(size, from_seed);
  const Bytes repetitive = repetitive_bytes(size, from_seed);
  for (const Bytes* plain : {&random, &repetitive}) {
    for (const std::size_t frame :
         {std::size_t{1000}, ZstdSink::kMaxFrameBytes}) {
      for (const std::size_t border : {std::size_t{0}, std::size_t{777}}) {
        const Bytes stored = compress(*plain, frame, border);
        CHECK(decompress(stored, size) == *plain);
        CHECK(decompress(stored, size, 7, 11) == *plain);
      }
    }
  }
}

TEST_CASE("zstd: repetitive bytes get smaller, at every level", "[io]") {
  const Bytes plain = repetitive_bytes(100'000, seed());
  for (int level = 1; level <= 19; level += 6) {
    const Bytes stored = compress(plain, ZstdSink::kMaxFrameBytes, 0, level);
    CHECK(stored.size() < plain.size() / 10);
    CHECK(decompress(stored, plain.size()) == plain);
  }
}

TEST_CASE("zstd: frames are cut at borders and at the limit", "[io]") {
  // Units of 10, 5000 and 2000 bytes, the limit is 2000.
  const Bytes plain = random_bytes(7010, seed());
  MemorySink stored;
  ZstdSink sink(stored, 3, 2000);
  sink.border(); // Nothing there yet: no frame.
  sink.write(ByteView(plain).subview(0, 4));
  sink.write(ByteView(plain).subview(4, 6));
  sink.border();
  sink.write(ByteView(plain).subview(10, 5000));
  sink.border();
  sink.border();
  sink.write(ByteView(plain).subview(5010, 2000));
  sink.finish();
  CHECK(stored.borders == 4);

  const Bytes& bytes = stored.bytes;
  const std::vector<std::uint32_t> sizes = {10, 2000, 2000, 1000, 2000};
  const std::size_t table = sizes.size() * 12 + 9;
  const std::size_t table_at = bytes.size() - table;
  REQUIRE(bytes.size() > table + 8);
  CHECK(u32_at(bytes, table_at - 8) == 0x184D2A5EU);
  CHECK(u32_at(bytes, table_at - 4) == table);
  CHECK(u32_at(bytes, bytes.size() - 9) == sizes.size());
  CHECK(bytes[bytes.size() - 5] == std::byte{0x80});
  CHECK(u32_at(bytes, bytes.size() - 4) == 0x8F92EAB1U);

  // Each entry leads to a frame that can be decompressed alone.
  std::size_t stored_at = 0;
  std::size_t plain_at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t entry = table_at + i * 12;
    const std::size_t stored_size = u32_at(bytes, entry);
    REQUIRE(u32_at(bytes, entry + 4) == sizes[i]);
    const ByteView content = ByteView(plain).subview(plain_at, sizes[i]);
    CHECK(
        u32_at(bytes, entry + 8) ==
        static_cast<std::uint32_t>(XXH64(content.data, content.size, 0)));
    CHECK(
        ZSTD_getFrameContentSize(bytes.data() + stored_at, stored_size) ==
        sizes[i]);
    CHECK(
        ZSTD_findFrameCompressedSize(
            bytes.data() + stored_at, bytes.size() - stored_at) == stored_size);
    // Bit 2 of the frame header's descriptor: a checksum follows.
    CHECK((bytes[stored_at + 4] & std::byte{0x04}) == std::byte{0x04});
    Bytes out(sizes[i]);
    CHECK(
        ZSTD_decompress(
            out.data(), out.size(), bytes.data() + stored_at, stored_size) ==
        out.size());
    CHECK(ByteView(out).text() == content.text());
    stored_at += stored_size;
    plain_at += sizes[i];
  }
  CHECK(stored_at + 8 == table_at);
}

TEST_CASE(
    "zstd: the zstd program gives the plain bytes back",
    "[io][interop][P9]") {
  if (std::system("zstd --version > /dev/null 2>&1") != 0) {
    WARN("SKIPPED: no zstd program here");
    return;
  }
  const TemporaryDirectory directory;
  const std::size_t size =
      GENERATE(std::size_t{0}, std::size_t{5}, std::size_t{3'000'000});
  CAPTURE(size);
  const Bytes plain = repetitive_bytes(size, seed());
  const Bytes stored = compress(plain, 1U << 20, 900'000);
  const std::string path = directory.path("f.zst");
  std::ofstream(path, std::ios::binary) << ByteView(stored).text();
  const std::string out = directory.path("f");
  const std::string command = "zstd -q -d '" + path + "' -o '" + out + "'";
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream file(out, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  CHECK(text == ByteView(plain).text());
  // And what the program makes of a file, the source reads.
  REQUIRE(std::system(("zstd -q -f '" + out + "'").c_str()) == 0);
  std::ifstream packed(path, std::ios::binary);
  const std::string again(std::istreambuf_iterator<char>(packed), {});
  const ByteView view{std::string_view(again)};
  CHECK(decompress(Bytes(view.data, view.data + view.size), size) == plain);
}

TEST_CASE("zstd: every truncation is found", "[io][damage]") {
  const Bytes plain = repetitive_bytes(3000, seed());
  const Bytes stored = compress(plain, 1000);
  const std::size_t table = 8 + 3 * 12 + 9;
  for (std::size_t length = 0; length < stored.size(); ++length) {
    const Bytes cut(stored.begin(), stored.begin() + static_cast<long>(length));
    CAPTURE(length);
    if (length == stored.size() - table) {
      // Whole frames without their seek table are a whole stream: the digest
      // of the stored file tells.
      CHECK(decompress(cut, plain.size()) == plain);
    } else {
      CHECK(
          code_of_decompressing(cut, plain.size()) == "malformed_compression");
    }
  }
}

TEST_CASE("zstd: no flipped bit gives other bytes", "[io][damage]") {
  const Bytes plain = repetitive_bytes(600, seed());
  const Bytes stored = compress(plain, 250);
  const std::size_t table = 3 * 12 + 9;
  for (std::size_t bit = 0; bit < stored.size() * 8; ++bit) {
    CAPTURE(bit);
    Bytes damaged = stored;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    Bytes result;
    const std::string code =
        code_of([&] { result = decompress(damaged, plain.size()); });
    const bool is_right = code == "no error" && result == plain;
    // The content of the seek table is not looked at.
    const bool in_table = bit / 8 >= stored.size() - table;
    if (in_table) {
      CHECK(is_right);
    } else {
      CHECK((is_right || code == "malformed_compression"));
    }
  }
}

TEST_CASE("zstd: garbage is refused", "[io][damage]") {
  const Bytes plain = random_bytes(1000, seed());
  const Bytes stored = compress(plain);
  const std::string refused = "malformed_compression";
  CHECK(code_of_decompressing(random_bytes(5000, seed()), 1000) == refused);
  CHECK(code_of_decompressing(Bytes(), 1) == refused);
  CHECK(code_of_decompressing(Bytes(), 0) == "no error");
  for (const std::size_t tail : {1U, 3U, 8U, 100U}) {
    CAPTURE(tail);
    CHECK(code_of_decompressing(joined(stored, Bytes(tail)), 1000) == refused);
    CHECK(
        code_of_decompressing(
            joined(stored, random_bytes(tail, seed())), 1000) == refused);
  }
}

TEST_CASE("zstd: skippable frames are skipped, wherever they stand", "[io]") {
  const Bytes plain = random_bytes(1000, seed());
  const Bytes stored = compress(plain);
  for (const std::size_t content : {0U, 1U, 300'000U}) {
    const Bytes extra = skippable_frame(content);
    CHECK(decompress(joined(extra, stored), 1000) == plain);
    CHECK(decompress(joined(stored, extra), 1000, 33, 100) == plain);
    Bytes cut = joined(stored, extra);
    cut.pop_back();
    CHECK(code_of_decompressing(cut, 1000) == "malformed_compression");
  }
}

TEST_CASE("zstd: the declared size is the size, to the byte", "[io][damage]") {
  const Bytes plain = random_bytes(3000, seed());
  const Bytes stored = compress(plain, 1000);
  for (const std::uint64_t declared : {0U, 1U, 999U, 1000U, 2999U, 3001U}) {
    CAPTURE(declared);
    CHECK(code_of_decompressing(stored, declared) == "malformed_compression");
    // Byte by byte: nothing beyond the declared size comes out before.
    CHECK(code_of([&] {
            (void)decompress(stored, declared, 1);
          }) == "malformed_compression");
  }
  // Too large a frame is refused before any of it is decompressed.
  MemorySource too_large(stored);
  ZstdSource refusing(too_large, 999);
  Bytes untouched(5000, std::byte{0x77});
  CHECK(code_of([&] {
          (void)refusing.read(untouched.data(), untouched.size());
        }) == "malformed_compression");
  CHECK((untouched == Bytes(5000, std::byte{0x77})));
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  CHECK(code_of([&] {
          MemorySource source(stored);
          ZstdSource plain_source(source, most);
          Bytes into(1 << 16);
          (void)plain_source.read(into.data(), into.size());
        }) == "malformed_compression");
}

TEST_CASE("zstd: what follows is checked with the last byte", "[io][damage]") {
  // The reader asks for exactly the declared bytes and never again.
  const Bytes plain = random_bytes(1000, seed());
  const Bytes stored = joined(compress(plain), Bytes(1));
  MemorySource source(stored);
  ZstdSource plain_source(source, 1000);
  Bytes into(1000);
  CHECK(code_of([&] {
          (void)plain_source.read(into.data(), into.size());
        }) == "malformed_compression");
  CHECK(code_of([&] {
          (void)plain_source.read(into.data(), into.size());
        }) == "malformed_compression");
}

TEST_CASE("zstd: frames must tell their size and keep to it", "[io][damage]") {
  const Bytes plain = repetitive_bytes(5000, seed());
  Bytes frame(ZSTD_compressBound(plain.size()));
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const std::size_t unsized = ZSTD_compress2(
      context, frame.data(), frame.size(), plain.data(), plain.size());
  REQUIRE(ZSTD_isError(unsized) == 0);
  Bytes without(frame.begin(), frame.begin() + static_cast<long>(unsized));
  CHECK(code_of_decompressing(without, 5000) == "malformed_compression");

  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1);
  const std::size_t sized = ZSTD_compress2(
      context, frame.data(), frame.size(), plain.data(), plain.size());
  ZSTD_freeCCtx(context);
  Bytes with(frame.begin(), frame.begin() + static_cast<long>(sized));
  CHECK(decompress(with, 5000) == plain);
  // A two-byte size field (biased by 256) at byte 5: single segment.
  REQUIRE(with[4] == std::byte{0x60});
  for (const int change : {-1, 1, -100, 100}) {
    const int field = 5000 - 256 + change;
    with[5] = static_cast<std::byte>(field & 0xff);
    with[6] = static_cast<std::byte>(field >> 8 & 0xff);
    const auto declared = static_cast<std::uint64_t>(5000 + change);
    CAPTURE(declared);
    CHECK(code_of_decompressing(with, declared) == "malformed_compression");
    CHECK(code_of_decompressing(with, 5000) == "malformed_compression");
  }
}

TEST_CASE("zstd: a window beyond 2^27 is refused", "[io][damage]") {
  // Frame header: magic; descriptor 0x80 (a four-byte size, a window byte);
  // window 2^(10 + exponent); size 4; then one raw last block of 4 bytes.
  const auto frame_with = [](unsigned exponent, unsigned mantissa = 0) {
    const std::vector<unsigned> values = {
        0x28,
        0xB5,
        0x2F,
        0xFD,
        0x80,
        exponent << 3 | mantissa,
        4,
        0,
        0,
        0,
        0x21,
        0,
        0,
        'a',
        'b',
        'c',
        'd'};
    Bytes frame;
    for (const unsigned value : values) {
      frame.push_back(static_cast<std::byte>(value));
    }
    return frame;
  };
  CHECK(ByteView(decompress(frame_with(17), 4)).text() == "abcd");
  CHECK(code_of_decompressing(frame_with(17, 1), 4) == "malformed_compression");
  CHECK(code_of_decompressing(frame_with(18), 4) == "malformed_compression");
  CHECK(code_of_decompressing(frame_with(21), 4) == "malformed_compression");
}

TEST_CASE("zstd: a bomb costs neither memory nor its size", "[io][damage]") {
  // 1 GiB of zeros in 16 frames. Counted in pages, so that the pages that the
  // allocator or a sanitizer holds back are not the point: 64 MiB of slack.
  Bytes frame;
  {
    const Bytes zeros(std::size_t{64} << 20);
    frame = compress(zeros);
  }
  const std::uint64_t before = resident_bytes();
  SECTION("refused where it is larger than declared") {
    RepeatingSource source(frame, 16);
    ZstdSource plain_source(source, 1000);
    Bytes into(1000);
    CHECK(code_of([&] {
            (void)plain_source.read(into.data(), into.size());
          }) == "malformed_compression");
  }
  SECTION("read in bounded memory where it is as large as declared") {
    RepeatingSource source(frame, 16);
    std::uint64_t left = std::uint64_t{1} << 30;
    ZstdSource plain_source(source, left);
    Bytes into(1 << 20);
    bool all_zero = true;
    while (left != 0) {
      const std::size_t got = plain_source.read(into.data(), into.size());
      REQUIRE(got != 0);
      left -= got;
      all_zero = all_zero && into.front() == std::byte{0} &&
          into[got - 1] == std::byte{0};
    }
    CHECK(all_zero);
    CHECK(plain_source.read(into.data(), into.size()) == 0);
  }
  const std::uint64_t after = resident_bytes();
  CHECK(after < before + (std::uint64_t{80} << 20));
}

TEST_CASE("zstd: the sink checks its arguments and its order", "[io]") {
  MemorySink stored;
  const std::string refused = "invalid_argument";
  for (const int level : {-5, 0, 20, 22}) {
    CHECK(code_of([&] { ZstdSink sink(stored, level); }) == refused);
  }
  CHECK(code_of([&] { ZstdSink sink(stored, 1, 0); }) == refused);
  CHECK(code_of([&] {
          ZstdSink sink(stored, 1, ZstdSink::kMaxFrameBytes + 1);
        }) == refused);
  ZstdSink sink(stored, 1);
  sink.finish();
  const ByteView byte(std::string_view("x"));
  CHECK(code_of([&] { sink.finish(); }) == refused);
  CHECK(code_of([&] { sink.write(byte); }) == refused);
  CHECK(code_of([&] { sink.border(); }) == refused);
}

TEST_CASE("zstd: a sink that failed stays failed", "[io][fault]") {
  class FullSink final : public ByteSink {
   public:
    void write(ByteView) override {
      throw Error(ErrorCode::no_space, "full");
    }
  };
  FullSink full;
  ZstdSink sink(full, 1, 100);
  const Bytes plain = random_bytes(100, seed());
  CHECK(code_of([&] { sink.write(plain); }) == "no_space");
  CHECK(code_of([&] { sink.finish(); }) == "invalid_argument");
}

TEST_CASE("zstd: errors of the stored source pass through", "[io][fault]") {
  class BrokenSource final : public ByteSource {
   public:
    std::size_t read(std::byte*, std::size_t) override {
      throw Error(ErrorCode::io_error, "broken");
    }
  };
  BrokenSource broken;
  ZstdSource source(broken, 10);
  Bytes into(10);
  CHECK(code_of([&] {
          (void)source.read(into.data(), into.size());
        }) == "io_error");
}

TEST_CASE("zstd: a source that failed stays failed", "[io][fault]") {
  // What came of the interrupted read is lost: going on would leave a gap.
  class FlakySource final : public ByteSource {
   public:
    explicit FlakySource(const Bytes& bytes) : inner_(bytes, 100) {}
    std::size_t read(std::byte* into, std::size_t count) override {
      if (++reads_ == 5) {
        throw Error(ErrorCode::io_error, "flaky");
      }
      return inner_.read(into, count);
    }

   private:
    MemorySource inner_;
    int reads_ = 0;
  };
  const Bytes stored = compress(random_bytes(5000, seed()), 100);
  FlakySource flaky(stored);
  ZstdSource source(flaky, 5000);
  Bytes into(5000);
  const auto read = [&] {
    (void)source.read(into.data(), into.size());
  };
  CHECK(code_of(read) == "io_error");
  CHECK(code_of(read) == "malformed_compression");
}

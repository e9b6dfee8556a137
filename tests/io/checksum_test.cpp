#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/io/byte_sink.hpp>
#include <holdfast/io/checksum.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <utility>

namespace {

using namespace holdfast;
using namespace holdfast::test;

std::string hex_of(std::string_view text) {
  return digest_of(ByteView(text)).hex();
}

} // namespace

TEST_CASE("checksum: known texts have XXH3-128's published digests", "[io]") {
  // As `xxhsum -H2` prints them.
  CHECK(hex_of("") == "99aa06d3014798d86001c324468d497f");
  CHECK(hex_of("a") == "a96faf705af16834e6c632b61e964e1f");
  CHECK(hex_of("abc") == "06b05ab6733a618578af5f94892f3950");
  CHECK(hex_of(std::string(1000, 'x')) == "50a1af5a5f2dcf01c0a4877b962cba82");
}

TEST_CASE("checksum: the digest does not depend on the cuts", "[io]") {
  const std::uint64_t from_seed = seed();
  CAPTURE(from_seed);
  std::mt19937_64 engine(from_seed);
  for (const std::size_t size : {0U, 1U, 16U, 240U, 241U, 1024U, 70'001U}) {
    const Bytes bytes = random_bytes(size, from_seed);
    const Digest128 whole = digest_of(bytes);
    Hasher hasher;
    for (std::size_t i = 0; i < size;) {
      const std::size_t count = std::min<std::size_t>(engine() % 700, size - i);
      hasher.update(ByteView(bytes).subview(i, count));
      i += count;
    }
    CAPTURE(size);
    CHECK(hasher.digest() == whole);
    CHECK(hasher.digest() == whole); // Asking does not end it.
    hasher.update(ByteView(std::string_view("x")));
    CHECK(hasher.digest() != whole);
    hasher.reset();
    hasher.update(bytes);
    CHECK(hasher.digest() == whole);
    Hasher moved = std::move(hasher);
    CHECK(moved.digest() == whole);
  }
}

TEST_CASE("checksum: every flipped bit changes the digest", "[io][damage]") {
  Bytes bytes = random_bytes(500, seed());
  const Digest128 right = digest_of(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    CHECK(digest_of(bytes) != right);
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

TEST_CASE("checksum: hex goes both ways and is strict", "[io]") {
  const Digest128 digest{0x0123456789abcdefU, 0x00000000000000ffU};
  const std::string text = "0123456789abcdef00000000000000ff";
  CHECK(digest.hex() == text);
  REQUIRE(Digest128::from_hex(text));
  CHECK(*Digest128::from_hex(text) == digest);
  CHECK_FALSE(Digest128::from_hex(""));
  CHECK_FALSE(Digest128::from_hex(text.substr(1)));
  CHECK_FALSE(Digest128::from_hex(text.substr(2)));
  CHECK_FALSE(Digest128::from_hex(text + "00"));
  CHECK_FALSE(Digest128::from_hex("0123456789ABCDEF00000000000000ff"));
  CHECK_FALSE(Digest128::from_hex("0123456789abcdeg00000000000000ff"));
}

TEST_CASE(
    "checksum: a hashing sink counts and passes on what goes by",
    "[io]") {
  class Collector final : public ByteSink {
   public:
    void write(ByteView bytes) override {
      text += bytes.text();
    }
    void border() override {
      text += '|';
    }
    std::string text;
  };
  Collector collector;
  HashingSink sink(collector);
  sink.write(ByteView(std::string_view("ab")));
  sink.border();
  sink.write(ByteView(std::string_view("c")));
  CHECK(collector.text == "ab|c");
  CHECK(sink.bytes() == 3);
  CHECK(sink.digest().hex() == hex_of("abc"));
}

TEST_CASE("checksum: what was not written is not hashed", "[io][fault]") {
  class FullSink final : public ByteSink {
   public:
    void write(ByteView) override {
      throw Error(ErrorCode::no_space, "full");
    }
  };
  FullSink full;
  HashingSink sink(full);
  CHECK(code_of([&] {
          sink.write(ByteView(std::string_view("x")));
        }) == "no_space");
  CHECK(sink.bytes() == 0);
  CHECK(sink.digest().hex() == hex_of(""));
}

#include "support/catch.hpp"

#include <holdfast/io/byte_sink.hpp>

#include <algorithm>
#include <vector>

using namespace holdfast;

namespace {

/// Keeps what it gets, and refuses more than `room` bytes.
struct ShortSink final : ByteSink {
  explicit ShortSink(std::size_t has) : room(has) {}
  void write(ByteView bytes) override {
    if (bytes.size > room - kept.size()) {
      throw Error(ErrorCode::no_space, "full");
    }
    kept.insert(kept.end(), bytes.data, bytes.data + bytes.size);
  }
  void border() override {
    borders.push_back(kept.size());
  }
  std::size_t room;
  Bytes kept;
  std::vector<std::size_t> borders;
};

Bytes counted_bytes(std::size_t count) {
  Bytes bytes;
  for (std::size_t i = 0; i < count; ++i) {
    bytes.push_back(static_cast<std::byte>(i * 7 + 1));
  }
  return bytes;
}

} // namespace

TEST_CASE("byte sink: the digest is that of all bytes, however cut", "[io]") {
  const Bytes bytes = counted_bytes(1000);
  for (const std::size_t piece :
       std::vector<std::size_t>{1, 7, 64, 333, 1000}) {
    ShortSink kept(bytes.size());
    HashingSink sink(kept);
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      sink.write(
          ByteView(bytes.data() + at, std::min(piece, bytes.size() - at)));
      sink.border();
    }
    CHECK(sink.bytes() == bytes.size());
    CHECK(sink.digest() == digest_of(ByteView(bytes)));
    CHECK((kept.kept == bytes));
    CHECK(kept.borders.size() == (bytes.size() + piece - 1) / piece);
    CHECK(kept.borders.front() == piece);
  }
}

TEST_CASE("byte sink: nothing is no bytes", "[io]") {
  ShortSink kept(0);
  HashingSink sink(kept);
  sink.write(ByteView());
  CHECK(sink.bytes() == 0);
  CHECK(sink.digest() == digest_of(ByteView()));
}

TEST_CASE("byte sink: what the next one refused is not counted", "[io]") {
  const Bytes bytes = counted_bytes(10);
  ShortSink kept(6);
  HashingSink sink(kept);
  sink.write(ByteView(bytes.data(), 6));
  const auto refused =
      test::error_of([&] { sink.write(ByteView(bytes.data() + 6, 4)); });
  REQUIRE(refused);
  CHECK(refused->code() == ErrorCode::no_space);
  CHECK(sink.bytes() == 6);
  CHECK(sink.digest() == digest_of(ByteView(bytes.data(), 6)));
}

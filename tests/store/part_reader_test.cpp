#include "store_support.hpp"

#include <holdfast/store/part_reader.hpp>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::MemoryFileSystem;

namespace {

/// A committed checkpoint with one plain and one compressed part.
struct PartPlace {
  MemoryFileSystem disk;
  ManualClock clock;
  std::shared_ptr<Directory> root = open_run(disk);
  std::string name;
  std::vector<PartFile> parts;
  std::unique_ptr<Directory> checkpoint;

  PartPlace() {
    Writer writer(root, clock, 0);
    name = save(writer, 10).name;
    checkpoint = root->open_directory(name);
    const Bytes text = read_file(*checkpoint, kManifestName, kMaxManifestBytes);
    parts = parse_manifest(text).parts;
  }
  std::string path(const PartFile& part) const {
    return in_run(name) + "/" + part.stored_path();
  }
};

Bytes read_all(PartReader& reader, std::size_t piece) {
  Bytes all;
  Bytes buffer(piece);
  for (;;) {
    const std::size_t got = reader.read(buffer.data(), buffer.size());
    if (got == 0) {
      return all;
    }
    all.insert(
        all.end(),
        buffer.begin(),
        buffer.begin() + static_cast<std::ptrdiff_t>(got));
  }
}

/// False for any refusal there is.
bool accepted(Directory& checkpoint, const PartFile& part) {
  PartReader reader(checkpoint, part);
  try {
    (void)read_all(reader, 256);
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::malformed_compression);
  }
  return reader.finish();
}

} // namespace

TEST_CASE(
    "part reader: gives the plain bytes, in pieces of any size",
    "[store]") {
  PartPlace place;
  const std::size_t piece = GENERATE(as<std::size_t>(), 1, 7, 1000, 100'000);
  CAPTURE(piece);
  PartReader model(*place.checkpoint, place.parts.at(0));
  CHECK(read_all(model, piece) == random_bytes(1700, 10));
  CHECK(model.finish());
  PartReader moments(*place.checkpoint, place.parts.at(1));
  REQUIRE(place.parts.at(1).stored);
  CHECK(read_all(moments, piece) == repetitive_bytes(3000, 10));
  CHECK(moments.finish());
}

TEST_CASE("part reader: finish reads what is left", "[store]") {
  PartPlace place;
  for (const PartFile& part : place.parts) {
    PartReader untouched(*place.checkpoint, part);
    CHECK(untouched.finish());
    PartReader begun(*place.checkpoint, part);
    std::byte one{};
    CHECK(begun.read(&one, 1) == 1);
    CHECK(begun.finish());
  }
}

TEST_CASE("part reader: every flipped bit is found", "[store]") {
  PartPlace place;
  for (const PartFile& part : place.parts) {
    CAPTURE(part.path);
    for (std::uint64_t bit = 0; bit < part.stored_bytes() * 8; ++bit) {
      place.disk.flip_bit(place.path(part), bit);
      CAPTURE(bit);
      REQUIRE_FALSE(accepted(*place.checkpoint, part));
      place.disk.flip_bit(place.path(part), bit);
    }
    REQUIRE(accepted(*place.checkpoint, part));
  }
}

TEST_CASE("part reader: every other length is found", "[store]") {
  PartPlace place;
  for (const PartFile& part : place.parts) {
    CAPTURE(part.path);
    const Bytes whole = place.disk.read_file(place.path(part));
    for (std::size_t size = 0; size < whole.size() + 20; ++size) {
      if (size != whole.size()) {
        CAPTURE(size);
        place.disk.truncate(place.path(part), size);
        REQUIRE_FALSE(accepted(*place.checkpoint, part));
        place.disk.write_file(place.path(part), whole);
      }
    }
  }
}

TEST_CASE("part reader: never gives more than was promised", "[store]") {
  PartPlace place;
  const PartFile& model = place.parts.at(0);
  place.disk.truncate(place.path(model), 5000);
  PartReader reader(*place.checkpoint, model);
  CHECK(read_all(reader, 999).size() == 1700);
  CHECK_FALSE(reader.finish());
}

TEST_CASE("part reader: a wrong plain digest alone is found", "[store]") {
  PartPlace place;
  for (PartFile part : place.parts) {
    part.digest.low ^= 1;
    CHECK_FALSE(accepted(*place.checkpoint, part));
  }
  PartFile part = place.parts.at(1);
  part.stored->digest.high ^= 1;
  CHECK_FALSE(accepted(*place.checkpoint, part));
}

TEST_CASE("part reader: missing files and unknown codecs", "[store]") {
  PartPlace place;
  PartFile part = place.parts.at(0);
  part.path = "model/other";
  const std::string missing = "not_found";
  CHECK(code_of([&] { PartReader(*place.checkpoint, part); }) == missing);
  part.path = "other/model";
  CHECK(code_of([&] { PartReader(*place.checkpoint, part); }) == missing);
  part.stored = StoredForm{"lz4", 1, {}};
  CHECK(code_of([&] {
          PartReader(*place.checkpoint, part);
        }) == "unsupported_version");
  CHECK(code_of([&] {
          (void)open_part(*place.checkpoint, "../x");
        }) == "invalid_argument");
}

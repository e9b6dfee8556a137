#include "support.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>

// The files of golden/v1 are format version 1 as it was released: whatever
// changes, they must be read, and the same data must be written as the same
// bytes. HOLDFAST_WRITE_GOLDEN=<directory> writes them anew from test/support:
// for a new version only, into a directory of its own.

using namespace holdfast;

namespace {

std::string golden(const std::string& name) {
  const std::string path =
      std::string(HOLDFAST_GOLDEN_DIRECTORY) + "/v1/" + name;
  std::ifstream file(path, std::ios::binary);
  INFO(path);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// True where the files are being made and not compared.
bool write_instead(const std::string& name, const std::string& text) {
  const char* const directory = std::getenv("HOLDFAST_WRITE_GOLDEN");
  if (directory == nullptr) {
    return false;
  }
  std::ofstream file(std::string(directory) + "/" + name, std::ios::binary);
  file << text << std::flush;
  REQUIRE(file.good());
  WARN("wrote " << name);
  return true;
}

std::string compressed(const std::string& plain) {
  test::TextSink sink;
  ZstdSink zstd(sink, 3, 512);
  const SafetensorsHeader header = test::read_header(plain);
  ByteView rest{std::string_view(plain)};
  const auto put = [&](std::uint64_t count) {
    zstd.write(rest.subview(0, static_cast<std::size_t>(count)));
    zstd.border();
    rest = rest.subview(
        static_cast<std::size_t>(count),
        rest.size - static_cast<std::size_t>(count));
  };
  put(header.header_bytes);
  for (const TensorEntry& entry : header.entries) {
    put(entry.end - entry.begin);
  }
  zstd.finish();
  return sink.text;
}

} // namespace

TEST_CASE("golden: MANIFEST.json of version 1", "[format][golden]") {
  const std::string text = manifest_text(test::sample_manifest());
  if (!write_instead("MANIFEST.json", text)) {
    const std::string stored = golden("MANIFEST.json");
    CHECK(stored == text);
    CHECK(manifest_text(parse_manifest(ByteView(stored))) == stored);
    CHECK(parse_manifest(ByteView(stored)).sequence == 31);
  }
}

TEST_CASE("golden: state.json of version 1", "[format][golden]") {
  const std::string text = state_document_text(test::sample_state());
  if (!write_instead("state.json", text)) {
    const std::string stored = golden("state.json");
    CHECK(stored == text);
    const StateDocument document = parse_state_document(ByteView(stored));
    CHECK(state_document_text(document) == stored);
    CHECK(document.parts[1].values == test::sample_state().parts[1].values);
  }
}

TEST_CASE("golden: a safetensors file of version 1", "[format][golden]") {
  const std::string file = test::sample_file();
  if (!write_instead("every_dtype.safetensors", file)) {
    const std::string stored = golden("every_dtype.safetensors");
    CHECK((stored == file));
    const SafetensorsHeader header = test::read_header(stored);
    for (const TensorEntry& entry : header.entries) {
      CAPTURE(entry.spec.name);
      CHECK(
          (stored.substr(
               header.header_bytes + entry.begin, entry.end - entry.begin) ==
           test::sample_bytes(entry)));
    }
  }
}

TEST_CASE("golden: a compressed file of version 1", "[format][golden]") {
  const std::string plain = test::sample_file();
  if (!write_instead("every_dtype.safetensors.zst", compressed(plain))) {
    // Other versions of zstd compress to other bytes: only the contents count.
    for (const std::string& stored :
         {golden("every_dtype.safetensors.zst"), compressed(plain)}) {
      test::TextSource source(stored);
      ZstdSource zstd(source, plain.size());
      std::string back(plain.size() + 1, '\0');
      back.resize(
          zstd.read(reinterpret_cast<std::byte*>(back.data()), back.size()));
      CHECK((back == plain));
    }
  }
}

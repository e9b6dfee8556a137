#pragma once

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/format/manifest.hpp>
#include <holdfast/format/safetensors.hpp>
#include <holdfast/format/state_document.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

/// A source that gives the bytes of a text.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}

  std::size_t read(std::byte* into, std::size_t count) override {
    const std::size_t got = std::min(count, text_.size() - offset_);
    std::memcpy(into, text_.data() + offset_, got);
    offset_ += got;
    return got;
  }
  std::size_t offset() const {
    return offset_;
  }

 private:
  std::string text_;
  std::size_t offset_ = 0;
};

/// A sink that keeps a text.
class TextSink final : public ByteSink {
 public:
  void write(ByteView bytes) override {
    text.append(bytes.text());
  }
  std::string text;
};

inline SafetensorsHeader read_header(const std::string& file) {
  TextSource source(file);
  Bytes raw;
  return read_safetensors_header(source, file.size(), raw);
}

/// A file with this header text and `data_bytes` zeros.
inline std::string tensor_file(std::string_view json, std::size_t data_bytes) {
  std::string file;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    file += static_cast<char>(json.size() >> shift & 0xff);
  }
  file += json;
  file.append(data_bytes, '\0');
  return file;
}

/// One tensor of every dtype, scalars, empty ones and awkward names.
inline std::vector<TensorSpec> every_dtype() {
  std::vector<TensorSpec> tensors;
  for (int i = 0; i <= static_cast<int>(DType::c128); ++i) {
    const auto dtype = static_cast<DType>(i);
    std::string name = "all." + std::string(info(dtype).name);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    tensors.push_back({name, dtype, {2, 4}});
  }
  tensors.push_back({"scalar", DType::f32, {}});
  tensors.push_back({"complex.scalar", DType::c128, {}});
  tensors.push_back({"empty", DType::i64, {3, 0, 2}});
  tensors.push_back({"a \"quoted\" \\ name/\xc3\xa9", DType::u8, {3}});
  return tensors;
}

/// The bytes of a tensor: a pattern that differs from name to name.
inline std::string sample_bytes(const TensorEntry& entry) {
  std::string bytes;
  std::uint64_t state = entry.spec.name.size() + entry.begin * 31 + 7;
  for (std::uint64_t i = entry.begin; i < entry.end; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const auto byte = static_cast<unsigned>(state >> 56);
    bytes += static_cast<char>(
        entry.spec.dtype == DType::boolean ? byte & 1U : byte);
  }
  return bytes;
}

inline std::string sample_file() {
  const SafetensorsLayout layout =
      plan_safetensors(every_dtype(), {{"made.by", "a \"test\"\n\x01\x7f"}});
  std::string file = layout.header;
  for (const TensorEntry& entry : layout.entries) {
    file += sample_bytes(entry);
  }
  return file;
}

inline Manifest sample_manifest() {
  Manifest manifest;
  manifest.id = "0123456789abcdef0123456789abcdef";
  manifest.run_id = "fedcba9876543210fedcba9876543210";
  manifest.line = 26;
  manifest.attempt = 2;
  manifest.sequence = 31;
  manifest.step = 12000;
  manifest.wall_time = 1767225600.25;
  manifest.progress = Progress{3, 118, 12000, 384000, 5400.5};
  manifest.metrics.set("val_loss", 0.1);
  manifest.metrics.set("worst", std::numeric_limits<double>::infinity());
  manifest.reasons = {"every 500 steps", "best val_loss"};
  manifest.environment.set("libtorch", "2.6.0", Severity::breaks_bit_equality);
  manifest.environment.set("threads", "8", Severity::may_change_speed);
  manifest.environment.set("user.data", "caf\xc3\xa9", Severity::information);
  manifest.resumed_from =
      CheckpointIdentity{10, "00112233445566778899aabbccddeeff"};
  manifest.parts.push_back(
      {"model/model.safetensors",
       1234567,
       {0x0123456789abcdef, 0xfedcba9876543210},
       StoredForm{"zstd", 1000000, {1, 2}}});
  manifest.parts.push_back(
      {"optimizer/state.safetensors",
       (std::uint64_t{1} << 53) + 1,
       {0xaaaaaaaaaaaaaaaa, 0x5555555555555555},
       std::nullopt});
  manifest.parts.push_back({"state.json", 999, {3, 4}, std::nullopt});
  return manifest;
}

inline StateDocument sample_state() {
  StateDocument document;
  document.engine["next_save"] = 12500;
  document.engine["mean.loss"] = 0.25;
  PartRecord model;
  model.name = "model";
  model.kind = "module";
  model.file = "model/model.safetensors";
  model.values["training"] = true;
  model.tensors.push_back({"conv.weight", {1, 2}, {27, 1, 9, 3}, {}});
  model.tensors.push_back({"embed.weight", {3, 4}, {}, {"head.weight"}});
  PartRecord random;
  random.name = "random";
  random.kind = "generator";
  random.values["$seed"] = std::numeric_limits<std::uint64_t>::max();
  random.values["offset"] = std::numeric_limits<std::int64_t>::min();
  random.values["best"] = -std::numeric_limits<double>::infinity();
  random.values["state"] = Bytes{std::byte{0}, std::byte{1}, std::byte{2}};
  random.values["path"] = std::string("caf\xe9");
  random.values["nothing"] = Value();
  random.values["list"] = Value::Array{1, 1.0, "1", Value::Array{}, Values{}};
  document.parts = {model, random};
  return document;
}

/// One to three random changes: a bit, a byte, a cut, a copy, a digit.
inline std::string mutated(std::string text, std::mt19937_64& random) {
  for (std::uint64_t n = random() % 3 + 1; n != 0 && !text.empty(); --n) {
    const std::size_t at = random() % text.size();
    const std::size_t length = random() % 20;
    switch (random() % 6) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
        break;
      case 1:
        text[at] = static_cast<char>(random() % 256);
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(random() % text.size(), text.substr(at, length));
        break;
      case 4:
        text[at] = "0123456789{}[]\",:.-e$\\"[random() % 22];
        break;
      default:
        text.resize(at);
    }
  }
  return text;
}

} // namespace holdfast::test

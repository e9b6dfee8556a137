#include "engine_support.hpp"

#include <holdfast/engine/write.hpp>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::FaultFileSystem;

namespace {

/// A source that is not in host memory.
struct Far final : TensorSource {
  explicit Far(Bytes contents) : bytes(std::move(contents)) {}
  const std::byte* data() const noexcept override {
    return nullptr;
  }
  void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
      const override {
    std::memcpy(into, bytes.data() + offset, count);
    largest = std::max(largest, count);
  }
  Bytes bytes;
  mutable std::size_t largest = 0;
};

/// A source in host memory, which has no need to be copied.
struct Near final : TensorSource {
  explicit Near(Bytes contents) : bytes(std::move(contents)) {}
  const std::byte* data() const noexcept override {
    return bytes.data();
  }
  void copy_out(std::uint64_t, std::byte*, std::size_t) const override {
    FAIL("copied");
  }
  Bytes bytes;
};

CapturedPart part_of(
    const std::string& name,
    const std::string& kind,
    const Bytes& bytes,
    std::shared_ptr<TensorSource> source = nullptr) {
  CapturedPart part;
  part.name = name;
  part.kind = kind;
  TensorOut tensor;
  tensor.info.name = "t";
  tensor.info.dtype = DType::u8;
  tensor.info.shape = {static_cast<std::int64_t>(bytes.size())};
  tensor.info.strides = {1};
  tensor.info.aliases = {"also-t"};
  tensor.source = source ? source : std::make_shared<Far>(bytes);
  part.state.tensors.push_back(std::move(tensor));
  part.state.values["n"] = 3;
  return part;
}

/// The manifest of a first checkpoint of `parts`.
Manifest write_one(
    const Disk& disk,
    const std::vector<CapturedPart>& parts,
    bool packed) {
  ManualClock clock;
  Writer writer(disk->open_root(kRoot, Create::yes), clock, 0);
  const CheckpointPlan plan = plan_checkpoint(parts);
  Transaction transaction(writer, plan.bytes);
  Manifest manifest;
  manifest.id = std::string(32, 'a');
  manifest.run_id = std::string(32, 'b');
  Values engine;
  engine["x"] = 1;
  write_parts(
      transaction,
      parts,
      plan,
      engine,
      packed ? zstd(1) : uncompressed(),
      unheard_meter());
  const Committed committed = transaction.commit(manifest);
  CHECK(committed.name == checkpoint_name(1, 0));
  return parse_manifest(
      disk->read_file(checkpoint_path(1, 0) + "/MANIFEST.json"));
}

/// The tensor file of the first part, whose only tensor is `bytes`.
Bytes tensor_file_of(
    const std::vector<CapturedPart>& parts,
    const Bytes& bytes) {
  Bytes file;
  const CheckpointPlan plan = plan_checkpoint(parts);
  for (const char c : plan.layouts[0].header) {
    file.push_back(static_cast<std::byte>(c));
  }
  file.insert(file.end(), bytes.begin(), bytes.end());
  return file;
}

} // namespace

TEST_CASE("write: where a part's tensors lie", "[write]") {
  CapturedPart part;
  part.name = "net";
  part.kind = "module";
  CHECK(tensor_file(part) == "net/model.safetensors");
  part.kind = "optimizer";
  CHECK(tensor_file(part) == "net/state.safetensors");
}

TEST_CASE("write: host memory is written from where it lies", "[write][P8]") {
  const bool packed = GENERATE(false, true);
  const Disk disk = new_disk();
  const Bytes bytes = random_bytes(1'300'000, test::seed());
  const std::vector<CapturedPart> parts = {
      part_of("net", "module", bytes, std::make_shared<Near>(bytes))};
  const Manifest manifest = write_one(disk, parts, packed);
  CHECK(
      manifest.parts[0].digest ==
      digest_of(ByteView(tensor_file_of(parts, bytes))));
}

TEST_CASE("write: files, table and digests of a checkpoint", "[write]") {
  const bool packed = GENERATE(false, true);
  const Disk disk = new_disk();
  const Bytes bytes = random_bytes(1'300'000, test::seed());
  const auto source = std::make_shared<Far>(bytes);
  std::vector<CapturedPart> parts = {part_of("net", "module", bytes, source)};
  parts.push_back(part_of("empty", "other", {}));
  CapturedPart plain;
  plain.name = "value";
  plain.kind = "value";
  plain.state.values["value"] = 2.5;
  parts.push_back(plain);
  const CheckpointPlan plan = plan_checkpoint(parts);
  CHECK(plan.layouts.size() == 3);
  CHECK(
      plan.bytes ==
      plan.layouts[0].file_bytes() + plan.layouts[1].file_bytes());
  const Manifest manifest = write_one(disk, parts, packed);
  CHECK(source->largest <= std::size_t{512} << 10);
  const std::string path = checkpoint_path(1, 0);
  REQUIRE(manifest.parts.size() == 3);
  CHECK(manifest.parts[0].path == "net/model.safetensors");
  CHECK(manifest.parts[0].bytes == plan.layouts[0].file_bytes());
  CHECK(manifest.parts[0].stored.has_value() == packed);
  CHECK(manifest.parts[1].path == "empty/state.safetensors");
  CHECK(manifest.parts[2].path == "state.json");
  CHECK_FALSE(manifest.parts[2].stored); // always plain
  if (!packed) {
    const Bytes expected = tensor_file_of(parts, bytes);
    CHECK((disk->read_file(path + "/net/model.safetensors") == expected));
    CHECK(manifest.parts[0].digest == digest_of(ByteView(expected)));
  }
  const StateDocument document =
      parse_state_document(disk->read_file(path + "/state.json"));
  CHECK(document.engine.at("x") == Value(1));
  REQUIRE(document.parts.size() == 3);
  const PartRecord& record = document.parts[0];
  CHECK(record.name == "net");
  CHECK(record.kind == "module");
  CHECK(record.file == "net/model.safetensors");
  CHECK(record.values.at("n") == Value(3));
  REQUIRE(record.tensors.size() == 1);
  CHECK(record.tensors[0].digest == digest_of(ByteView(bytes)));
  CHECK(record.tensors[0].strides == std::vector<std::int64_t>{1});
  CHECK(record.tensors[0].aliases == std::vector<std::string>{"also-t"});
  CHECK(document.parts[2].file.empty());
  CHECK(document.parts[2].tensors.empty());
}

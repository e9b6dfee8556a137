#pragma once

#include <support/catch.hpp>

#include <holdfast/format/json.hpp>
#include <holdfast/state/part.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// What an engine does with parts, in memory.
namespace holdfast::test {

/// A captured state, with its tensors' bytes.
struct Captured {
  Saved saved;
  std::vector<Bytes> bytes;
};

/// Publishes and captures; the values go through their JSON text.
inline Captured capture(Part& part) {
  Names names;
  part.publish("part", names);
  State state = part.capture(names);
  Captured captured;
  captured.saved.values = from_json(to_json(Value(state.values))).as<Values>();
  for (const TensorOut& tensor : state.tensors) {
    captured.saved.tensors.push_back(tensor.info);
    Bytes bytes(static_cast<std::size_t>(
        *tensor_bytes(tensor.info.dtype, tensor.info.shape)));
    tensor.source->copy_out(0, bytes.data(), bytes.size());
    captured.bytes.push_back(std::move(bytes));
  }
  return captured;
}

/// The mismatches that a prepare reports.
inline Mismatches mismatches_of(Part& part, const Saved& saved) {
  Names names;
  part.publish("part", names);
  Mismatches mismatches;
  (void)part.prepare(saved, names, mismatches);
  return mismatches;
}

/// "name: code" of each, in order.
inline std::vector<std::string> codes_of(const Mismatches& mismatches) {
  std::vector<std::string> codes;
  for (const Mismatch& mismatch : mismatches) {
    codes.push_back(mismatch.name + ": " + to_string(mismatch.code));
  }
  return codes;
}

/// Prepares a restore, which must match.
inline std::unique_ptr<Restore> prepared(Part& part, const Saved& saved) {
  Names names;
  part.publish("part", names);
  Mismatches mismatches;
  auto restore = part.prepare(saved, names, mismatches);
  const std::vector<std::string> found = codes_of(mismatches);
  CAPTURE(found);
  REQUIRE(mismatches.empty());
  REQUIRE(restore != nullptr);
  return restore;
}

/// Applies: into the restore's own memory where it offers some. Takes back what
/// throws, as the engine does.
inline void apply(Restore& restore, const Captured& captured) {
  std::vector<const std::byte*> bytes;
  for (std::size_t i = 0; i < captured.bytes.size(); ++i) {
    std::byte* const buffer = restore.buffer(i);
    if (buffer != nullptr && !captured.bytes[i].empty()) {
      std::memcpy(buffer, captured.bytes[i].data(), captured.bytes[i].size());
    }
    bytes.push_back(buffer != nullptr ? buffer : captured.bytes[i].data());
  }
  try {
    restore.apply(bytes);
  } catch (...) {
    restore.undo();
    throw;
  }
}

/// A whole restore.
inline void restore(Part& part, const Captured& captured) {
  const auto checked = prepared(part, captured.saved);
  apply(*checked, captured);
  part.restored();
  checked->apply_random();
}

} // namespace holdfast::test

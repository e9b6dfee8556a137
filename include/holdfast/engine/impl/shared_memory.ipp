#pragma once

#include <holdfast/base/sorting.hpp>
#include <holdfast/engine/impl/pending_part.ipp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

/// Tensors are restored in place, one after the other. Where two lie over each
/// other the last one would win, so the checkpoint must have the same for both.
namespace holdfast::detail {

struct LiveTensor {
  std::uintptr_t begin = 0; ///< Of memory on whatever device.
  std::size_t size = 0;
  bool row_major = true;
  bool is_told = false; ///< Once is enough.
  const std::byte* saved = nullptr; ///< As many bytes, row-major.
  const std::string* part = nullptr;
  TensorInfo info;

  [[nodiscard]] std::uintptr_t end() const {
    return begin + size;
  }
  [[nodiscard]] std::string name() const {
    return *part + ": " + info.name;
  }
};

/// The live tensors of a part for which the checkpoint has bytes. A part that
/// cannot be captured now says so elsewhere.
HOLDFAST_INLINE void append_live_tensors(
    const PendingPart& pending,
    const Names& names,
    std::vector<LiveTensor>& live) {
  State state;
  try {
    state = pending.target->part->capture(names);
  } catch (...) {
    return;
  }
  const std::vector<TensorInfo>& saved = pending.saved.tensors;
  std::vector<std::size_t> order =
      sorted_indices(saved.size(), [&](std::size_t a, std::size_t b) {
        return saved[a].name < saved[b].name;
      });
  for (TensorOut& tensor : state.tensors) {
    const auto at = std::lower_bound(
        order.begin(),
        order.end(),
        tensor.info.name,
        [&](std::size_t index, const std::string& name) {
          return saved[index].name < name;
        });
    if (at == order.end() || saved[*at].name != tensor.info.name ||
        saved[*at].dtype != tensor.info.dtype ||
        saved[*at].shape != tensor.info.shape || pending.sizes[*at] == 0) {
      continue;
    }
    const TensorSource::Memory memory = tensor.source->memory();
    if (memory.begin == nullptr) {
      continue;
    }
    LiveTensor entry;
    entry.begin = reinterpret_cast<std::uintptr_t>(memory.begin);
    entry.row_major = memory.row_major;
    entry.size = static_cast<std::size_t>(pending.sizes[*at]);
    entry.saved = pending.bytes[*at];
    entry.part = &pending.target->name;
    entry.info = std::move(tensor.info);
    live.push_back(std::move(entry));
  }
}

/// For two of which the second begins in the first.
HOLDFAST_INLINE bool contradict(const LiveTensor& a, const LiveTensor& b) {
  const std::size_t offset = b.begin - a.begin;
  if (!a.row_major || !b.row_major) {
    // Which element lies where is only plain where both are laid out alike.
    return offset == 0 && a.info.shape == b.info.shape &&
        a.info.strides == b.info.strides &&
        std::memcmp(a.saved, b.saved, a.size) != 0;
  }
  return std::memcmp(
             a.saved + offset, b.saved, std::min(a.size - offset, b.size)) != 0;
}

HOLDFAST_INLINE void check_shared_memory(
    const std::vector<PendingPart>& parts,
    const Names& names,
    std::vector<Mismatch>& mismatches) {
  std::vector<LiveTensor> live;
  for (const PendingPart& pending : parts) {
    if (!pending.bytes.empty()) {
      append_live_tensors(pending, names, live);
    }
  }
  sort_by(live, [](const LiveTensor& a, const LiveTensor& b) {
    return a.begin < b.begin;
  });
  for (std::size_t i = 0; i < live.size(); ++i) {
    for (std::size_t j = i + 1;
         j < live.size() && live[j].begin < live[i].end();
         ++j) {
      if (!live[j].is_told && contradict(live[i], live[j])) {
        live[j].is_told = true;
        mismatches.push_back(
            {ErrorCode::type_mismatch,
             live[j].name(),
             "the memory of '" + live[i].name() + "'",
             "a tensor of its own with other values"});
      }
    }
  }
}

} // namespace holdfast::detail

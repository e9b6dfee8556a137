#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/state/part.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Moves states of parts through memory as an engine moves them through files:
/// publish, capture, row-major bytes; prepare, bytes, apply in order of stages.
namespace holdfast::test {

using Parts = std::vector<std::pair<std::string, std::unique_ptr<Part>>>;

/// A saved state and its bytes.
struct Stored {
  std::string kind;
  Saved saved;
  std::vector<Bytes> bytes;
};
using Snapshot = std::vector<std::pair<std::string, Stored>>;

inline Names publish(Parts& parts) {
  Names names;
  for (auto& [name, part] : parts) {
    part->publish(name, names);
  }
  return names;
}

/// `chunk` bytes at a time where a tensor has to be copied out.
inline Bytes bytes_of(const TensorOut& tensor, std::size_t chunk) {
  const auto size = tensor_bytes(tensor.info.dtype, tensor.info.shape).value();
  Bytes bytes(static_cast<std::size_t>(size));
  if (const std::byte* data = tensor.source->data()) {
    if (!bytes.empty()) {
      std::memcpy(bytes.data(), data, bytes.size());
    }
    return bytes;
  }
  for (std::size_t offset = 0; offset < bytes.size(); offset += chunk) {
    tensor.source->copy_out(
        offset, bytes.data() + offset, std::min(chunk, bytes.size() - offset));
  }
  return bytes;
}

inline Snapshot capture(
    Parts& parts,
    std::size_t chunk = static_cast<std::size_t>(-1) / 2) {
  const Names names = publish(parts);
  Snapshot snapshot;
  for (auto& [name, part] : parts) {
    State state = part->capture(names);
    Stored stored;
    stored.kind = part->kind();
    stored.saved.values = std::move(state.values);
    for (const TensorOut& tensor : state.tensors) {
      stored.saved.tensors.push_back(tensor.info);
      stored.bytes.push_back(bytes_of(tensor, chunk));
    }
    snapshot.emplace_back(name, std::move(stored));
  }
  return snapshot;
}

/// The state of part `name`.
inline const Stored& stored_in(
    const Snapshot& snapshot,
    std::string_view name) {
  for (const auto& [key, stored] : snapshot) {
    if (key == name) {
      return stored;
    }
  }
  throw std::logic_error("no part " + std::string(name));
}
inline Stored& stored_in(Snapshot& snapshot, std::string_view name) {
  return const_cast<Stored&>(stored_in(std::as_const(snapshot), name));
}

/// Restores every part, or nothing where there are mismatches: returns them.
/// When `apply` throws, it and what was applied are taken back in reverse
/// order.
inline Mismatches restore(const Snapshot& snapshot, Parts& parts) {
  struct Item {
    Stage stage;
    const Stored* stored;
    Part* part;
    std::unique_ptr<Restore> restore;
    std::vector<Bytes> staging;
    std::vector<const std::byte*> bytes;
  };
  const Names names = publish(parts);
  Mismatches mismatches;
  std::vector<Item> items;
  for (auto& [name, part] : parts) {
    const Stored& stored = stored_in(snapshot, name);
    if (stored.kind != part->kind()) {
      mismatches.push_back(
          {ErrorCode::type_mismatch, name, part->kind(), stored.kind});
      continue;
    }
    items.push_back(
        {part->stage(),
         &stored,
         part.get(),
         part->prepare(stored.saved, names, mismatches),
         {},
         {}});
  }
  if (!mismatches.empty()) {
    return mismatches;
  }
  std::stable_sort(items.begin(), items.end(), [](auto& a, auto& b) {
    return a.stage < b.stage;
  });
  for (Item& item : items) {
    for (std::size_t i = 0; i < item.stored->bytes.size(); ++i) {
      const Bytes& bytes = item.stored->bytes[i];
      std::byte* into = item.restore->buffer(i);
      if (into == nullptr) {
        item.staging.push_back(bytes);
        item.bytes.push_back(item.staging.back().data());
        continue;
      }
      if (!bytes.empty()) {
        std::memcpy(into, bytes.data(), bytes.size());
      }
      item.bytes.push_back(into);
    }
  }
  std::size_t applied = 0;
  try {
    for (; applied < items.size(); ++applied) {
      items[applied].restore->apply(items[applied].bytes);
    }
  } catch (...) {
    for (++applied; applied > 0;) {
      items[--applied].restore->undo();
    }
    throw;
  }
  for (Item& item : items) {
    item.part->restored();
  }
  for (const Item& item : items) {
    item.restore->apply_random();
  }
  return mismatches;
}

/// The first difference between two snapshots in names, layout, values or any
/// byte; empty where there is none.
inline std::string difference(const Snapshot& a, const Snapshot& b) {
  if (a.size() != b.size()) {
    return "number of parts";
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Stored& x = a[i].second;
    const Stored& y = b[i].second;
    if (a[i].first != b[i].first || x.kind != y.kind) {
      return "part " + a[i].first;
    }
    if (x.saved.values != y.saved.values) {
      for (const auto& [name, value] : x.saved.values) {
        const auto other = y.saved.values.find(name);
        if (other == y.saved.values.end() || other->second != value) {
          return "value " + a[i].first + ": " + name;
        }
      }
      return "values of " + a[i].first;
    }
    if (x.saved.tensors.size() != y.saved.tensors.size()) {
      return "number of tensors in " + a[i].first;
    }
    for (std::size_t t = 0; t < x.bytes.size(); ++t) {
      const TensorInfo& p = x.saved.tensors[t];
      const TensorInfo& q = y.saved.tensors[t];
      if (p.name != q.name || p.dtype != q.dtype || p.shape != q.shape ||
          p.strides != q.strides || p.aliases != q.aliases) {
        return "description of " + a[i].first + ": " + p.name;
      }
      if (x.bytes[t] != y.bytes[t]) {
        return "bytes of " + a[i].first + ": " + p.name;
      }
    }
  }
  return {};
}

/// "conv.weight shape_mismatch: expected ...", one line each, sorted.
inline std::string text_of(const Mismatches& mismatches) {
  std::vector<std::string> lines;
  for (const Mismatch& mismatch : mismatches) {
    lines.push_back(
        mismatch.name + " " + to_string(mismatch.code) + ": expected " +
        mismatch.expected + ", found " + mismatch.found + "\n");
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) {
    text += line;
  }
  return text;
}

} // namespace holdfast::test

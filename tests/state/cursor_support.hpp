#pragma once

#include <state/part_support.hpp>

#include <holdfast/state/sample_cursor_part.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::test {

/// A manager, as far as a cursor knows it.
struct Control final : LoopControl {
  bool stop = false;
  int begins = 0;
  bool stopping() const noexcept override {
    return stop;
  }
  void range_begins() override {
    ++begins;
  }
};

using Indices = std::vector<std::size_t>;

constexpr std::size_t kAll = 1000;

/// Runs a range to its end, or until `batches` were handed out; commits after
/// each batch if `commit`.
inline Indices run(SampleCursor& cursor, std::size_t batches, bool commit) {
  Indices seen;
  const std::uint64_t range = cursor.begin_range();
  for (std::size_t i = 0; i < batches; ++i) {
    const Indices indices = cursor.next(range);
    if (indices.empty()) {
      break;
    }
    cursor.hand_out(range, indices.size());
    seen.insert(seen.end(), indices.begin(), indices.end());
    if (commit) {
      (void)cursor.commit();
    }
  }
  return seen;
}

inline DataLoaderOptions in_order(std::size_t batch_size) {
  return DataLoaderOptions(batch_size).shuffle(false);
}

inline Captured captured_from(SampleCursor& cursor) {
  detail::SampleCursorPart part(cursor);
  return capture(part);
}

inline void restore_into(SampleCursor& cursor, const Captured& captured) {
  detail::SampleCursorPart part(cursor);
  restore(part, captured);
}

} // namespace holdfast::test

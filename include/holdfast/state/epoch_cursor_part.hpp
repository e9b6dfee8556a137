#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/state/adapter.hpp>
#include <holdfast/state/epoch_cursor.hpp>
#include <holdfast/state/part.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::detail {

/// Where a restore moves an epoch cursor to.
struct CursorPlace {
  std::int64_t epoch = 0;
  std::size_t position = 0;
  bool ended = false; ///< Only the empty range is left of this epoch.
  std::string remark;
  std::vector<SkippedSamples> skips;
};

/// What the parts of all epoch cursors share.
class CursorPart : public Part {
 public:
  explicit CursorPart(EpochCursor& cursor) : cursor_(cursor) {}

  [[nodiscard]] Stage stage() const override {
    return Stage::data;
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    return exact() ? std::vector<std::string>()
                   : std::vector<std::string>(1, cursor_.remark());
  }
  [[nodiscard]] bool exact() const override {
    return cursor_.remark().empty();
  }
  [[nodiscard]] Cursor* cursor() noexcept override {
    return &cursor_;
  }

 protected:
  /// Of every cursor: epoch and position, whether the epoch ends there, and
  /// what it skips.
  void add_place(Values& values) const;
  [[nodiscard]] std::unique_ptr<Restore> move_to(CursorPlace place);

  EpochCursor& cursor_;
};

/// An epoch cursor as a part.
///
/// A restore demands the same size of an epoch (`data_changed`). Where the size
/// is not known, the source is a stream and cannot seek: in mid-epoch a restore
/// gives up the rest of the epoch, and tells.
class EpochCursorPart final : public CursorPart {
 public:
  /// `stream_size`: samples that a stream is thought to have; 0: unknown.
  explicit EpochCursorPart(EpochCursor& cursor, std::size_t stream_size = 0)
      : CursorPart(cursor), stream_size_(stream_size) {}

  [[nodiscard]] std::string kind() const override {
    return is_stream() ? "stream" : "data";
  }
  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;

 private:
  [[nodiscard]] bool is_stream() const noexcept {
    return cursor_.epoch_size() == EpochCursor::kUnknown;
  }

  std::size_t stream_size_;
};

template <>
struct Builtin<EpochCursor, void> {
  static constexpr const char* default_name = "data";
  [[nodiscard]] static std::unique_ptr<Part> make(EpochCursor& cursor) {
    return std::unique_ptr<Part>(new EpochCursorPart(cursor));
  }
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/state/impl/epoch_cursor_part.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/state/adapter.hpp>
#include <holdfast/state/epoch_cursor_part.hpp>
#include <holdfast/state/part.hpp>
#include <holdfast/state/sample_cursor.hpp>

#include <memory>
#include <string>

namespace holdfast::detail {

/// A sample cursor as a part: seed, epoch, position and what they belong to.
///
/// A restore demands the same data set: size, and fingerprint where both sides
/// have one (`data_changed`; or the rest of the epoch is given up, as the
/// options say). Seed and shuffling must be the same too. Batch size,
/// drop_last, rank and world may differ at the border of an epoch; within it
/// the position would lie in another batch.
class SampleCursorPart final : public CursorPart {
 public:
  explicit SampleCursorPart(SampleCursor& cursor)
      : CursorPart(cursor), samples_(cursor) {}

  [[nodiscard]] std::string kind() const override {
    return "data";
  }
  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;

 private:
  SampleCursor& samples_;
};

template <>
struct Builtin<SampleCursor, void> {
  static constexpr const char* default_name = "data";
  [[nodiscard]] static std::unique_ptr<Part> make(SampleCursor& cursor) {
    return std::unique_ptr<Part>(new SampleCursorPart(cursor));
  }
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/state/impl/sample_cursor_part.ipp>
#endif

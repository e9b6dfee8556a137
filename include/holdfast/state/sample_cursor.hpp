#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/state/cursor.hpp>
#include <holdfast/state/part.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// Options of a data loader, in the manner of LibTorch's.
class DataLoaderOptions {
 public:
  DataLoaderOptions() = default;
  DataLoaderOptions(std::size_t batch_size) : batch_size_(batch_size) {}

  /// Samples in a batch; the last one of an epoch may have fewer.
  DataLoaderOptions& batch_size(std::size_t samples) {
    batch_size_ = samples;
    return *this;
  }
  /// Leaves out a last batch that has fewer samples.
  DataLoaderOptions& drop_last(bool drop) {
    drop_last_ = drop;
    return *this;
  }
  /// A new order in each epoch (the default), or always 0, 1, 2, ...
  DataLoaderOptions& shuffle(bool shuffled) {
    shuffle_ = shuffled;
    return *this;
  }
  /// Of the orders: see `shuffled_order`.
  DataLoaderOptions& seed(std::uint64_t number) {
    seed_ = number;
    return *this;
  }

  [[nodiscard]] std::size_t batch_size() const noexcept {
    return batch_size_;
  }
  [[nodiscard]] bool drop_last() const noexcept {
    return drop_last_;
  }
  [[nodiscard]] bool shuffle() const noexcept {
    return shuffle_;
  }
  [[nodiscard]] std::uint64_t seed() const noexcept {
    return seed_;
  }

 private:
  std::size_t batch_size_ = 1;
  bool drop_last_ = false;
  bool shuffle_ = true;
  std::uint64_t seed_ = 0;
};

/// A place in a data set of known size: epoch and samples consumed. Which
/// samples come next follows from these by arithmetic; nothing is replayed, and
/// no random generator but its own is used.
///
/// Loaders are built on it. A range is
///
///     range = cursor.begin_range();
///     while (!(indices = cursor.next(range)).empty()) {
///       fetch(indices);
///       cursor.hand_out(range, indices.size());
///       ... the body of the loop ...
///     }
///
/// While it is attached, ranges are as `Cursor` tells. Otherwise each range is
/// a whole epoch: the first one is the current epoch, each later one the epoch
/// after it, so that a loop without a manager is shuffled anew as well.
class SampleCursor final : public Cursor {
 public:
  /// `invalid_argument` for a batch size of 0, or if an epoch has no batch.
  SampleCursor(std::size_t data_size, const DataLoaderOptions& options);

  SampleCursor(const SampleCursor&) = delete;
  SampleCursor& operator=(const SampleCursor&) = delete;

  HOLDFAST_INLINE void attach(LoopControl* control) override;
  HOLDFAST_INLINE std::int64_t commit() override;
  [[nodiscard]] HOLDFAST_INLINE bool ahead() const noexcept override;
  [[nodiscard]] HOLDFAST_INLINE bool at_end() const noexcept override;
  HOLDFAST_INLINE void start_epoch(std::int64_t epoch) override;

  /// Begins a range and returns its number. `epoch_not_ended` as for `Cursor`.
  [[nodiscard]] std::uint64_t begin_range();
  /// True until the range has ended.
  [[nodiscard]] bool in_range(std::uint64_t range) const noexcept;
  /// Indices of the next batch; empty at the end of the range, which then is
  /// over. Does not move anything else.
  [[nodiscard]] std::vector<std::size_t> next(std::uint64_t range);
  /// The batch of the last `next()` was fetched: the loop gets it.
  void hand_out(std::uint64_t range, std::size_t samples);

  [[nodiscard]] const DataLoaderOptions& options() const noexcept {
    return options_;
  }
  [[nodiscard]] std::size_t data_size() const noexcept {
    return data_size_;
  }
  /// Samples that one epoch hands out: fewer than the data set with drop_last.
  [[nodiscard]] std::size_t epoch_size() const noexcept;
  [[nodiscard]] std::int64_t epoch() const noexcept {
    return epoch_;
  }
  /// Samples of this epoch that are committed.
  [[nodiscard]] std::size_t position() const noexcept {
    return position_;
  }

  /// As after `start_epoch(epoch)` and a commit at `position`, except that a
  /// position at the end allows one empty range. For a restore: both must be
  /// valid here.
  void restore(std::int64_t epoch, std::size_t position) noexcept;

 private:
  void move_to(std::int64_t epoch, std::size_t position) noexcept;

  const DataLoaderOptions options_;
  const std::size_t data_size_;
  LoopControl* control_ = nullptr;
  std::int64_t epoch_ = 0;
  std::size_t position_ = 0;
  std::size_t handed_out_ = 0; // At or after position_.
  bool epoch_begun_ = false; // A range of this epoch has begun.
  bool empty_range_due_ = false;
  std::uint64_t range_ = 0; // The last range's number.
  bool range_open_ = false;
  std::vector<std::size_t> order_; // Of order_epoch_, if shuffled.
  std::int64_t order_epoch_ = -1;
};

namespace detail {

/// A sample cursor as a part: seed, epoch, position and what they belong to.
///
/// A restore demands the same data size, seed and shuffling (`data_changed`).
/// Batch size and drop_last may differ where the position is at the start of an
/// epoch, otherwise it would lie in another batch.
class SampleCursorPart final : public Part {
 public:
  explicit SampleCursorPart(SampleCursor& cursor) : cursor_(cursor) {}

  [[nodiscard]] std::string kind() const override {
    return "data";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::data;
  }
  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;
  [[nodiscard]] Cursor* cursor() noexcept override {
    return &cursor_;
  }

 private:
  SampleCursor& cursor_;
};

} // namespace detail

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/state/impl/sample_cursor.ipp>
#endif

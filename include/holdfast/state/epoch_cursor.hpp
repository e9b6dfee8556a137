#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/state/cursor.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// Samples of an epoch that are not handed out: from `begin` up to `end`.
struct SkippedSamples {
  std::int64_t epoch = 0;
  std::size_t begin = 0;
  std::size_t end = 0; ///< After `begin`; may lie beyond the epoch.
};

/// A place in epochs of equal size: the number of the epoch, and how many of
/// its samples the loop has consumed. It knows the rules of ranges and nothing
/// of what a sample is; a loader of your own is built on it as ours are:
///
///     range = cursor.begin_range();
///     while (cursor.fetches(range)) {
///       fetch what follows the first `cursor.handed_out()` samples;
///       cursor.hand_out(range, samples);
///       ... the body of the loop ...
///     }
///
/// What comes at a place must follow from epoch and place alone: then nothing
/// else has to be saved. `make_part(cursor)` is the part
/// (state/epoch_cursor_part.hpp); docs/data.md and examples/own_loader.cpp show
/// a whole loader.
///
/// While it is attached, ranges are as `Cursor` tells. Otherwise each range is
/// a whole epoch: the first one is the current epoch, each later one the epoch
/// after it, so that a loop without a manager is shuffled anew as well.
class EpochCursor : public Cursor {
 public:
  /// The size of an epoch whose end only shows when it comes: `end_epoch_here`.
  static constexpr std::size_t kUnknown =
      std::numeric_limits<std::size_t>::max();

  /// `invalid_argument` for an epoch of no samples.
  explicit EpochCursor(std::size_t epoch_size);

  EpochCursor(const EpochCursor&) = delete;
  EpochCursor& operator=(const EpochCursor&) = delete;

  HOLDFAST_INLINE void attach(LoopControl* control) override;
  HOLDFAST_INLINE std::int64_t commit() override;
  [[nodiscard]] HOLDFAST_INLINE bool ahead() const noexcept override;
  [[nodiscard]] HOLDFAST_INLINE bool at_end() const noexcept override;
  HOLDFAST_INLINE void start_epoch(std::int64_t epoch) override;
  [[nodiscard]] HOLDFAST_INLINE std::optional<DataPlace> place() const override;
  /// Where the size of an epoch is known.
  HOLDFAST_INLINE bool skip(const DataPlace& from, const DataPlace& to)
      override;

  /// Begins a range and returns its number, at least 1. `epoch_not_ended` as
  /// for `Cursor`.
  [[nodiscard]] std::uint64_t begin_range();
  /// True until the range has ended.
  [[nodiscard]] bool in_range(std::uint64_t range) const noexcept;
  /// True if there is a batch to fetch; otherwise the range is over now. Moves
  /// past samples that are skipped, which count as handed out, and where
  /// nothing else was since the last commit, as committed.
  [[nodiscard]] bool fetches(std::uint64_t range) noexcept;
  /// A batch was fetched: the loop gets it. No more than what is left of the
  /// epoch counts, so a loader may give its batch size for a smaller last batch
  /// too.
  void hand_out(std::uint64_t range, std::size_t samples) noexcept;
  /// Nothing is left: the epoch ends with what was handed out, and the range.
  void end_epoch_here(std::uint64_t range) noexcept;

  [[nodiscard]] std::size_t epoch_size() const noexcept {
    return epoch_size_;
  }
  [[nodiscard]] std::int64_t epoch() const noexcept {
    return epoch_;
  }
  /// Samples of this epoch that are committed.
  [[nodiscard]] std::size_t position() const noexcept {
    return position_;
  }
  /// Samples of this epoch that were handed out: at or after `position()`.
  [[nodiscard]] std::size_t handed_out() const noexcept {
    return handed_out_;
  }
  /// Where this epoch ends: `epoch_size()`, or earlier.
  [[nodiscard]] std::size_t end() const noexcept {
    return end_;
  }

  /// True if the position is where this epoch ends, whatever its size says: by
  /// `end_epoch_here` or `restore_ended`. All that such an epoch has left is
  /// its empty range.
  [[nodiscard]] bool ended() const noexcept {
    return at_end() && (end_ != epoch_size_ || begun_elsewhere_);
  }
  /// True if `restore_ended` ended this epoch: its samples up to the position
  /// need not be those that this cursor would hand out.
  [[nodiscard]] bool begun_elsewhere() const noexcept {
    return begun_elsewhere_;
  }

  /// `place` of this epoch, or the next place that is not skipped.
  [[nodiscard]] std::size_t after_skips(std::size_t place) const noexcept;
  /// Of this epoch and later ones.
  [[nodiscard]] const std::vector<SkippedSamples>& skips() const noexcept {
    return skips_;
  }
  /// In place of what was skipped until now.
  void restore_skips(std::vector<SkippedSamples> skips) noexcept;

  /// As after `start_epoch(epoch)` and a commit at `position`, except that a
  /// position at the end allows one empty range. For a restore: both must be
  /// valid here.
  ///
  /// `remark` tells why this is not exactly where the saved run was, and is
  /// kept until the cursor is moved again; empty: it is.
  void restore(
      std::int64_t epoch,
      std::size_t position,
      std::string remark = {}) noexcept;
  /// The same, and the epoch ends there: only the empty range is left of it.
  void restore_ended(
      std::int64_t epoch,
      std::size_t position,
      std::string remark = {}) noexcept;
  [[nodiscard]] const std::string& remark() const noexcept {
    return remark_;
  }

 private:
  void move_to(
      std::int64_t epoch,
      std::size_t position,
      std::size_t end) noexcept;

  const std::size_t epoch_size_;
  LoopControl* control_ = nullptr;
  std::int64_t epoch_ = 0;
  std::size_t position_ = 0;
  std::size_t handed_out_ = 0; // At or after position_.
  std::size_t end_;
  bool begun_elsewhere_ = false;
  bool epoch_begun_ = false; // A range of this epoch has begun.
  bool empty_range_due_ = false;
  std::uint64_t range_ = 0; // The last range's number.
  bool range_open_ = false;
  std::string remark_;
  std::vector<SkippedSamples> skips_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/state/impl/epoch_cursor.ipp>
#endif

#pragma once

#include <holdfast/state/epoch_cursor.hpp>

#include <holdfast/base/error.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE EpochCursor::EpochCursor(std::size_t epoch_size)
    : epoch_size_(epoch_size), end_(epoch_size) {
  if (epoch_size == 0) {
    throw_invalid_argument("epoch_size", "an epoch needs at least one sample");
  }
}

HOLDFAST_INLINE void EpochCursor::move_to(
    std::int64_t epoch,
    std::size_t position,
    std::size_t end) noexcept {
  epoch_ = epoch;
  position_ = position;
  handed_out_ = position;
  end_ = end;
  begun_elsewhere_ = false;
  epoch_begun_ = false;
  empty_range_due_ = false;
  range_open_ = false;
  remark_.clear();
}

HOLDFAST_INLINE void EpochCursor::attach(LoopControl* control) {
  if (control == nullptr) {
    control_ = nullptr;
    return;
  }
  if (control_ != nullptr && control_ != control) {
    throw_invalid_argument(
        "data", "this data source is attached to another manager");
  }
  if (control_ == nullptr) {
    move_to(0, 0, epoch_size_);
  }
  control_ = control;
}

HOLDFAST_INLINE std::int64_t EpochCursor::commit() {
  const std::size_t moved = handed_out_ - position_;
  position_ = handed_out_;
  return static_cast<std::int64_t>(moved);
}

HOLDFAST_INLINE bool EpochCursor::ahead() const noexcept {
  return handed_out_ != position_;
}

HOLDFAST_INLINE bool EpochCursor::at_end() const noexcept {
  return after_skips(position_) == end_;
}

HOLDFAST_INLINE void EpochCursor::start_epoch(std::int64_t epoch) {
  if (epoch < 0) {
    throw_invalid_argument(
        "epoch", "an epoch's number is not negative", std::to_string(epoch));
  }
  move_to(epoch, 0, epoch_size_);
  skips_.erase(
      std::remove_if(
          skips_.begin(),
          skips_.end(),
          [&](const SkippedSamples& skip) { return skip.epoch < epoch; }),
      skips_.end());
}

HOLDFAST_INLINE std::optional<DataPlace> EpochCursor::place() const {
  return epoch_size_ == kUnknown
      ? std::nullopt
      : std::make_optional(DataPlace{epoch_, position_});
}

HOLDFAST_INLINE bool EpochCursor::skip(
    const DataPlace& from,
    const DataPlace& to) {
  if (epoch_size_ == kUnknown) {
    return false;
  }
  for (std::int64_t epoch = from.epoch; epoch <= to.epoch; ++epoch) {
    const SkippedSamples skipped{
        epoch,
        epoch == from.epoch ? static_cast<std::size_t>(from.position) : 0,
        epoch == to.epoch ? static_cast<std::size_t>(to.position)
                          : epoch_size_};
    if (skipped.begin < skipped.end) {
      skips_.push_back(skipped);
    }
  }
  return true;
}

HOLDFAST_INLINE void EpochCursor::restore_skips(
    std::vector<SkippedSamples> skips) noexcept {
  skips_ = std::move(skips);
}

HOLDFAST_INLINE std::size_t EpochCursor::after_skips(
    std::size_t place) const noexcept {
  // They may overlap, in any order: until none moves it.
  for (bool moved = true; moved;) {
    moved = false;
    for (const SkippedSamples& skip : skips_) {
      if (skip.epoch == epoch_ && skip.begin <= place && place < skip.end &&
          place < end_) {
        place = std::min(skip.end, end_);
        moved = true;
      }
    }
  }
  return place;
}

HOLDFAST_INLINE void EpochCursor::restore(
    std::int64_t epoch,
    std::size_t position,
    std::string remark) noexcept {
  move_to(epoch, position, epoch_size_);
  remark_.swap(remark);
  empty_range_due_ = at_end();
}

HOLDFAST_INLINE void EpochCursor::restore_ended(
    std::int64_t epoch,
    std::size_t position,
    std::string remark) noexcept {
  move_to(epoch, position, position);
  remark_.swap(remark);
  begun_elsewhere_ = true;
  empty_range_due_ = true;
}

HOLDFAST_INLINE std::uint64_t EpochCursor::begin_range() {
  range_open_ = false;
  if (control_ == nullptr) {
    // A restored position means nothing here: the epoch starts over.
    move_to(epoch_begun_ ? epoch_ + 1 : epoch_, 0, epoch_size_);
  } else if (position_ == end_ && !empty_range_due_) {
    ErrorDetails details;
    details.name = "data";
    details.message =
        "this epoch has no more batches: end_epoch() stands last in the "
        "epoch's code and turns to the next one";
    details.found = "begin() at the end of epoch " + std::to_string(epoch_);
    throw Error(ErrorCode::epoch_not_ended, std::move(details));
  }
  handed_out_ = position_;
  epoch_begun_ = true;
  if (control_ != nullptr && !control_->stopping()) {
    control_->range_begins();
    empty_range_due_ = false;
  }
  range_open_ = true;
  return ++range_;
}

HOLDFAST_INLINE bool EpochCursor::in_range(std::uint64_t range) const noexcept {
  return range_open_ && range == range_;
}

HOLDFAST_INLINE bool EpochCursor::fetches(std::uint64_t range) noexcept {
  if (!in_range(range)) {
    return false;
  }
  const std::size_t next = after_skips(handed_out_);
  if (position_ == handed_out_) {
    position_ = next;
  }
  handed_out_ = next;
  if (handed_out_ == end_ || (control_ != nullptr && control_->stopping())) {
    range_open_ = false;
  }
  return range_open_;
}

HOLDFAST_INLINE void EpochCursor::hand_out(
    std::uint64_t range,
    std::size_t samples) noexcept {
  if (in_range(range)) {
    handed_out_ += std::min(samples, end_ - handed_out_);
  }
}

HOLDFAST_INLINE void EpochCursor::end_epoch_here(std::uint64_t range) noexcept {
  if (in_range(range)) {
    end_ = handed_out_;
    range_open_ = false;
  }
}

} // namespace holdfast

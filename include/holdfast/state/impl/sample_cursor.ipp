#pragma once

#include <holdfast/state/checks.hpp>
#include <holdfast/state/sample_cursor.hpp>
#include <holdfast/state/sample_order.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace holdfast {

namespace detail {

/// Samples in the batches of an epoch.
HOLDFAST_INLINE std::uint64_t samples_per_epoch(
    std::uint64_t data_size,
    std::uint64_t batch_size,
    bool drop_last) noexcept {
  return drop_last ? data_size - data_size % batch_size : data_size;
}

/// What a checkpoint says about a sample cursor.
struct SavedSampleCursor {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
  std::uint64_t position = 0;
  std::uint64_t data_size = 0;
  std::uint64_t batch_size = 0;
  bool drop_last = false;
  bool shuffle = false;
};

/// Reads the values that are there; those of a wrong kind or range are
/// mismatches.
HOLDFAST_INLINE SavedSampleCursor
read_sample_cursor(const Saved& saved, Mismatches& mismatches) {
  check_value_names(
      saved,
      {"batch_size",
       "data_size",
       "drop_last",
       "epoch",
       "position",
       "seed",
       "shuffle"},
      mismatches);
  SavedSampleCursor read;
  const auto get = [&](const char* name, auto& into) {
    const auto value = saved.values.find(name);
    if (value == saved.values.end()) {
      return;
    }
    try {
      into = value->second.template as<std::decay_t<decltype(into)>>();
    } catch (const Error& error) {
      mismatches.push_back(mismatch_of(name, error));
    }
  };
  get("seed", read.seed);
  get("epoch", read.epoch);
  get("position", read.position);
  get("data_size", read.data_size);
  get("batch_size", read.batch_size);
  get("drop_last", read.drop_last);
  get("shuffle", read.shuffle);
  return read;
}

class SampleCursorRestore final : public Restore {
 public:
  SampleCursorRestore(
      SampleCursor& cursor,
      std::int64_t epoch,
      std::size_t position)
      : cursor_(cursor), epoch_(epoch), position_(position) {}

  void apply(const std::vector<const std::byte*>&) override {
    cursor_.restore(epoch_, position_);
  }

 private:
  SampleCursor& cursor_;
  std::int64_t epoch_;
  std::size_t position_;
};

} // namespace detail

HOLDFAST_INLINE SampleCursor::SampleCursor(
    std::size_t data_size,
    const DataLoaderOptions& options)
    : options_(options), data_size_(data_size) {
  if (options.batch_size() == 0) {
    throw_invalid_argument("batch_size", "a batch needs at least one sample");
  }
  if (data_size > static_cast<std::uint64_t>(
                      std::numeric_limits<std::int64_t>::max()) ||
      epoch_size() == 0) {
    throw_invalid_argument(
        "dataset",
        "an epoch without a single batch",
        std::to_string(data_size) + " samples, batch size " +
            std::to_string(options.batch_size()));
  }
}

HOLDFAST_INLINE std::size_t SampleCursor::epoch_size() const noexcept {
  return static_cast<std::size_t>(detail::samples_per_epoch(
      data_size_, options_.batch_size(), options_.drop_last()));
}

HOLDFAST_INLINE void SampleCursor::move_to(
    std::int64_t epoch,
    std::size_t position) noexcept {
  epoch_ = epoch;
  position_ = position;
  handed_out_ = position;
  epoch_begun_ = false;
  empty_range_due_ = false;
  range_open_ = false;
}

HOLDFAST_INLINE void SampleCursor::attach(LoopControl* control) {
  if (control == nullptr) {
    control_ = nullptr;
    return;
  }
  if (control_ != nullptr && control_ != control) {
    throw_invalid_argument(
        "data", "this data source is attached to another manager");
  }
  if (control_ == nullptr) {
    move_to(0, 0);
  }
  control_ = control;
}

HOLDFAST_INLINE std::int64_t SampleCursor::commit() {
  const std::size_t moved = handed_out_ - position_;
  position_ = handed_out_;
  return static_cast<std::int64_t>(moved);
}

HOLDFAST_INLINE bool SampleCursor::ahead() const noexcept {
  return handed_out_ != position_;
}

HOLDFAST_INLINE bool SampleCursor::at_end() const noexcept {
  return position_ == epoch_size();
}

HOLDFAST_INLINE void SampleCursor::start_epoch(std::int64_t epoch) {
  if (epoch < 0) {
    throw_invalid_argument(
        "epoch", "an epoch's number is not negative", std::to_string(epoch));
  }
  move_to(epoch, 0);
}

HOLDFAST_INLINE void SampleCursor::restore(
    std::int64_t epoch,
    std::size_t position) noexcept {
  move_to(epoch, position);
  empty_range_due_ = at_end();
}

HOLDFAST_INLINE std::uint64_t SampleCursor::begin_range() {
  range_open_ = false;
  if (control_ == nullptr) {
    // A restored position means nothing here: the epoch starts over.
    move_to(epoch_begun_ ? epoch_ + 1 : epoch_, 0);
  } else if (at_end() && !empty_range_due_) {
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

HOLDFAST_INLINE bool SampleCursor::in_range(
    std::uint64_t range) const noexcept {
  return range_open_ && range == range_;
}

HOLDFAST_INLINE std::vector<std::size_t> SampleCursor::next(
    std::uint64_t range) {
  if (!in_range(range)) {
    return {};
  }
  const std::size_t left = epoch_size() - handed_out_;
  if (left == 0 || (control_ != nullptr && control_->stopping())) {
    range_open_ = false;
    return {};
  }
  std::vector<std::size_t> indices(std::min(left, options_.batch_size()));
  if (!options_.shuffle()) {
    std::iota(indices.begin(), indices.end(), handed_out_);
    return indices;
  }
  if (order_epoch_ != epoch_) {
    order_ = shuffled_order(
        data_size_, options_.seed(), static_cast<std::uint64_t>(epoch_));
    order_epoch_ = epoch_;
  }
  std::copy_n(order_.data() + handed_out_, indices.size(), indices.begin());
  return indices;
}

HOLDFAST_INLINE void SampleCursor::hand_out(
    std::uint64_t range,
    std::size_t samples) {
  if (in_range(range)) {
    handed_out_ += samples;
  }
}

namespace detail {

HOLDFAST_INLINE State SampleCursorPart::capture(const Names&) {
  const DataLoaderOptions& options = cursor_.options();
  State state;
  state.values.emplace("seed", Value(options.seed()));
  state.values.emplace("epoch", Value(cursor_.epoch()));
  state.values.emplace("position", Value(cursor_.position()));
  state.values.emplace("data_size", Value(cursor_.data_size()));
  state.values.emplace("batch_size", Value(options.batch_size()));
  state.values.emplace("drop_last", Value(options.drop_last()));
  state.values.emplace("shuffle", Value(options.shuffle()));
  return state;
}

HOLDFAST_INLINE std::unique_ptr<Restore> SampleCursorPart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const std::size_t before = mismatches.size();
  const SavedSampleCursor read = read_sample_cursor(saved, mismatches);
  if (mismatches.size() != before) {
    return nullptr;
  }
  const DataLoaderOptions& options = cursor_.options();
  const auto compare = [&](const char* name,
                           const std::string& expected,
                           const std::string& found) {
    if (expected != found) {
      mismatches.push_back({ErrorCode::data_changed, name, expected, found});
    }
  };
  const auto yes_no = [](bool answer) {
    return std::string(answer ? "true" : "false");
  };
  compare(
      "data_size",
      std::to_string(cursor_.data_size()),
      std::to_string(read.data_size));
  compare("seed", std::to_string(options.seed()), std::to_string(read.seed));
  compare("shuffle", yes_no(options.shuffle()), yes_no(read.shuffle));
  if (read.position != 0) {
    const std::string here =
        " at position " + std::to_string(read.position) + " of an epoch";
    compare(
        "batch_size",
        std::to_string(options.batch_size()),
        std::to_string(read.batch_size) +
            (read.batch_size == options.batch_size() ? "" : here));
    compare(
        "drop_last",
        yes_no(options.drop_last()),
        yes_no(read.drop_last) +
            (read.drop_last == options.drop_last() ? "" : here));
  }
  constexpr std::int64_t last_epoch = std::int64_t{1} << 53;
  if (read.epoch < 0 || read.epoch > last_epoch) {
    mismatches.push_back(
        {ErrorCode::value_out_of_range,
         "epoch",
         "a number from 0 to 2^53",
         std::to_string(read.epoch)});
  }
  const bool aligned = read.position == 0 ||
      (read.batch_size != 0 &&
       (read.position % read.batch_size == 0 ||
        read.position == read.data_size));
  const bool inside = read.batch_size != 0 &&
      read.position <=
          samples_per_epoch(read.data_size, read.batch_size, read.drop_last);
  if (!aligned || !inside) {
    mismatches.push_back(
        {ErrorCode::value_out_of_range,
         "position",
         "the border of a batch in an epoch of " +
             std::to_string(read.data_size) + " samples",
         std::to_string(read.position)});
  }
  if (mismatches.size() != before) {
    return nullptr;
  }
  return std::unique_ptr<Restore>(new SampleCursorRestore(
      cursor_, read.epoch, static_cast<std::size_t>(read.position)));
}

} // namespace detail

} // namespace holdfast

#pragma once

#include <holdfast/state/sample_cursor.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/state/sample_order.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::uint64_t EpochShape::samples() const noexcept {
  const std::uint64_t tail = data_size % world_size;
  const std::uint64_t own =
      data_size / world_size + (allow_duplicates && tail != 0 ? 1 : 0);
  return drop_last ? own - own % batch_size : own;
}

/// The samples of an epoch; at least one batch, or it throws.
HOLDFAST_INLINE std::size_t checked_epoch_size(
    std::size_t data_size,
    const DataLoaderOptions& options) {
  if (options.batch_size() == 0) {
    throw_invalid_argument("batch_size", "a batch needs at least one sample");
  }
  if (options.rank() >= options.world_size()) {
    throw_invalid_argument(
        "rank",
        "ranks go from 0 to world_size - 1",
        std::to_string(options.rank()) + " of " +
            std::to_string(options.world_size()));
  }
  const EpochShape shape{
      data_size,
      options.batch_size(),
      options.drop_last(),
      options.world_size(),
      options.allow_duplicates()};
  constexpr std::uint64_t most =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (data_size > most || options.world_size() > most / (data_size + 1) ||
      shape.samples() == 0) {
    throw_invalid_argument(
        "dataset",
        "an epoch without a single batch",
        std::to_string(data_size) + " samples, batch size " +
            std::to_string(options.batch_size()) +
            (options.world_size() == 1
                 ? ""
                 : ", world size " + std::to_string(options.world_size())));
  }
  return static_cast<std::size_t>(shape.samples());
}

} // namespace detail

HOLDFAST_INLINE SampleCursor::SampleCursor(
    std::size_t data_size,
    const DataLoaderOptions& options)
    : EpochCursor(detail::checked_epoch_size(data_size, options)),
      options_(options),
      data_size_(data_size) {}

HOLDFAST_INLINE std::vector<std::size_t> SampleCursor::indices(
    std::size_t place,
    std::size_t count) {
  if (options_.shuffle() && order_epoch_ != epoch()) {
    order_ = shuffled_order(
        data_size_, options_.seed(), static_cast<std::uint64_t>(epoch()));
    order_epoch_ = epoch();
  }
  std::vector<std::size_t> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t in_order =
        ((place + i) * options_.world_size() + options_.rank()) % data_size_;
    result[i] = options_.shuffle() ? order_[in_order] : in_order;
  }
  return result;
}

HOLDFAST_INLINE std::vector<std::size_t> SampleCursor::next(
    std::uint64_t range) {
  if (!fetches(range)) {
    return {};
  }
  return batch_at(handed_out());
}

HOLDFAST_INLINE void SampleCursor::hand_out(
    std::uint64_t range,
    std::size_t samples) {
  const std::size_t left = end() - handed_out();
  const std::size_t batch = batch_size_at(handed_out());
  if (in_range(range) && std::min(samples, left) != batch) {
    ErrorDetails details;
    details.name = "hand_out";
    details.message = "a sample cursor goes on by whole batches";
    details.expected = std::to_string(batch);
    details.found = std::to_string(samples);
    throw Error(ErrorCode::invalid_argument, std::move(details));
  }
  EpochCursor::hand_out(range, samples);
}

HOLDFAST_INLINE std::size_t SampleCursor::batch_size_at(
    std::size_t place) const noexcept {
  return std::min(end() - place, options_.batch_size());
}

HOLDFAST_INLINE std::vector<std::size_t> SampleCursor::batch_at(
    std::size_t place) {
  return indices(place, batch_size_at(place));
}

HOLDFAST_INLINE std::vector<std::size_t> SampleCursor::consumed() {
  std::vector<std::size_t> consumed;
  for (std::size_t place = 0; !begun_elsewhere();) {
    place = after_skips(place);
    if (place >= position()) {
      break;
    }
    const std::size_t count = batch_size_at(place);
    for (const std::size_t index : indices(place, count)) {
      consumed.push_back(index);
    }
    place += count;
  }
  return consumed;
}

} // namespace holdfast

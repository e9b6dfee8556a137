#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/state/batch_source.hpp>
#include <holdfast/state/data_loader_options.hpp>
#include <holdfast/state/epoch_cursor.hpp>
#include <holdfast/state/epoch_cursor_part.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

template <class Batch, class = void>
struct HasCount : std::false_type {};
template <class Batch>
struct HasCount<
    Batch,
    std::enable_if_t<
        std::is_integral_v<decltype(std::declval<const Batch&>().size())>>>
    : std::true_type {};
template <class Batch, class = void>
struct HasTensor : std::false_type {};
template <class Batch>
struct HasTensor<
    Batch,
    std::void_t<decltype(std::declval<const Batch&>().data.size(0))>>
    : std::true_type {};

/// Samples in a batch of a stream; where they cannot be counted, as many as
/// were asked for.
template <class Batch>
[[nodiscard]] std::size_t samples_in(const Batch& batch, std::size_t asked) {
  if constexpr (HasCount<Batch>::value) {
    return static_cast<std::size_t>(batch.size());
  } else if constexpr (HasTensor<Batch>::value) {
    return static_cast<std::size_t>(batch.data.size(0)); // Stacked examples.
  } else {
    return asked;
  }
}

/// Batches of a stateful data set, which itself decides what comes next.
template <class Dataset>
class StreamSource {
 public:
  using Batch = std::decay_t<decltype(*std::declval<Dataset&>().get_batch(
      std::declval<std::size_t>()))>;

  StreamSource(Dataset dataset, const DataLoaderOptions& options)
      : dataset_(std::move(dataset)),
        options_(options),
        cursor_(EpochCursor::kUnknown) {
    const auto refuse = [](bool given, const char* name) {
      if (given) {
        throw_invalid_argument(
            name, "a stream (a stateful data set) does not take this option");
      }
    };
    if (options.batch_size() == 0) {
      throw_invalid_argument("batch_size", "a batch needs at least one sample");
    }
    refuse(options.workers() != 0, "workers");
    refuse(options.drop_last(), "drop_last");
    refuse(options.world_size() != 1 || options.rank() != 0, "world_size");
    refuse(!options.fingerprint().empty(), "fingerprint");
  }

  [[nodiscard]] const Dataset& dataset() const noexcept {
    return dataset_;
  }
  [[nodiscard]] EpochCursor& cursor() noexcept {
    return cursor_;
  }
  [[nodiscard]] const EpochCursor& cursor() const noexcept {
    return cursor_;
  }
  [[nodiscard]] const DataLoaderOptions& options() const noexcept {
    return options_;
  }
  [[nodiscard]] std::unique_ptr<Part> make_part() {
    std::size_t size = 0;
    if constexpr (HasSize<Dataset>::value) {
      if (const auto known = std::as_const(dataset_).size()) {
        size = static_cast<std::size_t>(*known);
      }
    }
    return std::unique_ptr<Part>(new EpochCursorPart(cursor_, size));
  }

  void fetch(std::uint64_t range, std::optional<Batch>& batch) {
    if (!cursor_.fetches(range)) {
      return;
    }
    if (cursor_.handed_out() == 0) {
      dataset_.reset();
    }
    auto next = dataset_.get_batch(options_.batch_size());
    if (!next) {
      cursor_.end_epoch_here(range);
      return;
    }
    batch.emplace(std::move(*next));
    // An empty one counts too, or the stream would begin again.
    cursor_.hand_out(
        range,
        std::max<std::size_t>(1, samples_in(*batch, options_.batch_size())));
  }

 private:
  Dataset dataset_;
  DataLoaderOptions options_;
  EpochCursor cursor_;
};

} // namespace holdfast::detail

#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/state/adapter.hpp>
#include <holdfast/state/builtin.hpp>
#include <holdfast/state/sample_cursor.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast {

namespace detail {

template <class Dataset, class = void>
struct IsStateful : std::false_type {};
template <class Dataset>
struct IsStateful<Dataset, std::enable_if_t<Dataset::is_stateful>>
    : std::true_type {};

template <class Dataset, class = void>
struct IsMapStyle : std::false_type {};
template <class Dataset>
struct IsMapStyle<
    Dataset,
    std::void_t<
        decltype(std::declval<Dataset&>().get_batch(
            std::declval<const std::vector<std::size_t>&>())),
        decltype(*std::declval<const Dataset&>().size())>> : std::true_type {};

} // namespace detail

/// Loads batches of a map-style data set in an order that follows from seed and
/// epoch alone, and knows its place: the samples that the loop has consumed. It
/// never draws from LibTorch's generators. Made by `make_data_loader`.
///
///     for (auto& batch : batches) { ... }
///
/// Given to a manager it is attached, and a range goes on where the killed run
/// stopped (`Cursor` in state/cursor.hpp has the rules). Without a manager each
/// range is a whole epoch, the next one each time. Such a loader is not saved:
/// one that shuffles and is iterated outside of the training loop, say for
/// evaluation, begins with its first order again after a resume.
///
/// A batch is fetched by the calling thread when the loop asks for it. So
/// random transforms draw from the default generator in the same order in a
/// killed and an uninterrupted run. The batch lives until the next one is
/// fetched.
///
/// Neither copies nor moves: managers hold references. One thread at a time.
template <class Dataset>
class DataLoader {
  static_assert(
      !detail::IsStateful<Dataset>::value,
      "holdfast: a stateful data set decides its order itself: it needs a "
      "StateAdapter of its own");
  static_assert(
      detail::IsMapStyle<Dataset>::value,
      "holdfast: a data set needs `get_batch(indices)` and an optional "
      "`size()`");

 public:
  using Batch = std::decay_t<decltype(std::declval<Dataset&>().get_batch(
      std::declval<const std::vector<std::size_t>&>()))>;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using pointer = Batch*;
    using reference = Batch&;

    Iterator() = default;
    Batch& operator*() const {
      return *loader_->batch_;
    }
    Batch* operator->() const {
      return &*loader_->batch_;
    }
    /// Fetches the next batch, unless the range is over.
    Iterator& operator++() {
      loader_->fetch(range_);
      return *this;
    }
    void operator++(int) {
      ++*this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.at_end() ? b.at_end() : !b.at_end() && a.range_ == b.range_;
    }
    friend bool operator!=(const Iterator& a, const Iterator& b) {
      return !(a == b);
    }

   private:
    friend class DataLoader;
    Iterator(DataLoader* loader, std::uint64_t range)
        : loader_(loader), range_(range) {}
    [[nodiscard]] bool at_end() const {
      return loader_ == nullptr || !loader_->cursor_.in_range(range_);
    }

    DataLoader* loader_ = nullptr;
    std::uint64_t range_ = 0;
  };

  /// `invalid_argument` for a batch size of 0, a data set that does not know
  /// its size, or one with too few samples for a batch. The size is asked once.
  DataLoader(Dataset dataset, const DataLoaderOptions& options)
      : dataset_(std::move(dataset)), cursor_(size_of(dataset_), options) {}

  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Begins a range and fetches its first batch. `epoch_not_ended` for an
  /// attached loader at the end of an epoch.
  [[nodiscard]] Iterator begin() {
    const std::uint64_t range = cursor_.begin_range();
    fetch(range);
    return Iterator(this, range);
  }
  [[nodiscard]] Iterator end() noexcept {
    return Iterator();
  }

  [[nodiscard]] const Dataset& dataset() const noexcept {
    return dataset_;
  }
  [[nodiscard]] const DataLoaderOptions& options() const noexcept {
    return cursor_.options();
  }
  [[nodiscard]] std::int64_t epoch() const noexcept {
    return cursor_.epoch();
  }
  /// Samples of this epoch that the manager has counted as consumed.
  [[nodiscard]] std::size_t position() const noexcept {
    return cursor_.position();
  }
  /// Batches in a whole epoch.
  [[nodiscard]] std::size_t batches_per_epoch() const noexcept {
    const std::size_t size = options().batch_size();
    return cursor_.epoch_size() / size +
        (cursor_.epoch_size() % size == 0 ? 0 : 1);
  }

 private:
  template <class T, class>
  friend struct detail::Builtin;

  [[nodiscard]] static std::size_t size_of(const Dataset& dataset) {
    const auto size = dataset.size();
    if (!size) {
      throw_invalid_argument(
          "dataset", "a data set that does not know its size has no position");
    }
    return static_cast<std::size_t>(*size);
  }

  void fetch(std::uint64_t range) {
    if (!cursor_.in_range(range)) {
      return; // The batch may be that of another range.
    }
    batch_.reset(); // Its memory serves the next one.
    const std::vector<std::size_t> indices = cursor_.next(range);
    if (!indices.empty()) {
      batch_.emplace(dataset_.get_batch(indices));
      cursor_.hand_out(range, indices.size());
    }
  }

  Dataset dataset_;
  SampleCursor cursor_;
  std::optional<Batch> batch_;
};

/// A loader over a data set of LibTorch: torch::data::Dataset, a MapDataset as
/// from `.map(Stack<>())`, or any type with `get_batch(indices)` and an
/// optional `size()`.
///
///     auto batches = holdfast::make_data_loader(
///         std::move(dataset).map(torch::data::transforms::Stack<>()),
///         holdfast::DataLoaderOptions(64).drop_last(true).seed(7));
///
/// It shuffles unless told otherwise, as LibTorch's does.
template <class Dataset>
[[nodiscard]] DataLoader<Dataset> make_data_loader(
    Dataset dataset,
    const DataLoaderOptions& options = {}) {
  return DataLoader<Dataset>(std::move(dataset), options);
}

namespace detail {

template <class Dataset>
struct Builtin<DataLoader<Dataset>, void> {
  static constexpr const char* default_name = "data";

  [[nodiscard]] static std::unique_ptr<Part> make(DataLoader<Dataset>& loader) {
    return std::make_unique<SampleCursorPart>(loader.cursor_);
  }
};

} // namespace detail

} // namespace holdfast

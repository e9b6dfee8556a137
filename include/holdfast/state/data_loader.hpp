#pragma once

#include <holdfast/state/adapter.hpp>
#include <holdfast/state/batch_source.hpp>
#include <holdfast/state/builtin.hpp>
#include <holdfast/state/stream_source.hpp>

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

template <class Dataset, bool stream = IsStream<Dataset>::value>
struct BatchSourceOf {
  using type = SampleSource<Dataset>;
};
template <class Dataset>
struct BatchSourceOf<Dataset, true> {
  using type = StreamSource<Dataset>;
};

} // namespace detail

/// Loads batches of a data set in an order that follows from seed and epoch
/// alone, and knows its place: the samples that the loop has consumed. It never
/// draws from LibTorch's generators. Made by `make_data_loader`.
///
///     for (auto& batch : batches) { ... }
///
/// Given to a manager it is attached, and a range goes on where the killed run
/// stopped (`Cursor` in state/cursor.hpp has the rules). Without a manager each
/// range is a whole epoch, the next one each time. Such a loader is not saved:
/// one that shuffles and is iterated outside of the training loop, say for
/// evaluation, begins with its first order again after a resume.
///
/// Without workers a batch is fetched by the calling thread when the loop asks
/// for it, so random transforms may draw from the default generator. Workers
/// fetch ahead, each from its own copy of the data set; random transforms then
/// have to take the engine that `get_batch(indices, engine)` gets. Either way
/// the batches are the same, and so is their order; what was fetched ahead does
/// not count. What a fetch throws reaches the loop at that batch, which comes
/// again when the loop goes on. The batch lives until the next one is fetched.
///
/// A stateful data set is a stream: it is reset when an epoch begins, decides
/// itself what comes, and cannot seek. A resume in mid-epoch goes on at the
/// start of the next epoch, and the report says so; a range that was left early
/// goes on behind what was handed out, counted or not.
///
/// Neither copies nor moves: managers hold references. One thread at a time.
template <class Dataset>
class DataLoader {
  using Source = typename detail::BatchSourceOf<Dataset>::type;

 public:
  using Batch = typename Source::Batch;

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
      return loader_ == nullptr || !loader_->source_.cursor().in_range(range_);
    }

    DataLoader* loader_ = nullptr;
    std::uint64_t range_ = 0;
  };

  /// `invalid_argument` for options that give no batch, a data set that does
  /// not know its size and is no stream, and workers for one that cannot be
  /// copied. The size is asked once.
  DataLoader(Dataset dataset, const DataLoaderOptions& options)
      : source_(std::move(dataset), options) {}

  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Begins a range and fetches its first batch. `epoch_not_ended` for an
  /// attached loader at the end of an epoch.
  [[nodiscard]] Iterator begin() {
    const std::uint64_t range = source_.cursor().begin_range();
    fetch(range);
    return Iterator(this, range);
  }
  [[nodiscard]] Iterator end() noexcept {
    return Iterator();
  }

  [[nodiscard]] const Dataset& dataset() const noexcept {
    return source_.dataset();
  }
  [[nodiscard]] const DataLoaderOptions& options() const noexcept {
    return source_.options();
  }
  [[nodiscard]] std::int64_t epoch() const noexcept {
    return source_.cursor().epoch();
  }
  /// Samples of this epoch that the manager has counted as consumed.
  [[nodiscard]] std::size_t position() const noexcept {
    return source_.cursor().position();
  }
  /// Batches in a whole epoch, of this rank.
  [[nodiscard]] std::size_t batches_per_epoch() const noexcept {
    require_indices();
    const std::size_t samples = source_.cursor().epoch_size();
    const std::size_t size = options().batch_size();
    return samples / size + (samples % size == 0 ? 0 : 1);
  }
  /// Which samples of this epoch the manager has counted as consumed, in their
  /// order: what the data set's `sample_id(index)` says, or their indices.
  /// After `holdfast::load(path, loader)` those of the checkpoint. Empty after
  /// a resume that ended an epoch of other data.
  [[nodiscard]] auto consumed_ids() {
    require_indices();
    const std::vector<std::size_t> indices = source_.cursor().consumed();
    if constexpr (detail::HasSampleId<Dataset>::value) {
      std::vector<std::decay_t<decltype(dataset().sample_id(0))>> ids;
      for (const std::size_t index : indices) {
        ids.push_back(dataset().sample_id(index));
      }
      return ids;
    } else {
      return indices;
    }
  }

 private:
  template <class T, class>
  friend struct detail::Builtin;

  static constexpr void require_indices() {
    static_assert(
        !detail::IsStream<Dataset>::value,
        "holdfast: nobody but the stream knows its samples");
  }

  void fetch(std::uint64_t range) {
    if (source_.cursor().in_range(range)) { // or the batch is another range's
      batch_.reset(); // Its memory serves the next one.
      source_.fetch(range, batch_);
    }
  }

  Source source_;
  std::optional<Batch> batch_;
};

/// A loader over a data set of LibTorch: torch::data::Dataset, a MapDataset as
/// from `.map(Stack<>())`, a stateful one, or any type with
/// `get_batch(indices)` or `get_batch(indices, engine)` and an optional
/// `size()`.
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
    return loader.source_.make_part();
  }
};

} // namespace detail

} // namespace holdfast

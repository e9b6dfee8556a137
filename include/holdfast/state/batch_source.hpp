#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/base/job_queue.hpp>
#include <holdfast/state/sample_cursor.hpp>
#include <holdfast/state/sample_cursor_part.hpp>
#include <holdfast/state/sample_order.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// How a data loader gets its batches: out of what a data set offers.
namespace holdfast::detail {

using Indices = std::vector<std::size_t>;

template <class Dataset, class = void>
struct IsStream : std::false_type {};
template <class Dataset>
struct IsStream<Dataset, std::enable_if_t<Dataset::is_stateful>>
    : std::true_type {};

template <class Dataset, class = void>
struct HasBatch : std::false_type {};
template <class Dataset>
struct HasBatch<
    Dataset,
    std::void_t<decltype(std::declval<Dataset&>().get_batch(
        std::declval<const Indices&>()))>> : std::true_type {};

template <class Dataset, class = void>
struct HasRandomBatch : std::false_type {};
template <class Dataset>
struct HasRandomBatch<
    Dataset,
    std::void_t<decltype(std::declval<Dataset&>().get_batch(
        std::declval<const Indices&>(),
        std::declval<std::mt19937_64&>()))>> : std::true_type {};

template <class Dataset, class = void>
struct HasSize : std::false_type {};
template <class Dataset>
struct HasSize<
    Dataset,
    std::void_t<decltype(*std::declval<const Dataset&>().size())>>
    : std::true_type {};

template <class Dataset, class = void>
struct HasFingerprint : std::false_type {};
template <class Dataset>
struct HasFingerprint<
    Dataset,
    std::void_t<decltype(std::declval<const Dataset&>().fingerprint())>>
    : std::true_type {};

template <class Dataset, class = void>
struct HasSampleId : std::false_type {};
template <class Dataset>
struct HasSampleId<
    Dataset,
    std::void_t<decltype(std::declval<const Dataset&>().sample_id(
        std::size_t{}))>> : std::true_type {};

/// The options, with the data set's own fingerprint where they have none.
template <class Dataset>
[[nodiscard]] DataLoaderOptions with_fingerprint(
    const Dataset& dataset,
    DataLoaderOptions options) {
  if constexpr (HasFingerprint<Dataset>::value) {
    if (options.fingerprint().empty()) {
      if constexpr (std::is_integral_v<decltype(dataset.fingerprint())>) {
        options.fingerprint(std::to_string(dataset.fingerprint()));
      } else {
        options.fingerprint(dataset.fingerprint());
      }
    }
  }
  return options;
}

/// A batch that is to be fetched.
struct BatchRequest {
  Indices indices;
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;
  std::uint64_t number = 0; ///< In the epoch, of this rank.
  std::uint64_t rank = 0;
};

template <class Dataset>
[[nodiscard]] auto get_batch(Dataset& dataset, const BatchRequest& request) {
  if constexpr (HasRandomBatch<Dataset>::value) {
    std::mt19937_64 engine =
        batch_engine(request.seed, request.epoch, request.number, request.rank);
    return dataset.get_batch(request.indices, engine);
  } else {
    return dataset.get_batch(request.indices);
  }
}

/// Batches of a data set that is asked for samples by their indices.
template <class Dataset>
class SampleSource {
  static_assert(
      (HasBatch<Dataset>::value || HasRandomBatch<Dataset>::value) &&
          HasSize<Dataset>::value,
      "holdfast: a data set needs `get_batch(indices)` or `get_batch(indices, "
      "engine)`, and an optional `size()`");

 public:
  using Batch = decltype(detail::get_batch(
      std::declval<Dataset&>(),
      std::declval<const BatchRequest&>()));

  SampleSource(Dataset dataset, const DataLoaderOptions& options)
      : dataset_(std::move(dataset)),
        cursor_(size_of(dataset_), with_fingerprint(dataset_, options)) {
    if (options.workers() == 0) {
      return;
    }
    if (options.max_jobs() == 0) {
      throw_invalid_argument(
          "max_jobs", "workers need at least one batch to work on", "0");
    }
    if constexpr (std::is_copy_constructible_v<Dataset>) {
      for (std::size_t i = 0; i < options.workers(); ++i) {
        jobs_.add_worker(Owned<Worker>(new Fetcher(dataset_)));
      }
    } else {
      throw_invalid_argument(
          "workers",
          "each worker has a copy of the data set, and this one cannot be "
          "copied",
          std::to_string(options.workers()));
    }
  }

  [[nodiscard]] const Dataset& dataset() const noexcept {
    return dataset_;
  }
  [[nodiscard]] SampleCursor& cursor() noexcept {
    return cursor_;
  }
  [[nodiscard]] const SampleCursor& cursor() const noexcept {
    return cursor_;
  }
  [[nodiscard]] const DataLoaderOptions& options() const noexcept {
    return cursor_.options();
  }
  [[nodiscard]] std::unique_ptr<Part> make_part() {
    return std::unique_ptr<Part>(new SampleCursorPart(cursor_));
  }

  /// The next batch of the range, or nothing at its end.
  void fetch(std::uint64_t range, std::optional<Batch>& batch) {
    if (!cursor_.fetches(range)) {
      jobs_.discard();
      jobs_range_ = 0;
      return;
    }
    const std::size_t place = cursor_.handed_out();
    const std::size_t samples = cursor_.batch_size_at(place);
    if (options().workers() == 0) {
      batch.emplace(detail::get_batch(dataset_, request_at(place)));
    } else {
      if (jobs_range_ != range) {
        jobs_.discard(); // Of another range.
        jobs_end_ = place;
      }
      jobs_range_ = 0; // Until all of this is through: what throws comes again.
      give_jobs();
      const Owned<Job> job = jobs_.take();
      batch.emplace(std::move(*static_cast<Fetch&>(*job).batch));
      give_jobs();
      jobs_range_ = range;
    }
    cursor_.hand_out(range, samples);
  }

 private:
  struct Fetch final : Job {
    explicit Fetch(BatchRequest batch_request)
        : request(std::move(batch_request)) {}
    BatchRequest request;
    std::optional<Batch> batch;
  };
  struct Fetcher final : Worker {
    explicit Fetcher(const Dataset& original) : dataset(original) {}
    void run(Job& job) override {
      Fetch& fetch = static_cast<Fetch&>(job);
      fetch.batch.emplace(detail::get_batch(dataset, fetch.request));
    }
    Dataset dataset;
  };

  [[nodiscard]] static std::size_t size_of(const Dataset& dataset) {
    const auto size = dataset.size();
    if (!size) {
      throw_invalid_argument(
          "dataset", "a data set that does not know its size has no position");
    }
    return static_cast<std::size_t>(*size);
  }

  [[nodiscard]] BatchRequest request_at(std::size_t place) {
    return BatchRequest{
        cursor_.batch_at(place),
        options().seed(),
        static_cast<std::uint64_t>(cursor_.epoch()),
        place / options().batch_size(),
        options().rank()};
  }

  /// Gives the workers as much as they may have.
  void give_jobs() {
    while (jobs_.size() < options().max_jobs()) {
      jobs_end_ = cursor_.after_skips(jobs_end_);
      if (jobs_end_ == cursor_.end()) {
        return;
      }
      jobs_.give(Owned<Job>(new Fetch(request_at(jobs_end_))));
      jobs_end_ += cursor_.batch_size_at(jobs_end_);
    }
  }

  Dataset dataset_;
  SampleCursor cursor_;
  std::uint64_t jobs_range_ = 0; // For which the jobs are; 0: for none.
  std::size_t jobs_end_ = 0; // Place after the newest job.
  JobQueue jobs_;
};

} // namespace holdfast::detail

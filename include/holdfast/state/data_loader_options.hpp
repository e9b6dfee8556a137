#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace holdfast {

/// What to do where a checkpoint was saved with another data set.
enum class DataChange {
  error, ///< `data_changed`, with the counts or fingerprints.
  next_epoch, ///< The rest of the interrupted epoch is given up.
};

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
  /// Of the orders, and of the engines that a data set's `get_batch` gets: see
  /// `shuffled_order` and `batch_engine`.
  DataLoaderOptions& seed(std::uint64_t number) {
    seed_ = number;
    return *this;
  }
  /// Threads that fetch ahead, each with a copy of the data set. 0, the
  /// default: the loop's thread fetches when the loop asks.
  DataLoaderOptions& workers(std::size_t threads) {
    workers_ = threads;
    return *this;
  }
  /// Batches that are fetched ahead at most; 2 * workers unless told otherwise.
  DataLoaderOptions& max_jobs(std::size_t batches) {
    max_jobs_ = batches;
    max_jobs_given_ = true;
    return *this;
  }
  /// Of `world_size` processes that share an epoch this is number `number`,
  /// from 0 on: it gets every `world_size`-th sample of the one order.
  DataLoaderOptions& rank(std::size_t number) {
    rank_ = number;
    return *this;
  }
  DataLoaderOptions& world_size(std::size_t processes) {
    world_size_ = processes;
    return *this;
  }
  /// Where the processes do not divide the data set: the first samples of the
  /// order come twice, instead of the last ones not at all (the default).
  DataLoaderOptions& allow_duplicates(bool allow) {
    allow_duplicates_ = allow;
    return *this;
  }
  /// What identifies the data set's content: a version, a hash. Saved and
  /// compared. Without it the data set's `fingerprint()` is, if it has one.
  DataLoaderOptions& fingerprint(std::string text) {
    fingerprint_ = std::move(text);
    return *this;
  }
  DataLoaderOptions& on_data_change(DataChange what) {
    on_data_change_ = what;
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
  [[nodiscard]] std::size_t workers() const noexcept {
    return workers_;
  }
  [[nodiscard]] std::size_t max_jobs() const noexcept {
    return max_jobs_given_ ? max_jobs_ : 2 * workers_;
  }
  [[nodiscard]] std::size_t rank() const noexcept {
    return rank_;
  }
  [[nodiscard]] std::size_t world_size() const noexcept {
    return world_size_;
  }
  [[nodiscard]] bool allow_duplicates() const noexcept {
    return allow_duplicates_;
  }
  /// Empty: there is none.
  [[nodiscard]] const std::string& fingerprint() const noexcept {
    return fingerprint_;
  }
  [[nodiscard]] DataChange on_data_change() const noexcept {
    return on_data_change_;
  }

 private:
  std::size_t batch_size_ = 1;
  bool drop_last_ = false;
  bool shuffle_ = true;
  std::uint64_t seed_ = 0;
  std::size_t workers_ = 0;
  std::size_t max_jobs_ = 0;
  bool max_jobs_given_ = false;
  std::size_t rank_ = 0;
  std::size_t world_size_ = 1;
  bool allow_duplicates_ = false;
  std::string fingerprint_;
  DataChange on_data_change_ = DataChange::error;
};

} // namespace holdfast

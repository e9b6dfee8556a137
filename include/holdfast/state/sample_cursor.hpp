#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/state/data_loader_options.hpp>
#include <holdfast/state/epoch_cursor.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast {

/// A place in a data set of known size: epoch and samples consumed. Which
/// samples come next follows from these by arithmetic; nothing is replayed, and
/// no random generator but its own is used.
///
/// Of several processes each has a cursor with its rank. All of them walk the
/// same order: place p of rank r is place p * world_size + r of the order. So
/// their samples are disjoint (unless `allow_duplicates`), and all have equally
/// many, in equally many batches.
///
/// Loaders are built on it. A range is
///
///     range = cursor.begin_range();
///     while (!(indices = cursor.next(range)).empty()) {
///       fetch(indices);
///       cursor.hand_out(range, indices.size());
///       ... the body of the loop ...
///     }
class SampleCursor final : public EpochCursor {
 public:
  /// `invalid_argument` for a batch size of 0, a rank outside the world, or if
  /// an epoch has no batch.
  SampleCursor(std::size_t data_size, const DataLoaderOptions& options);

  /// Indices of the next batch; empty at the end of the range, which then is
  /// over. Does not move anything else.
  [[nodiscard]] std::vector<std::size_t> next(std::uint64_t range);
  /// The batch that `next` told was fetched: the loop gets it. As for
  /// `EpochCursor`, but `invalid_argument` for fewer or more samples than it
  /// has: within a batch no run can go on.
  void hand_out(std::uint64_t range, std::size_t samples);
  /// Samples of the batch that begins at `place` of this epoch.
  [[nodiscard]] std::size_t batch_size_at(std::size_t place) const noexcept;
  /// Indices of the batch that begins at `place` of this epoch: a multiple of
  /// the batch size, before `end()`.
  [[nodiscard]] std::vector<std::size_t> batch_at(std::size_t place);
  /// Indices of the samples of this epoch that are committed, in their order,
  /// those that were skipped left out.
  /// Empty where a restore has ended the epoch (`begun_elsewhere`), because it
  /// was begun with other data or in other batches: what they were is not known
  /// here.
  [[nodiscard]] std::vector<std::size_t> consumed();

  [[nodiscard]] const DataLoaderOptions& options() const noexcept {
    return options_;
  }
  [[nodiscard]] std::size_t data_size() const noexcept {
    return data_size_;
  }

 private:
  /// Indices of the `count` samples from `place` on.
  [[nodiscard]] std::vector<std::size_t> indices(
      std::size_t place,
      std::size_t count);

  const DataLoaderOptions options_;
  const std::size_t data_size_;
  std::vector<std::size_t> order_; // Of order_epoch_, if shuffled.
  std::int64_t order_epoch_ = -1;
};

namespace detail {

/// What of a data set a loader hands out in an epoch; as options have it.
struct EpochShape {
  std::uint64_t data_size = 0;
  std::uint64_t batch_size = 1;
  bool drop_last = false;
  std::uint64_t world_size = 1;
  bool allow_duplicates = false;

  /// Samples of one process. Neither batch nor world may be 0.
  [[nodiscard]] std::uint64_t samples() const noexcept;
};

} // namespace detail

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/state/impl/sample_cursor.ipp>
#endif

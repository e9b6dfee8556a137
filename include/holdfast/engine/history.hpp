#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/checkpoint_info.hpp>
#include <holdfast/policy/retention.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/writer.hpp>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace holdfast {

/// A checkpoint that no resume goes back to.
struct AbandonedCheckpoint {
  CheckpointName name;
  std::uint64_t line = 0; ///< 0: the first one.
  /// Nothing where its manifest cannot be read: not known to be a checkpoint.
  std::optional<CheckpointInfo> info;
};

/// The committed checkpoints of the current line and its ancestors, as their
/// manifests tell them. Manifests are read once, when first needed; so a
/// directory with thousands costs nothing before that. After a restart all is
/// derived from the manifests again, never remembered.
class History {
 public:
  /// `root` must outlive this.
  explicit History(Directory& root) : root_(root) {}

  /// Only checkpoints of this run are counted, ever.
  void set_run(std::string run_id) {
    if (run_id != run_id_) {
      manifests_.clear(); // they tell whose they are by the former one
    }
    run_id_ = std::move(run_id);
  }
  /// This process committed or fully verified `sequence`.
  void mark_valid(std::uint64_t sequence) {
    valid_.insert(sequence);
    excluded_.erase(sequence);
  }
  /// `sequence` is unconfirmed or was passed over: nothing to rely on.
  void exclude(std::uint64_t sequence) {
    excluded_.insert(sequence);
  }
  void set_resumed_from(std::uint64_t sequence) {
    resumed_from_ = sequence;
  }

  /// Ascending. Directories whose manifest cannot be read, or which belong to
  /// another run, are left out.
  [[nodiscard]] std::vector<CheckpointInfo> list();
  /// What `list()` gave, as retention sees it.
  [[nodiscard]] std::vector<RetentionEntry> entries(
      const std::vector<CheckpointInfo>& infos) const;
  /// Checkpoints on lines that were left, of this run or a former one,
  /// ascending.
  [[nodiscard]] std::vector<AbandonedCheckpoint> abandoned();
  /// The best by `rule`; nothing if none has its metric.
  [[nodiscard]] std::optional<CheckpointInfo> best(const KeepBest& rule);

 private:
  struct Known {
    CheckpointInfo info;
    bool ours = false;
  };
  /// Brings `manifests_` up to date with the directory.
  void refresh();

  Directory& root_;
  std::string run_id_;
  std::vector<Known> manifests_; ///< Ascending.
  std::set<std::uint64_t> valid_;
  std::set<std::uint64_t> excluded_;
  std::set<std::uint64_t> line_origins_; ///< As of the last refresh.
  std::optional<std::uint64_t> resumed_from_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/history.ipp>
#endif

#pragma once

#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/state/extra_state.hpp>
#include <holdfast/state/part.hpp>

#include <torch/serialize/archive.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace holdfast::detail {

/// Puts what was prepared in place.
class OptimizerRestore final : public Restore {
 public:
  explicit OptimizerRestore(optim::Optimizer& optimizer)
      : optimizer_(optimizer) {}

  /// A pair of options, or, where their type is unknown, of archives.
  struct Options {
    optim::OptimizerOptions* live;
    std::unique_ptr<optim::OptimizerOptions> saved;
    std::unique_ptr<optim::OptimizerOptions> before;
    torch::serialize::InputArchive saved_archive;
    torch::serialize::InputArchive archive_before;
  };

  [[nodiscard]] std::byte* buffer(std::size_t index) noexcept override {
    return row_major_memory(fresh[index]);
  }

  void apply(const std::vector<const std::byte*>& bytes) override {
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (fresh[i].defined() && row_major_memory(fresh[i]) != bytes[i]) {
        overwrite(fresh[i], bytes[i]);
      }
    }
    // What the optimizer had before is gone, whoever loads.
    optimizer_.state().swap(states);
    applied = true;
    load(extra_saved, saved_archive, &Options::saved_archive);
    for (Options& item : options) {
      if (item.saved != nullptr) {
        assign_options(*item.live, *item.saved);
      }
    }
  }

  void undo() noexcept override {
    if (!applied) {
      return;
    }
    applied = false;
    try {
      load(extra_before, archive_before, &Options::archive_before);
    } catch (...) {
      // It refuses its own state; nothing better can be done.
    }
    optimizer_.state().swap(states);
    for (Options& item : options) {
      if (item.saved != nullptr) {
        assign_options(*item.live, *item.before);
      }
    }
  }

  StateMap states;
  std::vector<at::Tensor> fresh;
  std::vector<Options> options;
  ExtraState* extra = nullptr;
  Values extra_saved;
  Values extra_before;
  bool loads_itself = false; ///< By its own `load`.
  torch::serialize::InputArchive saved_archive;
  torch::serialize::InputArchive archive_before;

 private:
  /// What runs users' code.
  void load(
      const Values& extra_values,
      torch::serialize::InputArchive& own,
      torch::serialize::InputArchive Options::*archive) {
    if (extra != nullptr) {
      extra->load_state(extra_values);
    }
    if (loads_itself) {
      optimizer_.load(own);
    }
    for (Options& item : options) {
      if (item.saved == nullptr) {
        item.live->serialize(item.*archive);
      }
    }
  }

  optim::Optimizer& optimizer_;
  bool applied = false;
};

} // namespace holdfast::detail

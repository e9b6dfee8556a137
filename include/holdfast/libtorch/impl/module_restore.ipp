#pragma once

#include <holdfast/libtorch/impl/module_walk.ipp>
#include <holdfast/state/extra_state.hpp>

#include <torch/nn/module.h>

#include <ATen/ops/empty.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

HOLDFAST_INLINE std::string gradient_name(const std::string& parameter) {
  return parameter + ".grad";
}

HOLDFAST_INLINE Value strides_value(const std::vector<std::int64_t>& strides) {
  Value::Array values;
  for (const std::int64_t stride : strides) {
    values.push_back(stride);
  }
  return Value(std::move(values));
}

/// What the state says of a gradient: false for none, true for one that is laid
/// out like its tensor, else its strides or "sparse".
HOLDFAST_INLINE Value
gradient_value(const at::Tensor& tensor, const at::Tensor& gradient) {
  if (!gradient.defined()) {
    return false;
  }
  if (gradient.layout() != at::kStrided) {
    return "sparse";
  }
  return gradient.strides() == tensor.strides()
      ? Value(true)
      : strides_value(gradient.strides().vec());
}

/// The gradient of a leaf; asking others for theirs prints a warning.
HOLDFAST_INLINE at::Tensor gradient_of(const at::Tensor& tensor) {
  return tensor.is_leaf() ? tensor.grad() : at::Tensor();
}

class ModuleRestore final : public Restore {
 public:
  explicit ModuleRestore(torch::nn::Module& root) : tree(root) {}

  [[nodiscard]] std::byte* buffer(std::size_t index) noexcept override {
    return gradient_sources[index].defined()
        ? row_major_memory(gradient_sources[index])
        : nullptr;
  }

  void apply(const std::vector<const std::byte*>& bytes) override {
    while (loaded < tree.modules.size()) {
      // Counted before the call, which may throw halfway.
      const Submodule& item = tree.modules[loaded++];
      if (item.extra != nullptr) {
        item.extra->load_state(item.extra_saved);
      }
    }
    for (const ModuleTensor& item : tree.tensors) {
      if (item.source != kNoTensor) {
        overwrite(item.tensor, bytes[item.source], item.saved);
      }
    }
    applied = true;
    for (const Submodule& item : tree.modules) {
      if (item.sets_mode) {
        // train() is virtual and recursive; a module's own mode is wanted.
        item.module->*member_of(ModeMember{}) = item.training;
      }
    }
    for (std::size_t i = 0; i < gradient_sources.size(); ++i) {
      const at::Tensor& gradient = gradient_sources[i];
      if (gradient.defined() && row_major_memory(gradient) != bytes[i] &&
          gradient.numel() != 0) {
        overwrite(gradient, bytes[i]);
      }
    }
    for (const ModuleTensor& item : tree.tensors) {
      if (item.changes_gradient) {
        item.tensor.mutable_grad() = item.gradient;
      }
      if (item.changes_flag) {
        item.tensor.set_requires_grad(item.requires_grad);
      }
    }
  }

  void undo() noexcept override {
    while (loaded > 0) {
      const Submodule& item = tree.modules[--loaded];
      try {
        if (item.extra != nullptr) {
          item.extra->load_state(item.extra_before);
        }
      } catch (...) {
        // It refuses its own state; nothing better can be done.
      }
    }
    if (!applied || !has_backups) {
      return;
    }
    for (const ModuleTensor& item : tree.tensors) {
      overwrite(
          item.tensor, static_cast<const std::byte*>(item.before.data_ptr()));
    }
    for (const Submodule& item : tree.modules) {
      item.module->*member_of(ModeMember{}) = item.training_before;
    }
    for (const ModuleTensor& item : tree.tensors) {
      if (item.changes_flag) {
        item.tensor.set_requires_grad(!item.requires_grad);
      }
      if (item.changes_gradient) {
        item.tensor.mutable_grad() = item.gradient_before;
      }
    }
  }

  /// Keeps what `undo()` needs. Only where user code may fail, in this part or
  /// in a later one of its stage.
  void keep_backups();

  ModuleTree tree;
  std::vector<at::Tensor> gradient_sources; ///< Undefined: of no gradient.

 private:
  bool has_backups = false;
  std::size_t loaded = 0;
  bool applied = false;
};

HOLDFAST_INLINE void ModuleRestore::keep_backups() {
  for (ModuleTensor& item : tree.tensors) {
    item.before = at::empty(
        item.tensor.sizes(),
        at::TensorOptions().dtype(item.tensor.scalar_type()).device(at::kCPU));
    source_of(item.tensor)
        ->copy_out(
            0,
            static_cast<std::byte*>(item.before.data_ptr()),
            item.before.nbytes());
    if (item.changes_gradient) {
      item.gradient_before = gradient_of(item.tensor);
    }
  }
  for (Submodule& item : tree.modules) {
    item.training_before = item.module->is_training();
  }
  has_backups = true;
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/libtorch/impl/module_walk.ipp>
#include <holdfast/state/extra_state.hpp>

#include <torch/nn/module.h>

#include <ATen/ops/empty.h>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

HOLDFAST_INLINE std::string gradient_name(const std::string& parameter) {
  return parameter + ".grad";
}

HOLDFAST_INLINE Value strides_value(const std::vector<std::int64_t>& strides) {
  return Value(Value::Array(strides.begin(), strides.end()));
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
  struct Target {
    at::Tensor tensor;
    std::size_t source;
  };
  struct Flags {
    at::Tensor tensor;
    bool requires_grad;
  };
  struct Gradient {
    at::Tensor parameter;
    at::Tensor fresh; ///< Undefined: it had none.
  };
  struct Extra {
    ExtraState* object;
    Values values;
    Values before;
  };

  [[nodiscard]] std::byte* buffer(std::size_t index) noexcept override {
    const auto found = gradient_sources.find(index);
    return found == gradient_sources.end() ? nullptr
                                           : row_major_memory(found->second);
  }

  void apply(const std::vector<const std::byte*>& bytes) override {
    try {
      while (loaded < extras.size()) {
        // Counted before the call, which may throw halfway.
        const Extra& extra = extras[loaded++];
        extra.object->load_state(extra.values);
      }
    } catch (...) {
      undo();
      throw;
    }
    for (const Target& target : targets) {
      overwrite(target.tensor, bytes[target.source]);
    }
    applied = true;
    for (const auto& [module, training] : modes) {
      // train() is virtual and recursive; a module's own mode is wanted.
      module->*member_of(ModeMember{}) = training;
    }
    for (const auto& [source, tensor] : gradient_sources) {
      if (row_major_memory(tensor) != bytes[source] && tensor.numel() != 0) {
        overwrite(tensor, bytes[source]);
      }
    }
    for (const Gradient& gradient : gradients) {
      gradient.parameter.mutable_grad() = gradient.fresh;
    }
    for (const Flags& flag : flags) {
      flag.tensor.set_requires_grad(flag.requires_grad);
    }
  }

  void undo() noexcept override {
    while (loaded > 0) {
      --loaded;
      try {
        extras[loaded].object->load_state(extras[loaded].before);
      } catch (...) {
        // It refuses its own state; nothing better can be done.
      }
    }
    if (!applied) {
      return;
    }
    for (const auto& [tensor, copy] : backups) {
      overwrite(tensor, static_cast<const std::byte*>(copy.data_ptr()));
    }
    for (const auto& [module, training] : modes_before) {
      module->*member_of(ModeMember{}) = training;
    }
    for (const Flags& flag : flags_before) {
      flag.tensor.set_requires_grad(flag.requires_grad);
    }
    for (const Gradient& gradient : gradients_before) {
      gradient.parameter.mutable_grad() = gradient.fresh;
    }
  }

  std::vector<Target> targets;
  std::vector<std::pair<torch::nn::Module*, bool>> modes;
  std::vector<Flags> flags;
  std::vector<Gradient> gradients;
  std::map<std::size_t, at::Tensor> gradient_sources;
  std::vector<Extra> extras;

  // Only where user code may fail, in this part or in a later one of its stage.
  std::vector<std::pair<at::Tensor, at::Tensor>> backups;
  std::vector<std::pair<torch::nn::Module*, bool>> modes_before;
  std::vector<Flags> flags_before;
  std::vector<Gradient> gradients_before;

 private:
  std::size_t loaded = 0;
  bool applied = false;
};

/// What `undo()` needs.
HOLDFAST_INLINE void keep_module_backups(
    const ModuleTree& tree,
    ModuleRestore& restore) {
  for (const ModuleTensor& entry : tree.tensors) {
    const TensorInfo info = describe(entry.tensor, entry.names.front());
    at::Tensor copy = at::empty(
        info.shape,
        at::TensorOptions().dtype(entry.tensor.scalar_type()).device(at::kCPU));
    source_of(entry.tensor)
        ->copy_out(0, static_cast<std::byte*>(copy.data_ptr()), copy.nbytes());
    restore.backups.emplace_back(entry.tensor, std::move(copy));
  }
  for (const auto& [name, module] : tree.modules) {
    restore.modes_before.emplace_back(module, module->is_training());
  }
  for (const ModuleRestore::Flags& flag : restore.flags) {
    restore.flags_before.push_back({flag.tensor, flag.tensor.requires_grad()});
  }
  for (const ModuleRestore::Gradient& gradient : restore.gradients) {
    restore.gradients_before.push_back(
        {gradient.parameter, gradient_of(gradient.parameter)});
  }
}

} // namespace holdfast::detail

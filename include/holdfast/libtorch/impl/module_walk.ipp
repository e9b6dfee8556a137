#pragma once

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/libtorch/impl/tensor.ipp>
#include <holdfast/state/extra_state.hpp>
#include <holdfast/state/names.hpp>

#include <torch/nn/module.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

using TensorDict = torch::OrderedDict<std::string, at::Tensor>;
using ModuleDict =
    torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>;

// The public listings leave out undefined tensors, which are state too.
struct BuffersMember {
  using type = TensorDict torch::nn::Module::*;
  friend type member_of(BuffersMember);
};
extern template struct PrivateMember<
    BuffersMember,
    &torch::nn::Module::buffers_>;

struct ChildrenMember {
  using type = ModuleDict torch::nn::Module::*;
  friend type member_of(ChildrenMember);
};
extern template struct PrivateMember<
    ChildrenMember,
    &torch::nn::Module::children_>;

struct ModeMember {
  using type = bool torch::nn::Module::*;
  friend type member_of(ModeMember);
};
extern template struct PrivateMember<
    ModeMember,
    &torch::nn::Module::is_training_>;

struct ParametersMember : torch::nn::Module {
  static TensorDict& of(torch::nn::Module& module) {
    return module.*(&ParametersMember::parameters_);
  }
};

/// One module of a tree.
struct Submodule {
  std::string name;
  torch::nn::Module* module;

  // What a restore does with it.
  bool sets_mode = false;
  bool training = false;
  bool training_before = false;
  ExtraState* extra = nullptr;
  Values extra_saved = {};
  Values extra_before = {};
};

inline constexpr std::size_t kNoTensor = static_cast<std::size_t>(-1);

/// One tensor of a tree under all its names.
struct ModuleTensor {
  at::Tensor tensor;
  bool is_parameter;
  std::vector<std::string> names = {};
  std::size_t neighbour = kNoTensor; ///< Another one in the same memory.

  // What a restore does with it.
  /// Of its elements, in `Saved::tensors`; kNoTensor: they stay.
  std::size_t source = kNoTensor;
  DType saved = DType::f32; ///< Their dtype there.
  bool changes_flag = false;
  bool requires_grad = false;
  bool changes_gradient = false;
  at::Tensor gradient = {}; ///< Undefined: none.
  at::Tensor before = {};
  at::Tensor gradient_before = {};
};

/// A module tree, walked once, with its ties.
class ModuleTree {
 public:
  explicit ModuleTree(torch::nn::Module& root) {
    visit(root, "");
  }

  std::vector<Submodule> modules;
  std::vector<ModuleTensor> tensors;
  std::vector<std::string> undefined;
  NameIndex by_name;
  /// Tensors over the elements of another one of the tree, with their names:
  /// optimizers may hold these.
  std::vector<ModuleTensor> doubles;

 private:
  void visit(torch::nn::Module& module, const std::string& prefix) {
    modules.push_back(
        {prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1), &module});
    for (auto& item : ParametersMember::of(module)) {
      add(prefix + item.key(), item.value(), true);
    }
    for (auto& item : module.*member_of(BuffersMember{})) {
      add(prefix + item.key(), item.value(), false);
    }
    for (auto& item : module.*member_of(ChildrenMember{})) {
      if (item.value()) {
        visit(*item.value(), prefix + item.key() + ".");
      }
    }
  }

  void add(std::string name, const at::Tensor& tensor, bool is_parameter) {
    if (!tensor.defined()) {
      undefined.push_back(std::move(name));
      return;
    }
    const void* memory = memory_of(tensor);
    const TensorName* first = firsts_.find(memory);
    const std::size_t head =
        first == nullptr ? kNoTensor : *by_name.find(first->name);
    std::size_t index = head;
    while (index != kNoTensor && !is_tied(tensors[index].tensor, tensor)) {
      index = tensors[index].neighbour;
    }
    const bool is_new = index == kNoTensor;
    if (is_new) {
      index = tensors.size();
    }
    if (!by_name.add(name, index)) {
      throw_not_capturable(
          std::move(name),
          "a parameter and a buffer of one module have the same name",
          ErrorCode::duplicate_name);
    }
    if (is_new) {
      tensors.push_back({tensor, is_parameter});
      if (head == kNoTensor) {
        firsts_.add(memory, {}, name);
      } else {
        tensors[index].neighbour = tensors[head].neighbour;
        tensors[head].neighbour = index;
      }
    } else if (!tensor.is_same(tensors[index].tensor)) {
      doubles.push_back({tensor, is_parameter});
      doubles.back().names.push_back(name);
    }
    tensors[index].names.push_back(std::move(name));
  }

  static const void* memory_of(const at::Tensor& tensor) {
    return tensor.has_storage()
        ? static_cast<const void*>(tensor.storage().unsafeGetStorageImpl())
        : tensor.unsafeGetTensorImpl();
  }

  /// True for the same tensor, and for two over the same elements.
  static bool is_tied(const at::Tensor& a, const at::Tensor& b) {
    return a.is_same(b) ||
        (b.numel() != 0 && a.scalar_type() == b.scalar_type() &&
         a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() &&
         a.strides() == b.strides() && a.is_conj() == b.is_conj() &&
         a.is_neg() == b.is_neg());
  }

  Names firsts_; ///< Of the first tensor in each memory.
};

} // namespace holdfast::detail

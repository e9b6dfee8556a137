#pragma once

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/libtorch/impl/tensor.ipp>

#include <torch/nn/module.h>

#include <cstddef>
#include <cstdint>
#include <map>
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

struct NamedModule {
  std::string name;
  torch::nn::Module* module;
};

constexpr std::size_t kNoTensor = static_cast<std::size_t>(-1);

/// One tensor of a module tree under all its names.
struct ModuleTensor {
  at::Tensor tensor;
  std::vector<std::string> names;
  bool is_parameter;
  std::size_t neighbour; ///< Another one in its memory, or `kNoTensor`.
};

/// A module tree, walked once.
struct ModuleTree {
  std::vector<NamedModule> modules;
  std::vector<ModuleTensor> tensors;
  std::vector<std::string> undefined;
  NameIndex by_name;
  /// Tensors over the elements of another one of the tree, with their names:
  /// optimizers may hold these.
  std::vector<ModuleTensor> doubles;
};

/// Walks module trees and finds ties.
class ModuleWalk {
 public:
  explicit ModuleWalk(torch::nn::Module& root) {
    visit(root, "");
  }
  ModuleTree tree;

 private:
  void visit(torch::nn::Module& module, const std::string& prefix) {
    tree.modules.push_back(
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
      tree.undefined.push_back(std::move(name));
      return;
    }
    const std::size_t next = tree.tensors.size();
    std::size_t& newest =
        newest_.emplace(memory_of(tensor), kNoTensor).first->second;
    std::size_t index = newest;
    while (index != kNoTensor && !is_tied(tree.tensors[index].tensor, tensor)) {
      index = tree.tensors[index].neighbour;
    }
    if (index == kNoTensor) {
      index = next;
    }
    if (!tree.by_name.add(name, index)) {
      throw_not_capturable(
          std::move(name),
          "a parameter and a buffer of one module have the same name",
          ErrorCode::duplicate_name);
    }
    if (index == next) {
      tree.tensors.push_back({tensor, {}, is_parameter, newest});
      newest = next;
    } else if (!tensor.is_same(tree.tensors[index].tensor)) {
      tree.doubles.push_back({tensor, {name}, is_parameter, kNoTensor});
    }
    tree.tensors[index].names.push_back(std::move(name));
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

  std::map<const void*, std::size_t> newest_; ///< Tensor in each memory.
};

} // namespace holdfast::detail

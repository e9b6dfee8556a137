#pragma once

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/tensor.ipp>

#include <torch/nn/module.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
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

/// One tensor of a module tree under all its names.
struct ModuleTensor {
  at::Tensor tensor;
  std::vector<std::string> names;
  bool is_parameter = false;
};

/// A module tree, walked once.
struct ModuleTree {
  std::vector<std::pair<std::string, torch::nn::Module*>> modules;
  std::vector<ModuleTensor> tensors;
  std::vector<std::string> undefined;
  std::unordered_map<std::string, std::size_t> by_name;
  /// Tensors over the elements of another one of the tree, with their names:
  /// optimizers may hold these.
  std::vector<std::pair<at::Tensor, std::string>> doubles;
};

/// Walks module trees and finds ties.
class ModuleWalk {
 public:
  explicit ModuleWalk(torch::nn::Module& root) {
    visit(root, "");
  }
  ModuleTree tree;

 private:
  using Place = std::tuple<
      const void*,
      std::int64_t,
      int,
      std::vector<std::int64_t>,
      std::vector<std::int64_t>>;

  void visit(torch::nn::Module& module, const std::string& prefix) {
    tree.modules.emplace_back(
        prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1), &module);
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
    const std::size_t index = index_of(tensor);
    if (!tree.by_name.emplace(name, index).second) {
      throw_not_capturable(
          std::move(name),
          "a parameter and a buffer of one module have the same name",
          ErrorCode::duplicate_name);
    }
    if (index == tree.tensors.size()) {
      tree.tensors.push_back({tensor, {}, is_parameter});
    } else if (!tensor.is_same(tree.tensors[index].tensor)) {
      tree.doubles.emplace_back(tensor, name);
    }
    tree.tensors[index].names.push_back(std::move(name));
  }

  std::size_t index_of(const at::Tensor& tensor) {
    const std::size_t next = tree.tensors.size();
    const auto [found, fresh] =
        by_tensor_.emplace(tensor.unsafeGetTensorImpl(), next);
    if (!fresh || !tensor.has_storage() || tensor.numel() == 0) {
      return found->second;
    }
    // Another tensor over the same elements: only who shares the storage needs
    // the full comparison.
    const void* storage = tensor.storage().unsafeGetStorageImpl();
    std::vector<std::size_t>& sharing = by_storage_[storage];
    for (const std::size_t other : sharing) {
      if (same_elements(tree.tensors[other].tensor, tensor)) {
        found->second = other;
        return other;
      }
    }
    sharing.push_back(next);
    return next;
  }

  static bool same_elements(const at::Tensor& a, const at::Tensor& b) {
    return a.scalar_type() == b.scalar_type() &&
        a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() &&
        a.strides() == b.strides() && a.is_conj() == b.is_conj() &&
        a.is_neg() == b.is_neg();
  }

  std::unordered_map<const void*, std::size_t> by_tensor_;
  std::unordered_map<const void*, std::vector<std::size_t>> by_storage_;
};

} // namespace holdfast::detail

#pragma once

#include <holdfast/libtorch/module.hpp>

#include <holdfast/libtorch/impl/module_match.ipp>
#include <holdfast/libtorch/impl/module_restore.ipp>
#include <holdfast/libtorch/impl/module_walk.ipp>
#include <holdfast/state/extra_state.hpp>

#include <torch/nn/module.h>

#include <c10/core/GradMode.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

class ModulePart final : public Part {
 public:
  ModulePart(
      std::function<torch::nn::Module*()> module,
      std::function<void()> restored,
      Gradients gradients)
      : module_(std::move(module)),
        restored_(std::move(restored)),
        gradients_(gradients) {}

  [[nodiscard]] std::string kind() const override {
    return "module";
  }

  [[nodiscard]] Stage stage() const override {
    torch::nn::Module* module = module_();
    return module != nullptr && has_extra_state(*module) ? Stage::user
                                                         : Stage::module;
  }

  void publish(const std::string& part, Names& names) override {
    const ModuleWalk walk(root());
    for (const ModuleTensor& entry : walk.tree.tensors) {
      names.add(entry.tensor.unsafeGetTensorImpl(), part, entry.names.front());
    }
    for (const auto& [tensor, name] : walk.tree.doubles) {
      names.add(tensor.unsafeGetTensorImpl(), part, name);
    }
  }

  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  void drop_loop_state(Values& saved) const override {
    // Null, which no checkpoint has there: as the module has it.
    for (const char* name : {"evaluating", "requires_grad", "gradients"}) {
      saved[name] = Value();
    }
  }
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;

  void restored() override {
    if (restored_) {
      restored_();
    }
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    return notes_;
  }

 private:
  torch::nn::Module& root() const {
    torch::nn::Module* module = module_();
    if (module == nullptr) {
      throw_not_capturable({}, "the holder holds no module");
    }
    return *module;
  }

  static bool has_extra_state(torch::nn::Module& module) {
    if (dynamic_cast<ExtraState*>(&module) != nullptr) {
      return true;
    }
    for (auto& item : module.*member_of(ChildrenMember{})) {
      if (item.value() && has_extra_state(*item.value())) {
        return true;
      }
    }
    return false;
  }

  std::function<torch::nn::Module*()> module_;
  std::function<void()> restored_;
  Gradients gradients_;
  std::vector<std::string> notes_;
};

HOLDFAST_INLINE State ModulePart::capture(const Names&) {
  const ModuleWalk walk(root());
  State state;
  Value::Array evaluating;
  Values extra;
  for (const auto& [name, module] : walk.tree.modules) {
    if (!module->is_training()) {
      evaluating.emplace_back(name);
    }
    if (const auto* with_state = dynamic_cast<const ExtraState*>(module)) {
      extra.emplace(name, with_state->save_state());
    }
  }

  // Only what differs from the usual is listed: a list of every name would be
  // longer than the rest of the state.
  std::ptrdiff_t balance = 0;
  for (const ModuleTensor& entry : walk.tree.tensors) {
    if (entry.is_parameter) {
      balance += gradient_of(entry.tensor).defined() ? 1 : -1;
    }
  }
  const bool usual = balance > 0;
  Values requires_grad;
  Values gradients;
  for (const ModuleTensor& entry : walk.tree.tensors) {
    const std::string& name = entry.names.front();
    TensorInfo info = describe(entry.tensor, name);
    info.aliases.assign(entry.names.begin() + 1, entry.names.end());
    state.tensors.push_back({std::move(info), source_of(entry.tensor)});
    if (entry.tensor.requires_grad() != entry.is_parameter) {
      requires_grad.emplace(name, entry.tensor.requires_grad());
    }
    const at::Tensor gradient = gradient_of(entry.tensor);
    Value value = gradient_value(entry.tensor, gradient);
    if (value != Value(usual && entry.is_parameter)) {
      gradients.emplace(name, std::move(value));
    }
    if (gradients_ == Gradients::values && gradient.defined()) {
      TensorInfo gradient_info = describe(gradient, gradient_name(name));
      if (walk.tree.by_name.count(gradient_info.name) != 0) {
        throw_not_capturable(
            gradient_info.name,
            "a tensor has the name of a parameter's gradient",
            ErrorCode::duplicate_name);
      }
      state.tensors.push_back({std::move(gradient_info), source_of(gradient)});
    }
  }
  state.values["evaluating"] = std::move(evaluating);
  state.values["requires_grad"] = std::move(requires_grad);
  state.values["gradients"] = std::move(gradients);
  state.values["gradient"] = usual;
  state.values["gradient_values"] = gradients_ == Gradients::values;
  state.values["undefined"] =
      Value::Array(walk.tree.undefined.begin(), walk.tree.undefined.end());
  state.values["extra_state"] = std::move(extra);
  return state;
}

HOLDFAST_INLINE std::unique_ptr<Restore> ModulePart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const c10::NoGradGuard no_grad;
  notes_.clear();
  const ModuleWalk walk(root());
  auto restore = std::make_unique<ModuleRestore>();
  const std::size_t before = mismatches.size();
  match_module_tensors(walk.tree, saved, *restore, notes_, mismatches);
  match_module_modes(walk.tree, saved, *restore, mismatches);
  match_module_flags(walk.tree, saved, *restore, mismatches);
  match_module_extra_state(walk.tree, saved, *restore, mismatches);
  if (mismatches.size() != before) {
    return nullptr;
  }
  match_module_gradients(walk.tree, saved, *restore, mismatches);
  if (!restore->extras.empty()) {
    keep_module_backups(walk.tree, *restore);
  }
  return restore;
}

HOLDFAST_INLINE std::unique_ptr<Part> make_module_part(
    std::function<torch::nn::Module*()> module,
    std::function<void()> restored,
    Gradients gradients) {
  return std::make_unique<ModulePart>(
      std::move(module), std::move(restored), gradients);
}

} // namespace holdfast::detail

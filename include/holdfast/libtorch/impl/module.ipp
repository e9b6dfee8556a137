#pragma once

#include <holdfast/libtorch/module.hpp>

#include <holdfast/libtorch/impl/module_match.ipp>
#include <holdfast/libtorch/impl/module_restore.ipp>
#include <holdfast/libtorch/impl/module_walk.ipp>
#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/state/extra_state.hpp>

#include <torch/nn/module.h>

#include <c10/core/GradMode.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

class ModulePart final : public Part {
 public:
  ModulePart(ObjectRef<torch::nn::Module> module, Gradients gradients)
      : module_(module), gradients_(gradients) {}

  [[nodiscard]] std::string kind() const override {
    return "module";
  }

  [[nodiscard]] Stage stage() const override {
    torch::nn::Module* module = module_.get();
    return module != nullptr && has_extra_state(*module) ? Stage::user
                                                         : Stage::module;
  }

  void publish(const std::string& part, Names& names) override {
    const ModuleTree tree(root());
    for (const ModuleTensor& entry : tree.tensors) {
      names.add(entry.tensor.unsafeGetTensorImpl(), part, entry.names.front());
    }
    for (const ModuleTensor& entry : tree.doubles) {
      names.add(entry.tensor.unsafeGetTensorImpl(), part, entry.names.front());
    }
  }

  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  void drop_loop_state(Values& saved) const override {
    // Null, which no checkpoint has there: as the module has it.
    for (const char* name : {"evaluating", "requires_grad", "gradients"}) {
      saved[name] = Value();
    }
  }
  HOLDFAST_INLINE void rename(
      Saved& saved,
      const std::string& part,
      const Leniency& leniency) const override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;

  void restored() override {
    module_.restored();
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    return notes_;
  }
  [[nodiscard]] bool exact() const override {
    return same_layouts_;
  }
  void forget_restore() noexcept override {
    notes_.clear();
    same_layouts_ = true;
  }

 private:
  torch::nn::Module& root() const {
    torch::nn::Module* module = module_.get();
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

  void note_modes(const ModuleTree& tree);

  ObjectRef<torch::nn::Module> module_;
  Gradients gradients_;
  std::vector<std::string> notes_; ///< Of the last restore.
  bool same_layouts_ = true; ///< In the last restore.
};

/// Remarks on modes that the program sets otherwise than they were saved.
HOLDFAST_INLINE void ModulePart::note_modes(const ModuleTree& tree) {
  constexpr std::size_t kNamed = 5;
  for (const bool training : {true, false}) {
    std::string names;
    std::size_t count = 0;
    for (const Submodule& entry : tree.modules) {
      if (entry.sets_mode && entry.training == training &&
          entry.module->is_training() != training && ++count <= kNamed) {
        names += count == 1 ? "" : ", ";
        names +=
            entry.name.empty() ? "the module itself" : "'" + entry.name + "'";
      }
    }
    if (count > kNamed) {
      names += " and " + std::to_string(count - kNamed) + " more";
    }
    if (count != 0) {
      notes_.push_back(
          std::string("the saved mode is used, ") +
          (training ? "training" : "evaluation") +
          ", and not that of the program: " + names);
    }
  }
}

HOLDFAST_INLINE State ModulePart::capture(const Names&) {
  const ModuleTree tree(root());
  State state;
  Value::Array evaluating;
  Value::Array undefined;
  for (const std::string& name : tree.undefined) {
    undefined.push_back(name);
  }
  Values extra;
  for (const Submodule& entry : tree.modules) {
    if (!entry.module->is_training()) {
      evaluating.push_back(entry.name);
    }
    if (const auto* with_state =
            dynamic_cast<const ExtraState*>(entry.module)) {
      extra[entry.name] = with_state->save_state();
    }
  }

  // Only what differs from the usual is listed: a list of every name would be
  // longer than the rest of the state.
  std::ptrdiff_t balance = 0;
  for (const ModuleTensor& entry : tree.tensors) {
    if (entry.is_parameter) {
      balance += gradient_of(entry.tensor).defined() ? 1 : -1;
    }
  }
  const bool usual = balance > 0;
  Values requires_grad;
  Values gradients;
  for (const ModuleTensor& entry : tree.tensors) {
    const std::string& name = entry.names.front();
    TensorInfo info = describe(entry.tensor, name);
    for (std::size_t i = 1; i < entry.names.size(); ++i) {
      info.aliases.push_back(entry.names[i]);
    }
    state.tensors.push_back({std::move(info), source_of(entry.tensor)});
    if (entry.tensor.requires_grad() != entry.is_parameter) {
      requires_grad[name] = entry.tensor.requires_grad();
    }
    const at::Tensor gradient = gradient_of(entry.tensor);
    Value value = gradient_value(entry.tensor, gradient);
    if (value != Value(usual && entry.is_parameter)) {
      gradients[name] = std::move(value);
    }
    if (gradients_ == Gradients::values && gradient.defined()) {
      TensorInfo gradient_info = describe(gradient, gradient_name(name));
      if (tree.by_name.contains(gradient_info.name)) {
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
  state.values["undefined"] = std::move(undefined);
  state.values["extra_state"] = std::move(extra);
  return state;
}

[[noreturn]] HOLDFAST_INLINE void throw_renamed_twice(
    const std::string& name,
    const char* what) {
  ErrorDetails details;
  details.name = name;
  details.message = std::string(what) + " have this name after renaming";
  throw Error(ErrorCode::duplicate_name, std::move(details));
}

/// Undefined tensors have names, too, and the extra state of a module goes with
/// what is in the module.
HOLDFAST_INLINE void ModulePart::rename(
    Saved& saved,
    const std::string& part,
    const Leniency& leniency) const {
  Part::rename(saved, part, leniency);
  NameIndex taken;
  for (const TensorInfo& tensor : saved.tensors) {
    taken.add(tensor.name);
    for (const std::string& alias : tensor.aliases) {
      taken.add(alias);
    }
  }
  Value::Array undefined;
  for (const Value& name : at(saved.values, "undefined").array("undefined")) {
    std::string renamed = leniency.new_name(part, name.text("undefined"));
    if (!taken.add(renamed)) {
      throw_renamed_twice(renamed, "two tensors");
    }
    undefined.push_back(std::move(renamed));
  }
  saved.values["undefined"] = std::move(undefined);
  Values extra;
  for (const auto& item :
       at(saved.values, "extra_state").object("extra_state")) {
    const std::string renamed = leniency.new_owner_name(part, item.first);
    if (!extra.emplace(renamed, item.second).second) {
      throw_renamed_twice(renamed, "the extra states of two modules");
    }
  }
  saved.values["extra_state"] = std::move(extra);
}

HOLDFAST_INLINE std::unique_ptr<Restore> ModulePart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const c10::NoGradGuard no_grad;
  notes_.clear();
  auto* restore = new ModuleRestore(root());
  std::unique_ptr<Restore> owner(restore);
  const std::size_t before = mismatches.size();
  same_layouts_ =
      match_module_tensors(saved, restore->tree, notes_, mismatches);
  match_module_modes(saved, restore->tree, mismatches);
  match_module_flags(saved, restore->tree, mismatches);
  match_module_extra_state(saved, restore->tree, mismatches);
  if (mismatches.size() != before) {
    return nullptr;
  }
  note_modes(restore->tree);
  match_module_gradients(saved, *restore, mismatches);
  for (const Submodule& entry : restore->tree.modules) {
    if (entry.extra != nullptr) {
      restore->keep_backups();
      break;
    }
  }
  return owner;
}

HOLDFAST_INLINE std::unique_ptr<Part> make_module_part(
    ObjectRef<torch::nn::Module> module,
    Gradients gradients) {
  return std::unique_ptr<Part>(new ModulePart(module, gradients));
}

} // namespace holdfast::detail

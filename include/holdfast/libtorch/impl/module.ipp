#pragma once

#include <holdfast/libtorch/module.hpp>

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/tensor.ipp>
#include <holdfast/state/extra_state.hpp>

#include <torch/nn/module.h>

#include <ATen/ops/sparse_coo_tensor.h>
#include <c10/core/GradMode.h>

#include <cstring>
#include <map>
#include <set>
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

HOLDFAST_INLINE std::string gradient_name(const std::string& parameter) {
  return parameter + ".grad";
}

HOLDFAST_INLINE Value strides_value(const std::vector<std::int64_t>& strides) {
  return Value(Value::Array(strides.begin(), strides.end()));
}

HOLDFAST_INLINE std::vector<std::int64_t> integers_of(
    const Value& value,
    const std::string& name) {
  std::vector<std::int64_t> integers;
  for (const Value& item : value.array(name)) {
    integers.push_back(item.as<std::int64_t>(name));
  }
  return integers;
}

/// What the state says of a gradient: false for none, true for one that is laid
/// out like its tensor, else its strides or "sparse".
HOLDFAST_INLINE Value gradient_value(
    const at::Tensor& tensor,
    const at::Tensor& gradient) {
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
      for (; loaded < extras.size(); ++loaded) {
        extras[loaded].object->load_state(extras[loaded].values);
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
        // It accepted this state a moment ago; nothing better can be done.
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
      names.add(
          entry.tensor.unsafeGetTensorImpl(), part, entry.names.front());
    }
  }

  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
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

  void match_tensors(
      const ModuleTree& tree,
      const Saved& saved,
      ModuleRestore& restore,
      Mismatches& mismatches);
  static void match_flags(
      const ModuleTree& tree,
      const Saved& saved,
      ModuleRestore& restore,
      Mismatches& mismatches);
  static void match_gradients(
      const ModuleTree& tree,
      const Saved& saved,
      ModuleRestore& restore,
      Mismatches& mismatches);
  static void match_extra_state(
      const ModuleTree& tree,
      const Saved& saved,
      ModuleRestore& restore,
      Mismatches& mismatches);
  static void keep_backups(const ModuleTree& tree, ModuleRestore& restore);

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
      state.tensors.push_back(
          {std::move(gradient_info), source_of(gradient)});
    }
  }
  state.values["evaluating"] = std::move(evaluating);
  state.values["requires_grad"] = std::move(requires_grad);
  state.values["gradients"] = std::move(gradients);
  state.values["gradient"] = usual;
  state.values["gradient_values"] = gradients_ == Gradients::values;
  state.values["undefined"] = Value::Array(
      walk.tree.undefined.begin(), walk.tree.undefined.end());
  state.values["extra_state"] = std::move(extra);
  return state;
}

HOLDFAST_INLINE void ModulePart::match_tensors(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  std::set<std::string> gradient_names;
  if (at(saved.values, "gradient_values").as<bool>("gradient_values")) {
    for (const TensorInfo& info : saved.tensors) {
      gradient_names.insert(gradient_name(info.name));
    }
  }
  std::unordered_map<std::string, std::size_t> saved_names;
  for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
    if (gradient_names.count(saved.tensors[i].name) != 0) {
      continue;
    }
    saved_names.emplace(saved.tensors[i].name, i);
    for (const std::string& alias : saved.tensors[i].aliases) {
      saved_names.emplace(alias, i);
    }
  }

  std::unordered_map<std::size_t, std::string> taken;
  for (const ModuleTensor& entry : tree.tensors) {
    const std::string& first = entry.names.front();
    std::optional<std::size_t> source;
    for (const std::string& name : entry.names) {
      const auto found = saved_names.find(name);
      if (found == saved_names.end()) {
        mismatches.push_back(
            {ErrorCode::name_missing,
             name,
             tensor_text(describe(entry.tensor, name)),
             "nothing"});
      } else if (!source) {
        source = found->second;
      } else if (*source != found->second) {
        mismatches.push_back(
            {ErrorCode::type_mismatch,
             name,
             "tied to '" + first + "'",
             "a tensor of its own"});
      }
    }
    if (!source) {
      continue;
    }
    const TensorInfo& info = saved.tensors[*source];
    compare_tensor(entry.tensor, info, first, mismatches);
    if (info.shape == sizes_of(entry.tensor) &&
        !same_layout(entry.tensor, info)) {
      notes_.push_back(
          "'" + first + "' had other strides when it was saved: its values are "
          "equal, but sums over it may round otherwise");
    }
    const auto [other, only] = taken.emplace(*source, first);
    if (!only) {
      notes_.push_back(
          "'" + first + "' was tied to '" + other->second +
          "' when it was saved, and is a tensor of its own now");
    }
    restore.targets.push_back({entry.tensor, *source});
  }

  for (const auto& [name, index] : saved_names) {
    if (tree.by_name.count(name) == 0) {
      mismatches.push_back(
          {ErrorCode::name_unexpected,
           name,
           "nothing",
           tensor_text(saved.tensors[index])});
    }
  }
  std::set<std::string> undefined(tree.undefined.begin(), tree.undefined.end());
  for (const Value& item : at(saved.values, "undefined").array("undefined")) {
    const std::string& name = item.text("undefined");
    if (undefined.erase(name) == 0 && tree.by_name.count(name) == 0) {
      mismatches.push_back(
          {ErrorCode::name_unexpected, name, "nothing", "an undefined tensor"});
    }
  }
  for (const std::string& name : undefined) {
    if (saved_names.count(name) == 0) {
      mismatches.push_back(
          {ErrorCode::name_missing, name, "an undefined tensor", "nothing"});
    }
  }
}

HOLDFAST_INLINE void ModulePart::match_flags(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  std::set<std::string> evaluating;
  for (const Value& item : at(saved.values, "evaluating").array("evaluating")) {
    evaluating.insert(item.text("evaluating"));
  }
  for (const auto& [name, module] : tree.modules) {
    restore.modes.emplace_back(module, evaluating.erase(name) == 0);
  }
  for (const std::string& name : evaluating) {
    mismatches.push_back(
        {ErrorCode::name_unexpected, name, "nothing", "a module"});
  }

  const Values& exceptions =
      at(saved.values, "requires_grad").object("requires_grad");
  for (const ModuleTensor& entry : tree.tensors) {
    bool requires_grad = entry.is_parameter;
    for (const std::string& name : entry.names) {
      const auto found = exceptions.find(name);
      if (found != exceptions.end()) {
        requires_grad = found->second.as<bool>("requires_grad");
      }
    }
    if (entry.tensor.requires_grad() == requires_grad) {
      continue;
    }
    if (!entry.tensor.is_leaf() || entry.tensor.is_inference()) {
      mismatches.push_back(
          {ErrorCode::type_mismatch,
           entry.names.front(),
           "a tensor whose requires_grad is fixed",
           requires_grad ? "requires_grad" : "no requires_grad"});
      continue;
    }
    restore.flags.push_back({entry.tensor, requires_grad});
  }
}

HOLDFAST_INLINE void ModulePart::match_gradients(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  const Values& gradients = at(saved.values, "gradients").object("gradients");
  const bool with_values =
      at(saved.values, "gradient_values").as<bool>("gradient_values");
  std::unordered_map<std::string, std::size_t> sources;
  if (with_values) {
    for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
      sources.emplace(saved.tensors[i].name, i);
    }
  }
  const bool usual = at(saved.values, "gradient").as<bool>("gradient");
  for (const ModuleTensor& entry : tree.tensors) {
    Value value = usual && entry.is_parameter;
    std::string name = entry.names.front();
    for (const std::string& candidate : entry.names) {
      const auto item = gradients.find(candidate);
      if (item != gradients.end()) {
        value = item->second;
        name = candidate;
        break;
      }
    }
    if (value == Value(false) || !entry.tensor.is_leaf()) {
      if (gradient_of(entry.tensor).defined()) {
        restore.gradients.push_back({entry.tensor, at::Tensor()});
      }
      continue;
    }
    if (value.kind() == Value::Kind::text) {
      restore.gradients.push_back(
          {entry.tensor,
           at::sparse_coo_tensor(
               entry.tensor.sizes(),
               entry.tensor.options().layout(at::kSparse))});
      continue;
    }
    TensorInfo info = describe(entry.tensor, gradient_name(name));
    if (value.kind() == Value::Kind::array) {
      info.strides = integers_of(value, "gradients");
    }
    at::Tensor fresh = allocate(info, entry.tensor.device());
    if (!with_values) {
      fresh.zero_();
    } else {
      const auto source = sources.find(info.name);
      if (source == sources.end()) {
        mismatches.push_back(
            {ErrorCode::name_missing, info.name, tensor_text(info), "nothing"});
        continue;
      }
      compare_tensor(
          fresh, saved.tensors[source->second], info.name, mismatches);
      restore.gradient_sources.emplace(source->second, fresh);
    }
    restore.gradients.push_back({entry.tensor, std::move(fresh)});
  }
}

HOLDFAST_INLINE void ModulePart::match_extra_state(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  Values extra = at(saved.values, "extra_state").object("extra_state");
  for (const auto& [name, module] : tree.modules) {
    auto* object = dynamic_cast<ExtraState*>(module);
    if (object == nullptr) {
      continue;
    }
    const auto found = extra.find(name);
    if (found == extra.end()) {
      mismatches.push_back(
          {ErrorCode::name_missing, name, "the module's own state", "nothing"});
      continue;
    }
    restore.extras.push_back(
        {object, found->second.object("extra_state"), object->save_state()});
    extra.erase(found);
  }
  for (const auto& item : extra) {
    mismatches.push_back(
        {ErrorCode::name_unexpected,
         item.first,
         "nothing",
         "a module's own state"});
  }
}

HOLDFAST_INLINE void ModulePart::keep_backups(
    const ModuleTree& tree,
    ModuleRestore& restore) {
  for (const ModuleTensor& entry : tree.tensors) {
    const TensorInfo info = describe(entry.tensor, entry.names.front());
    at::Tensor copy = at::empty(
        info.shape,
        at::TensorOptions()
            .dtype(entry.tensor.scalar_type())
            .device(at::kCPU));
    source_of(entry.tensor)
        ->copy_out(
            0, static_cast<std::byte*>(copy.data_ptr()), copy.nbytes());
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

HOLDFAST_INLINE std::unique_ptr<Restore> ModulePart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const c10::NoGradGuard no_grad;
  notes_.clear();
  const ModuleWalk walk(root());
  auto restore = std::make_unique<ModuleRestore>();
  const std::size_t before = mismatches.size();
  match_tensors(walk.tree, saved, *restore, mismatches);
  match_flags(walk.tree, saved, *restore, mismatches);
  match_extra_state(walk.tree, saved, *restore, mismatches);
  if (mismatches.size() != before) {
    return nullptr;
  }
  match_gradients(walk.tree, saved, *restore, mismatches);
  if (!restore->extras.empty()) {
    keep_backups(walk.tree, *restore);
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

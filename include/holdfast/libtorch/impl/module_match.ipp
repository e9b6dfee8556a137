#pragma once

#include <holdfast/libtorch/impl/module_restore.ipp>
#include <holdfast/state/checks.hpp>

#include <ATen/ops/sparse_coo_tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Compares what was saved of a module with a live one, and notes down what is
/// to be restored. Nothing live changes.
namespace holdfast::detail {

HOLDFAST_INLINE std::vector<std::int64_t> integers_of(
    const Value& value,
    const std::string& name) {
  std::vector<std::int64_t> integers;
  for (const Value& item : value.array(name)) {
    integers.push_back(item.as<std::int64_t>(name));
  }
  return integers;
}

/// False where a tensor is laid out otherwise than it was.
HOLDFAST_INLINE bool match_module_tensors(
    const Saved& saved,
    ModuleTree& tree,
    std::vector<std::string>& notes,
    Mismatches& mismatches) {
  bool same_layouts = true;
  NameIndex gradient_names;
  if (at(saved.values, "gradient_values").as<bool>("gradient_values")) {
    for (const TensorInfo& info : saved.tensors) {
      gradient_names.add(gradient_name(info.name));
    }
  }
  NameIndex saved_names;
  for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
    if (gradient_names.contains(saved.tensors[i].name)) {
      if (at(saved.values, "gradients").kind() == Value::Kind::null) {
        mismatches.note(
            {ErrorCode::name_unexpected, saved.tensors[i].name, "", ""});
      }
      continue;
    }
    saved_names.add(saved.tensors[i].name, i);
    for (const std::string& alias : saved.tensors[i].aliases) {
      saved_names.add(alias, i);
    }
  }

  std::vector<std::string> taken(saved.tensors.size()); // By the tensor named.
  for (ModuleTensor& entry : tree.tensors) {
    const std::string& first = entry.names.front();
    const std::size_t* source = nullptr;
    for (std::size_t i = 0; i < entry.names.size() && source == nullptr; ++i) {
      source = saved_names.find(entry.names[i]);
    }
    bool fits = true;
    for (const std::string& name : entry.names) {
      const std::size_t* found = saved_names.find(name);
      if (found == nullptr) {
        Mismatch missing{
            ErrorCode::name_missing,
            name,
            tensor_text(describe(entry.tensor, name)),
            "nothing"};
        if (source != nullptr && mismatches.allows(missing)) {
          notes.push_back(
              "'" + name + "' is not in the checkpoint, but is tied to " +
              "a tensor that is");
        } else {
          static_cast<void>(mismatches.allow(std::move(missing)));
        }
      } else if (*source != *found) {
        mismatches.push_back(
            {ErrorCode::type_mismatch,
             name,
             "tied to '" + first + "'",
             "a tensor of its own"});
      } else {
        fits = compare_tensor(
                   entry.tensor, saved.tensors[*source], name, mismatches) &&
            fits;
      }
    }
    if (source == nullptr || !fits) {
      continue;
    }
    const TensorInfo& info = saved.tensors[*source];
    if (info.shape == sizes_of(entry.tensor) &&
        !same_layout(entry.tensor, info)) {
      same_layouts = false;
      notes.push_back(
          "'" + first +
          "' had other strides when it was saved: its values are "
          "equal, but sums over it may round otherwise");
    }
    std::string& other = taken[*source];
    if (other.empty()) {
      other = first;
    } else {
      notes.push_back(
          "'" + first + "' was tied to '" + other +
          "' when it was saved, and is a tensor of its own now");
    }
    entry.source = *source;
    entry.saved = info.dtype;
  }

  for (const auto& item : saved_names.all()) {
    if (!tree.by_name.contains(item.first)) {
      static_cast<void>(mismatches.allow(
          {ErrorCode::name_unexpected,
           item.first,
           "nothing",
           tensor_text(saved.tensors[item.second])}));
    }
  }
  NameIndex undefined;
  for (const std::string& name : tree.undefined) {
    undefined.add(name);
  }
  for (const Value& item : at(saved.values, "undefined").array("undefined")) {
    const std::string& name = item.text("undefined");
    if (!undefined.remove(name) && !tree.by_name.contains(name)) {
      static_cast<void>(mismatches.allow(
          {ErrorCode::name_unexpected,
           name,
           "nothing",
           "an undefined tensor"}));
    }
  }
  for (const auto& item : undefined.all()) {
    if (!saved_names.contains(item.first)) {
      static_cast<void>(mismatches.allow(
          {ErrorCode::name_missing,
           item.first,
           "an undefined tensor",
           "nothing"}));
    }
  }
  return same_layouts;
}

HOLDFAST_INLINE void match_module_modes(
    const Saved& saved,
    ModuleTree& tree,
    Mismatches& mismatches) {
  const Value& modes = at(saved.values, "evaluating");
  if (modes.kind() == Value::Kind::null) {
    return;
  }
  NameIndex evaluating;
  for (const Value& item : modes.array("evaluating")) {
    evaluating.add(item.text("evaluating"));
  }
  for (Submodule& entry : tree.modules) {
    entry.sets_mode = true;
    entry.training = !evaluating.remove(entry.name);
  }
  for (const auto& item : evaluating.all()) {
    mismatches.push_back(
        {ErrorCode::name_unexpected, item.first, "nothing", "a module"});
  }
}

HOLDFAST_INLINE void match_module_flags(
    const Saved& saved,
    ModuleTree& tree,
    Mismatches& mismatches) {
  const Value& flags = at(saved.values, "requires_grad");
  if (flags.kind() == Value::Kind::null) {
    return;
  }
  const Values& exceptions = flags.object("requires_grad");
  for (ModuleTensor& entry : tree.tensors) {
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
    entry.changes_flag = true;
    entry.requires_grad = requires_grad;
  }
}

HOLDFAST_INLINE void match_module_gradients(
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  restore.gradient_sources = std::vector<at::Tensor>(saved.tensors.size());
  const Value& listed = at(saved.values, "gradients");
  if (listed.kind() == Value::Kind::null) {
    return;
  }
  const Values& gradients = listed.object("gradients");
  const bool with_values =
      at(saved.values, "gradient_values").as<bool>("gradient_values");
  NameIndex sources;
  if (with_values) {
    for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
      sources.add(saved.tensors[i].name, i);
    }
  }
  const bool usual = at(saved.values, "gradient").as<bool>("gradient");
  for (ModuleTensor& entry : restore.tree.tensors) {
    const Value unlisted = usual && entry.is_parameter;
    const Value* value = &unlisted;
    std::string name = entry.names.front();
    for (const std::string& candidate : entry.names) {
      const auto found = gradients.find(candidate);
      if (found != gradients.end()) {
        value = &found->second;
        name = candidate;
        break;
      }
    }
    if (*value == Value(false) || !entry.tensor.is_leaf()) {
      entry.changes_gradient = gradient_of(entry.tensor).defined();
      continue;
    }
    entry.changes_gradient = true;
    if (value->kind() == Value::Kind::text) {
      entry.gradient = at::sparse_coo_tensor(
          entry.tensor.sizes(), entry.tensor.options().layout(at::kSparse));
      continue;
    }
    TensorInfo info = describe(entry.tensor, gradient_name(name));
    if (value->kind() == Value::Kind::array) {
      info.strides = integers_of(*value, "gradients");
    }
    entry.gradient = allocate(info, entry.tensor.device());
    if (!with_values) {
      entry.gradient.zero_();
      continue;
    }
    const std::size_t* source = sources.find(info.name);
    if (source == nullptr) {
      mismatches.push_back(
          {ErrorCode::name_missing, info.name, tensor_text(info), "nothing"});
      continue;
    }
    static_cast<void>(compare_tensor(
        entry.gradient, saved.tensors[*source], info.name, mismatches));
    restore.gradient_sources[*source] = entry.gradient;
  }
}

HOLDFAST_INLINE void match_module_extra_state(
    const Saved& saved,
    ModuleTree& tree,
    Mismatches& mismatches) {
  Values extra = at(saved.values, "extra_state").object("extra_state");
  for (Submodule& entry : tree.modules) {
    auto* object = dynamic_cast<ExtraState*>(entry.module);
    if (object == nullptr) {
      continue;
    }
    const auto found = extra.find(entry.name);
    if (found == extra.end()) {
      static_cast<void>(mismatches.allow_owner(
          {ErrorCode::name_missing,
           entry.name,
           "the module's own state",
           "nothing"}));
      continue;
    }
    entry.extra = object;
    entry.extra_saved = found->second.object("extra_state");
    entry.extra_before = object->save_state();
    extra.erase(found);
  }
  for (const auto& item : extra) {
    static_cast<void>(mismatches.allow_owner(
        {ErrorCode::name_unexpected,
         item.first,
         "nothing",
         "a module's own state"}));
  }
}

} // namespace holdfast::detail

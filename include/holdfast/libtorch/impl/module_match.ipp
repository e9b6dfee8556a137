#pragma once

#include <holdfast/libtorch/impl/module_restore.ipp>
#include <holdfast/state/checks.hpp>

#include <ATen/ops/sparse_coo_tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
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

HOLDFAST_INLINE void match_module_tensors(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    std::vector<std::string>& notes,
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
      notes.push_back(
          "'" + first +
          "' had other strides when it was saved: its values are "
          "equal, but sums over it may round otherwise");
    }
    const auto [other, only] = taken.emplace(*source, first);
    if (!only) {
      notes.push_back(
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

HOLDFAST_INLINE void match_module_modes(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  const Value& modes = at(saved.values, "evaluating");
  if (modes.kind() == Value::Kind::null) {
    return;
  }
  std::set<std::string> evaluating;
  for (const Value& item : modes.array("evaluating")) {
    evaluating.insert(item.text("evaluating"));
  }
  for (const auto& [name, module] : tree.modules) {
    restore.modes.emplace_back(module, evaluating.erase(name) == 0);
  }
  for (const std::string& name : evaluating) {
    mismatches.push_back(
        {ErrorCode::name_unexpected, name, "nothing", "a module"});
  }
}

HOLDFAST_INLINE void match_module_flags(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  const Value& flags = at(saved.values, "requires_grad");
  if (flags.kind() == Value::Kind::null) {
    return;
  }
  const Values& exceptions = flags.object("requires_grad");
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

HOLDFAST_INLINE void match_module_gradients(
    const ModuleTree& tree,
    const Saved& saved,
    ModuleRestore& restore,
    Mismatches& mismatches) {
  const Value& listed = at(saved.values, "gradients");
  if (listed.kind() == Value::Kind::null) {
    return;
  }
  const Values& gradients = listed.object("gradients");
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

HOLDFAST_INLINE void match_module_extra_state(
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

} // namespace holdfast::detail

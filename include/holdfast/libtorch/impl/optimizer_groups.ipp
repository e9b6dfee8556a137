#pragma once

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/state/names.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

/// Where an optimizer has its parameters, and which saved group is which.
namespace holdfast::detail {

using StateMap =
    std::decay_t<decltype(std::declval<optim::Optimizer&>().state())>;

/// What mismatches call a parameter without a name. No saved key is like it: a
/// colon is not allowed in the names of parts.
HOLDFAST_INLINE std::string unnamed_key(
    std::size_t group,
    std::size_t position) {
  return "group:" + std::to_string(group) + "." + std::to_string(position);
}

/// "part.name" of every parameter, group by group; empty where no part
/// published it.
HOLDFAST_INLINE std::vector<std::string> keys_of(
    optim::Optimizer& optimizer,
    const Names& names) {
  std::vector<std::string> keys;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      const TensorName* name = names.find(parameter.unsafeGetTensorImpl());
      keys.push_back(name == nullptr ? "" : name->part + "." + name->name);
    }
  }
  return keys;
}

/// How many states belong to parameters in no group.
HOLDFAST_INLINE std::size_t count_orphans(
    optim::Optimizer& optimizer,
    const std::vector<std::string>& keys) {
  std::size_t orphans = optimizer.state().size();
  NameIndex seen; // A parameter may be in the groups twice.
  std::size_t next = 0;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      if (seen.add(keys[next++])) {
        orphans -= optimizer.state().count(
            state_key<StateMap>(parameter.unsafeGetTensorImpl()));
      }
    }
  }
  return orphans;
}

HOLDFAST_INLINE bool is_known_type(const std::type_info& type) {
  return type == typeid(optim::Adam) || type == typeid(optim::AdamW) ||
      type == typeid(optim::SGD) || type == typeid(optim::RMSprop) ||
      type == typeid(optim::Adagrad) || type == typeid(optim::LBFGS);
}

HOLDFAST_INLINE bool is_known_optimizer(const optim::Optimizer& optimizer) {
  return is_known_type(typeid(optimizer));
}

/// True for what derives from one of LibTorch's: the states are of its type.
HOLDFAST_INLINE bool derives_from_known(const optim::Optimizer& optimizer) {
  return dynamic_cast<const optim::Adam*>(&optimizer) != nullptr ||
      dynamic_cast<const optim::AdamW*>(&optimizer) != nullptr ||
      dynamic_cast<const optim::SGD*>(&optimizer) != nullptr ||
      dynamic_cast<const optim::RMSprop*>(&optimizer) != nullptr ||
      dynamic_cast<const optim::Adagrad*>(&optimizer) != nullptr ||
      dynamic_cast<const optim::LBFGS*>(&optimizer) != nullptr;
}

/// True where one state spans all parameters, or its meaning is not known: then
/// the order of parameters is part of it.
HOLDFAST_INLINE bool order_matters(const optim::Optimizer& optimizer) {
  return !is_known_optimizer(optimizer) ||
      typeid(optimizer) == typeid(optim::LBFGS);
}

/// The keys of a group of the checkpoint.
HOLDFAST_INLINE std::vector<std::string> saved_keys(const Value& group) {
  const Value& parameters = at(group.object("groups"), "parameters");
  std::vector<std::string> keys;
  for (const Value& key : parameters.array("parameters")) {
    keys.push_back(key.text("parameters"));
  }
  return keys;
}

inline constexpr std::size_t kNoGroup = static_cast<std::size_t>(-1);

/// The saved index of each live group. Groups are found by the names in them,
/// unless their order is fixed; the rest keep their order.
HOLDFAST_INLINE std::vector<std::size_t> find_groups(
    optim::Optimizer& optimizer,
    bool fixed,
    const std::vector<std::string>& keys,
    const Value::Array& saved) {
  NameIndex home;
  for (std::size_t s = 0; s < saved.size(); ++s) {
    for (const std::string& key : saved_keys(saved[s])) {
      home.add(key, s);
    }
  }
  std::vector<std::size_t> found;
  const auto is_free = [&](std::size_t s) {
    for (const std::size_t taken : found) {
      if (taken == s) {
        return false;
      }
    }
    return true;
  };
  std::size_t next = 0;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    std::size_t match = kNoGroup;
    for (std::size_t p = 0; p < group.params().size(); ++p) {
      const std::string& key = keys[next++];
      const std::size_t* s = key.empty() ? nullptr : home.find(key);
      if (!fixed && match == kNoGroup && s != nullptr && is_free(*s)) {
        match = *s;
      }
    }
    found.push_back(match);
  }
  for (std::size_t g = 0; g < found.size(); ++g) {
    if (found[g] != kNoGroup) {
      continue;
    }
    std::size_t s = g;
    if (s >= saved.size() || !is_free(s)) {
      s = 0;
      while (s < saved.size() && !is_free(s)) {
        ++s;
      }
    }
    if (s < saved.size()) {
      found[g] = s;
    }
  }
  return found;
}

/// What sorted `keys` have that sorted `others` lack.
HOLDFAST_INLINE std::vector<std::string> only_in(
    const std::vector<std::string>& keys,
    const std::vector<std::string>& others) {
  std::vector<std::string> only;
  std::size_t i = 0;
  for (const std::string& key : keys) {
    while (i < others.size() && others[i] < key) {
      ++i;
    }
    if (i < others.size() && others[i] == key) {
      ++i;
    } else {
      only.push_back(key);
    }
  }
  return only;
}

/// Compares the parameters of a group. Where `fixed`, their order too.
HOLDFAST_INLINE bool match_group(
    std::size_t group,
    bool fixed,
    std::vector<std::string> here,
    std::vector<std::string> there,
    Mismatches& mismatches) {
  bool same = true;
  const std::string name = "group " + std::to_string(group);
  const std::vector<std::string> ordered_here = here;
  const std::vector<std::string> ordered_there = there;
  std::sort(here.begin(), here.end());
  std::sort(there.begin(), there.end());
  if (fixed && here == there && ordered_here != ordered_there) {
    for (std::size_t p = 0; p < here.size(); ++p) {
      if (ordered_here[p] != ordered_there[p]) {
        mismatches.push_back(
            {ErrorCode::type_mismatch,
             name + ", parameter " + std::to_string(p),
             ordered_here[p],
             ordered_there[p]});
      }
    }
    same = false;
  }
  for (const std::string& key : only_in(here, there)) {
    mismatches.push_back(
        {ErrorCode::name_missing, key, "a parameter in " + name, "nothing"});
    same = false;
  }
  for (const std::string& key : only_in(there, here)) {
    mismatches.push_back(
        {ErrorCode::name_unexpected, key, "nothing in " + name, "a parameter"});
    same = false;
  }
  return same;
}

/// Finds the saved index of each live group, and gives parameters without a key
/// one. False if the parameters differ.
HOLDFAST_INLINE bool match_groups(
    optim::Optimizer& optimizer,
    std::vector<std::string>& keys,
    const Value::Array& saved,
    std::vector<std::size_t>& match,
    Mismatches& mismatches) {
  const std::size_t count = optimizer.param_groups().size();
  if (count != saved.size()) {
    mismatches.push_back(
        {ErrorCode::shape_mismatch,
         "groups",
         std::to_string(count),
         std::to_string(saved.size())});
  }
  const bool fixed = order_matters(optimizer);
  match = find_groups(optimizer, fixed, keys, saved);

  bool same = count == saved.size();
  std::size_t next = 0;
  for (std::size_t g = 0; g < count; ++g) {
    const std::size_t s = match[g];
    std::vector<std::string> here;
    for (std::size_t p = 0; p < optimizer.param_groups()[g].params().size();
         ++p) {
      std::string& key = keys[next++];
      if (key.empty()) {
        key = unnamed_key(s == kNoGroup ? g : s, p);
      }
      here.push_back(key);
    }
    if (s != kNoGroup &&
        !match_group(g, fixed, here, saved_keys(saved[s]), mismatches)) {
      same = false;
    }
  }
  return same;
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/state/names.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

/// Where an optimizer has its parameters, and which saved group is which.
namespace holdfast::detail {

using StateMap =
    std::decay_t<decltype(std::declval<optim::Optimizer&>().state())>;

/// One place in an optimizer's groups.
struct Slot {
  at::Tensor parameter;
  std::string key; ///< "part.name", or empty where no part published it.
};

/// What mismatches call a parameter without a name. No saved key is like it: a
/// colon is not allowed in the names of parts.
HOLDFAST_INLINE std::string unnamed_key(
    std::size_t group,
    std::size_t position) {
  return "group:" + std::to_string(group) + "." + std::to_string(position);
}

HOLDFAST_INLINE std::vector<std::vector<Slot>> slots_of(
    optim::Optimizer& optimizer,
    const Names& names) {
  std::vector<std::vector<Slot>> slots;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    slots.emplace_back();
    for (const at::Tensor& parameter : group.params()) {
      const TensorName* name = names.find(parameter.unsafeGetTensorImpl());
      slots.back().push_back(
          {parameter, name == nullptr ? "" : name->part + "." + name->name});
    }
  }
  return slots;
}

HOLDFAST_INLINE bool is_known_optimizer(optim::Optimizer& optimizer) {
  return as_exactly<
      optim::Adam,
      optim::AdamW,
      optim::SGD,
      optim::RMSprop,
      optim::Adagrad,
      optim::LBFGS>(optimizer, [](auto&) {});
}

/// True where one state spans all parameters, or its meaning is not known: then
/// the order of parameters is part of it.
HOLDFAST_INLINE bool order_matters(optim::Optimizer& optimizer) {
  return !is_known_optimizer(optimizer) ||
      typeid(optimizer) == typeid(optim::LBFGS);
}

/// Which saved group each live one is, and the keys of its parameters.
struct GroupMatch {
  std::vector<std::vector<std::string>> keys; ///< As the checkpoint has them.
  std::vector<std::size_t> group; ///< Saved index of each live group.
};

HOLDFAST_INLINE bool match_groups(
    optim::Optimizer& optimizer,
    const std::vector<std::vector<Slot>>& slots,
    const std::vector<std::vector<std::string>>& saved,
    GroupMatch& match,
    Mismatches& mismatches) {
  if (slots.size() != saved.size()) {
    mismatches.push_back(
        {ErrorCode::shape_mismatch,
         "groups",
         std::to_string(slots.size()),
         std::to_string(saved.size())});
  }
  std::map<std::string, std::size_t> home;
  for (std::size_t s = 0; s < saved.size(); ++s) {
    for (const std::string& key : saved[s]) {
      home.emplace(key, s);
    }
  }

  // Groups are found by the names in them; the rest keep their order.
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  match.group.assign(slots.size(), kNone);
  std::vector<bool> taken(saved.size(), false);
  const bool fixed = order_matters(optimizer);
  for (std::size_t g = 0; g < slots.size() && !fixed; ++g) {
    for (const Slot& slot : slots[g]) {
      const auto found = slot.key.empty() ? home.end() : home.find(slot.key);
      if (found != home.end() && !taken[found->second]) {
        match.group[g] = found->second;
        taken[found->second] = true;
        break;
      }
    }
  }
  for (std::size_t g = 0; g < slots.size(); ++g) {
    if (match.group[g] != kNone) {
      continue;
    }
    std::size_t s = 0;
    if (g < taken.size() && !taken[g]) {
      s = g;
    } else {
      while (s < taken.size() && taken[s]) {
        ++s;
      }
    }
    if (s < taken.size()) {
      match.group[g] = s;
      taken[s] = true;
    }
  }

  bool same = slots.size() == saved.size();
  for (std::size_t g = 0; g < slots.size(); ++g) {
    const std::size_t s = match.group[g];
    match.keys.emplace_back();
    std::vector<std::string>& live = match.keys.back();
    for (std::size_t p = 0; p < slots[g].size(); ++p) {
      const Slot& slot = slots[g][p];
      live.push_back(
          slot.key.empty() ? unnamed_key(s == kNone ? g : s, p) : slot.key);
    }
    if (s == kNone) {
      continue;
    }
    std::vector<std::string> here = live;
    std::vector<std::string> there = saved[s];
    if (fixed && here.size() == there.size()) {
      std::vector<std::string> sorted_here = here;
      std::vector<std::string> sorted_there = there;
      std::sort(sorted_here.begin(), sorted_here.end());
      std::sort(sorted_there.begin(), sorted_there.end());
      if (sorted_here == sorted_there && here != there) {
        for (std::size_t p = 0; p < here.size(); ++p) {
          if (here[p] != there[p]) {
            mismatches.push_back(
                {ErrorCode::type_mismatch,
                 "group " + std::to_string(g) + ", parameter " +
                     std::to_string(p),
                 here[p],
                 there[p]});
          }
        }
        same = false;
      }
    }
    std::sort(here.begin(), here.end());
    std::sort(there.begin(), there.end());
    std::vector<std::string> only;
    const auto where = " in group " + std::to_string(g);
    std::set_difference(
        here.begin(),
        here.end(),
        there.begin(),
        there.end(),
        std::back_inserter(only));
    for (const std::string& key : only) {
      mismatches.push_back(
          {ErrorCode::name_missing, key, "a parameter" + where, "nothing"});
    }
    same = same && only.empty();
    only.clear();
    std::set_difference(
        there.begin(),
        there.end(),
        here.begin(),
        here.end(),
        std::back_inserter(only));
    for (const std::string& key : only) {
      mismatches.push_back(
          {ErrorCode::name_unexpected, key, "nothing" + where, "a parameter"});
    }
    same = same && only.empty();
  }
  return same;
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/libtorch/optimizer.hpp>

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/optimizer_archive.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/libtorch/impl/optimizer_restore.ipp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>
#include <holdfast/libtorch/tensor.hpp>
#include <holdfast/state/extra_state.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace holdfast::detail {

class OptimizerPart final : public Part {
 public:
  OptimizerPart(ObjectRef<optim::Optimizer> optimizer, StateFactory make_state)
      : optimizer_(optimizer), make_state_(make_state) {}

  [[nodiscard]] std::string kind() const override {
    return "optimizer";
  }
  [[nodiscard]] Stage stage() const override {
    optim::Optimizer* optimizer = optimizer_.get();
    return optimizer != nullptr &&
            dynamic_cast<ExtraState*>(optimizer) != nullptr
        ? Stage::user
        : Stage::optimizer;
  }

  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  HOLDFAST_INLINE void rename(
      Saved& saved,
      const std::string& part,
      const Leniency& leniency) const override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;

  void restored() override {
    optimizer_.restored();
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    return notes_;
  }

 private:
  optim::Optimizer& object() const {
    optim::Optimizer* optimizer = optimizer_.get();
    if (optimizer == nullptr) {
      throw_not_capturable({}, "the holder holds no optimizer");
    }
    return *optimizer;
  }

  void remark(optim::Optimizer& optimizer, std::size_t orphans);

  ObjectRef<optim::Optimizer> optimizer_;
  StateFactory make_state_;
  std::vector<std::string> notes_;
};

HOLDFAST_INLINE void OptimizerPart::remark(
    optim::Optimizer& optimizer,
    std::size_t orphans) {
  notes_.clear();
  if (orphans != 0) {
    notes_.push_back(
        "the state of " + std::to_string(orphans) +
        " parameters that are in no group is not saved");
  }
  if (!is_known_optimizer(optimizer) &&
      dynamic_cast<ExtraState*>(&optimizer) == nullptr) {
    notes_.push_back(
        "of " + type_name(typeid(optimizer)) +
        " options and parameter states are saved, but no members of its own: "
        "derive from holdfast::ExtraState if it has any");
  }
}

HOLDFAST_INLINE State OptimizerPart::capture(const Names& names) {
  optim::Optimizer& optimizer = object();
  State state;
  state.values["type"] = type_name(typeid(optimizer));
  state.values["defaults"] = capture_options(optimizer.defaults());

  Value::Array groups;
  Values states;
  std::string state_type;
  const std::vector<std::string> keys = keys_of(optimizer, names);
  std::size_t next = 0;
  for (std::size_t g = 0; g < optimizer.param_groups().size(); ++g) {
    Value::Array parameters;
    for (const at::Tensor& parameter : optimizer.param_groups()[g].params()) {
      const std::string& key = keys[next++];
      if (key.empty()) {
        throw_not_capturable(
            type_name(typeid(optimizer)),
            "group " + std::to_string(g) + ", parameter " +
                std::to_string(parameters.size()) + " (" +
                shape_text(parameter.sizes().vec()) +
                ") belongs to no part that is saved: add its module, or the "
                "tensor itself with holdfast::named()");
      }
      parameters.push_back(key);
      const auto found = optimizer.state().find(
          state_key<StateMap>(parameter.unsafeGetTensorImpl()));
      // The same parameter may be in the groups twice; its state is one.
      if (found == optimizer.state().end() || !found->second ||
          states.count(key) != 0) {
        continue;
      }
      optim::OptimizerParamState& param_state = *found->second;
      const std::string type = type_name(typeid(param_state));
      if (state_type.empty()) {
        state_type = type;
      } else if (state_type != type) {
        throw_not_capturable(
            key, "its state is a " + type + ", others are " + state_type);
      }
      Values values;
      FieldWriter writer(values, state.tensors, key + ".", parameter.device());
      if (!visit_state(writer, param_state)) {
        write_archive(param_state, "the parameter state", writer, values);
      }
      states[key] = std::move(values);
    }
    Values group;
    group["options"] = capture_options(optimizer.param_groups()[g].options());
    group["parameters"] = std::move(parameters);
    groups.push_back(std::move(group));
  }
  const std::size_t all = optimizer.state().size();
  remark(optimizer, all > states.size() ? all - states.size() : 0);
  if (!state_type.empty() && make_known_state(state_type) == nullptr &&
      make_state_ == nullptr) {
    throw_not_capturable(
        type_name(typeid(optimizer)),
        "its parameter states could not be restored into a fresh one: tell "
        "their type by specialising holdfast::OptimizerStateType (" +
            state_type + ")");
  }
  state.values["groups"] = std::move(groups);
  state.values["states"] = std::move(states);
  state.values["state_type"] = std::move(state_type);
  if (const auto* extra = dynamic_cast<const ExtraState*>(&optimizer)) {
    state.values["extra_state"] = extra->save_state();
  }
  return state;
}

/// The state follows its parameters, which are named as in their own parts.
HOLDFAST_INLINE void OptimizerPart::rename(
    Saved& saved,
    const std::string&,
    const Leniency& leniency) const {
  const auto renamed = [&leniency](const std::string& key) {
    const std::size_t point = key.find('.');
    if (point == std::string::npos) {
      return key;
    }
    const std::string owner = key.substr(0, point);
    return owner + "." + leniency.new_name(owner, key.substr(point + 1));
  };
  Value::Array groups;
  for (const Value& item : at(saved.values, "groups").array("groups")) {
    Values group = item.object("groups");
    Value::Array parameters;
    for (const std::string& key : saved_keys(item)) {
      parameters.push_back(renamed(key));
    }
    group["parameters"] = std::move(parameters);
    groups.push_back(std::move(group));
  }
  saved.values["groups"] = std::move(groups);

  const Values former = at(saved.values, "states").object("states");
  Values states;
  for (const auto& item : former) {
    if (!states.emplace(renamed(item.first), item.second).second) {
      ErrorDetails details;
      details.name = renamed(item.first);
      details.message = "two parameters have this name after renaming";
      throw Error(ErrorCode::duplicate_name, std::move(details));
    }
  }
  saved.values["states"] = std::move(states);
  // "<key>.exp_avg": the longest key that it begins with.
  for (TensorInfo& tensor : saved.tensors) {
    std::size_t end = tensor.name.rfind('.');
    while (end != std::string::npos && end != 0 &&
           former.count(tensor.name.substr(0, end)) == 0) {
      end = tensor.name.rfind('.', end - 1);
    }
    if (end != std::string::npos && end != 0) {
      tensor.name =
          renamed(tensor.name.substr(0, end)) + tensor.name.substr(end);
    }
  }
}

HOLDFAST_INLINE std::unique_ptr<Restore> OptimizerPart::prepare(
    const Saved& saved,
    const Names& names,
    Mismatches& mismatches) {
  optim::Optimizer& optimizer = object();
  const std::string type = type_name(typeid(optimizer));
  const std::string& saved_type = at(saved.values, "type").text("type");
  if (type != saved_type) {
    mismatches.push_back({ErrorCode::type_mismatch, "type", type, saved_type});
    return nullptr;
  }

  const Value::Array& groups = at(saved.values, "groups").array("groups");
  std::vector<std::string> keys = keys_of(optimizer, names);
  std::vector<std::size_t> match;
  if (!match_groups(optimizer, keys, groups, match, mismatches)) {
    return nullptr;
  }
  auto* restore = new OptimizerRestore(optimizer);
  std::unique_ptr<Restore> owner(restore);
  for (std::size_t g = 0; g < match.size(); ++g) {
    prepare_options(
        optimizer.param_groups()[g].options(),
        at(groups[match[g]].object("groups"), "options").object("options"),
        "group " + std::to_string(g),
        *restore,
        mismatches);
  }
  prepare_options(
      optimizer.defaults(),
      at(saved.values, "defaults").object("defaults"),
      "defaults",
      *restore,
      mismatches);
  prepare_states(optimizer, keys, make_state_, saved, *restore, mismatches);

  const auto extra = saved.values.find("extra_state");
  if (auto* object = dynamic_cast<ExtraState*>(&optimizer)) {
    if (extra == saved.values.end()) {
      mismatches.push_back(
          {ErrorCode::name_missing, "extra_state", "an object", "nothing"});
      return nullptr;
    }
    restore->extra = object;
    restore->extra_saved = extra->second.object("extra_state");
    restore->extra_before = object->save_state();
  } else if (extra != saved.values.end()) {
    mismatches.push_back(
        {ErrorCode::name_unexpected, "extra_state", "nothing", "an object"});
  }
  return owner;
}

HOLDFAST_INLINE std::unique_ptr<Part> make_optimizer_part(
    ObjectRef<optim::Optimizer> optimizer,
    StateFactory make_state) {
  return std::unique_ptr<Part>(new OptimizerPart(optimizer, make_state));
}

} // namespace holdfast::detail

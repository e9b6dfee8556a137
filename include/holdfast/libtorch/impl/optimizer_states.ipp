#pragma once

#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/libtorch/impl/optimizer_archive_reader.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/libtorch/impl/optimizer_options.ipp>
#include <holdfast/libtorch/impl/optimizer_restore.ipp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>
#include <holdfast/libtorch/optimizer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

/// The states of an optimizer's parameters, on their way out and back.
namespace holdfast::detail {

HOLDFAST_INLINE std::unique_ptr<optim::OptimizerParamState> make_state(
    optim::Optimizer& optimizer,
    StateFactory factory,
    const std::string& type) {
  if (auto known = make_known_state(type)) {
    return known;
  }
  if (factory != nullptr) {
    if (auto made = factory()) {
      optim::OptimizerParamState& made_state = *made;
      if (type_name(typeid(made_state)) == type) {
        return made;
      }
    }
  }
  throw_not_capturable(
      type_name(typeid(optimizer)),
      "its parameter states (" + type +
          ") could not be restored into a fresh one: specialise "
          "holdfast::OptimizerStateType with that type");
}

/// By key. `state_type` becomes the type of the states, which has to be one.
HOLDFAST_INLINE Values capture_states(
    optim::Optimizer& optimizer,
    const std::vector<std::string>& keys,
    StateFactory factory,
    std::string& state_type,
    std::vector<TensorOut>& tensors) {
  Values states;
  std::size_t next = 0;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      const std::string& key = keys[next++];
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
      FieldWriter writer(values, tensors, key + ".", parameter.device());
      if (!visit_state(writer, param_state)) {
        write_archive(param_state, "the parameter state", writer, values);
      }
      states[key] = std::move(values);
    }
  }
  if (!state_type.empty()) {
    (void)make_state(optimizer, factory, state_type);
  }
  return states;
}

HOLDFAST_INLINE void prepare_states(
    optim::Optimizer& optimizer,
    const std::vector<std::string>& keys,
    StateFactory factory,
    const Saved& saved,
    OptimizerRestore& restore,
    Mismatches& mismatches) {
  const Values& states = at(saved.values, "states").object("states");
  const std::string& type = at(saved.values, "state_type").text("state_type");
  std::int64_t elements = -1;
  if (type == "torch::optim::LBFGSParamState") {
    elements = 0;
    for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
      for (const at::Tensor& parameter : group.params()) {
        elements += parameter.numel();
      }
    }
  }
  SavedTensors tensors(saved.tensors);
  NameIndex used;
  std::size_t next = 0;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      const std::string& key = keys[next++];
      const auto found = states.find(key);
      if (found == states.end() || !used.add(key)) {
        continue;
      }
      const Values& values = found->second.object(key);
      auto param_state = make_state(optimizer, factory, type);
      FieldReader reader(
          values, tensors, key + ".", parameter, elements, mismatches);
      if (visit_state(reader, *param_state)) {
        reader.report_unused();
      } else {
        ArchiveReader archive(values, tensors, key + ".", parameter.device());
        read_archive(*param_state, "the parameter state", archive.archive());
      }
      restore.states[state_key<StateMap>(parameter.unsafeGetTensorImpl())] =
          std::move(param_state);
    }
  }
  for (const auto& item : states) {
    if (!used.contains(item.first)) {
      mismatches.push_back(
          {ErrorCode::name_unexpected, item.first, "nothing", "a state"});
    }
  }
  tensors.report_unused(mismatches);
  restore.fresh = tensors.take();
}

} // namespace holdfast::detail

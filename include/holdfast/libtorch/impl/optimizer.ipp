#pragma once

#include <holdfast/libtorch/optimizer.hpp>

#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/libtorch/impl/optimizer_options.ipp>
#include <holdfast/libtorch/impl/optimizer_own_save.ipp>
#include <holdfast/libtorch/impl/optimizer_program.ipp>
#include <holdfast/libtorch/impl/optimizer_rename.ipp>
#include <holdfast/libtorch/impl/optimizer_restore.ipp>
#include <holdfast/libtorch/impl/optimizer_states.ipp>
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
  OptimizerPart(ObjectRef<optim::Optimizer> optimizer, const OptimizerClass& of)
      : optimizer_(optimizer), class_(of) {}

  [[nodiscard]] std::string kind() const override {
    return "optimizer";
  }
  [[nodiscard]] Stage stage() const override {
    optim::Optimizer* optimizer = optimizer_.get();
    return optimizer != nullptr &&
            (dynamic_cast<ExtraState*>(optimizer) != nullptr ||
             saves_itself(*optimizer))
        ? Stage::user
        : Stage::optimizer;
  }

  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  void rename(Saved& saved, const std::string&, const Leniency& leniency)
      const override {
    rename_parameters(saved, leniency);
  }
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;

  /// `not_capturable` where the options of a group tell no rate.
  HOLDFAST_INLINE bool scale_learning_rates(double factor) override;

  void restored() override {
    program_.applied();
    optimizer_.restored();
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    std::vector<std::string> notes = notes_;
    notes.insert(notes.end(), changes_.begin(), changes_.end());
    return notes;
  }
  void forget_restore() noexcept override {
    changes_.clear();
  }

 private:
  optim::Optimizer& object() const {
    optim::Optimizer* optimizer = optimizer_.get();
    if (optimizer == nullptr) {
      throw_not_capturable({}, "the holder holds no optimizer");
    }
    return *optimizer;
  }

  /// True for one of the user's that has the `save` and `load` of one of
  /// LibTorch's. False also where the object may be of a class that derives
  /// from what the compiler saw.
  [[nodiscard]] bool inherits_save(const optim::Optimizer& optimizer) const {
    return class_.saver != nullptr && typeid(optimizer) == *class_.type &&
        is_known_type(*class_.saver) && is_known_type(*class_.loader);
  }

  /// True for one of the user's that says nothing but what its own `save` and
  /// `load` may say.
  [[nodiscard]] bool saves_itself(const optim::Optimizer& optimizer) const {
    return class_.make_state == nullptr && !is_known_optimizer(optimizer) &&
        !inherits_save(optimizer) &&
        !(derives_from_known(optimizer) &&
          dynamic_cast<const ExtraState*>(&optimizer) != nullptr);
  }

  void remark(optim::Optimizer& optimizer, std::size_t orphans);

  ObjectRef<optim::Optimizer> optimizer_;
  OptimizerClass class_;
  std::vector<std::string> notes_; ///< Of the last capture.
  std::vector<std::string> changes_; ///< Of the last restore.
  ProgramOptions program_;
};

HOLDFAST_INLINE bool OptimizerPart::scale_learning_rates(double factor) {
  optim::Optimizer& optimizer = object();
  try {
    for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
      group.options().set_lr(group.options().get_lr() * factor);
    }
  } catch (const c10::Error& error) {
    throw_not_capturable(
        type_name(typeid(optimizer)),
        std::string("its options tell no learning rate: ") +
            error.what_without_backtrace());
  }
  return true;
}

HOLDFAST_INLINE void OptimizerPart::remark(
    optim::Optimizer& optimizer,
    std::size_t orphans) {
  notes_.clear();
  if (orphans != 0) {
    notes_.push_back(
        "the state of " + std::to_string(orphans) +
        " parameters that are in no group is not saved");
  }
  const std::string type = type_name(typeid(optimizer));
  if (saves_itself(optimizer)) {
    notes_.push_back(
        type +
        " is saved by its own save() and load(): members that these leave out "
        "are not saved");
  } else if (
      !is_known_optimizer(optimizer) &&
      dynamic_cast<ExtraState*>(&optimizer) == nullptr) {
    notes_.push_back(
        "of " + type +
        " options and parameter states are saved, but no members of its own: "
        "derive from holdfast::ExtraState if it has any");
  }
}

HOLDFAST_INLINE State OptimizerPart::capture(const Names& names) {
  optim::Optimizer& optimizer = object();
  State state;
  state.values["type"] = type_name(typeid(optimizer));
  state.values["defaults"] = capture_options(optimizer.defaults());
  program_.remember(optimizer);

  Value::Array groups;
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
    }
    Values group;
    group["options"] = capture_options(optimizer.param_groups()[g].options());
    program_.save(g, group);
    group["parameters"] = std::move(parameters);
    groups.push_back(std::move(group));
  }
  Values states;
  std::string state_type;
  if (saves_itself(optimizer)) {
    Values own = capture_own_save(optimizer, state.tensors);
    if (own.empty()) {
      throw_not_capturable(
          type_name(typeid(optimizer)),
          "nothing says what its state is: specialise "
          "holdfast::OptimizerStateType with the type of its parameter states "
          "(void if it has none), override save() and load(), or specialise "
          "holdfast::StateAdapter");
    }
    state.values[kOwnSave] = std::move(own);
  } else {
    states = capture_states(
        optimizer, keys, class_.make_state, state_type, state.tensors);
  }
  remark(optimizer, count_orphans(optimizer, keys));
  state.values["groups"] = std::move(groups);
  state.values["states"] = std::move(states);
  state.values["state_type"] = std::move(state_type);
  if (const auto* extra = dynamic_cast<const ExtraState*>(&optimizer)) {
    state.values["extra_state"] = extra->save_state();
  }
  return state;
}

HOLDFAST_INLINE std::unique_ptr<Restore> OptimizerPart::prepare(
    const Saved& saved,
    const Names& names,
    Mismatches& mismatches) {
  optim::Optimizer& optimizer = object();
  changes_.clear();
  program_.remember(optimizer);
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
  const auto own = saved.values.find(kOwnSave);
  // One that inherits them was saved by them, too, before and by a reference.
  if (own != saved.values.end() && !saves_itself(optimizer) &&
      !inherits_save(optimizer)) {
    mismatches.push_back(
        {ErrorCode::type_mismatch, "states", "one by one", "from save()"});
    return nullptr;
  }
  if (own != saved.values.end()) {
    SavedTensors tensors(saved.tensors);
    restore->loads_itself = true;
    restore->saved_archive = own_archive(own->second.object(kOwnSave), tensors);
    restore->archive_before = own_archive_of(optimizer);
    tensors.report_unused(mismatches);
    restore->fresh = tensors.take();
  } else {
    prepare_states(
        optimizer, keys, class_.make_state, saved, *restore, mismatches);
  }
  changes_ = program_.compare(groups, match);

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
    const OptimizerClass& of) {
  return std::unique_ptr<Part>(new OptimizerPart(optimizer, of));
}

} // namespace holdfast::detail

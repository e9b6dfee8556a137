#pragma once

#include <holdfast/libtorch/optimizer.hpp>

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/optimizer_archive.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/tensor.hpp>
#include <holdfast/state/extra_state.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

using StateMap =
    std::decay_t<decltype(std::declval<optim::Optimizer&>().state())>;

/// One place in an optimizer's groups.
struct Slot {
  at::Tensor parameter;
  std::string key; ///< "part.name", or empty where no part published it.
};

/// The key of a parameter without a name. A colon is not allowed in the names of
/// parts, so it cannot be taken for one.
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

class OptimizerRestore final : public Restore {
 public:
  explicit OptimizerRestore(optim::Optimizer& optimizer)
      : optimizer_(optimizer) {}

  struct KnownOptions {
    optim::OptimizerOptions* live;
    std::unique_ptr<optim::OptimizerOptions> other;
  };
  struct UnknownOptions {
    optim::OptimizerOptions* live;
    torch::serialize::InputArchive saved;
    torch::serialize::InputArchive before;
  };

  [[nodiscard]] std::byte* buffer(std::size_t index) noexcept override {
    return row_major_memory(fresh[index]);
  }

  void apply(const std::vector<const std::byte*>& bytes) override {
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (fresh[i].defined() && row_major_memory(fresh[i]) != bytes[i]) {
        overwrite(fresh[i], bytes[i]);
      }
    }
    try {
      if (extra != nullptr) {
        extra->load_state(extra_saved);
        extra_loaded = true;
      }
      for (UnknownOptions& options : unknown) {
        options_loaded = true;
        options.live->serialize(options.saved);
      }
    } catch (...) {
      undo();
      throw;
    }
    exchange();
    applied = true;
  }

  void undo() noexcept override {
    try {
      if (extra_loaded) {
        extra->load_state(extra_before);
      }
      if (options_loaded) {
        for (UnknownOptions& options : unknown) {
          options.live->serialize(options.before);
        }
      }
    } catch (...) {
      // It accepted this state a moment ago; nothing better can be done.
    }
    if (applied) {
      exchange();
    }
  }

  StateMap states;
  std::vector<at::Tensor> fresh;
  std::vector<KnownOptions> known;
  std::vector<UnknownOptions> unknown;
  ExtraState* extra = nullptr;
  Values extra_saved;
  Values extra_before;

 private:
  void exchange() {
    optimizer_.state().swap(states);
    for (KnownOptions& options : known) {
      with_known_options(*options.live, [&](auto& live) {
        std::swap(live, static_cast<decltype(live)&>(*options.other));
      });
    }
  }

  optim::Optimizer& optimizer_;
  bool extra_loaded = false;
  bool options_loaded = false;
  bool applied = false;
};

class OptimizerPart final : public Part {
 public:
  OptimizerPart(
      std::function<optim::Optimizer*()> optimizer,
      std::function<void()> restored,
      StateFactory make_state)
      : optimizer_(std::move(optimizer)),
        restored_(std::move(restored)),
        make_state_(std::move(make_state)) {}

  [[nodiscard]] std::string kind() const override {
    return "optimizer";
  }
  [[nodiscard]] Stage stage() const override {
    optim::Optimizer* optimizer = optimizer_();
    return optimizer != nullptr &&
            dynamic_cast<ExtraState*>(optimizer) != nullptr
        ? Stage::user
        : Stage::optimizer;
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
  using GroupMatch = std::vector<std::size_t>;
  struct Keys {
    std::vector<std::vector<std::string>> live; ///< As the checkpoint has them.
    GroupMatch group; ///< Saved index of each live group.
  };

  optim::Optimizer& object() const {
    optim::Optimizer* optimizer = optimizer_();
    if (optimizer == nullptr) {
      throw_not_capturable({}, "the holder holds no optimizer");
    }
    return *optimizer;
  }

  void remark(optim::Optimizer& optimizer, std::size_t orphans);
  static Values capture_options(optim::OptimizerOptions& options);
  static void prepare_options(
      optim::OptimizerOptions& live,
      const Values& saved,
      const std::string& name,
      OptimizerRestore& restore,
      Mismatches& mismatches);
  static bool match_groups(
      optim::Optimizer& optimizer,
      const std::vector<std::vector<Slot>>& slots,
      const std::vector<std::vector<std::string>>& saved,
      Keys& keys,
      Mismatches& mismatches);
  std::unique_ptr<optim::OptimizerParamState> make_state(
      optim::Optimizer& optimizer,
      const std::string& type) const;
  void prepare_states(
      optim::Optimizer& optimizer,
      const std::vector<std::vector<Slot>>& slots,
      const Keys& keys,
      const Saved& saved,
      OptimizerRestore& restore,
      Mismatches& mismatches) const;

  std::function<optim::Optimizer*()> optimizer_;
  std::function<void()> restored_;
  StateFactory make_state_;
  std::vector<std::string> notes_;
};

HOLDFAST_INLINE std::string type_name(const std::type_info& type) {
  return c10::demangle(type.name());
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
  if (!is_known_optimizer(optimizer) &&
      dynamic_cast<ExtraState*>(&optimizer) == nullptr) {
    notes_.push_back(
        "of " + type_name(typeid(optimizer)) +
        " options and parameter states are saved, but no members of its own: "
        "derive from holdfast::ExtraState if it has any");
  }
}

HOLDFAST_INLINE Values
OptimizerPart::capture_options(optim::OptimizerOptions& options) {
  Values values;
  std::vector<TensorOut> tensors;
  FieldWriter writer(values, tensors, "", std::nullopt);
  const bool known = with_known_options(
      options, [&](auto& typed) { visit_fields(writer, typed); });
  if (!known) {
    write_archive(options, "the options", writer, values);
    if (!tensors.empty()) {
      throw_not_capturable(
          type_name(typeid(options)), "options with tensors cannot be saved");
    }
  }
  return values;
}

HOLDFAST_INLINE State OptimizerPart::capture(const Names& names) {
  optim::Optimizer& optimizer = object();
  State state;
  state.values["type"] = type_name(typeid(optimizer));
  state.values["defaults"] = capture_options(optimizer.defaults());

  Value::Array groups;
  Values states;
  std::string state_type;
  const std::vector<std::vector<Slot>> slots = slots_of(optimizer, names);
  for (std::size_t g = 0; g < slots.size(); ++g) {
    Value::Array parameters;
    for (std::size_t p = 0; p < slots[g].size(); ++p) {
      const Slot& slot = slots[g][p];
      const std::string key =
          slot.key.empty() ? unnamed_key(g, p) : slot.key;
      parameters.emplace_back(key);
      const auto found = optimizer.state().find(
          state_key<StateMap>(slot.parameter.unsafeGetTensorImpl()));
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
      FieldWriter writer(
          values, state.tensors, key + ".", slot.parameter.device());
      const bool known = with_known_state(
          param_state, [&](auto& typed) { visit_fields(writer, typed); });
      if (!known) {
        write_archive(param_state, "the parameter state", writer, values);
      }
      states.emplace(key, std::move(values));
    }
    groups.emplace_back(Values{
        {"options",
         capture_options(optimizer.param_groups()[g].options())},
        {"parameters", std::move(parameters)}});
  }
  const std::size_t all = optimizer.state().size();
  remark(optimizer, all > states.size() ? all - states.size() : 0);
  if (!state_type.empty() && make_known_state(state_type) == nullptr &&
      !make_state_) {
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

HOLDFAST_INLINE void OptimizerPart::prepare_options(
    optim::OptimizerOptions& live,
    const Values& saved,
    const std::string& name,
    OptimizerRestore& restore,
    Mismatches& mismatches) {
  SavedTensors none({});
  const at::Tensor parameter;
  std::unique_ptr<optim::OptimizerOptions> other;
  const bool known = with_known_options(live, [&](auto& typed) {
    auto copy = std::make_unique<std::decay_t<decltype(typed)>>(typed);
    FieldReader reader(saved, none, name + ".", parameter, -1, mismatches);
    visit_fields(reader, *copy);
    reader.report_unused();
    other = std::move(copy);
  });
  if (known) {
    restore.known.push_back({&live, std::move(other)});
    return;
  }
  const auto archive = [&](const Values& values) {
    return ArchiveReader(values, none, name + ".", at::Device(at::kCPU))
        .archive();
  };
  const Values before = capture_options(live);
  std::unique_ptr<optim::OptimizerOptions> trial = live.clone();
  read_archive(*trial, "the options", archive(saved));
  if (capture_options(*trial) != saved) {
    mismatches.push_back(
        {ErrorCode::type_mismatch,
         name,
         "options that serialize() reads as it wrote them",
         "others"});
  }
  restore.unknown.push_back({&live, archive(saved), archive(before)});
}

HOLDFAST_INLINE bool OptimizerPart::match_groups(
    optim::Optimizer& optimizer,
    const std::vector<std::vector<Slot>>& slots,
    const std::vector<std::vector<std::string>>& saved,
    Keys& keys,
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
  keys.group.assign(slots.size(), kNone);
  std::vector<bool> taken(saved.size(), false);
  const bool fixed = order_matters(optimizer);
  for (std::size_t g = 0; g < slots.size() && !fixed; ++g) {
    for (const Slot& slot : slots[g]) {
      const auto found = slot.key.empty() ? home.end() : home.find(slot.key);
      if (found != home.end() && !taken[found->second]) {
        keys.group[g] = found->second;
        taken[found->second] = true;
        break;
      }
    }
  }
  for (std::size_t g = 0; g < slots.size(); ++g) {
    if (keys.group[g] != kNone) {
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
      keys.group[g] = s;
      taken[s] = true;
    }
  }

  bool same = slots.size() == saved.size();
  for (std::size_t g = 0; g < slots.size(); ++g) {
    const std::size_t s = keys.group[g];
    keys.live.emplace_back();
    std::vector<std::string>& live = keys.live.back();
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

HOLDFAST_INLINE std::unique_ptr<optim::OptimizerParamState>
OptimizerPart::make_state(
    optim::Optimizer& optimizer,
    const std::string& type) const {
  if (auto known = make_known_state(type)) {
    return known;
  }
  if (make_state_) {
    auto made = make_state_();
    optim::OptimizerParamState& made_state = *made;
    if (type_name(typeid(made_state)) == type) {
      return made;
    }
  }
  throw_not_capturable(
      type_name(typeid(optimizer)),
      "there is no way to make its parameter states: specialise "
      "holdfast::OptimizerStateType (" +
          type + ")");
}

HOLDFAST_INLINE void OptimizerPart::prepare_states(
    optim::Optimizer& optimizer,
    const std::vector<std::vector<Slot>>& slots,
    const Keys& keys,
    const Saved& saved,
    OptimizerRestore& restore,
    Mismatches& mismatches) const {
  const Values& states = at(saved.values, "states").object("states");
  const std::string& type =
      at(saved.values, "state_type").text("state_type");
  std::int64_t elements = -1;
  if (type == "torch::optim::LBFGSParamState") {
    elements = 0;
    for (const std::vector<Slot>& group : slots) {
      for (const Slot& slot : group) {
        elements += slot.parameter.numel();
      }
    }
  }
  SavedTensors tensors(saved.tensors);
  std::set<std::string> used;
  for (std::size_t g = 0; g < slots.size(); ++g) {
    for (std::size_t p = 0; p < slots[g].size(); ++p) {
      const Slot& slot = slots[g][p];
      const std::string& key = keys.live[g][p];
      const auto found = states.find(key);
      if (found == states.end() || !used.insert(key).second) {
        continue;
      }
      const Values& values = found->second.object(key);
      auto param_state = make_state(optimizer, type);
      const bool known = with_known_state(*param_state, [&](auto& typed) {
        FieldReader reader(
            values, tensors, key + ".", slot.parameter, elements, mismatches);
        visit_fields(reader, typed);
        reader.report_unused();
      });
      if (!known) {
        ArchiveReader reader(
            values, tensors, key + ".", slot.parameter.device());
        read_archive(*param_state, "the parameter state", reader.archive());
      }
      restore.states[state_key<StateMap>(
          slot.parameter.unsafeGetTensorImpl())] = std::move(param_state);
    }
  }
  for (const auto& item : states) {
    if (used.count(item.first) == 0) {
      mismatches.push_back(
          {ErrorCode::name_unexpected, item.first, "nothing", "a state"});
    }
  }
  tensors.report_unused(mismatches);
  restore.fresh = tensors.take();
}

HOLDFAST_INLINE std::unique_ptr<Restore> OptimizerPart::prepare(
    const Saved& saved,
    const Names& names,
    Mismatches& mismatches) {
  optim::Optimizer& optimizer = object();
  const std::string type = type_name(typeid(optimizer));
  const std::string& saved_type = at(saved.values, "type").text("type");
  if (type != saved_type) {
    mismatches.push_back(
        {ErrorCode::type_mismatch, "type", type, saved_type});
    return nullptr;
  }

  std::vector<std::vector<std::string>> saved_groups;
  std::vector<const Values*> saved_options;
  for (const Value& group : at(saved.values, "groups").array("groups")) {
    const Values& members = group.object("groups");
    saved_options.push_back(&at(members, "options").object("options"));
    saved_groups.emplace_back();
    for (const Value& key : at(members, "parameters").array("parameters")) {
      saved_groups.back().push_back(key.text("parameters"));
    }
  }

  const std::vector<std::vector<Slot>> slots = slots_of(optimizer, names);
  Keys keys;
  if (!match_groups(optimizer, slots, saved_groups, keys, mismatches)) {
    return nullptr;
  }
  auto restore = std::make_unique<OptimizerRestore>(optimizer);
  for (std::size_t g = 0; g < slots.size(); ++g) {
    prepare_options(
        optimizer.param_groups()[g].options(),
        *saved_options[keys.group[g]],
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
  prepare_states(optimizer, slots, keys, saved, *restore, mismatches);

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
  return restore;
}

HOLDFAST_INLINE std::unique_ptr<Part> make_optimizer_part(
    std::function<optim::Optimizer*()> optimizer,
    std::function<void()> restored,
    StateFactory make_state) {
  return std::make_unique<OptimizerPart>(
      std::move(optimizer), std::move(restored), std::move(make_state));
}

} // namespace holdfast::detail

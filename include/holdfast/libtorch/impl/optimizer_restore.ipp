#pragma once

#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/libtorch/impl/optimizer_archive.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>
#include <holdfast/state/checks.hpp>
#include <holdfast/state/extra_state.hpp>

#include <c10/util/Type.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

/// Options and parameter states of an optimizer, on their way out and back.
namespace holdfast::detail {

class OptimizerRestore final : public Restore {
 public:
  explicit OptimizerRestore(optim::Optimizer& optimizer)
      : optimizer_(optimizer) {}

  /// A pair of options, or, where their type is unknown, of archives.
  struct Options {
    optim::OptimizerOptions* live;
    std::unique_ptr<optim::OptimizerOptions> saved;
    std::unique_ptr<optim::OptimizerOptions> before;
    torch::serialize::InputArchive saved_archive;
    torch::serialize::InputArchive archive_before;
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
    // What the optimizer had before is gone, whoever loads.
    optimizer_.state().swap(states);
    applied = true;
    load(extra_saved, saved_archive, &Options::saved_archive);
    for (Options& item : options) {
      if (item.saved != nullptr) {
        assign_options(*item.live, *item.saved);
      }
    }
  }

  void undo() noexcept override {
    if (!applied) {
      return;
    }
    applied = false;
    try {
      load(extra_before, archive_before, &Options::archive_before);
    } catch (...) {
      // It refuses its own state; nothing better can be done.
    }
    optimizer_.state().swap(states);
    for (Options& item : options) {
      if (item.saved != nullptr) {
        assign_options(*item.live, *item.before);
      }
    }
  }

  StateMap states;
  std::vector<at::Tensor> fresh;
  std::vector<Options> options;
  ExtraState* extra = nullptr;
  Values extra_saved;
  Values extra_before;
  bool loads_itself = false; ///< By its own `load`.
  torch::serialize::InputArchive saved_archive;
  torch::serialize::InputArchive archive_before;

 private:
  /// What runs users' code.
  void load(
      const Values& extra_values,
      torch::serialize::InputArchive& own,
      torch::serialize::InputArchive Options::*archive) {
    if (extra != nullptr) {
      extra->load_state(extra_values);
    }
    if (loads_itself) {
      optimizer_.load(own);
    }
    for (Options& item : options) {
      if (item.saved == nullptr) {
        item.live->serialize(item.*archive);
      }
    }
  }

  optim::Optimizer& optimizer_;
  bool applied = false;
};

HOLDFAST_INLINE std::string type_name(const std::type_info& type) {
  return c10::demangle(type.name());
}

HOLDFAST_INLINE Values capture_options(optim::OptimizerOptions& options) {
  Values values;
  std::vector<TensorOut> tensors;
  FieldWriter writer(values, tensors, "", std::nullopt);
  if (!visit_options(writer, options)) {
    write_archive(options, "the options", writer, values);
    if (!tensors.empty()) {
      throw_not_capturable(
          type_name(typeid(options)), "options with tensors cannot be saved");
    }
  }
  return values;
}

HOLDFAST_INLINE void prepare_options(
    optim::OptimizerOptions& live,
    const Values& saved,
    const std::string& name,
    OptimizerRestore& restore,
    Mismatches& mismatches) {
  SavedTensors none({});
  const at::Tensor parameter;
  const Values before = capture_options(live);
  std::unique_ptr<optim::OptimizerOptions> trial = live.clone();
  FieldReader reader(saved, none, name + ".", parameter, -1, mismatches);
  // A type that inherits its clone() from one of LibTorch's is cut down to it.
  const optim::OptimizerOptions& cloned = *trial;
  const bool is_whole = typeid(cloned) == typeid(live);
  if (is_whole && visit_options(reader, *trial)) {
    reader.report_unused();
    restore.options.push_back({&live, std::move(trial), live.clone(), {}, {}});
    return;
  }
  const auto archive = [&](const Values& values) {
    return ArchiveReader(values, none, name + ".", at::Device(at::kCPU))
        .archive();
  };
  read_archive(*trial, "the options", archive(saved));
  if (capture_options(*trial) != saved) {
    mismatches.push_back(
        {ErrorCode::type_mismatch,
         name,
         "options that serialize() reads as it wrote them",
         "others"});
  }
  restore.options.push_back(
      {&live, nullptr, nullptr, archive(saved), archive(before)});
}

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

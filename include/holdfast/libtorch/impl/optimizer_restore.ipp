#pragma once

#include <holdfast/libtorch/impl/optimizer_archive.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>
#include <holdfast/state/checks.hpp>
#include <holdfast/state/extra_state.hpp>

#include <c10/util/Type.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
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
        extra_loaded = true; // Before the call, which may throw halfway.
        extra->load_state(extra_saved);
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
      // It refuses its own state; nothing better can be done.
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

HOLDFAST_INLINE std::string type_name(const std::type_info& type) {
  return c10::demangle(type.name());
}

HOLDFAST_INLINE Values capture_options(optim::OptimizerOptions& options) {
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

HOLDFAST_INLINE void prepare_options(
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

HOLDFAST_INLINE std::unique_ptr<optim::OptimizerParamState> make_state(
    optim::Optimizer& optimizer,
    const std::function<std::unique_ptr<optim::OptimizerParamState>()>& factory,
    const std::string& type) {
  if (auto known = make_known_state(type)) {
    return known;
  }
  if (factory) {
    auto made = factory();
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

HOLDFAST_INLINE void prepare_states(
    optim::Optimizer& optimizer,
    const std::vector<std::vector<Slot>>& slots,
    const GroupMatch& match,
    const std::function<std::unique_ptr<optim::OptimizerParamState>()>& factory,
    const Saved& saved,
    OptimizerRestore& restore,
    Mismatches& mismatches) {
  const Values& states = at(saved.values, "states").object("states");
  const std::string& type = at(saved.values, "state_type").text("state_type");
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
      const std::string& key = match.keys[g][p];
      const auto found = states.find(key);
      if (found == states.end() || !used.insert(key).second) {
        continue;
      }
      const Values& values = found->second.object(key);
      auto param_state = make_state(optimizer, factory, type);
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
      restore
          .states[state_key<StateMap>(slot.parameter.unsafeGetTensorImpl())] =
          std::move(param_state);
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

} // namespace holdfast::detail

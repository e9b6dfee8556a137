#pragma once

#include <holdfast/libtorch/impl/tensor.ipp>
#include <holdfast/state/checks.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

/// A tensor by itself. Restored in place, unless it is undefined or was
/// computed by a graph.
class TensorPart final : public Part {
 public:
  explicit TensorPart(at::Tensor& tensor) : tensor_(tensor) {}

  [[nodiscard]] std::string kind() const override {
    return "tensor";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::value;
  }

  void publish(const std::string& part, Names& names) override {
    if (tensor_.defined()) {
      names.add(tensor_.unsafeGetTensorImpl(), part, "tensor");
    }
  }

  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.values["defined"] = tensor_.defined();
    if (tensor_.defined()) {
      state.values["requires_grad"] = tensor_.requires_grad();
      state.values["device"] = tensor_.device().str();
      const bool leaf = tensor_.is_leaf();
      if (!leaf) {
        state.values["graph"] = true;
      } else if (tensor_.grad().defined()) {
        state.values["gradient"] = true;
      }
      state.tensors.push_back(
          {describe(tensor_, "tensor"), source_of(tensor_)});
    }
    return state;
  }

  void drop_loop_state(Values& saved) const override {
    if (tensor_.defined()) {
      saved["requires_grad"] = tensor_.requires_grad();
    }
    saved["gradient"] = Value(); // null: as it is
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    if (exact_) {
      return {};
    }
    return {
        "it was saved with a graph, through which gradients do not flow any "
        "more: detach() it before step()"};
  }
  [[nodiscard]] bool exact() const override {
    return exact_;
  }
  void forget_restore() noexcept override {
    exact_ = true;
  }
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override;

 private:
  at::Tensor& tensor_;
  bool exact_ = true; ///< After the last restore.
};

class TensorRestore final : public Restore {
 public:
  TensorRestore(at::Tensor& live, bool& exact) : live_(live), exact_(exact) {}

  [[nodiscard]] std::byte* buffer(std::size_t) noexcept override {
    return row_major_memory(fresh);
  }
  void apply(const std::vector<const std::byte*>& bytes) override {
    exact_ = !graph;
    if (!defined) {
      live_.reset();
      return;
    }
    if (fresh.defined()) {
      if (row_major_memory(fresh) != bytes[0] || fresh.numel() == 0) {
        overwrite(fresh, bytes[0]);
      }
      live_ = fresh;
    } else {
      overwrite(live_, bytes[0], saved);
    }
    if (live_.is_leaf() && live_.requires_grad() != requires_grad) {
      live_.set_requires_grad(requires_grad);
    }
    if (gradient && *gradient != live_.grad().defined()) {
      live_.mutable_grad() = *gradient ? at::zeros_like(live_) : at::Tensor();
    }
  }

  at::Tensor fresh; ///< Undefined: restored in place.
  bool defined = false;
  bool graph = false;
  bool requires_grad = false;
  std::optional<bool> gradient; ///< Nothing: it stays as it is.
  DType saved = DType::f32;

 private:
  at::Tensor& live_;
  bool& exact_;
};

/// A restore that leaves everything as it is.
class NoRestore final : public Restore {
 public:
  void apply(const std::vector<const std::byte*>&) override {}
};

/// The device of that name; nothing where this machine has none.
HOLDFAST_INLINE std::optional<at::Device> device_named(
    const std::string& name) {
  try {
    const at::Device device(name);
    (void)at::empty({0}, at::TensorOptions().device(device));
    return device;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// The same; the host where this machine has none.
HOLDFAST_INLINE at::Device device_or_host(const std::string& name) {
  return device_named(name).value_or(at::Device(at::kCPU));
}

HOLDFAST_INLINE void check_device(const std::string& name) {
  if (!name.empty() && !device_named(name)) {
    throw_invalid_argument(
        "device", "this machine has no such device", "'" + name + "'");
  }
}

/// Where a tensor that is made anew goes: where the load says, else where it
/// was, or to the host where this machine lacks that device.
HOLDFAST_INLINE at::Device device_for(const Saved& saved) {
  check_device(saved.device);
  const std::string& was = at(saved.values, "device").text("device");
  return device_or_host(saved.device.empty() ? was : saved.device);
}

HOLDFAST_INLINE std::unique_ptr<Restore> TensorPart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const bool defined = at(saved.values, "defined").as<bool>("defined");
  if (saved.tensors.size() != (defined ? 1U : 0U)) {
    mismatches.push_back(
        {ErrorCode::name_missing,
         "tensor",
         std::to_string(defined ? 1 : 0) + " tensor",
         std::to_string(saved.tensors.size())});
    return nullptr;
  }
  auto* restore = new TensorRestore(tensor_, exact_);
  std::unique_ptr<Restore> owner(restore);
  restore->defined = defined;
  if (!defined) {
    return owner;
  }
  const TensorInfo& info = saved.tensors[0];
  const auto flag = [&](const char* name) {
    const auto found = saved.values.find(name);
    return found != saved.values.end() && found->second.as<bool>(name);
  };
  restore->saved = info.dtype;
  restore->requires_grad =
      at(saved.values, "requires_grad").as<bool>("requires_grad");
  restore->graph = flag("graph");
  const auto gradient = saved.values.find("gradient");
  if (gradient == saved.values.end() ||
      gradient->second.kind() != Value::Kind::null) {
    restore->gradient = flag("gradient");
  }
  if (!tensor_.defined()) {
    restore->fresh = allocate(info, device_for(saved));
    return owner;
  }
  if (!compare_tensor(tensor_, info, "tensor", mismatches)) {
    return std::unique_ptr<Restore>(new NoRestore());
  }
  const TensorInfo here = describe(tensor_, info.name);
  if (!tensor_.is_leaf() && here.dtype == info.dtype &&
      here.shape == info.shape) {
    // Its graph belongs to steps that are taken back.
    restore->fresh = allocate(here, tensor_.device());
  }
  return owner;
}

HOLDFAST_INLINE std::unique_ptr<Part> make_tensor_part(at::Tensor& tensor) {
  return std::unique_ptr<Part>(new TensorPart(tensor));
}

} // namespace holdfast::detail

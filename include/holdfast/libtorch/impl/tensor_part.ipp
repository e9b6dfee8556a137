#pragma once

#include <holdfast/libtorch/impl/tensor.ipp>
#include <holdfast/state/checks.hpp>

#include <ATen/ops/empty.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

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
      state.tensors.push_back(
          {describe(tensor_, "tensor"), source_of(tensor_)});
    }
    return state;
  }

  void drop_loop_state(Values& saved) const override {
    if (tensor_.defined()) {
      saved["requires_grad"] = tensor_.requires_grad();
    }
  }
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override;

 private:
  at::Tensor& tensor_;
};

class TensorRestore final : public Restore {
 public:
  TensorRestore(
      at::Tensor& live,
      at::Tensor fresh,
      bool defined,
      bool requires_grad,
      DType saved)
      : live_(live),
        fresh_(std::move(fresh)),
        defined_(defined),
        requires_grad_(requires_grad),
        saved_(saved) {}

  [[nodiscard]] std::byte* buffer(std::size_t) noexcept override {
    return row_major_memory(fresh_);
  }
  void apply(const std::vector<const std::byte*>& bytes) override {
    if (!defined_) {
      live_.reset();
    } else if (fresh_.defined()) {
      if (row_major_memory(fresh_) != bytes[0] || fresh_.numel() == 0) {
        overwrite(fresh_, bytes[0]);
      }
      fresh_.set_requires_grad(requires_grad_);
      live_ = fresh_;
    } else {
      overwrite(live_, bytes[0], saved_);
      if (live_.is_leaf() && live_.requires_grad() != requires_grad_) {
        live_.set_requires_grad(requires_grad_);
      }
    }
  }

 private:
  at::Tensor& live_;
  at::Tensor fresh_;
  bool defined_;
  bool requires_grad_;
  DType saved_;
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
  at::Tensor fresh;
  bool requires_grad = false;
  if (defined) {
    requires_grad = at(saved.values, "requires_grad").as<bool>("requires_grad");
    if (tensor_.defined()) {
      if (!compare_tensor(tensor_, saved.tensors[0], "tensor", mismatches)) {
        return std::unique_ptr<Restore>(new NoRestore());
      }
    } else {
      fresh = allocate(saved.tensors[0], device_for(saved));
    }
  }
  return std::unique_ptr<Restore>(new TensorRestore(
      tensor_,
      std::move(fresh),
      defined,
      requires_grad,
      defined ? saved.tensors[0].dtype : DType::f32));
}

HOLDFAST_INLINE std::unique_ptr<Part> make_tensor_part(at::Tensor& tensor) {
  return std::unique_ptr<Part>(new TensorPart(tensor));
}

} // namespace holdfast::detail

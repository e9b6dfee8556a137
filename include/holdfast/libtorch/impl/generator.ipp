#pragma once

#include <holdfast/libtorch/generator.hpp>

#include <holdfast/libtorch/impl/tensor.ipp>

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

/// Seed and offset in the byte form of counter-based generators: 16 bytes, or
/// behind 800 bytes without meaning (CUDA before LibTorch 2.0).
struct CounterState {
  std::uint64_t seed = 0;
  std::int64_t offset = 0;

  static constexpr std::size_t kBytes = 16;

  [[nodiscard]] static bool has_form(const at::Generator& generator) {
    const at::DeviceType type = generator.device().type();
    return type == at::kCUDA || type == at::kHIP || type == at::kXPU;
  }
  static CounterState from(const Bytes& bytes) {
    CounterState state;
    const std::byte* last = bytes.data() + (bytes.size() - kBytes);
    std::memcpy(&state.seed, last, sizeof state.seed);
    std::memcpy(&state.offset, last + sizeof state.seed, sizeof state.offset);
    return state;
  }
  void write_to(Bytes& bytes) const {
    std::byte* last = bytes.data() + (bytes.size() - kBytes);
    std::memcpy(last, &seed, sizeof seed);
    std::memcpy(last + sizeof seed, &offset, sizeof offset);
  }
};

HOLDFAST_INLINE Bytes generator_bytes(const at::Generator& generator) {
  at::Generator handle = generator;
  const std::lock_guard<std::mutex> lock(handle.mutex());
  const at::Tensor state = handle.get_state();
  Bytes bytes(state.nbytes());
  std::memcpy(bytes.data(), state.data_ptr(), bytes.size());
  return bytes;
}

HOLDFAST_INLINE at::Tensor byte_tensor(const Bytes& bytes) {
  at::Tensor tensor = at::empty(
      {static_cast<std::int64_t>(bytes.size())},
      at::TensorOptions().dtype(at::kByte).device(at::kCPU));
  if (!bytes.empty()) {
    std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  }
  return tensor;
}

HOLDFAST_INLINE Values capture_generator(const at::Generator& generator) {
  const Bytes bytes = generator_bytes(generator);
  Values values;
  values["device"] = c10::DeviceTypeName(generator.device().type(), true);
  if (CounterState::has_form(generator) &&
      bytes.size() >= CounterState::kBytes) {
    const CounterState state = CounterState::from(bytes);
    values["seed"] = state.seed;
    values["offset"] = state.offset;
  } else {
    values["state"] = bytes;
  }
  return values;
}

struct PreparedGenerator {
  at::Generator generator;
  at::Tensor state;
};

class GeneratorRestore final : public Restore {
 public:
  void apply(const std::vector<const std::byte*>&) override {
    for (PreparedGenerator& item : generators) {
      const std::lock_guard<std::mutex> lock(item.generator.mutex());
      item.generator.set_state(item.state);
    }
  }
  std::vector<PreparedGenerator> generators;
};

/// Adds the state for `set_state`, checked on a clone; a mismatch otherwise.
HOLDFAST_INLINE void prepare_generator(
    const at::Generator& generator,
    const Values& saved,
    const std::string& name,
    GeneratorRestore& restore,
    Mismatches& mismatches) {
  const std::string device =
      c10::DeviceTypeName(generator.device().type(), true);
  const std::string& saved_device = at(saved, "device").text("device");
  if (device != saved_device) {
    mismatches.push_back(
        {ErrorCode::type_mismatch, name, device, saved_device});
    return;
  }
  Bytes bytes = generator_bytes(generator);
  at::Tensor checked;
  if (CounterState::has_form(generator) &&
      bytes.size() >= CounterState::kBytes) {
    CounterState state;
    state.seed = at(saved, "seed").as<std::uint64_t>("seed");
    state.offset = at(saved, "offset").as<std::int64_t>("offset");
    state.write_to(bytes);
    checked = byte_tensor(bytes);
  } else {
    const Bytes& state = at(saved, "state").bytes("state");
    if (state.size() != bytes.size()) {
      mismatches.push_back(
          {ErrorCode::shape_mismatch,
           name,
           std::to_string(bytes.size()) + " bytes",
           std::to_string(state.size()) + " bytes"});
      return;
    }
    checked = byte_tensor(state);
  }
  try {
    at::Generator trial = generator.clone();
    trial.set_state(checked);
  } catch (const std::exception& error) {
    mismatches.push_back(
        {ErrorCode::type_mismatch,
         name,
         "a state that the generator accepts",
         std::string(error.what()).substr(0, 200)});
    return;
  }
  restore.generators.push_back({generator, std::move(checked)});
}

class GeneratorPart final : public Part {
 public:
  explicit GeneratorPart(at::Generator& generator) : generator_(generator) {}

  [[nodiscard]] std::string kind() const override {
    return "generator";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::random;
  }
  [[nodiscard]] State capture(const Names&) override {
    check();
    State state;
    state.values = capture_generator(generator_);
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    check();
    auto* restore = new GeneratorRestore;
    std::unique_ptr<Restore> owner(restore);
    prepare_generator(generator_, saved.values, "state", *restore, mismatches);
    return owner;
  }

 private:
  void check() const {
    if (!generator_.defined()) {
      throw_not_capturable({}, "the generator is undefined");
    }
  }
  at::Generator& generator_;
};

/// Types of accelerators whose generators LibTorch can have.
inline constexpr at::DeviceType kAcceleratorTypes[] = {
    at::kCUDA,
    at::kHIP,
    at::kXPU,
    at::kMPS};

HOLDFAST_INLINE int device_count(at::DeviceType type) {
  if (!c10::impl::hasDeviceGuardImpl(type)) {
    return 0;
  }
  try {
    return c10::impl::getDeviceGuardImpl(type)->deviceCount();
  } catch (const std::exception&) {
    return 0; // The backend is there, its driver is not.
  }
}

/// True if this process has used the device: it has a context there.
HOLDFAST_INLINE bool has_context(at::Device device) {
  if (device.type() != at::kCUDA) {
    return true; // No context that would cost something.
  }
  try {
    return at::detail::getCUDAHooks().hasPrimaryContext(device.index());
  } catch (const std::exception&) {
    return false;
  }
}

HOLDFAST_INLINE at::Generator default_generator(at::Device device) {
  return at::globalContext().defaultGenerator(device);
}

class DefaultGeneratorsPart final : public Part {
 public:
  [[nodiscard]] std::string kind() const override {
    return "generators";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::random;
  }

  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.values["cpu"] =
        capture_generator(default_generator(at::Device(at::kCPU)));
    for (const at::DeviceType type : kAcceleratorTypes) {
      const int count = device_count(type);
      for (int i = 0; i < count; ++i) {
        const at::Device device(type, static_cast<c10::DeviceIndex>(i));
        if (!has_context(device)) {
          continue;
        }
        try {
          state.values[device.str()] =
              capture_generator(default_generator(device));
        } catch (const c10::Error&) {
          // A device without generators draws no random numbers.
        }
      }
    }
    return state;
  }

  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    auto* restore = new GeneratorRestore;
    std::unique_ptr<Restore> owner(restore);
    (void)at(saved.values, "cpu");
    for (const auto& item : saved.values) {
      const std::string& name = item.first;
      at::Generator generator;
      try {
        const at::Device device(name);
        if (device.is_cpu() || device.index() < device_count(device.type())) {
          generator = default_generator(device);
        }
      } catch (const std::exception&) {
        // Reported below.
      }
      if (!generator.defined()) {
        mismatches.push_back(
            {ErrorCode::name_unexpected,
             name,
             "no such device",
             "a generator"});
        continue;
      }
      prepare_generator(
          generator, item.second.object(name), name, *restore, mismatches);
    }
    return owner;
  }
};

HOLDFAST_INLINE std::unique_ptr<Part> make_generator_part(
    at::Generator& generator) {
  return std::unique_ptr<Part>(new GeneratorPart(generator));
}

} // namespace holdfast::detail

namespace holdfast {

HOLDFAST_INLINE std::unique_ptr<Part> make_default_generators() {
  return std::unique_ptr<Part>(new detail::DefaultGeneratorsPart);
}

} // namespace holdfast

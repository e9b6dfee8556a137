#pragma once

#include <holdfast/libtorch/tensor.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <array>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>

namespace holdfast {
namespace detail {

/// LibTorch's names of the dtypes: types that a version lacks have no number
/// there, but the names never change.
struct DTypeName {
  DType dtype;
  const char* name;
};

HOLDFAST_INLINE const std::array<DTypeName, 21>& dtype_names() {
  static const std::array<DTypeName, 21> names{{
      {DType::boolean, "Bool"},
      {DType::u8, "Byte"},
      {DType::i8, "Char"},
      {DType::i16, "Short"},
      {DType::i32, "Int"},
      {DType::i64, "Long"},
      {DType::u16, "UInt16"},
      {DType::u32, "UInt32"},
      {DType::u64, "UInt64"},
      {DType::f16, "Half"},
      {DType::bf16, "BFloat16"},
      {DType::f32, "Float"},
      {DType::f64, "Double"},
      {DType::c32, "ComplexHalf"},
      {DType::c64, "ComplexFloat"},
      {DType::c128, "ComplexDouble"},
      {DType::f8_e5m2, "Float8_e5m2"},
      {DType::f8_e4m3, "Float8_e4m3fn"},
      {DType::f8_e5m2fnuz, "Float8_e5m2fnuz"},
      {DType::f8_e4m3fnuz, "Float8_e4m3fnuz"},
      {DType::f8_e8m0, "Float8_e8m0fnu"},
  }};
  return names;
}

struct DTypeTable {
  static constexpr std::size_t kTypes =
      static_cast<std::size_t>(at::ScalarType::NumOptions);
  std::array<std::optional<DType>, kTypes> dtypes{};

  DTypeTable() {
    for (std::size_t i = 0; i < kTypes; ++i) {
      const auto type = static_cast<at::ScalarType>(i);
      for (const DTypeName& entry : dtype_names()) {
        if (std::strcmp(c10::toString(type), entry.name) == 0) {
          dtypes[i] = entry.dtype;
        }
      }
    }
  }
};

HOLDFAST_INLINE const DTypeTable& scalar_type_table() {
  static const DTypeTable table;
  return table;
}

[[noreturn]] HOLDFAST_INLINE void throw_not_capturable(
    std::string name,
    std::string message,
    ErrorCode code = ErrorCode::not_capturable) {
  ErrorDetails details;
  details.name = std::move(name);
  details.message = std::move(message);
  throw Error(code, std::move(details));
}

HOLDFAST_INLINE bool is_plain_host_memory(const at::Tensor& tensor) {
  return tensor.device().is_cpu() && tensor.is_contiguous() &&
      !tensor.is_conj() && !tensor.is_neg();
}

HOLDFAST_INLINE std::vector<std::int64_t> sizes_of(const at::Tensor& tensor) {
  return tensor.sizes().vec();
}

/// A row-major host tensor over foreign memory.
HOLDFAST_INLINE at::Tensor wrap(
    const std::byte* memory,
    at::IntArrayRef sizes,
    at::ScalarType type) {
  // from_blob has no const form; whoever wraps a source only reads it.
  return at::from_blob(
      const_cast<std::byte*>(memory),
      sizes,
      at::TensorOptions().dtype(type).device(at::kCPU));
}

HOLDFAST_INLINE bool is_aligned(
    const std::byte* memory,
    const at::Tensor& tensor) {
  const auto size = static_cast<std::uintptr_t>(tensor.element_size());
  return reinterpret_cast<std::uintptr_t>(memory) % size == 0;
}

class HostSource final : public TensorSource {
 public:
  explicit HostSource(at::Tensor tensor) : tensor_(std::move(tensor)) {}

  [[nodiscard]] const std::byte* data() const noexcept override {
    return static_cast<const std::byte*>(tensor_.data_ptr());
  }
  void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
      const override {
    if (count != 0) {
      std::memcpy(into, data() + offset, count);
    }
  }

 private:
  at::Tensor tensor_;
};

class CopiedSource final : public TensorSource {
 public:
  explicit CopiedSource(at::Tensor tensor)
      : tensor_(std::move(tensor)), bytes_(tensor_.nbytes()) {}

  [[nodiscard]] const std::byte* data() const noexcept override {
    return nullptr;
  }

  void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
      const override {
    if (count == 0) {
      return;
    }
    const c10::NoGradGuard no_grad;
    if (offset == 0 && count == bytes_ && is_aligned(into, tensor_)) {
      at::Tensor whole = wrap(into, tensor_.sizes(), tensor_.scalar_type());
      whole.copy_(tensor_);
      return;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!copy_.defined()) {
      at::Tensor copy = at::empty(
          tensor_.sizes(),
          at::TensorOptions().dtype(tensor_.scalar_type()).device(at::kCPU));
      copy.copy_(tensor_);
      copy_ = std::move(copy);
    }
    std::memcpy(
        into, static_cast<const std::byte*>(copy_.data_ptr()) + offset, count);
    if (offset + count == bytes_) {
      copy_.reset();
    }
  }

 private:
  at::Tensor tensor_;
  std::uint64_t bytes_;
  mutable std::mutex mutex_;
  mutable at::Tensor copy_;
};

HOLDFAST_INLINE std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

HOLDFAST_INLINE std::string tensor_text(const TensorInfo& info) {
  return std::string(holdfast::info(info.dtype).name) + " " +
      shape_text(info.shape);
}

/// Dimensions in which all elements share memory.
HOLDFAST_INLINE bool is_expanded_in(const at::Tensor& tensor, std::int64_t d) {
  return tensor.stride(d) == 0 && tensor.size(d) > 1;
}

HOLDFAST_INLINE void compare_tensor(
    const at::Tensor& live,
    const TensorInfo& saved,
    const std::string& name,
    Mismatches& mismatches) {
  const TensorInfo here = describe(live, name);
  if (here.dtype != saved.dtype) {
    mismatches.push_back(
        {ErrorCode::dtype_mismatch,
         name,
         std::string(info(here.dtype).name),
         std::string(info(saved.dtype).name)});
  }
  if (here.shape != saved.shape) {
    mismatches.push_back(
        {ErrorCode::shape_mismatch,
         name,
         shape_text(here.shape),
         shape_text(saved.shape)});
    return;
  }
  for (std::int64_t d = 0; d < live.dim(); ++d) {
    const auto index = static_cast<std::size_t>(d);
    if (is_expanded_in(live, d) && live.numel() != 0 &&
        (saved.strides.size() != saved.shape.size() ||
         saved.strides[index] != 0)) {
      mismatches.push_back(
          {ErrorCode::shape_mismatch,
           name,
           shape_text(here.shape) + " expanded in dimension " +
               std::to_string(d),
           shape_text(saved.shape) + " with an element for each index"});
    }
  }
}

HOLDFAST_INLINE bool same_layout(
    const at::Tensor& live,
    const TensorInfo& saved) {
  if (live.numel() <= 1) {
    return true;
  }
  const std::vector<std::int64_t> strides =
      saved.strides.empty() ? row_major_strides(saved.shape) : saved.strides;
  for (std::size_t i = 0; i < saved.shape.size(); ++i) {
    // A stride means nothing where there is only one index.
    if (saved.shape[i] != 1 &&
        live.stride(static_cast<std::int64_t>(i)) != strides[i]) {
      return false;
    }
  }
  return true;
}

HOLDFAST_INLINE std::byte* row_major_memory(const at::Tensor& tensor) noexcept {
  return tensor.defined() && is_plain_host_memory(tensor)
      ? static_cast<std::byte*>(tensor.data_ptr())
      : nullptr;
}

HOLDFAST_INLINE void overwrite_by_copy(
    const at::Tensor& live,
    const std::byte* row_major) {
  at::Tensor source = wrap(row_major, live.sizes(), live.scalar_type());
  std::vector<std::int64_t> sizes = sizes_of(live);
  bool expanded = false;
  for (std::int64_t d = 0; d < live.dim(); ++d) {
    if (is_expanded_in(live, d)) {
      sizes[static_cast<std::size_t>(d)] = 1;
      expanded = true;
    }
  }
  if (!expanded) {
    live.copy_(source);
    return;
  }
  // All indices of such a dimension hold the same bytes: one is written.
  live.as_strided(sizes, live.strides(), live.storage_offset())
      .copy_(source.as_strided(sizes, source.strides()));
}

HOLDFAST_INLINE void overwrite(
    const at::Tensor& live,
    const std::byte* row_major) {
  if (live.numel() == 0) {
    return;
  }
  const c10::NoGradGuard no_grad;
  if (std::byte* memory = row_major_memory(live)) {
    std::memcpy(memory, row_major, live.nbytes());
    if (!live.is_inference()) {
      live.unsafeGetTensorImpl()->bump_version();
    }
    return;
  }
  if (live.is_inference()) {
    const c10::InferenceMode inference_mode;
    overwrite_by_copy(live, row_major);
  } else {
    overwrite_by_copy(live, row_major);
  }
}

HOLDFAST_INLINE at::Tensor allocate(
    const TensorInfo& saved,
    at::Device device) {
  const std::optional<at::ScalarType> type = scalar_type_of(saved.dtype);
  if (!type) {
    throw_not_capturable(
        saved.name,
        "this LibTorch has no dtype " + std::string(info(saved.dtype).name),
        ErrorCode::unsupported_dtype);
  }
  const auto options = at::TensorOptions().dtype(*type).device(device);
  // A dimension of stride 0 is written out: its elements become independent.
  bool dense = saved.strides.size() == saved.shape.size();
  for (std::size_t i = 0; dense && i < saved.shape.size(); ++i) {
    dense = saved.strides[i] > 0 || saved.shape[i] <= 1;
  }
  if (dense) {
    at::Tensor tensor = at::empty_strided(saved.shape, saved.strides, options);
    if (tensor.is_non_overlapping_and_dense()) {
      return tensor;
    }
  }
  return at::empty(saved.shape, options);
}

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

  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override;

 private:
  at::Tensor& tensor_;
};

class TensorRestore final : public Restore {
 public:
  TensorRestore(at::Tensor& live, at::Tensor fresh, bool defined)
      : live_(live), fresh_(std::move(fresh)), defined_(defined) {}

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
      fresh_.set_requires_grad(requires_grad);
      live_ = fresh_;
    } else {
      overwrite(live_, bytes[0]);
      if (live_.is_leaf() && live_.requires_grad() != requires_grad) {
        live_.set_requires_grad(requires_grad);
      }
    }
  }

  bool requires_grad = false;

 private:
  at::Tensor& live_;
  at::Tensor fresh_;
  bool defined_;
};

/// The device of that name; the host where this machine has none.
HOLDFAST_INLINE at::Device device_or_host(const std::string& name) {
  try {
    const at::Device device(name);
    (void)at::empty({0}, at::TensorOptions().device(device));
    return device;
  } catch (const std::exception&) {
    return at::Device(at::kCPU);
  }
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
    requires_grad =
        at(saved.values, "requires_grad").as<bool>("requires_grad");
    if (tensor_.defined()) {
      compare_tensor(tensor_, saved.tensors[0], "tensor", mismatches);
    } else {
      const Value& device = at(saved.values, "device");
      fresh = allocate(saved.tensors[0], device_or_host(device.text("device")));
    }
  }
  auto restore =
      std::make_unique<TensorRestore>(tensor_, std::move(fresh), defined);
  restore->requires_grad = requires_grad;
  return restore;
}

HOLDFAST_INLINE std::unique_ptr<Part> make_tensor_part(at::Tensor& tensor) {
  return std::make_unique<TensorPart>(tensor);
}

} // namespace detail

HOLDFAST_INLINE std::optional<DType> dtype_of(at::ScalarType type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  const detail::DTypeTable& table = detail::scalar_type_table();
  return index < table.dtypes.size() ? table.dtypes[index] : std::nullopt;
}

HOLDFAST_INLINE std::optional<at::ScalarType> scalar_type_of(
    DType dtype) noexcept {
  const detail::DTypeTable& table = detail::scalar_type_table();
  for (std::size_t i = 0; i < table.dtypes.size(); ++i) {
    if (table.dtypes[i] == dtype) {
      return static_cast<at::ScalarType>(i);
    }
  }
  return std::nullopt;
}

HOLDFAST_INLINE TensorInfo describe(
    const at::Tensor& tensor,
    std::string name) {
  if (!tensor.defined()) {
    detail::throw_not_capturable(std::move(name), "the tensor is undefined");
  }
  if (tensor.is_nested() || tensor.layout() != at::kStrided) {
    detail::throw_not_capturable(
        std::move(name), "only dense tensors can be saved, not sparse or nested");
  }
  if (tensor.is_meta() || !tensor.has_storage()) {
    detail::throw_not_capturable(
        std::move(name), "the tensor has no memory (meta device)");
  }
  const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
  if (!dtype || tensor.is_quantized()) {
    detail::throw_not_capturable(
        std::move(name),
        std::string("tensors of dtype ") +
            c10::toString(tensor.scalar_type()) + " cannot be saved",
        ErrorCode::unsupported_dtype);
  }
  TensorInfo info;
  info.name = std::move(name);
  info.dtype = *dtype;
  info.shape = detail::sizes_of(tensor);
  if (!tensor.is_contiguous()) {
    info.strides = tensor.strides().vec();
  }
  return info;
}

HOLDFAST_INLINE std::shared_ptr<const TensorSource> source_of(
    at::Tensor tensor) {
  if (detail::is_plain_host_memory(tensor)) {
    return std::make_shared<detail::HostSource>(std::move(tensor));
  }
  return std::make_shared<detail::CopiedSource>(std::move(tensor));
}

} // namespace holdfast

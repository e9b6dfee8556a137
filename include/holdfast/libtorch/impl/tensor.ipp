#pragma once

#include <holdfast/libtorch/tensor.hpp>

#include <holdfast/libtorch/impl/tensor_dtypes.ipp>
#include <holdfast/libtorch/impl/tensor_sources.ipp>
#include <holdfast/state/checks.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
namespace detail {

/// Dimensions in which all elements share memory.
HOLDFAST_INLINE bool is_expanded_in(const at::Tensor& tensor, std::int64_t d) {
  return tensor.stride(d) == 0 && tensor.size(d) > 1;
}

HOLDFAST_INLINE bool compare_tensor(
    const at::Tensor& live,
    const TensorInfo& saved,
    const std::string& name,
    Mismatches& mismatches) {
  const TensorInfo here = describe(live, name);
  if (here.shape != saved.shape &&
      mismatches.allow(
          {ErrorCode::shape_mismatch,
           name,
           shape_text(here.shape),
           shape_text(saved.shape)})) {
    return false;
  }
  if (here.dtype != saved.dtype) {
    Mismatch mismatch{
        ErrorCode::dtype_mismatch,
        name,
        std::string(info(here.dtype).name),
        std::string(info(saved.dtype).name)};
    if (scalar_type_of(saved.dtype)) {
      static_cast<void>(mismatches.allow(std::move(mismatch)));
    } else {
      mismatches.push_back(std::move(mismatch)); // nothing can read it here
    }
  }
  if (here.shape != saved.shape) {
    return true; // refused
  }
  for (std::int64_t d = 0; d < live.dim(); ++d) {
    const auto index = static_cast<std::size_t>(d);
    if (is_expanded_in(live, d) && live.numel() != 0 &&
        (saved.strides.size() != saved.shape.size() ||
         saved.strides[index] != 0) &&
        mismatches.allow(
            {ErrorCode::shape_mismatch,
             name,
             shape_text(here.shape) + " expanded in dimension " +
                 std::to_string(d),
             shape_text(saved.shape) + " with an element for each index"})) {
      return false;
    }
  }
  return true;
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
    const std::byte* row_major,
    at::ScalarType type) {
  at::Tensor source = wrap(row_major, live.sizes(), type);
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
    const std::byte* row_major,
    DType saved) {
  if (live.numel() == 0) {
    return;
  }
  const c10::NoGradGuard no_grad;
  const at::ScalarType type =
      scalar_type_of(saved).value_or(live.scalar_type());
  std::byte* memory = row_major_memory(live);
  if (memory != nullptr && type == live.scalar_type()) {
    std::memcpy(memory, row_major, live.nbytes());
    if (!live.is_inference()) {
      live.unsafeGetTensorImpl()->bump_version();
    }
    return;
  }
  if (live.is_inference()) {
    const c10::InferenceMode inference_mode;
    overwrite_by_copy(live, row_major, type);
  } else {
    overwrite_by_copy(live, row_major, type);
  }
}

HOLDFAST_INLINE void overwrite(
    const at::Tensor& live,
    const std::byte* row_major) {
  overwrite(live, row_major, *dtype_of(live.scalar_type()));
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

HOLDFAST_INLINE TensorInfo
describe(const at::Tensor& tensor, std::string name) {
  if (!tensor.defined()) {
    detail::throw_not_capturable(std::move(name), "the tensor is undefined");
  }
  if (tensor.is_nested() || tensor.layout() != at::kStrided) {
    detail::throw_not_capturable(
        std::move(name),
        "only dense tensors can be saved, not sparse or nested");
  }
  if (tensor.is_meta() || !tensor.has_storage()) {
    detail::throw_not_capturable(
        std::move(name), "the tensor has no memory (meta device)");
  }
  const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
  if (!dtype || tensor.is_quantized()) {
    detail::throw_not_capturable(
        std::move(name),
        std::string("tensors of dtype ") + c10::toString(tensor.scalar_type()) +
            " cannot be saved",
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
  const TensorSource* source = nullptr;
  if (detail::is_plain_host_memory(tensor)) {
    source = new detail::HostSource(std::move(tensor));
  } else {
    source = new detail::CopiedSource(std::move(tensor));
  }
  return std::shared_ptr<const TensorSource>(source);
}

} // namespace holdfast

#include <holdfast/libtorch/impl/tensor_part.ipp>

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/state/part.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

/// The bytes of tensors, and what the rest of this layer asks of one.
namespace holdfast::detail {

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
  [[nodiscard]] Memory memory() const noexcept override {
    if (!tensor_.has_storage() || tensor_.is_conj() || tensor_.is_neg() ||
        !tensor_.is_non_overlapping_and_dense()) {
      return {};
    }
    return {
        static_cast<const std::byte*>(tensor_.data_ptr()),
        tensor_.is_contiguous()};
  }

 private:
  at::Tensor tensor_;
  std::uint64_t bytes_;
  mutable std::mutex mutex_;
  mutable at::Tensor copy_;
};

} // namespace holdfast::detail

#pragma once

#include <holdfast/state/part.hpp>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

/// Tensors of LibTorch as the engine sees them: described, read row-major, and
/// written in place.
namespace holdfast {

/// Nothing for quantized, bit and sub-byte types.
[[nodiscard]] std::optional<DType> dtype_of(at::ScalarType type) noexcept;
/// Nothing for types that this LibTorch does not have.
[[nodiscard]] std::optional<at::ScalarType> scalar_type_of(
    DType dtype) noexcept;

/// The description of a tensor, with strides unless it is row-major.
/// `unsupported_dtype` for quantized and bit types, `not_capturable` for
/// sparse, nested, meta and undefined ones; both name it.
[[nodiscard]] TensorInfo describe(const at::Tensor& tensor, std::string name);

/// The bytes of a tensor that `describe` accepts. Host memory itself where it
/// is row-major; else copied out, which waits for the device. A whole tensor is
/// copied without a temporary on the host; pieces keep one row-major copy of it
/// until the last byte has been copied out.
[[nodiscard]] std::shared_ptr<const TensorSource> source_of(at::Tensor tensor);

namespace detail {

/// Appends shape and dtype mismatches, and expanded targets that would lose
/// bytes. False where the tensor stays as it is: its shape is allowed to
/// differ. Otherwise it is for `overwrite`, which converts an allowed dtype.
bool compare_tensor(
    const at::Tensor& live,
    const TensorInfo& saved,
    const std::string& name,
    Mismatches& mismatches);

/// True if elements lie in memory as they did when `saved` was captured.
[[nodiscard]] bool same_layout(const at::Tensor& live, const TensorInfo& saved);

/// Overwrites the elements of a tensor that `compare_tensor` accepted: the
/// tensor, its storage, strides and flags stay, so views, ties, aliases and raw
/// pointers see the new values.
void overwrite(const at::Tensor& live, const std::byte* row_major);
/// The same from elements of another dtype.
void overwrite(const at::Tensor& live, const std::byte* row_major, DType saved);

/// A new tensor with the saved shape, dtype and strides; its elements are not
/// set. `unsupported_dtype` for a dtype that this LibTorch lacks.
[[nodiscard]] at::Tensor allocate(const TensorInfo& saved, at::Device device);

/// Memory of `tensor` that the engine may fill: null unless host and row-major.
[[nodiscard]] std::byte* row_major_memory(const at::Tensor& tensor) noexcept;

/// `invalid_argument` for a name that is no device of this machine; not for an
/// empty one.
void check_device(const std::string& name);

/// A variable: restored in place where it is defined, else by assignment.
[[nodiscard]] std::unique_ptr<Part> make_tensor_part(at::Tensor& tensor);

} // namespace detail
} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/libtorch/impl/tensor.ipp>
#endif

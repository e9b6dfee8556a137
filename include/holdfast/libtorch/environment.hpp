#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/environment.hpp>

namespace holdfast {

/// What results depend on besides the state: LibTorch's version and build, CPU
/// capability, BLAS, thread counts, determinism and precision flags, default
/// dtype, denormals, CUDA and cuDNN where there are any, and the environment
/// variables that choose kernels. A difference in an entry of severity
/// `breaks_bit_equality` changes bits of at least one operation; measured for
/// CPU threads, BLAS, capability and versions.
///
/// Reads settings only: makes no context on an accelerator, starts no threads.
/// Entries without a meaning here (no CUDA, variable not set) are left out.
/// Those of CUDA are `information` where this process has not used it.
[[nodiscard]] Environment libtorch_environment();

/// True if this process has a context on a CUDA device. Makes none.
[[nodiscard]] bool has_used_cuda();

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/libtorch/impl/environment.ipp>
#endif

#pragma once

#include <holdfast/libtorch/environment.hpp>

#include <holdfast/libtorch/impl/generator.ipp>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/DefaultDtype.h>
#include <torch/version.h>

#include <cstdlib>
#include <exception>
#include <limits>
#include <string>
#include <type_traits>

namespace holdfast::detail {

HOLDFAST_INLINE std::string flag_text(bool flag) {
  return flag ? "true" : "false";
}

/// The rest of the line of `text` in which `key` stands, up to `end`; empty
/// where it is not there.
HOLDFAST_INLINE std::string text_after(
    const std::string& text,
    const std::string& key,
    const std::string& end = "\n") {
  const std::size_t begin = text.find(key);
  if (begin == std::string::npos) {
    return {};
  }
  const std::size_t from = text.find_first_not_of(" \t:=", begin + key.size());
  if (from == std::string::npos) {
    return {};
  }
  const std::size_t to = text.find_first_of(end, from);
  return text.substr(from, to == std::string::npos ? to : to - from);
}

/// True if the processor replaces subnormal results of this thread by zero.
HOLDFAST_INLINE bool flushes_denormals() {
  volatile float smallest = std::numeric_limits<float>::min();
  volatile float half = smallest * 0.5f;
  return half == 0.0f;
}

// Flags that not every LibTorch has.
template <class Context>
auto record_deterministic_mkldnn(
    Environment& environment,
    const Context& context,
    int) -> decltype(context.deterministicMkldnn(), void()) {
  environment.set(
      "deterministic.mkldnn",
      flag_text(context.deterministicMkldnn()),
      Severity::breaks_bit_equality);
}
template <class Context>
void record_deterministic_mkldnn(Environment&, const Context&, long) {}

template <class Context>
auto record_bf16_reduction(
    Environment& environment,
    const Context& context,
    Severity severity,
    int)
    -> decltype(static_cast<int>(context.allowBF16ReductionCuBLAS()), void()) {
  environment.set(
      "precision.bf16_reduction",
      std::to_string(static_cast<int>(context.allowBF16ReductionCuBLAS())),
      severity);
}
template <class Context>
void record_bf16_reduction(Environment&, const Context&, Severity, long) {}

template <class Context>
auto record_fp16_accumulation(
    Environment& environment,
    const Context& context,
    Severity severity,
    int) -> decltype(context.allowFP16AccumulationCuBLAS(), void()) {
  environment.set(
      "precision.fp16_accumulation",
      flag_text(context.allowFP16AccumulationCuBLAS()),
      severity);
}
template <class Context>
void record_fp16_accumulation(Environment&, const Context&, Severity, long) {}

HOLDFAST_INLINE void record_build(Environment& environment) {
  const auto severity = Severity::breaks_bit_equality;
  environment.set("libtorch.version", TORCH_VERSION, severity);
  const std::string config = at::show_config();
  environment.set_known(
      "libtorch.cpu_capability",
      text_after(config, "CPU capability usage"),
      severity);
  environment.set_known(
      "libtorch.blas", text_after(config, "BLAS_INFO", ",\n"), severity);
  environment.set_known(
      "libtorch.lapack", text_after(config, "LAPACK_INFO", ",\n"), severity);
  environment.set_known(
      "libtorch.compiler",
      text_after(config, "CXX_COMPILER", ",\n"),
      Severity::information);
  environment.set("libtorch.mkl", at::get_mkl_version(), severity);
  environment.set("libtorch.mkldnn", at::get_mkldnn_version(), severity);
  environment.set(
      "libtorch.openmp", at::get_openmp_version(), Severity::information);
}

HOLDFAST_INLINE void record_threads(Environment& environment) {
  const auto severity = Severity::breaks_bit_equality;
  environment.set(
      "threads.intra_op", std::to_string(at::get_num_threads()), severity);
  environment.set(
      "threads.inter_op",
      std::to_string(at::get_num_interop_threads()),
      Severity::may_change_speed);
  const std::string info = at::get_parallel_info();
  environment.set_known(
      "threads.mkl", text_after(info, "mkl_get_max_threads()"), severity);
  environment.set_known(
      "threads.backend", text_after(info, "ATen parallel backend"), severity);
}

HOLDFAST_INLINE void record_flags(Environment& environment) {
  const auto severity = Severity::breaks_bit_equality;
  const at::Context& context = at::globalContext();
  environment.set(
      "default_dtype",
      c10::toString(c10::get_default_dtype_as_scalartype()),
      severity);
  environment.set("flush_denormal", flag_text(flushes_denormals()), severity);
  environment.set(
      "deterministic.algorithms",
      flag_text(context.deterministicAlgorithms()),
      severity);
  environment.set(
      "deterministic.warn_only",
      flag_text(context.deterministicAlgorithmsWarnOnly()),
      Severity::information);
  environment.set(
      "mkldnn.enabled", flag_text(context.userEnabledMkldnn()), severity);
  record_deterministic_mkldnn(environment, context, 0);
}

HOLDFAST_INLINE void record_cuda(Environment& environment) {
  const auto severity =
      has_used_cuda() ? Severity::breaks_bit_equality : Severity::information;
  const at::Context& context = at::globalContext();
  if (!at::hasCUDA()) {
    return;
  }
  const auto& hooks = at::detail::getCUDAHooks();
  try {
    environment.set(
        "cuda.version", std::to_string(hooks.versionCUDART()), severity);
    environment.set(
        "cuda.devices",
        std::to_string(hooks.getNumGPUs()),
        Severity::information);
    if (hooks.hasCuDNN()) {
      environment.set(
          "cudnn.version", std::to_string(hooks.versionCuDNN()), severity);
    }
  } catch (const std::exception&) {
    // Without a driver the hooks throw; flags are still worth recording.
  }
  environment.set(
      "cudnn.enabled", flag_text(context.userEnabledCuDNN()), severity);
  environment.set(
      "cudnn.deterministic", flag_text(context.deterministicCuDNN()), severity);
  environment.set(
      "cudnn.benchmark", flag_text(context.benchmarkCuDNN()), severity);
  try {
    environment.set(
        "precision.tf32_cudnn", flag_text(context.allowTF32CuDNN()), severity);
    environment.set(
        "precision.tf32_cublas",
        flag_text(context.allowTF32CuBLAS()),
        severity);
  } catch (const std::exception&) {
    // Newer versions refuse the old question when precisions were set one by
    // one.
  }
  environment.set(
      "precision.fp16_reduction",
      std::to_string(static_cast<int>(context.allowFP16ReductionCuBLAS())),
      severity);
  record_bf16_reduction(environment, context, severity, 0);
  record_fp16_accumulation(environment, context, severity, 0);
  environment.set(
      "attention.flash", flag_text(context.userEnabledFlashSDP()), severity);
  environment.set(
      "attention.math", flag_text(context.userEnabledMathSDP()), severity);
}

HOLDFAST_INLINE void record_variables(Environment& environment) {
  for (const char* name :
       {"OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "OPENBLAS_CORETYPE",
        "ATEN_CPU_CAPABILITY",
        "ONEDNN_MAX_CPU_ISA",
        "DNNL_MAX_CPU_ISA",
        "MKL_CBWR",
        "MKL_ENABLE_INSTRUCTIONS",
        "CUBLAS_WORKSPACE_CONFIG",
        "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "NCCL_ALGO",
        "NCCL_PROTO"}) {
    if (const char* value = std::getenv(name)) {
      environment.set(
          std::string("variable.") + name,
          value,
          Severity::breaks_bit_equality);
    }
  }
}

} // namespace holdfast::detail

namespace holdfast {

HOLDFAST_INLINE bool has_used_cuda() {
  const int count = detail::device_count(at::kCUDA);
  for (int i = 0; i < count; ++i) {
    if (detail::has_context(
            at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(i)))) {
      return true;
    }
  }
  return false;
}

HOLDFAST_INLINE Environment libtorch_environment() {
  Environment environment;
  detail::record_build(environment);
  detail::record_threads(environment);
  detail::record_flags(environment);
  detail::record_cuda(environment);
  detail::record_variables(environment);
  return environment;
}

} // namespace holdfast

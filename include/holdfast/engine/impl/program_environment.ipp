#pragma once

#include <holdfast/engine/program_environment.hpp>

#include <holdfast/base/version.hpp>

#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::string compiler_text() {
#if defined(__clang__)
  std::string text = "clang " __clang_version__;
#elif defined(__GNUC__)
  std::string text = "gcc " __VERSION__;
#else
  std::string text = "unknown";
#endif
  while (!text.empty() && text.back() == ' ') {
    text.pop_back();
  }
  return text;
}

/// Records the first of `variables` that is set.
HOLDFAST_INLINE void record_variable(
    Environment& environment,
    const char* name,
    std::initializer_list<const char*> variables) {
  for (const char* const variable : variables) {
    if (const char* const value = std::getenv(variable)) {
      environment.set(name, value, Severity::breaks_bit_equality);
      return;
    }
  }
}

} // namespace detail

HOLDFAST_INLINE Environment program_environment(const Machine& machine) {
  Environment environment;
  environment.set(
      "holdfast.version", HOLDFAST_VERSION_STRING, Severity::information);
  environment.set(
      "program.compiler", detail::compiler_text(), Severity::information);
  // OpenBLAS and oneDNN choose their kernels by it.
  environment.set_known(
      "machine.processor", machine.processor, Severity::breaks_bit_equality);
  environment.set_known(
      "machine.system", machine.system, Severity::information);
  environment.set_known(
      "gpu.driver", machine.gpu_driver, Severity::may_change_speed);
  std::string gpus;
  for (const std::string& gpu : machine.gpus) {
    gpus += (gpus.empty() ? "" : ", ") + gpu;
  }
  environment.set_known("gpu.models", gpus, Severity::breaks_bit_equality);
  // Slurm tells these to every step of a job; PROCID only where srun started
  // the program.
  const bool by_srun = std::getenv("SLURM_PROCID") != nullptr;
  detail::record_variable(
      environment,
      "world_size",
      {"WORLD_SIZE",
       "OMPI_COMM_WORLD_SIZE",
       "PMI_SIZE",
       by_srun ? "SLURM_NTASKS" : "WORLD_SIZE"});
  detail::record_variable(
      environment,
      "rank",
      {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"});
  return environment;
}

HOLDFAST_INLINE Environment program_environment() {
  static const Machine machine = this_machine();
  Environment environment = program_environment(machine);
  if (const std::optional<int> threads = openblas_threads()) {
    environment.set(
        "threads.openblas",
        std::to_string(*threads),
        Severity::breaks_bit_equality);
  }
  return environment;
}

} // namespace holdfast

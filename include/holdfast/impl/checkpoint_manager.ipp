#pragma once

#include <holdfast/checkpoint_manager.hpp>

#include <holdfast/engine/program_environment.hpp>

#include <utility>

namespace holdfast::detail {

HOLDFAST_INLINE Environment joined_environment(
    Environment libtorch,
    const Environment& program,
    bool uses_cuda) {
  const auto gpus = program.entries.find("gpu.models");
  if (!uses_cuda && gpus != program.entries.end()) {
    libtorch.set("gpu.models", gpus->second.value, Severity::information);
  }
  return libtorch;
}

HOLDFAST_INLINE Environment run_environment() {
  return joined_environment(
      libtorch_environment(), program_environment(), has_used_cuda());
}

} // namespace holdfast::detail

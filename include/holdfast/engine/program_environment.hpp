#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/environment.hpp>
#include <holdfast/io/machine.hpp>

namespace holdfast {

/// What every program's record of its environment begins with: Holdfast's
/// version, the compiler, the machine, and rank and world size where torchrun,
/// MPI or Slurm tell them.
[[nodiscard]] Environment program_environment(const Machine& machine);

/// Of this machine, which is asked only once.
[[nodiscard]] Environment program_environment();

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/program_environment.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>

#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// What results may depend on besides a program. Empty where the system does
/// not tell.
struct Machine {
  std::string processor; ///< Its model, "AMD EPYC 7763 64-Core Processor".
  std::string system; ///< "Linux 6.1.0-18-amd64".
  std::string gpu_driver; ///< The version of NVIDIA's kernel module.
  std::vector<std::string> gpus; ///< NVIDIA's models, in the driver's order.
};

/// Reads a few small files of the system. `root` stands before their paths: for
/// tests.
[[nodiscard]] Machine this_machine(const std::string& root = {});

/// Threads of the OpenBLAS that this process has loaded; nothing where it has
/// none. They are its own affair: `at::set_num_threads` does not set them.
[[nodiscard]] std::optional<int> openblas_threads() noexcept;

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/machine.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>

#include <cstdint>

namespace holdfast {

/// A number that is different in a forked child and the same otherwise: what
/// belongs to one process keeps it, and asks again before it does something.
/// Costs an atomic load, no system call. Any thread.
[[nodiscard]] std::uint64_t fork_generation() noexcept;

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/base/impl/posix_fork.ipp>
#endif

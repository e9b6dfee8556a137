#pragma once

#include <holdfast/base/posix_fork.hpp>

#include <atomic>

#include <pthread.h>
#include <unistd.h>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::atomic<std::uint64_t>& fork_counter() noexcept {
  static std::atomic<std::uint64_t> counter{1};
  return counter;
}

HOLDFAST_INLINE void count_fork() noexcept {
  fork_counter().fetch_add(1, std::memory_order_relaxed);
}

} // namespace detail

HOLDFAST_INLINE std::uint64_t fork_generation() noexcept {
  static const bool registered =
      ::pthread_atfork(nullptr, nullptr, &detail::count_fork) == 0;
  return registered ? detail::fork_counter().load(std::memory_order_relaxed)
                    : static_cast<std::uint64_t>(::getpid());
}

} // namespace holdfast

#pragma once

#include <holdfast/io/signal_watch.hpp>

#include <holdfast/base/error.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <utility>

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::int64_t monotonic_nanoseconds() noexcept {
  struct ::timespec now = {};
  static_cast<void>(::clock_gettime(CLOCK_MONOTONIC, &now));
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// What the handler uses: nothing that it might find half written, and never
/// freed, because a handler may still be at work in another thread.
struct SignalRecord {
  static_assert(std::atomic<int>::is_always_lock_free);
  static_assert(std::atomic<std::int64_t>::is_always_lock_free);

  std::atomic<::pid_t> owner{0}; ///< 0: nobody watches.
  std::atomic<std::int64_t> first_at{0}; ///< 0: none has come.
  std::atomic<int> first{0};
  ::sem_t came = {};
  std::array<struct ::sigaction, NSIG> former = {}; ///< By number.
};

inline SignalRecord signal_record;

HOLDFAST_INLINE void put_back_handler(int signal) noexcept {
  static_cast<void>(::sigaction(
      signal,
      &signal_record.former[static_cast<std::size_t>(signal)],
      nullptr));
}

HOLDFAST_INLINE void on_watched_signal(int signal) {
  const int error_before = errno;
  bool is_noted = false;
  if (signal_record.owner.load() == ::getpid()) {
    const std::int64_t now = monotonic_nanoseconds();
    std::int64_t first_at = 0;
    if (signal_record.first_at.compare_exchange_strong(first_at, now)) {
      signal_record.first.store(signal);
      static_cast<void>(::sem_post(&signal_record.came));
      is_noted = true;
    } else {
      is_noted = static_cast<double>(now - first_at) <
          SignalWatch::kSameSignalSeconds * 1e9;
    }
  }
  if (!is_noted) {
    // It is blocked until this returns, and then does what it always did.
    put_back_handler(signal);
    static_cast<void>(::raise(signal));
  }
  errno = error_before;
}

} // namespace detail

HOLDFAST_INLINE std::string signal_name(int signal) {
  const std::pair<int, const char*> names[] = {
      {SIGTERM, "SIGTERM"},
      {SIGINT, "SIGINT"},
      {SIGUSR1, "SIGUSR1"},
      {SIGUSR2, "SIGUSR2"},
      {SIGHUP, "SIGHUP"},
      {SIGQUIT, "SIGQUIT"},
      {SIGXCPU, "SIGXCPU"},
      {SIGCONT, "SIGCONT"},
      {SIGALRM, "SIGALRM"}};
  for (const auto& name : names) {
    if (name.first == signal) {
      return name.second;
    }
  }
  return "signal " + std::to_string(signal);
}

struct SignalWatch::State {
  std::vector<int> watched;

  void put_back() noexcept {
    for (const int signal : watched) {
      detail::put_back_handler(signal);
    }
    detail::signal_record.owner.store(0);
  }
};

HOLDFAST_INLINE SignalWatch::SignalWatch(const std::vector<int>& signals)
    : state_(new State) {
  State& s = *state_;
  const ::pid_t owner = detail::signal_record.owner.load();
  if (owner == ::getpid()) { // a forked child may have a watch of its own
    throw_invalid_argument(
        "signals", "are watched by another object of this process already");
  }
  detail::signal_record.first_at.store(0);
  detail::signal_record.first.store(0);
  static_cast<void>(::sem_init(&detail::signal_record.came, 0, 0));
  detail::signal_record.owner.store(::getpid());
  s.watched.reserve(signals.size());
  for (const int signal : signals) {
    if (std::count(s.watched.begin(), s.watched.end(), signal) != 0) {
      continue; // its former handler would be ours
    }
    struct ::sigaction former = {};
    if (signal <= 0 || signal >= NSIG) {
      s.put_back();
      throw_invalid_argument(
          "signals", "there is one that does not exist", signal_name(signal));
    }
    struct ::sigaction ours = {};
    ours.sa_handler = &detail::on_watched_signal;
    ours.sa_flags = SA_RESTART;
    static_cast<void>(::sigemptyset(&ours.sa_mask));
    const bool is_known = ::sigaction(signal, nullptr, &former) == 0;
    // Before ours can be called.
    detail::signal_record.former[static_cast<std::size_t>(signal)] = former;
    if (!is_known ||
        (former.sa_handler != SIG_IGN &&
         ::sigaction(signal, &ours, nullptr) != 0)) {
      s.put_back();
      throw_invalid_argument(
          "signals",
          "there is one that cannot be handled",
          signal_name(signal));
    }
    if (former.sa_handler != SIG_IGN) {
      s.watched.push_back(signal);
    }
  }
}

HOLDFAST_INLINE SignalWatch::~SignalWatch() {
  // In a forked child what is watched is the parent's.
  if (detail::signal_record.owner.load() == ::getpid()) {
    state_->put_back();
  }
}

HOLDFAST_INLINE int SignalWatch::received() const noexcept {
  return detail::signal_record.first.load();
}

HOLDFAST_INLINE double SignalWatch::seconds_ago() const noexcept {
  return static_cast<double>(
             detail::monotonic_nanoseconds() -
             detail::signal_record.first_at.load()) /
      1e9;
}

HOLDFAST_INLINE void SignalWatch::wait() noexcept {
  while (::sem_wait(&detail::signal_record.came) != 0 && errno == EINTR) {
  }
}

HOLDFAST_INLINE void SignalWatch::stop_waiting() noexcept {
  static_cast<void>(::sem_post(&detail::signal_record.came));
}

} // namespace holdfast

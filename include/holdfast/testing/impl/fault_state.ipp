#pragma once

#include <holdfast/testing/fault_file_system.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/posix_descriptor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::testing {

/// What the file system shares with its handles.
struct FaultState {
  using Kind = Fault::Kind;

  struct Planned {
    Fault fault;
    std::uint64_t seen = 0;
  };

  /// What is to be done with one operation.
  struct Ruling {
    std::optional<Kind> kind;
    int system_error = 0;
    bool applied = false;
    std::uint64_t number = 0;
    std::size_t planned = 0; ///< Which fault of the plan struck.

    [[nodiscard]] bool is(Kind other) const {
      return kind == other;
    }
  };

  explicit FaultState(std::shared_ptr<FileSystem> file_system)
      : inner(std::move(file_system)) {}

  std::shared_ptr<FileSystem> inner;
  mutable std::mutex mutex;
  std::vector<Planned> plan;
  FaultFileSystem::Hook hook;
  std::thread::id in_hook;
  bool cut = false;
  std::uint64_t operations = 0;
  std::uint64_t faults = 0;
  std::vector<std::string> log;
  std::uint64_t log_start = 0; ///< Operations that were cleared from the log.
  /// Handles that died after the power cut: their destructors must not run
  /// while somebody may still look at the disk.
  std::vector<std::shared_ptr<void>> graveyard;

  /// Counts the operation and rules on it; throws where the power is cut.
  Ruling begin(
      Operation operation,
      const std::string& path,
      const std::string& more = {}) {
    const std::string what =
        std::string(to_string(operation)) + " " + path + more;
    FaultFileSystem::Hook call;
    std::uint64_t number = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (cut) {
        throw PowerCut(path);
      }
      number = ++operations;
      log.push_back(what);
      if (hook && in_hook != std::this_thread::get_id()) {
        call = hook;
      }
    }
    if (call) {
      run_hook(call, number, what);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    if (cut) { // By the hook, or by another thread meanwhile.
      throw PowerCut(path);
    }
    return rule(operation, path, what, number);
  }

  void run_hook(
      const FaultFileSystem::Hook& call,
      std::uint64_t number,
      const std::string& what) {
    const auto set = [this](std::thread::id id) {
      const std::lock_guard<std::mutex> lock(mutex);
      const std::thread::id before = in_hook;
      in_hook = id;
      return before;
    };
    const std::thread::id before = set(std::this_thread::get_id());
    try {
      call(number, what);
    } catch (...) {
      set(before);
      throw;
    }
    set(before);
  }

  Ruling rule(
      Operation operation,
      const std::string& path,
      const std::string& what,
      std::uint64_t number) {
    Ruling ruling;
    ruling.number = number;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      Planned& planned = plan[i];
      const Fault& fault = planned.fault;
      if (!fault.operations_.contains(operation) ||
          !possible(fault.kind_, operation) ||
          what.find(fault.piece_) == std::string::npos) {
        continue;
      }
      ++planned.seen;
      const bool strikes = fault.for_ever_ ? planned.seen >= fault.at_
                                           : planned.seen == fault.at_;
      if (strikes && !ruling.kind) {
        ruling.kind = fault.kind_;
        ruling.system_error = fault.system_error_;
        ruling.applied = fault.applied_;
        ruling.planned = i;
      }
    }
    if (ruling.kind) {
      ++faults;
      note(ruling);
    }
    if (ruling.is(Kind::power_cut)) {
      cut = true;
      throw PowerCut(path);
    }
    return ruling;
  }

  /// There was nothing to strike: the fault waits for the next operation.
  void spare(const Ruling& ruling) {
    const std::lock_guard<std::mutex> lock(mutex);
    --faults;
    if (ruling.planned < plan.size()) {
      --plan[ruling.planned].seen;
    }
  }

  static bool possible(Kind kind, Operation operation) {
    switch (kind) {
      case Kind::error:
        return operation != Operation::unlock;
      case Kind::power_cut:
        return true;
      case Kind::short_write:
        return Operations::writes().contains(operation);
      case Kind::flip_bit:
        return Operations::reads().contains(operation);
      case Kind::lying_sync:
        return Operations::syncs().contains(operation);
    }
    return false;
  }

  void note(const Ruling& ruling) {
    if (ruling.number <= log_start) {
      return; // The log was cleared by the hook.
    }
    const char* const texts[] = {
        "error ", "short write ", "power cut", "flipped bit", "lying sync"};
    std::string text = texts[static_cast<int>(*ruling.kind)];
    if (ruling.system_error != 0 && !ruling.is(Kind::power_cut)) {
      text += std::to_string(ruling.system_error);
    }
    if (ruling.applied) {
      text += ", applied";
    }
    log[static_cast<std::size_t>(ruling.number - log_start - 1)] +=
        "  <- " + text;
  }

  /// Throws the error of a ruling.
  [[noreturn]] static void fail(
      const Ruling& ruling,
      Operation operation,
      const std::string& path) {
    holdfast::detail::throw_system_error(
        ruling.system_error, to_string(operation), path);
  }

  /// The usual course: fail, or do it, or do it and fail.
  template <class Action>
  auto pass(
      Operation operation,
      const std::string& path,
      const std::string& more,
      Action action) {
    const Ruling ruling = begin(operation, path, more);
    if (ruling.is(Kind::error)) {
      if (ruling.applied) {
        (void)action();
      }
      fail(ruling, operation, path);
    }
    return action();
  }

  template <class Handle>
  void bury(std::unique_ptr<Handle> handle) noexcept {
    const std::lock_guard<std::mutex> lock(mutex);
    if (cut) {
      try {
        graveyard.push_back(std::shared_ptr<Handle>(std::move(handle)));
      } catch (...) { // Out of memory: then it goes now.
      }
    }
  }
};

} // namespace holdfast::testing

#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

/// A process that this one started. What it prints goes into a file. One thread
/// at a time.
class ChildProcess {
 public:
  /// How it ended: by a signal, or else with an exit status.
  struct End {
    int signal = 0;
    int status = 0;
  };

  /// Forks. The child calls `body(context)` and ends with what it returns,
  /// without destructors and exit handlers; its standard streams lead to the
  /// file `output`. `io_error` where the system refuses.
  ///
  /// The child has only the calling thread, and locks that other threads held
  /// stay locked in it for ever: see `count_threads()`.
  [[nodiscard]] static ChildProcess fork(
      int (*body)(void* context),
      void* context,
      const std::string& output);
  /// The same with a callable, which must not throw.
  template <class Body>
  [[nodiscard]] static ChildProcess fork(
      Body& body,
      const std::string& output) {
    return fork(
        [](void* context) -> int { return (*static_cast<Body*>(context))(); },
        &body,
        output);
  }

  /// Starts this program again, with these arguments after its name and one
  /// more environment variable.
  [[nodiscard]] static ChildProcess execute_self(
      const std::vector<std::string>& arguments,
      const std::string& variable,
      const std::string& value,
      const std::string& output);

  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), end_(other.end_) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  /// Kills it if it still runs.
  ~ChildProcess();

  /// Looks whether it has ended; waits for `seconds` at most. `io_error` where
  /// it is no child of this process any more, because somebody else has waited
  /// for it: it counts as ended then, and nobody knows how.
  [[nodiscard]] bool wait(double seconds);
  /// Kills it if it still runs, and waits for its end. Leaves alone what is no
  /// child of this process any more: its number may be another's by now.
  void kill() noexcept;
  [[nodiscard]] const End& end() const noexcept {
    return end_;
  }

 private:
  explicit ChildProcess(std::int64_t pid) : pid_(pid) {}
  /// 0 while it runs, 1 when it has ended; -1 and errno where it is no child of
  /// ours. Only while it runs it is there afterwards.
  int wait_for_end(int options) noexcept;

  std::int64_t pid_ = 0; ///< 0: it is gone.
  End end_;
};

/// The threads of this process; 0 where the system does not tell.
[[nodiscard]] std::size_t count_threads();

/// The arguments of this process, without the program's name.
[[nodiscard]] std::vector<std::string> own_arguments();

/// SIGKILL, as a scheduler sends it: no destructor runs, no buffer is written.
[[noreturn]] void kill_this_process() noexcept;

/// Ends this process without destructors and exit handlers; what was printed is
/// written.
[[noreturn]] void end_this_process(int status) noexcept;

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_child.ipp>
#endif

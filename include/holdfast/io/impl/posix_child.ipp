#pragma once

#include <holdfast/io/posix_child.hpp>

#include <holdfast/io/impl/posix_process.ipp>
#include <holdfast/io/posix_descriptor.hpp>
#include <holdfast/io/process.hpp>

#include <cerrno>
#include <cstdio>
#include <limits>

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {

namespace detail {

/// In the child, between fork and exec too: only what may be called there.
HOLDFAST_INLINE bool lead_output_to(const char* path) noexcept {
  const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  const bool led = file != -1 && ::dup2(file, STDOUT_FILENO) != -1 &&
      ::dup2(file, STDERR_FILENO) != -1;
  if (file > STDERR_FILENO) {
    (void)::close(file);
  }
  return led;
}

/// What it is said to end with when it could not begin.
inline constexpr int kNotStarted = 127;

} // namespace detail

HOLDFAST_INLINE ChildProcess ChildProcess::fork(
    int (*body)(void* context),
    void* context,
    const std::string& output) {
  (void)std::fflush(nullptr); // or both would print it
  const pid_t pid = ::fork();
  if (pid == -1) {
    detail::throw_system_error(errno, "fork", "");
  }
  if (pid == 0) {
    if (!detail::lead_output_to(output.c_str())) {
      ::_exit(detail::kNotStarted);
    }
    end_this_process(body(context));
  }
  return ChildProcess(pid);
}

HOLDFAST_INLINE ChildProcess ChildProcess::execute_self(
    const std::vector<std::string>& arguments,
    const std::string& variable,
    const std::string& value,
    const std::string& output) {
  // All memory is taken before the fork: other threads may hold its lock.
  std::vector<char*> argument_list;
  std::string program = "/proc/self/exe";
  argument_list.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) {
    argument_list.push_back(argument.data());
  }
  argument_list.push_back(nullptr);
  const std::string assigned = variable + "=";
  std::string added = assigned + value;
  std::vector<char*> environment;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    if (std::string_view(*entry).substr(0, assigned.size()) != assigned) {
      environment.push_back(*entry);
    }
  }
  environment.push_back(added.data());
  environment.push_back(nullptr);
  (void)std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == -1) {
    detail::throw_system_error(errno, "fork", "");
  }
  if (pid == 0) {
    if (detail::lead_output_to(output.c_str())) {
      (void)::execve(program.c_str(), argument_list.data(), environment.data());
    }
    ::_exit(detail::kNotStarted);
  }
  return ChildProcess(pid);
}

HOLDFAST_INLINE ChildProcess::~ChildProcess() {
  kill();
}

HOLDFAST_INLINE int ChildProcess::wait_for_end(int options) noexcept {
  int status = 0;
  pid_t done = 0;
  do {
    done = ::waitpid(static_cast<pid_t>(pid_), &status, options);
  } while (done == -1 && errno == EINTR);
  if (done == 0) {
    return 0;
  }
  // Its number is free: it is never used again, whatever came back.
  pid_ = 0;
  if (done == -1) {
    return -1;
  }
  if (WIFSIGNALED(status)) {
    end_.signal = WTERMSIG(status);
  } else {
    end_.status = WEXITSTATUS(status);
  }
  return 1;
}

HOLDFAST_INLINE bool ChildProcess::wait(double seconds) {
  const double until = system_clock().monotonic_seconds() + seconds;
  for (double pause = 0.0002; pid_ != 0;
       pause = pause < 0.01 ? 2 * pause : pause) {
    const int done = wait_for_end(WNOHANG);
    if (done == -1) {
      detail::throw_system_error(errno, "wait for a child process", "");
    }
    if (done == 0) {
      if (system_clock().monotonic_seconds() >= until) {
        return false;
      }
      system_clock().sleep(pause);
    }
  }
  return true;
}

HOLDFAST_INLINE void ChildProcess::kill() noexcept {
  // As long as it runs and is ours, nobody else can get its number.
  if (pid_ != 0 && wait_for_end(WNOHANG) == 0) {
    (void)::kill(static_cast<pid_t>(pid_), SIGKILL);
    (void)wait_for_end(0);
  }
}

HOLDFAST_INLINE std::size_t count_threads() {
  const auto status = detail::status_of_process(::getpid());
  return status ? status->threads : 0;
}

HOLDFAST_INLINE std::vector<std::string> own_arguments() {
  constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();
  const std::string text =
      detail::read_system_text("/proc/self/cmdline", whole).value_or("");
  std::vector<std::string> all;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    all.push_back(text.substr(begin, end - begin));
    begin = end == std::string::npos ? text.size() : end + 1;
  }
  if (!all.empty()) {
    all.erase(all.begin());
  }
  return all;
}

HOLDFAST_INLINE void kill_this_process() noexcept {
  (void)::kill(::getpid(), SIGKILL);
  for (;;) {
    (void)::pause();
  }
}

HOLDFAST_INLINE void end_this_process(int status) noexcept {
  (void)std::fflush(nullptr);
  ::_exit(status);
}

} // namespace holdfast

#pragma once

#include <csignal>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

/// How a process ended: by a signal, or else with an exit status.
struct ChildEnd {
  int signal = 0;
  int status = 0;
};

/// The end of a forked child that runs `action` and exits with what it returns
/// (99 if it throws), without destructors of what was there before. One that
/// takes longer than `seconds` is ended by SIGALRM.
template <class Action>
ChildEnd end_of_forked_child(Action&& action, unsigned seconds = 60) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGTERM, SIGINT}) {
      (void)std::signal(signal, SIG_DFL); // Catch2 would report a failure
    }
    (void)::alarm(seconds);
    int status = 99;
    try {
      status = action();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) {
    return {-1, -1};
  }
  return {
      WIFSIGNALED(status) ? WTERMSIG(status) : 0,
      WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

/// The exit status of such a child; -1 if a signal ended it.
template <class Action>
int in_forked_child(Action&& action, unsigned seconds = 60) {
  return end_of_forked_child(static_cast<Action&&>(action), seconds).status;
}

} // namespace holdfast::test

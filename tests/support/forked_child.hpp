#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

/// The exit status of `action`, run in a forked child, which calls no
/// destructors of what was there before; -1 if it did not end by itself, or not
/// within `seconds`.
template <class Action>
int in_forked_child(Action&& action, unsigned seconds = 60) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    (void)::alarm(seconds);
    int status = 99;
    try {
      status = action();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child ||
      !WIFEXITED(status)) {
    return -1;
  }
  return WEXITSTATUS(status);
}

} // namespace holdfast::test

#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/io/signal_watch.hpp>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include <signal.h>
#include <unistd.h>

using namespace holdfast;
using holdfast::test::ChildEnd;
using holdfast::test::code_of;
using holdfast::test::end_of_forked_child;
using holdfast::test::in_forked_child;

namespace {

volatile std::sig_atomic_t seen_by_user = 0;

void users_handler(int signal) {
  seen_by_user = signal;
}

void install_users_handler() {
  struct ::sigaction users = {};
  users.sa_handler = &users_handler;
  ::sigaction(SIGUSR1, &users, nullptr);
}

void sleep_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

constexpr int kBeyondSameMs =
    static_cast<int>(SignalWatch::kSameSignalSeconds * 1000) + 100;

} // namespace

TEST_CASE("signal watch: notes the first, and when", "[signals]") {
  CHECK(in_forked_child([] {
          const SignalWatch watch({SIGTERM, SIGUSR1});
          if (watch.received() != 0) {
            return 1;
          }
          ::raise(SIGUSR1);
          if (watch.received() != SIGUSR1) {
            return 2;
          }
          ::raise(SIGTERM); // at once: one request, passed on twice
          sleep_ms(50);
          if (watch.received() != SIGUSR1 || watch.seconds_ago() < 0.05 ||
              watch.seconds_ago() > 20) {
            return 3;
          }
          return 0;
        }) == 0);
}

TEST_CASE("signal watch: a second one ends the process", "[signals]") {
  const ChildEnd end = end_of_forked_child([] {
    const SignalWatch watch({SIGTERM, SIGINT});
    ::raise(SIGTERM);
    sleep_ms(kBeyondSameMs);
    ::raise(SIGINT);
    sleep_ms(1000);
    return 0;
  });
  CHECK(end.signal == SIGINT);
}

TEST_CASE("signal watch: a second one is the program's own", "[signals]") {
  CHECK(in_forked_child([] {
          install_users_handler();
          const SignalWatch watch({SIGUSR1});
          ::raise(SIGUSR1);
          sleep_ms(kBeyondSameMs);
          ::raise(SIGUSR1);
          return seen_by_user == SIGUSR1 ? 0 : 1;
        }) == 0);
}

TEST_CASE("signal watch: one that is named twice is one", "[signals]") {
  const ChildEnd end = end_of_forked_child([] {
    const SignalWatch watch({SIGTERM, SIGTERM});
    ::raise(SIGTERM);
    sleep_ms(kBeyondSameMs);
    ::raise(SIGTERM);
    sleep_ms(1000);
    return 0;
  });
  CHECK(end.signal == SIGTERM);
}

TEST_CASE("signal watch: the former handlers come back", "[signals]") {
  CHECK(in_forked_child([] {
          install_users_handler();
          {
            const SignalWatch watch({SIGUSR1});
            ::raise(SIGUSR1);
            if (watch.received() != SIGUSR1 || seen_by_user != 0) {
              return 1;
            }
          }
          ::raise(SIGUSR1);
          if (seen_by_user != SIGUSR1) {
            return 2;
          }
          const SignalWatch again({SIGUSR1}); // knows nothing of before
          return again.received();
        }) == 0);
}

TEST_CASE("signal watch: what is ignored stays ignored", "[signals]") {
  CHECK(in_forked_child([] {
          std::signal(SIGINT, SIG_IGN);
          const SignalWatch watch({SIGINT, SIGTERM});
          ::raise(SIGINT);
          ::raise(SIGINT);
          return watch.received();
        }) == 0);
}

TEST_CASE("signal watch: what cannot be handled is refused", "[signals]") {
  CHECK(in_forked_child([] {
          install_users_handler();
          for (const int bad : {SIGKILL, SIGSTOP, 0, -1, 9999}) {
            if (code_of([&] {
                  SignalWatch({SIGUSR1, bad});
                }) != "invalid_argument") {
              return 1;
            }
          }
          ::raise(SIGUSR1); // what was installed has been taken back
          if (seen_by_user != SIGUSR1) {
            return 2;
          }
          const SignalWatch watch({SIGUSR2});
          return code_of([] { SignalWatch({SIGTERM}); }) == "invalid_argument"
              ? 0
              : 3;
        }) == 0);
  CHECK(in_forked_child([] {
          const SignalWatch nothing({});
          return nothing.received();
        }) == 0);
}

TEST_CASE("signal watch: a forked child is not watched", "[signals]") {
  CHECK(in_forked_child([] {
          const SignalWatch watch({SIGTERM});
          const ChildEnd child = end_of_forked_child([] {
            ::raise(SIGTERM);
            return 0;
          });
          if (child.signal != SIGTERM || watch.received() != 0) {
            return 1;
          }
          // It may have one of its own, and that is not the parent's.
          const int own = in_forked_child([] {
            const SignalWatch of_child({SIGTERM});
            ::raise(SIGTERM);
            return of_child.received() == SIGTERM ? 0 : 1;
          });
          ::raise(SIGTERM);
          return own == 0 && watch.received() == SIGTERM ? 0 : 2;
        }) == 0);
}

TEST_CASE("signal watch: another thread may wait for it", "[signals]") {
  CHECK(in_forked_child([] {
          SignalWatch watch({SIGTERM});
          int seen = 0;
          std::thread waits([&] {
            watch.wait();
            seen = watch.received();
          });
          sleep_ms(20);
          ::kill(::getpid(), SIGTERM);
          waits.join();
          if (seen != SIGTERM) {
            return 1;
          }
          std::thread waits_in_vain([&] { watch.wait(); });
          watch.stop_waiting();
          waits_in_vain.join();
          return 0;
        }) == 0);
}

TEST_CASE("signal watch: interrupted system calls go on", "[signals]") {
  CHECK(in_forked_child([] {
          const SignalWatch watch({SIGTERM});
          int ends[2] = {};
          if (::pipe(ends) != 0) {
            return 1;
          }
          const ::pthread_t reader = ::pthread_self();
          std::thread other([&] {
            sleep_ms(30);
            ::pthread_kill(reader, SIGTERM);
            sleep_ms(30);
            (void)!::write(ends[1], "x", 1);
          });
          char byte = 0;
          const auto got = ::read(ends[0], &byte, 1);
          other.join();
          return got == 1 && byte == 'x' && watch.received() == SIGTERM ? 0 : 2;
        }) == 0);
}

TEST_CASE("signal watch: signals have names", "[signals]") {
  CHECK(signal_name(SIGTERM) == "SIGTERM");
  CHECK(signal_name(SIGINT) == "SIGINT");
  CHECK(signal_name(SIGUSR1) == "SIGUSR1");
  CHECK(signal_name(63) == "signal 63");
}

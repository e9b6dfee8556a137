#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/io/process.hpp>

#include <holdfast/base/text.hpp>

#include <set>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("process: this process knows itself", "[io]") {
  const ProcessIdentity self = this_process();
  CHECK(self.pid == ::getpid());
  CHECK_FALSE(self.host.empty());
  CHECK(self.boot_id.size() == 36);
  CHECK(self.pid_namespace.substr(0, 5) == "pid:[");
  CHECK(self.start_time > 0);
  const ProcessIdentity again = this_process();
  CHECK(again.start_time == self.start_time);
  CHECK(again.boot_id == self.boot_id);
  CHECK(may_be_alive(self));
}

TEST_CASE("process: a process counts as gone only if that is known", "[io]") {
  const ProcessIdentity self = this_process();
  ProcessIdentity gone = self;
  SECTION("its number is free") {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    gone.pid = child;
    CHECK_FALSE(may_be_alive(gone));
    SECTION("but another boot cannot be seen from here") {
      gone.boot_id = "another";
      CHECK(may_be_alive(gone));
    }
    SECTION("nor an unknown one") {
      gone.boot_id.clear();
      CHECK(may_be_alive(gone));
    }
    SECTION("nor another container") {
      gone.pid_namespace = "pid:[1]";
      CHECK(may_be_alive(gone));
    }
    SECTION("nor an unknown one, even if ours were unknown too") {
      gone.pid_namespace.clear();
      CHECK(may_be_alive(gone));
    }
  }
  SECTION("its number belongs to a later process") {
    gone.start_time = self.start_time - 1;
    CHECK_FALSE(may_be_alive(gone));
    gone.start_time = 0; // Unknown.
    CHECK(may_be_alive(gone));
  }
  SECTION("it has ended and nobody has asked for its status yet") {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(0);
    }
    siginfo_t info;
    REQUIRE(
        ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) ==
        0);
    gone.pid = child;
    gone.start_time = 0;
    CHECK_FALSE(may_be_alive(gone));
    REQUIRE(::waitpid(child, nullptr, 0) == child);
  }
  SECTION("a number that no process can have tells nothing") {
    for (const std::int64_t pid :
         {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40}) {
      gone.pid = pid;
      CHECK(may_be_alive(gone));
    }
  }
}

TEST_CASE("process: a child has an identity of its own", "[io][fork]") {
  const ProcessIdentity parent = this_process();
  CHECK(in_forked_child([&] {
          const ProcessIdentity self = this_process();
          const bool own = self.pid == ::getpid() && self.pid != parent.pid &&
              self.boot_id == parent.boot_id && may_be_alive(parent) &&
              may_be_alive(self);
          return own ? 0 : 1;
        }) == 0);
}

TEST_CASE("process: random ids are 32 hex digits and do not repeat", "[io]") {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = random_id();
    CHECK(id.size() == 32);
    CHECK(from_hex(id));
    ids.insert(id);
  }
  CHECK(ids.size() == 1000);
}

TEST_CASE("process: the clock tells time in seconds", "[io]") {
  Clock& clock = system_clock();
  CHECK(clock.wall_seconds() > 1.6e9); // After 2020.
  CHECK(clock.wall_seconds() < 1e11);
  const double before = clock.monotonic_seconds();
  clock.sleep(0.002);
  CHECK(clock.monotonic_seconds() - before >= 0.002);
  clock.sleep(0);
  clock.sleep(-1);
  CHECK(&system_clock() == &clock);
}

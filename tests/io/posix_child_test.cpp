#include <holdfast/io/posix_child.hpp>

#include "support/catch.hpp"
#include "support/forked_child.hpp"
#include "support/temporary_directory.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr const char* kRole = "HOLDFAST_TEST_CHILD_ROLE";

std::string text_in(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace

TEST_CASE("child process: ends with what its body returns", "[io]") {
  const TemporaryDirectory directory;
  std::fputs("the parent's own, not yet written", stdout);
  auto body = [] {
    std::puts("to stdout");
    std::fputs("to stderr\n", stderr);
    return 7;
  };
  ChildProcess child = ChildProcess::fork(body, directory.path("output"));
  REQUIRE(child.wait(60));
  CHECK(child.end().status == 7);
  CHECK(child.end().signal == 0);
  const std::string output = text_in(directory.path("output"));
  CHECK(output.find("to stdout\n") != std::string::npos);
  CHECK(output.find("to stderr\n") != std::string::npos);
  CHECK(output.find("the parent's own") == std::string::npos);
}

TEST_CASE("child process: a killed one says by which signal", "[io]") {
  const TemporaryDirectory directory;
  auto body = []() -> int {
    kill_this_process();
  };
  ChildProcess child = ChildProcess::fork(body, directory.path("output"));
  REQUIRE(child.wait(60));
  CHECK(child.end().signal == SIGKILL);
}

TEST_CASE("child process: waits no longer than asked, and kills", "[io]") {
  const TemporaryDirectory directory;
  auto body = [] {
    std::this_thread::sleep_for(std::chrono::hours(1));
    return 0;
  };
  const auto began = std::chrono::steady_clock::now();
  {
    ChildProcess child = ChildProcess::fork(body, directory.path("output"));
    CHECK_FALSE(child.wait(0.02));
    child.kill();
    CHECK(child.end().signal == SIGKILL);
    CHECK(child.wait(0));
    ChildProcess left = ChildProcess::fork(body, directory.path("output"));
    ChildProcess moved = std::move(left);
    CHECK_FALSE(moved.wait(0));
  }
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::minutes(1));
}

TEST_CASE("child process: one that is no child any more", "[io][fork]") {
  const TemporaryDirectory directory;
  auto body = [] {
    std::this_thread::sleep_for(std::chrono::seconds(60));
    return 0;
  };
  SECTION("somebody else has waited for it") {
    auto nothing = [] {
      return 3;
    };
    ChildProcess child = ChildProcess::fork(nothing, directory.path("output"));
    REQUIRE(::waitpid(-1, nullptr, 0) > 0);
    CHECK(code_of([&] { (void)child.wait(60); }) == "io_error");
    CHECK(child.wait(60)); // it counts as ended
  }
  SECTION("it is another process's, which leaves it alone") {
    ChildProcess child = ChildProcess::fork(body, directory.path("output"));
    CHECK(in_forked_child([&] {
            child.kill();
            return 0;
          }) == 0);
    CHECK(in_forked_child([&] {
            const bool refused =
                code_of([&] { (void)child.wait(60); }) == "io_error";
            ChildProcess destroyed = std::move(child);
            return refused ? 0 : 1;
          }) == 0);
    CHECK_FALSE(child.wait(0.05));
  }
}

// Not a test by itself: what the process of the next one runs.
TEST_CASE("child process: in its role", "[.]") {
  const char* const role = std::getenv(kRole);
  if (role == nullptr) {
    SUCCEED("nobody gave it a role");
    return;
  }
  const std::vector<std::string> arguments = own_arguments();
  std::printf( // written at the end of the process
      "role %s, %zu characters",
      role,
      arguments.at(0).size());
  end_this_process(arguments.size() == 1 ? 3 : 4);
}

TEST_CASE("child process: starts this program again", "[io]") {
  const TemporaryDirectory directory;
  ::setenv(kRole, "of the parent", 1);
  // More than 64 KiB of arguments; the rest of it names no test.
  const std::string argument =
      "child process: in its role," + std::string(100000, 'x');
  ChildProcess child = ChildProcess::execute_self(
      {argument}, kRole, "its = own", directory.path("output"));
  REQUIRE(child.wait(60));
  CHECK(child.end().status == 3);
  const std::string output = text_in(directory.path("output"));
  CHECK_THAT(
      output,
      contains(
          "role its = own, " + std::to_string(argument.size()) +
          " characters"));
  ::unsetenv(kRole);
}

TEST_CASE("child process: counts threads", "[io]") {
  CHECK(count_threads() == 1);
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) {
      std::this_thread::yield();
    }
  });
  CHECK(count_threads() == 2);
  done = true;
  other.join();
}

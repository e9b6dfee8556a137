#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/io/terminal.hpp>

#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// What a child that runs `action` writes to stderr, which is `writer`; the
/// other end is `reader`.
template <class Action>
std::string stderr_of(int reader, int writer, Action action) {
  CHECK(in_forked_child([&] {
          ::dup2(writer, STDERR_FILENO);
          action();
          return 0;
        }) == 0);
  std::string text(1000, '\0');
  const ssize_t got = ::read(reader, text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  ::close(reader);
  ::close(writer);
  return text;
}

void tell_what_it_is() {
  rewrite_line(stderr_is_terminal() ? "terminal" : "no terminal");
}

} // namespace

TEST_CASE("terminal: a pipe is none", "[io]") {
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  CHECK(
      stderr_of(ends[0], ends[1], tell_what_it_is) == "\rno terminal\x1b[K\r");
}

TEST_CASE("terminal: a line is rewritten in place", "[io]") {
  const int reader = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(reader >= 0);
  REQUIRE(::grantpt(reader) == 0);
  REQUIRE(::unlockpt(reader) == 0);
  const int writer = ::open(::ptsname(reader), O_RDWR | O_NOCTTY);
  REQUIRE(writer >= 0);
  CHECK(stderr_of(reader, writer, [] {
          tell_what_it_is();
          rewrite_line("");
        }) == "\rterminal\x1b[K\r\r\x1b[K\r");
}

#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/io/terminal.hpp>

#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

void tell_what_it_is() {
  rewrite_line(stderr_is_in_foreground() ? "foreground" : "elsewhere");
}

/// Up to 1000 bytes that can be read.
std::string text_from(int reader) {
  std::string text(1000, '\0');
  const ssize_t got = ::read(reader, text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

/// What a child whose terminal it is says there, with this TERM.
std::string told_on_terminal(
    const char* kind,
    bool in_foreground,
    unsigned short columns = 0) {
  const int reader = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(reader >= 0);
  REQUIRE(::grantpt(reader) == 0);
  REQUIRE(::unlockpt(reader) == 0);
  const std::string name = ::ptsname(reader);
  const int keeps_it_open = ::open(name.c_str(), O_RDWR | O_NOCTTY);
  CHECK(in_forked_child([&] {
          ::setenv("TERM", kind, 1);
          ::setsid(); // what it opens now is its terminal
          const int terminal =
              ::open(name.c_str(), in_foreground ? O_RDWR : O_RDWR | O_NOCTTY);
          ::dup2(terminal, STDERR_FILENO);
          struct ::winsize size = {};
          size.ws_col = columns;
          ::ioctl(terminal, TIOCSWINSZ, &size);
          tell_what_it_is();
          rewrite_line("");
          return 0;
        }) == 0);
  const std::string text = text_from(reader);
  ::close(keeps_it_open);
  ::close(reader);
  return text;
}

} // namespace

TEST_CASE("terminal: a pipe is none", "[io]") {
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  CHECK(in_forked_child([&] {
          ::dup2(ends[1], STDERR_FILENO);
          tell_what_it_is();
          return 0;
        }) == 0);
  CHECK(text_from(ends[0]) == "\relsewhere\x1b[K\r");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("terminal: a line is rewritten where somebody watches", "[io]") {
  CHECK(told_on_terminal("xterm", true) == "\rforeground\x1b[K\r\r\x1b[K\r");
  CHECK(told_on_terminal("dumb", true).find("elsewhere") != std::string::npos);
  CHECK(
      told_on_terminal("xterm", false).find("elsewhere") != std::string::npos);
}

TEST_CASE("terminal: nothing goes beyond the line", "[io]") {
  const auto told = [](unsigned short columns) {
    return told_on_terminal("xterm", true, columns);
  };
  CHECK(told(11) == "\rforeground\x1b[K\r\r\x1b[K\r");
  CHECK(told(10) == "\rforegroun\x1b[K\r\r\x1b[K\r");
  CHECK(told(1) == "\r\x1b[K\r\r\x1b[K\r");
}

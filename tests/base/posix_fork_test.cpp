#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/base/posix_fork.hpp>

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("fork: a forked child has another generation", "[base][fork]") {
  const std::uint64_t ours = fork_generation();
  CHECK(fork_generation() == ours);
  CHECK(in_forked_child([&] {
          const std::uint64_t childs = fork_generation();
          if (childs == ours || fork_generation() != childs) {
            return 1;
          }
          return in_forked_child([&] {
            return fork_generation() != childs && fork_generation() != ours ? 0
                                                                            : 1;
          });
        }) == 0);
  CHECK(fork_generation() == ours);
}

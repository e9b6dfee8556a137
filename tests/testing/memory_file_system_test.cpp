#include <support/catch.hpp>
#include <support/file_system_conformance.hpp>

#include <holdfast/testing/memory_file_system.hpp>

using namespace holdfast;
using holdfast::testing::MemoryFileSystem;

TEST_CASE("memory file system: keeps the contract of the seam", "[testing]") {
  const auto disk = std::make_shared<MemoryFileSystem>();
  test::run_file_system_conformance(
      [&] { return disk->open_root("runs/a", Create::yes); });
}

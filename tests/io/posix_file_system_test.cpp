#include <support/file_system_conformance.hpp>
#include <support/temporary_directory.hpp>

#include <holdfast/io/posix_file_system.hpp>

#include <list>

namespace {

using namespace holdfast;
using namespace holdfast::test;

} // namespace

TEST_CASE("posix file system: keeps the contract of the seam", "[io]") {
  std::list<TemporaryDirectory> directories;
  PosixFileSystem file_system;
  run_file_system_conformance([&] {
    directories.emplace_back();
    return file_system.open_root(directories.back().path(), Create::no);
  });
}

TEST_CASE("posix file system: threads share a directory", "[io]") {
  const TemporaryDirectory directory;
  PosixFileSystem file_system;
  check_threads(
      [&] { return file_system.open_root(directory.path(), Create::no); });
}

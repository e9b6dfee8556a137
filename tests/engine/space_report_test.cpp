#include "engine_support.hpp"

#include <holdfast/engine/space_report.hpp>

#include <cerrno>
#include <limits>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;

namespace {

Error failed_with(int system_error, ErrorCode code = ErrorCode::no_space) {
  ErrorDetails details;
  details.message = "cannot write";
  details.system_error = system_error;
  return Error(code, std::move(details));
}

} // namespace

TEST_CASE("space report: what is behind a full disk", "[space]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root(kRoot, Create::yes);
  disk.set_capacity(5'000'000, 1000);
  CHECK(
      why_no_space(failed_with(EDQUOT), *root) ==
      "a quota of the user, the group or the project is used up");
  CHECK_THAT(
      why_no_space(failed_with(EFBIG), *root),
      Catch::Matchers::Contains("RLIMIT_FSIZE"));
  CHECK(
      why_no_space(failed_with(ENOSPC), *root) ==
      "5.0 MB are free; if that is enough, a quota or a device that is fuller "
      "than its file system knows is behind it");
  CHECK(why_no_space(failed_with(0), *root) == "5.0 MB are free");
  disk.set_capacity(5'000'000, 10);
  CHECK(
      why_no_space(failed_with(ENOSPC), *root) ==
      "the file system has 5.0 MB free, but room for 8 more files only");
  CHECK(
      why_no_space(failed_with(EROFS, ErrorCode::read_only), *root) ==
      "the file system has become read-only; the system's log says why");
  CHECK(why_no_space(failed_with(EIO, ErrorCode::io_error), *root).empty());
  FaultFileSystem faulty(std::make_shared<MemoryFileSystem>());
  const auto unknown = faulty.open_root(kRoot, Create::yes);
  faulty.plan(Fault::error(EIO).on({Operation::space}).for_ever());
  CHECK(why_no_space(failed_with(ENOSPC), *unknown).empty());
  CHECK(what_will_not_fit(1, 1'000'000'000, 0, *unknown).empty());
}

TEST_CASE("space report: what will not fit", "[space]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root(kRoot, Create::yes);
  disk.set_capacity(5'000'000'000);
  CHECK(what_will_not_fit(4, 1'000'000'000, 0, *root).empty());
  CHECK(
      what_will_not_fit(5, 1'000'000'000, 0, *root) ==
      "the disk will be full: 5 checkpoints of about 1.0 GB are kept, and one "
      "more while it is saved; 5.0 GB are free, 1.0 GB too little");
  CHECK(what_will_not_fit(5, 1'000'000'000, 1'000'000'000, *root).empty());
  CHECK_FALSE(what_will_not_fit(
                  3, std::numeric_limits<std::uint64_t>::max() / 2, 0, *root)
                  .empty());
  disk.set_capacity(0);
  CHECK_THAT(
      what_will_not_fit(5, 1'000'000'000, 0, *root),
      Catch::Matchers::Contains("; 0 bytes are free, 6.0 GB too little"));
  CHECK(why_no_space(failed_with(ENOSPC), *root) == "0 bytes are free");
  disk.set_capacity(std::numeric_limits<std::uint64_t>::max()); // nobody knows
  CHECK(what_will_not_fit(5, 1'000'000'000, 0, *root).empty());
}

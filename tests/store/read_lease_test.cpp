#include "store_support.hpp"

#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/read_lease.hpp>

#include <support/temporary_directory.hpp>

#include <optional>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;

namespace {

struct LeasePlace {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  ManualClock clock;
  Writer writer{open_run(files), clock, 0};
};

} // namespace

TEST_CASE("read lease: of a checkpoint, or of a run's newest", "[store]") {
  LeasePlace place;
  const CheckpointName older = as_name(save(place.writer, 10));
  const CheckpointName newest = as_name(save(place.writer, 20));
  std::optional<ReadLease> lease;
  lease.emplace(in_run(older.name), *place.disk);
  CHECK(lease->path() == in_run(older.name));
  CHECK(place.writer.hold_on(older).being_read);
  CHECK_FALSE(place.writer.hold_on(newest).being_read);
  CHECK(code_of([&] { place.writer.remove(older); }) == "locked");
  {
    const ReadLease second(in_run(older.name), *place.disk);
    lease.reset();
    CHECK(code_of([&] { place.writer.remove(older); }) == "locked");
  }
  lease.emplace(kRoot, *place.disk);
  CHECK(lease->path() == in_run(newest.name));
  ReadLease moved(std::move(*lease));
  lease.reset();
  CHECK(code_of([&] { place.writer.remove(newest); }) == "locked");
  place.writer.remove(older);
  CHECK_FALSE(place.disk->exists(in_run(older.name)));
}

TEST_CASE("read lease: of a copy, and of what LATEST points at", "[store]") {
  const TemporaryDirectory temporary;
  const auto root =
      default_file_system()->open_root(temporary.path("run"), Create::yes);
  ManualClock clock;
  Writer writer(root, clock, 0);
  const CheckpointName name = as_name(save(writer, 10));
  {
    const ReadLease lease(temporary.path("run/LATEST"));
    CHECK(code_of([&] { writer.remove(name); }) == "locked");
  }
  writer.remove(name);
  CHECK(
      code_of([&] { ReadLease(temporary.path("run/LATEST")); }) == "not_found");
}

TEST_CASE("read lease: where there is nothing to hold", "[store]") {
  LeasePlace place;
  const auto code = [&](const std::string& path) {
    return code_of([&] { ReadLease(path, *place.disk); });
  };
  CHECK(code("nowhere") == "not_found");
  CHECK(code(kRoot) == "not_found");
  CHECK(code(in_run("ckpt-000001-step-10")) == "not_found");
  const CheckpointName name = as_name(save(place.writer, 10));
  CHECK(code(kRoot) == "no error");
  place.files.plan(
      Fault::error(ENOLCK).on({Operation::try_lock_shared}).for_ever());
  CHECK(code_of([&] {
          ReadLease(in_run(name.name), place.files);
        }) == "not_supported");
}

TEST_CASE("read lease: one that comes too late says so", "[store]") {
  LeasePlace place;
  const CheckpointName name = as_name(save(place.writer, 10));
  place.files.set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("try_lock_shared") != std::string::npos &&
        place.disk->exists(in_run(name.name))) {
      place.writer.remove(name);
    }
  });
  CHECK(code_of([&] {
          ReadLease(in_run(name.name), place.files);
        }) == "not_found");
}

TEST_CASE("read lease: on a real disk, of the default file system", "[store]") {
  const TemporaryDirectory temporary;
  const auto root =
      default_file_system()->open_root(temporary.path() + "/run", Create::yes);
  ManualClock clock;
  Writer writer(root, clock, 0);
  const CheckpointName name = as_name(save(writer, 10));
  {
    const ReadLease lease(temporary.path() + "/run");
    CHECK(lease.path() == temporary.path() + "/run/" + name.name);
    CHECK(code_of([&] { writer.remove(name); }) == "locked");
  }
  writer.remove(name);
  CHECK(scan(*root).checkpoints.empty());
}

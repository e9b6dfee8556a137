#include "store_support.hpp"

#include <holdfast/store/lock.hpp>

#include <holdfast/io/checksum.hpp>
#include <holdfast/io/posix_file_system.hpp>

#include <support/temporary_directory.hpp>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;

namespace {

struct LockPlace {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  std::shared_ptr<Directory> root = open_run(files);
  ManualClock clock;

  std::unique_ptr<WriterLock> take(double wait = 0) {
    return std::make_unique<WriterLock>(
        WriterLock::acquire(*root, clock, wait));
  }
  std::string text() {
    return disk->read_text(in_run("LOCK"));
  }
};

/// A record as docs/commit_protocol.md describes it.
std::string record(std::string body) {
  body += " xxh3_128=" + digest_of(ByteView(std::string_view(body))).hex();
  body.resize(511, ' ');
  return body + "\n";
}

/// Puts `process` in LOCK's first record, as another process would.
void write_owner(LockPlace& place, const ProcessIdentity& process) {
  std::string text = record(
      "holdfast-owner host=" + process.host +
      " pid=" + std::to_string(process.pid) + " boot=" + process.boot_id +
      " namespace=" + process.pid_namespace + " start=" +
      std::to_string(process.start_time) + " token=" + std::string(32, 'a'));
  if (place.disk->exists(in_run("LOCK"))) {
    text +=
        place.text().substr(std::min<std::size_t>(512, place.text().size()));
  }
  place.disk->write_file(in_run("LOCK"), ByteView(std::string_view(text)));
}

ProcessIdentity elsewhere() {
  ProcessIdentity process = this_process();
  process.host = "elsewhere";
  process.boot_id = "another-boot";
  return process;
}

} // namespace

TEST_CASE("lock: one at a time, and free when it is given back", "[store]") {
  LockPlace place;
  auto first = place.take();
  const auto refused = error_of([&] { (void)place.take(); });
  REQUIRE(refused);
  CHECK(refused->code() == ErrorCode::locked);
  CHECK_THAT(
      refused->what(),
      contains(
          "this process writes to this directory already, with another "
          "manager: found process " +
          std::to_string(this_process().pid)));
  first.reset();
  CHECK(code_of([&] { (void)place.take(); }) == "no error");
}

TEST_CASE("lock: waits as long as it was told, and no longer", "[store]") {
  LockPlace place;
  auto first = place.take();
  CHECK(code_of([&] { (void)place.take(5); }) == "locked");
  CHECK(place.clock.monotonic >= 1005);
  CHECK(place.clock.monotonic < 1006);
  place.clock.on_sleep = [&] {
    if (place.clock.monotonic > 1008) {
      first.reset();
    }
  };
  CHECK(code_of([&] { (void)place.take(5); }) == "no error");
  CHECK(place.clock.monotonic < 1009);
}

TEST_CASE("lock: marks survive, and never go down", "[store]") {
  LockPlace place;
  {
    const auto lock = place.take();
    CHECK(lock->mark().highest == 0);
    lock->record({7, 5});
    lock->record({3, 6});
    CHECK(lock->mark().highest == 7);
    CHECK(lock->mark().committed == 6);
  }
  CHECK(read_mark(*place.root).highest == 7);
  CHECK(read_mark(*place.root).committed == 6);
  place.disk->cut_power(LossPattern::all_lost());
  const auto root = open_run(*place.disk);
  CHECK(read_mark(*root).highest == 7);
  CHECK(read_mark(*root).committed == 6);
}

TEST_CASE("lock: LOCK is text that reads well", "[store]") {
  LockPlace place;
  const auto lock = place.take();
  lock->record({28, 27});
  lock->record({29, 28});
  const std::string text = place.text();
  REQUIRE(text.size() == 3 * 512);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(text[i * 512 + 511] == '\n');
    CHECK(text.substr(i * 512, 9) == "holdfast-");
  }
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  CHECK(text.find('\0') == std::string::npos);
  CHECK_THAT(text, contains("pid=" + std::to_string(this_process().pid)));
  CHECK_THAT(text, contains("highest=28 committed=27"));
  CHECK_THAT(text, contains("highest=29 committed=28"));
}

TEST_CASE(
    "lock: without LOCK, or without sense in it, marks are zero",
    "[store]") {
  LockPlace place;
  CHECK(read_mark(*place.root).highest == 0);
  const std::string text = GENERATE(
      std::string(),
      std::string("garbage"),
      std::string(512, ' '),
      std::string(1536, '\0'),
      std::string(1536, '\xff'));
  place.disk->write_file(in_run("LOCK"), ByteView(std::string_view(text)));
  CHECK(read_mark(*place.root).highest == 0);
  CHECK(read_mark(*place.root).committed == 0);
  const auto lock = place.take();
  CHECK(lock->mark().highest == 0);
  lock->record({4, 4});
  CHECK(read_mark(*place.root).highest == 4);
}

TEST_CASE("lock: every flipped bit leaves the other mark", "[store]") {
  LockPlace place;
  {
    const auto lock = place.take();
    lock->record({8, 8});
    lock->record({9, 9});
  }
  const std::string whole = place.text();
  for (std::size_t bit = 512 * 8; bit < whole.size() * 8; ++bit) {
    place.disk->flip_bit(in_run("LOCK"), bit);
    const LockMark mark = read_mark(*place.root);
    const bool older = bit < 1024 * 8;
    REQUIRE(mark.highest == (older ? 9U : 8U));
    REQUIRE(mark.committed == mark.highest);
    place.disk->flip_bit(in_run("LOCK"), bit);
  }
  place.disk->truncate(in_run("LOCK"), 1535);
  CHECK(read_mark(*place.root).highest == 8);
}

TEST_CASE(
    "lock: a mark that failed is not overwritten by its successor's "
    "failure",
    "[store][fault]") {
  LockPlace place;
  const auto lock = place.take();
  lock->record({5, 5});
  for (int i = 0; i < 3; ++i) {
    place.files.plan(Fault::error(EIO).on({Operation::sync_lock}));
    CHECK(code_of([&] { lock->record({9, 9}); }) == "io_error");
    CHECK(lock->mark().highest == 5);
    // Whatever the disk has of the new one, the old one is there.
    const auto after = place.disk->snapshot();
    after->flip_bit(in_run("LOCK"), 1024 * 8 + 300);
    CHECK(read_mark(*open_run(*after)).highest == 5);
  }
  lock->record({9, 9});
  CHECK(lock->mark().highest == 9);
}

TEST_CASE(
    "fence: LOCK replaced, removed or taken over is lost for good",
    "[store]") {
  LockPlace place;
  const auto lock = place.take();
  lock->record({1, 1});
  CHECK(code_of([&] { lock->check(); }) == "no error");
  const std::string before = place.text();
  SECTION("removed") {
    place.disk->remove(in_run("LOCK"));
  }
  SECTION("replaced by a copy") {
    place.disk->copy(in_run("LOCK"), in_run("copy"));
    place.disk->remove(in_run("LOCK"));
    place.disk->move(in_run("copy"), in_run("LOCK"));
  }
  SECTION("another token") {
    write_owner(place, elsewhere());
  }
  SECTION("no token") {
    place.disk->flip_bit(in_run("LOCK"), 77);
  }
  CHECK(code_of([&] { lock->check(); }) == "lost_lock");
  place.disk->write_file(in_run("LOCK"), ByteView(std::string_view(before)));
  CHECK(code_of([&] { lock->check(); }) == "lost_lock");
  CHECK(code_of([&] { lock->record({2, 2}); }) == "lost_lock");
}

TEST_CASE(
    "fence: an error of the system is not a lost lock",
    "[store][fault]") {
  LockPlace place;
  const auto lock = place.take();
  place.files.plan(Fault::error(EIO).on({Operation::is_still_named}));
  CHECK(code_of([&] { lock->check(); }) == "io_error");
  place.files.plan(Fault::error(EIO).on({Operation::read_lock}));
  CHECK(code_of([&] { lock->check(); }) == "io_error");
  CHECK(code_of([&] { lock->check(); }) == "no error");
}

TEST_CASE(
    "lock: a LOCK unlinked between open and lock is not the lock",
    "[store]") {
  LockPlace place;
  bool done = false;
  place.files.set_hook([&](std::uint64_t, const std::string& what) {
    if (!done && what.find("try_lock") != std::string::npos) {
      done = true;
      place.disk->remove(in_run("LOCK"));
    }
  });
  const auto lock = place.take();
  CHECK(done);
  CHECK(place.disk->exists(in_run("LOCK")));
  CHECK(code_of([&] { lock->check(); }) == "no error");
}

TEST_CASE("lock: an endless replacement ends as locked", "[store]") {
  LockPlace place;
  place.files.set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("try_lock") != std::string::npos) {
      place.disk->remove(in_run("LOCK"));
    }
  });
  CHECK(code_of([&] { (void)place.take(); }) == "locked");
}

TEST_CASE("lock: taking it makes LOCK and its name durable", "[store]") {
  LockPlace place;
  const auto lock = place.take();
  lock->record({6, 0});
  const auto after = place.disk->snapshot();
  after->cut_power(LossPattern::all_lost());
  CHECK(read_mark(*open_run(*after)).highest == 6);
}

TEST_CASE("lock: a forked child neither writes nor unlocks", "[store][fork]") {
  // The parent's view is what the kernel says; see process_test for the rest.
  TemporaryDirectory temporary;
  const auto root =
      default_file_system()->open_root(temporary.path(), Create::no);
  ManualClock clock;
  auto lock =
      std::make_unique<WriterLock>(WriterLock::acquire(*root, clock, 0));
  const int status = in_forked_child([&] {
    if (code_of([&] { lock->check(); }) != "forked" || code_of([&] {
                                                         lock->record({9, 9});
                                                       }) != "forked") {
      return 1;
    }
    lock.reset();
    // The parent still has it.
    return code_of([&] { (void)WriterLock::acquire(*root, clock, 0); }) ==
            "locked"
        ? 0
        : 2;
  });
  CHECK(status == 0);
  CHECK(
      code_of([&] { (void)WriterLock::acquire(*root, clock, 0); }) == "locked");
  CHECK(code_of([&] { lock->check(); }) == "no error");
  CHECK(read_mark(*root).highest == 0);
}

TEST_CASE(
    "lock without a kernel: a living owner on this system keeps it",
    "[store]") {
  LockPlace place;
  place.disk->set_locks_supported(false);
  auto first = place.take();
  CHECK(code_of([&] {
          (void)place.take(WriterLock::kStaleSeconds * 3);
        }) == "locked");
  CHECK(code_of([&] { first->check(); }) == "no error");
  first.reset();
  CHECK(code_of([&] { (void)place.take(); }) == "no error");
}

TEST_CASE(
    "lock without a kernel: a dead owner on this system loses it",
    "[store]") {
  LockPlace place;
  place.disk->set_locks_supported(false);
  ProcessIdentity dead = this_process();
  REQUIRE(dead.start_time != 0);
  dead.start_time += 1; // This pid, but another life.
  write_owner(place, dead);
  CHECK(code_of([&] { (void)place.take(); }) == "no error");
}

TEST_CASE(
    "lock without a kernel: a container's owner may have our pid",
    "[store]") {
  LockPlace place;
  place.disk->set_locks_supported(false);
  ProcessIdentity other = this_process();
  other.pid_namespace = "pid:[1]"; // The same host and pid, another process.
  other.start_time += 1;
  write_owner(place, other);
  CHECK(code_of([&] { (void)place.take(); }) == "locked");
  CHECK(code_of([&] {
          (void)place.take(WriterLock::kStaleSeconds + 5);
        }) == "no error");
  // Nor is one that is like us in all of this taken for ourselves.
  ProcessIdentity twin = this_process();
  twin.pid_namespace = "pid:[1]";
  write_owner(place, twin);
  CHECK(code_of([&] { (void)place.take(); }) == "locked");
}

TEST_CASE(
    "lock without a kernel: an owner elsewhere loses it by silence",
    "[store]") {
  LockPlace place;
  place.disk->set_locks_supported(false);
  write_owner(place, elsewhere());
  SECTION("not before the time is over") {
    const auto refused =
        error_of([&] { (void)place.take(WriterLock::kStaleSeconds - 5); });
    REQUIRE(refused);
    CHECK(refused->code() == ErrorCode::locked);
    CHECK_THAT(refused->what(), contains("another process writes"));
    CHECK_THAT(refused->what(), contains("'elsewhere'"));
  }
  SECTION("after it") {
    CHECK(code_of([&] {
            (void)place.take(WriterLock::kStaleSeconds + 5);
          }) == "no error");
  }
  SECTION("a counter that moves starts the time again") {
    std::uint64_t counter = 1;
    double next = place.clock.monotonic + 300;
    place.clock.on_sleep = [&] {
      if (place.clock.monotonic >= next && counter < 6) {
        next += 300;
        const std::string text = place.text().substr(0, 512) +
            record("holdfast-mark highest=1 committed=1 counter=" +
                   std::to_string(++counter));
        place.disk->write_file(
            in_run("LOCK"), ByteView(std::string_view(text)));
      }
    };
    CHECK(code_of([&] { (void)place.take(1800); }) == "locked");
    CHECK(code_of([&] { (void)place.take(1800); }) == "no error");
  }
}

TEST_CASE(
    "lock without a kernel: of two at a time the last one has it",
    "[store]") {
  LockPlace place;
  place.disk->set_locks_supported(false);
  place.clock.on_sleep = [&] {
    place.clock.on_sleep = nullptr;
    write_owner(place, elsewhere());
  };
  CHECK(code_of([&] { (void)place.take(); }) == "locked");
}

TEST_CASE("lock without a kernel: every check moves the counter", "[store]") {
  LockPlace place;
  place.disk->set_locks_supported(false);
  const auto lock = place.take();
  lock->record({3, 3});
  CHECK_THAT(place.text(), contains("counter=1 "));
  CHECK(place.text().find("counter=3 ") == std::string::npos);
  lock->check();
  lock->check();
  CHECK_THAT(place.text(), contains("counter=2 "));
  CHECK_THAT(place.text(), contains("counter=3 "));
  CHECK(read_mark(*place.root).highest == 3);
}

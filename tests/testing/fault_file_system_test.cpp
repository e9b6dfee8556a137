#include <support/catch.hpp>
#include <support/file_system_conformance.hpp>

#include <holdfast/testing/fault_file_system.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <cerrno>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast;
using holdfast::test::code_of;
using holdfast::test::error_of;
using holdfast::test::get_file;
using holdfast::test::put_file;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;
using holdfast::testing::Operations;
using holdfast::testing::PowerCut;

namespace {

ByteView view(const std::string& text) {
  return ByteView(std::string_view(text));
}

/// A disk, the faults before it, and an open directory.
struct Rig {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem faulty{disk};
  std::shared_ptr<Directory> root = faulty.open_root("r", Create::yes);
};

/// Uses every call of the seam at least once.
void use_everything(FaultFileSystem& faulty) {
  const auto root = faulty.open_root("r", Create::yes);
  const auto file = root->create_file("f");
  file->reserve(10);
  file->write(view("0123456789"));
  file->border();
  file->sync();
  file->close();
  const auto reader = root->open_file("f");
  (void)reader->size();
  std::byte byte{};
  (void)reader->read_at(3, &byte, 1);
  reader->drop_cache();
  (void)reader->try_lock_shared();
  (void)reader->is_unlocked();
  const auto lock = root->open_lock_file("LOCK");
  (void)lock->try_lock();
  lock->write_at(0, "owner");
  lock->sync();
  (void)lock->read(5);
  (void)lock->is_still_named();
  root->create_directory("d");
  (void)root->open_directory("d");
  root->rename("d", "e");
  root->remove_directory("e");
  root->point_symlink("s", "f");
  root->remove_file("s");
  (void)root->exists("s");
  (void)root->list();
  root->sync();
  (void)root->space();
  (void)root->identity();
  lock->unlock();
}

constexpr std::uint64_t kOperations = 29;

} // namespace

TEST_CASE(
    "fault file system: without faults keeps the contract of the seam",
    "[testing][fault]") {
  const auto disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem faulty(disk);
  test::run_file_system_conformance(
      [&] { return faulty.open_root("runs/a", Create::yes); });
  CHECK(faulty.faults() == 0);
  CHECK(faulty.log().size() == faulty.operations());
}

TEST_CASE("fault file system: threads share a directory", "[testing][fault]") {
  FaultFileSystem faulty(std::make_shared<MemoryFileSystem>());
  test::check_threads([&] { return faulty.open_root("runs/a", Create::yes); });
}

TEST_CASE("fault file system: counts and logs every call", "[testing][fault]") {
  const auto disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem faulty(disk);
  use_everything(faulty);
  CHECK(faulty.operations() == kOperations);
  const auto log = faulty.log();
  REQUIRE(log.size() == kOperations);
  std::set<std::string> kinds;
  for (const std::string& line : log) {
    kinds.insert(line.substr(0, line.find(' ')));
  }
  CHECK(kinds.size() == kOperations);
  for (unsigned i = 0; i < kOperations; ++i) {
    const std::string name = to_string(static_cast<Operation>(i));
    CAPTURE(name);
    CHECK(kinds.count(name) == 1);
  }
  CHECK(log[0] == "open_root r");
  CHECK(log[1] == "create_file r/f");
  CHECK(log[3] == "write r/f 10 bytes");
  CHECK(log[19] == "rename r/d -> e");
  faulty.clear_log();
  CHECK(faulty.log().empty());
  faulty.plan(Fault::error(EIO));
  CHECK(code_of([&] { use_everything(faulty); }) == "io_error");
  CHECK(
      faulty.log() ==
      std::vector<std::string>{"open_root r  <- error " + std::to_string(EIO)});
  CHECK(faulty.operations() == kOperations + 1);
}

TEST_CASE("fault file system: every call can fail", "[testing][fault]") {
  for (std::uint64_t n = 1; n < kOperations; ++n) { // The last is unlock().
    CAPTURE(n);
    const auto disk = std::make_shared<MemoryFileSystem>();
    FaultFileSystem faulty(disk);
    faulty.plan(Fault::error(EDOM).at(n));
    const auto error = error_of([&] { use_everything(faulty); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::io_error);
    CHECK(error->system_error() == EDOM);
    CHECK(error->path().front() == 'r');
    CHECK(faulty.operations() == n);
    CHECK(faulty.faults() == 1);
  }
}

TEST_CASE(
    "fault file system: errors have the code of a real disk's",
    "[testing][fault]") {
  const std::pair<int, const char*> expected[] = {
      {ENOENT, "not_found"},
      {EEXIST, "already_exists"},
      {ENOTEMPTY, "already_exists"},
      {ENOSPC, "no_space"},
      {EDQUOT, "no_space"},
      {EFBIG, "no_space"},
      {EACCES, "permission_denied"},
      {EPERM, "permission_denied"},
      {EROFS, "read_only"},
      {ENOTDIR, "not_a_directory"},
      {ELOOP, "not_a_directory"},
      {EXDEV, "cross_device"},
      {ENOSYS, "not_supported"},
      {EOPNOTSUPP, "not_supported"},
      {ENOLCK, "not_supported"},
      {EIO, "io_error"},
      {EMFILE, "io_error"},
      {ESTALE, "io_error"}};
  for (const auto& [system_error, code] : expected) {
    CAPTURE(system_error);
    Rig rig;
    rig.faulty.plan(Fault::error(system_error).on({Operation::rename}));
    put_file(*rig.root, "f", "x");
    CHECK(code_of([&] { rig.root->rename("f", "g"); }) == code);
    CHECK(rig.disk->exists("r/f"));
    CHECK(code_of([&] { rig.root->rename("f", "g"); }) == "no error");
  }
  CHECK(code_of([] { (void)Fault::error(EINTR); }) == "invalid_argument");
  CHECK(code_of([] { (void)Fault::error(0); }) == "invalid_argument");
  CHECK(code_of([] { (void)Fault::error(EIO).at(0); }) == "invalid_argument");
}

TEST_CASE("fault file system: which operation fails", "[testing][fault]") {
  Rig rig;
  const auto create = [&](const std::string& name) {
    return code_of([&] { (void)rig.root->create_file(name); });
  };
  const std::string ok = "no error";
  SECTION("the n-th of a kind from now on, once") {
    put_file(*rig.root, "before", "x");
    rig.faulty.plan(Fault::error(EROFS).on({Operation::create_file}).at(2));
    CHECK(create("a") == ok);
    CHECK(rig.root->exists("a"));
    CHECK(create("b") == "read_only");
    CHECK_FALSE(rig.disk->exists("r/b"));
    CHECK(create("b") == ok);
    CHECK(rig.faulty.faults() == 1);
  }
  SECTION("and for ever, until the faults are forgotten") {
    rig.faulty.plan(
        Fault::error(EROFS).on(Operations::names()).at(2).for_ever());
    CHECK(create("a") == ok);
    CHECK(create("b") == "read_only");
    CHECK(create("c") == "read_only");
    CHECK(code_of([&] { rig.root->rename("a", "b"); }) == "read_only");
    CHECK(rig.root->exists("a"));
    CHECK(rig.faulty.faults() == 3);
    rig.faulty.clear_faults();
    CHECK(create("b") == ok);
  }
  SECTION("only on certain names") {
    rig.faulty.plan(Fault::error(EIO).named("/LOCK"));
    CHECK(create("a") == ok);
    CHECK(
        code_of([&] { (void)rig.root->open_lock_file("LOCK"); }) == "io_error");
  }
  SECTION("the fault planned first decides, others go on counting") {
    rig.faulty.plan(Fault::error(EROFS).on({Operation::create_file}).at(1));
    rig.faulty.plan(
        Fault::error(ENOSPC).on({Operation::create_file}).at(1).for_ever());
    CHECK(create("a") == "read_only");
    CHECK(create("a") == "no_space");
  }
  SECTION("groups of operations") {
    rig.faulty.plan(Fault::error(EIO).on(Operations::syncs()).for_ever());
    const auto file = rig.root->create_file("f");
    file->write(view("x"));
    CHECK(code_of([&] { file->sync(); }) == "io_error");
    CHECK(code_of([&] { rig.root->sync(); }) == "io_error");
    const auto lock = rig.root->open_lock_file("LOCK");
    lock->write_at(0, "x");
    CHECK(code_of([&] { lock->sync(); }) == "io_error");
    CHECK(lock->read(1) == "x");
    rig.faulty.plan(Fault::error(EIO).on(Operations::reads()).for_ever());
    CHECK(code_of([&] { (void)lock->read(1); }) == "io_error");
    CHECK(code_of([&] { (void)get_file(*rig.root, "f"); }) == "io_error");
    const auto changes = Operations::changes();
    CHECK(changes.contains(Operation::rename));
    CHECK(changes.contains(Operation::sync_lock));
    CHECK(changes.contains(Operation::close));
    CHECK_FALSE(changes.contains(Operation::try_lock));
    CHECK_FALSE(changes.contains(Operation::list));
  }
}

TEST_CASE("fault file system: an error after it happened", "[testing][fault]") {
  Rig rig;
  put_file(*rig.root, "f", "x");
  rig.faulty.plan(Fault::error(EIO).applied());
  CHECK(code_of([&] { rig.root->rename("f", "g"); }) == "io_error");
  CHECK(rig.disk->list_all("r") == std::vector<std::string>{"g"});
  rig.faulty.plan(Fault::error(EIO).applied());
  CHECK(code_of([&] { rig.root->sync(); }) == "io_error");
  CHECK(rig.disk->pending_operations() == 0);
  rig.faulty.plan(Fault::error(EIO).applied());
  CHECK(code_of([&] { (void)rig.root->create_file("h"); }) == "io_error");
  CHECK(rig.disk->exists("r/h"));
}

TEST_CASE("fault file system: a short write", "[testing][fault]") {
  Rig rig;
  rig.faulty.plan(Fault::short_write().at(2));
  const auto file = rig.root->create_file("f");
  file->write(view("abcd"));
  CHECK(code_of([&] { file->write(view("efghij")); }) == "no_space");
  CHECK(rig.disk->read_text("r/f") == "abcdefg");

  rig.faulty.plan(Fault::short_write(EIO));
  const auto lock = rig.root->open_lock_file("LOCK");
  CHECK(code_of([&] { lock->write_at(0, "123456"); }) == "io_error");
  CHECK(rig.disk->read_text("r/LOCK") == "123");
}

TEST_CASE(
    "fault file system: after a power cut nothing passes",
    "[testing][fault]") {
  for (std::uint64_t n = 1; n <= kOperations; ++n) {
    CAPTURE(n);
    const auto disk = std::make_shared<MemoryFileSystem>();
    FaultFileSystem faulty(disk);
    faulty.plan(Fault::power_cut().at(n));
    bool cut = false;
    try {
      use_everything(faulty);
    } catch (const PowerCut& error) {
      cut = true;
      CHECK(error.code() == ErrorCode::io_error);
      CHECK(error.system_error() == EIO);
    }
    CHECK(cut == (n != kOperations)); // The last is unlock(), which is silent.
    CHECK(faulty.power_is_cut());
    CHECK(faulty.operations() == n);
    CHECK(faulty.faults() == 1);
    CHECK(code_of([&] {
            (void)faulty.open_root("r", Create::yes);
          }) == "io_error");
    CHECK(faulty.operations() == n);
    CHECK(disk->exists("r/f") == (n > 2));
    faulty.clear_faults();
    CHECK(faulty.power_is_cut());
  }
}

TEST_CASE(
    "fault file system: destructors after a power cut release nothing",
    "[testing][fault]") {
  Rig rig;
  put_file(*rig.root, "f", "x");
  auto lock = rig.root->open_lock_file("LOCK");
  auto other = rig.root->open_lock_file("OTHER");
  auto reader = rig.root->open_file("f");
  REQUIRE(lock->try_lock() == LockResult::acquired);
  REQUIRE(other->try_lock() == LockResult::acquired);
  REQUIRE(reader->try_lock_shared());
  other.reset();
  rig.faulty.cut_power();
  lock->unlock();
  lock.reset();
  reader.reset();
  rig.root.reset();
  // Nobody else gets what the dead held...
  const auto direct = rig.disk->open_root("r", Create::no);
  const auto locking = [&](const char* name) {
    return direct->open_lock_file(name)->try_lock();
  };
  CHECK(locking("LOCK") == LockResult::held_by_other);
  CHECK(locking("OTHER") == LockResult::acquired);
  CHECK_FALSE(direct->open_file("f")->is_unlocked());
  // ... before the machine has started again.
  rig.disk->cut_power(LossPattern::all_kept());
  const auto booted = rig.disk->open_root("r", Create::no);
  CHECK(booted->open_lock_file("LOCK")->try_lock() == LockResult::acquired);
}

TEST_CASE("fault file system: syncs that fail or lie", "[testing][fault]") {
  Rig rig;
  const auto survivor = [&](const std::string& path) {
    const auto copy = rig.disk->snapshot();
    LossPattern pattern = LossPattern::data_lost();
    copy->cut_power(pattern);
    return copy->read_text(path);
  };
  SECTION("a failed sync of a file is not cured by another one") {
    const auto file = rig.root->create_file("f");
    file->write(view("x"));
    rig.faulty.plan(Fault::error(EIO).on(Operations::syncs()));
    CHECK(code_of([&] { file->sync(); }) == "io_error");
    CHECK(code_of([&] { file->sync(); }) == "no error");
    CHECK(survivor("r/f").empty());
  }
  SECTION("a lock file that is written again is synced again") {
    const auto lock = rig.root->open_lock_file("LOCK");
    lock->write_at(0, "1");
    rig.faulty.plan(Fault::error(EIO).on(Operations::syncs()));
    CHECK(code_of([&] { lock->sync(); }) == "io_error");
    lock->sync();
    CHECK(survivor("r/LOCK").empty());
    lock->write_at(0, "2");
    lock->sync();
    CHECK(survivor("r/LOCK") == "2");
  }
  SECTION("a lie is a success that makes nothing durable") {
    rig.faulty.plan(
        Fault::lying_sync().on({Operation::sync_directory}).for_ever());
    put_file(*rig.root, "f", "x");
    rig.root->sync();
    CHECK(rig.disk->pending_names().size() == 1);
    CHECK(survivor("r/f") == "x");
    CHECK(rig.faulty.faults() == 1);
    rig.faulty.clear_faults();
    rig.root->sync();
    CHECK(rig.disk->pending_operations() == 0);
  }
}

TEST_CASE("fault file system: reads with a flipped bit", "[testing][fault]") {
  Rig rig;
  const std::string text(100, 'a');
  put_file(*rig.root, "f", text);
  const auto flips = [&](const std::string& got) {
    int count = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (int difference = got[i] ^ text[i]; difference != 0;
           difference &= difference - 1) {
        ++count;
      }
    }
    return count;
  };
  SECTION("once") {
    rig.faulty.plan(Fault::flip_bit().at(2));
    CHECK(get_file(*rig.root, "f") == text);
    CHECK(flips(get_file(*rig.root, "f")) == 1);
    CHECK(get_file(*rig.root, "f") == text);
    CHECK(rig.faulty.faults() == 1);
  }
  SECTION("for ever, another one each time") {
    rig.faulty.plan(Fault::flip_bit().for_ever());
    const std::string first = get_file(*rig.root, "f");
    const std::string second = get_file(*rig.root, "f");
    CHECK(flips(first) == 1);
    CHECK(flips(second) == 1);
    CHECK(first != second);
    CHECK(rig.disk->read_text("r/f") == text);
  }
  SECTION("in a lock file") {
    const auto lock = rig.root->open_lock_file("LOCK");
    lock->write_at(0, text);
    rig.faulty.plan(Fault::flip_bit());
    CHECK(flips(lock->read(100)) == 1);
    CHECK(lock->read(100) == text);
  }
}

TEST_CASE("fault file system: what is no error", "[testing][fault]") {
  Rig rig;
  put_file(*rig.root, "f", "x");
  const auto reader = rig.root->open_file("f");
  const auto lock = rig.root->open_lock_file("LOCK");
  for (const int system_error : {ENOLCK, ENOSYS, EOPNOTSUPP}) {
    CAPTURE(system_error);
    rig.faulty.clear_faults();
    rig.faulty.plan(Fault::error(system_error).for_ever());
    CHECK(lock->try_lock() == LockResult::not_supported);
    CHECK_FALSE(reader->try_lock_shared());
    CHECK(reader->is_unlocked());
  }
  rig.faulty.clear_faults();
  const auto file = rig.root->create_file("g");
  rig.faulty.plan(Fault::error(EOPNOTSUPP));
  file->reserve(100);
  rig.faulty.plan(Fault::error(ENOSPC));
  CHECK(code_of([&] { file->reserve(100); }) == "no_space");
  rig.faulty.plan(Fault::error(EAGAIN).for_ever());
  CHECK(lock->try_lock() == LockResult::held_by_other);
  CHECK_FALSE(reader->try_lock_shared());
  CHECK_FALSE(reader->is_unlocked());
  rig.faulty.clear_faults();
  CHECK(lock->try_lock() == LockResult::acquired);
}

TEST_CASE(
    "fault file system: somebody else acts in between",
    "[testing][fault]") {
  Rig rig;
  put_file(*rig.root, "f", "x");
  std::vector<std::string> heard;
  SECTION("before the operation, through either file system") {
    rig.faulty.set_hook([&](std::uint64_t n, const std::string& what) {
      heard.push_back(std::to_string(n) + " " + what);
      put_file(*rig.disk->open_root("r", Create::no), "direct", "");
      rig.root->create_directory("g"); // Counted, and not heard.
    });
    const std::uint64_t before = rig.faulty.operations();
    CHECK(code_of([&] { rig.root->rename("f", "g"); }) == "already_exists");
    CHECK(
        heard ==
        std::vector<std::string>{
            std::to_string(before + 1) + " rename r/f -> g"});
    CHECK(rig.faulty.operations() == before + 2);
    rig.faulty.set_hook(nullptr);
    CHECK(rig.root->exists("direct"));
    CHECK(heard.size() == 1);
  }
  SECTION("it may cut the power") {
    rig.faulty.set_hook(
        [&](std::uint64_t, const std::string&) { rig.faulty.cut_power(); });
    CHECK_THROWS_AS(rig.root->rename("f", "g"), PowerCut);
    CHECK(rig.disk->exists("r/f"));
  }
  SECTION("it may refuse") {
    rig.faulty.set_hook([&](std::uint64_t, const std::string&) {
      throw Error(ErrorCode::locked, "refused");
    });
    CHECK(code_of([&] { rig.root->rename("f", "g"); }) == "locked");
    CHECK(code_of([&] { rig.root->rename("f", "g"); }) == "locked");
    CHECK(rig.disk->exists("r/f"));
    const auto lock = rig.disk->open_root("r", Create::no);
    rig.faulty.set_hook(nullptr);
    rig.root->rename("f", "g");
    CHECK(rig.disk->exists("r/g"));
  }
}

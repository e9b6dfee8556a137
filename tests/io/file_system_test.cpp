#include <support/file_system_conformance.hpp>
#include <support/injected_calls.hpp>
#include <support/temporary_directory.hpp>

#include <holdfast/io/posix_file_system.hpp>

#include <algorithm>
#include <cerrno>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace holdfast;
using namespace holdfast::test;

/// Conformance with these calls, and no descriptor left open or closed twice.
void run_with(InjectedCalls& injected) {
  std::list<TemporaryDirectory> directories;
  const int before = open_descriptors();
  {
    PosixFileSystem file_system(injected.calls());
    run_file_system_conformance([&] {
      directories.emplace_back();
      return file_system.open_root(directories.back().path(), Create::yes);
    });
  }
  CHECK(injected.wrong_closes() == 0);
  CHECK(injected.open_count() == 0);
  CHECK(open_descriptors() == before);
}

/// One of everything that the file system can do.
void do_everything(const std::string& path, const PosixCalls& calls) {
  PosixFileSystem file_system(calls);
  const auto root = file_system.open_root(path + "/new/root", Create::yes);
  const auto file = root->create_file("f");
  file->reserve(100);
  file->write(ByteView(std::string_view("contents")));
  file->sync();
  file->close();
  root->create_directory("d");
  (void)root->open_directory("d")->list();
  (void)root->list();
  (void)root->exists("f");
  root->rename("f", "g");
  root->point_symlink("s", "g");
  root->point_symlink("s", "f");
  const auto reader = root->open_file("g");
  std::byte into[4];
  (void)reader->size();
  (void)reader->read_at(0, into, 4);
  (void)reader->is_unlocked();
  (void)reader->try_lock_shared();
  const auto lock = root->open_lock_file("LOCK");
  (void)lock->try_lock();
  lock->write_at(0, "text");
  (void)lock->read(4);
  lock->sync();
  (void)lock->is_still_named();
  lock->unlock();
  (void)root->space();
  (void)root->identity();
  root->sync();
  root->remove_file("s");
  root->remove_directory("d");
  (void)file_system.open_root(path + "/new/root", Create::yes);
}

} // namespace

TEST_CASE("posix file system: interrupted calls never surface", "[io][fault]") {
  InjectedCalls injected;
  injected.interrupt_every_call();
  run_with(injected);
  CHECK(injected.injections() > 0);
}

TEST_CASE("posix file system: short transfers are finished", "[io][fault]") {
  InjectedCalls injected;
  injected.shorten_transfers(61);
  run_with(injected);
}

TEST_CASE(
    "posix file system: works where the system lacks some calls",
    "[io][fault]") {
  InjectedCalls injected;
  const int error = GENERATE(EINVAL, ENOSYS);
  CAPTURE(error);
  injected.fail_always("rename_exclusive", error);
  injected.fail_always("fallocate", EOPNOTSUPP);
  injected.fail_always("start_writeback", error);
  injected.fail_always("forget_pages", error);
  injected.hide_kinds();
  run_with(injected);
}

TEST_CASE(
    "posix file system: an error of any call surfaces with its errno",
    "[io][fault]") {
  const int error =
      GENERATE(EIO, ENOSPC, EACCES, EDQUOT, EROFS, EMFILE, ESTALE);
  CAPTURE(error);
  const std::map<int, std::string> codes = {
      {EIO, "io_error"},
      {ENOSPC, "no_space"},
      {EDQUOT, "no_space"},
      {EACCES, "permission_denied"},
      {EROFS, "read_only"},
      {EMFILE, "io_error"},
      {ESTALE, "io_error"}};
  // Advice, and what destructors do.
  const std::set<std::string> silent = {
      "start_writeback", "forget_pages", "closedir"};
  std::set<std::string> seen;
  const int before = open_descriptors();
  std::uint64_t n = 0;
  for (;; ++n) {
    const TemporaryDirectory directory;
    InjectedCalls injected;
    injected.fail_nth(n, error);
    const auto thrown =
        error_of([&] { do_everything(directory.path(), injected.calls()); });
    CHECK(injected.wrong_closes() == 0);
    CHECK(injected.open_count() == 0);
    if (injected.injections() == 0) {
      CHECK_FALSE(thrown);
      break;
    }
    const std::string& call = injected.failed_call();
    seen.insert(call);
    CAPTURE(n, call);
    const bool may_be_silent = silent.count(call) != 0 || call == "close" ||
        // Space that cannot be reserved is asked for by the writes.
        (call == "fallocate" && codes.at(error) != "no_space") ||
        // F_UNLCK cannot be reported; EACCES for a lock means "held".
        call == "lock_description" ||
        // A probe and a parent that may not be opened.
        (call == "openat" && (error == EACCES || error == EROFS));
    if (!may_be_silent) {
      REQUIRE(thrown);
    }
    if (thrown) {
      CHECK(to_string(thrown->code()) == codes.at(error));
      CHECK(thrown->system_error() == error);
      CHECK(thrown->path().find(directory.path()) == 0);
    }
  }
  CHECK(open_descriptors() == before);
  CHECK(n > 60);
  for (const char* const call :
       {"openat",    "close",    "pread",     "pwrite",           "fsync",
        "ftruncate", "fstat",    "lstatat",   "fstatvfs",         "mkdirat",
        "unlinkat",  "renameat", "fallocate", "rename_exclusive", "symlinkat",
        "fdopendir", "readdir",  "closedir",  "lock_description", "flock"}) {
    CAPTURE(call);
    CHECK(seen.count(call) == 1);
  }
}

TEST_CASE(
    "posix file system: a failing close is reported once, never repeated",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  auto file = root->create_file("f");
  file->write(ByteView(std::string_view("x")));
  injected.fail_always("close", ENOSPC);
  const auto calls_before = injected.count("close");
  CHECK(code_of([&] { file->close(); }) == "no_space");
  CHECK(code_of([&] { file->close(); }) == "invalid_argument");
  file.reset();
  CHECK(injected.count("close") == calls_before + 1);
  CHECK(injected.wrong_closes() == 0);
}

TEST_CASE("posix file system: a failed sync is never repeated", "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  const auto file = root->create_file("f");
  const auto lock = root->open_lock_file("LOCK");
  file->write(ByteView(std::string_view("x")));
  injected.fail_always("fsync", EIO);
  CHECK(code_of([&] { file->sync(); }) == "io_error");
  CHECK(code_of([&] { lock->sync(); }) == "io_error");
  injected.fail_always("fsync", 0);
  const auto calls_before = injected.count("fsync");
  CHECK(code_of([&] { file->sync(); }) == "io_error");
  CHECK(code_of([&] { lock->sync(); }) == "io_error");
  CHECK(code_of([&] {
          file->write(ByteView(std::string_view("y")));
        }) == "io_error");
  CHECK(injected.count("fsync") == calls_before);
  file->close();
}

TEST_CASE(
    "posix file system: nothing is written after a failed write",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  const auto file = root->create_file("f");
  injected.fail_always("pwrite", ENOSPC);
  const ByteView text(std::string_view("text"));
  CHECK(code_of([&] { file->write(text); }) == "no_space");
  injected.fail_always("pwrite", 0);
  CHECK(code_of([&] { file->write(text); }) == "io_error");
  CHECK(code_of([&] { file->sync(); }) == "io_error");
  file->close();
  CHECK(get_file(*root, "f").empty());
}

TEST_CASE(
    "posix file system: a directory that cannot sync is tolerated, one that "
    "fails is not",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  const std::map<int, std::string> expected = {
      {EINVAL, "no error"},
      {EOPNOTSUPP, "no error"},
      {EIO, "io_error"},
      {ENOSPC, "no_space"},
      {EROFS, "read_only"}};
  for (const auto& [error, code] : expected) {
    CAPTURE(error);
    injected.fail_always("fsync", error);
    CHECK(code_of([&] { root->sync(); }) == code);
  }
  // A file that cannot be synced is not durable, whatever the reason.
  const auto file = root->create_file("f");
  injected.fail_always("fsync", EINVAL);
  CHECK(code_of([&] { file->sync(); }) == "io_error");
}

TEST_CASE(
    "posix file system: a full disk shows when space is reserved",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    injected.fail_always("fallocate", error);
    const auto file = root->create_file("f");
    CHECK(code_of([&] { file->reserve(1000); }) == "no_space");
    file->close();
    root->remove_file("f");
  }
  injected.fail_always("fallocate", 0);
  const auto file = root->create_file("f");
  CHECK(code_of([&] { file->reserve(std::uint64_t{1} << 63); }) == "no_space");
}

TEST_CASE("posix file system: every descriptor is close-on-exec", "[io]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  do_everything(directory.path(), injected.calls());
  CHECK(injected.count("openat") > 10);
  CHECK(injected.inheritable() == 0);
}

TEST_CASE("posix file system: large writes end at aligned offsets", "[io]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  const auto file = root->create_file("f");
  const Bytes bytes = random_bytes((std::size_t{20} << 20) + 5, seed());
  file->write(ByteView(bytes).subview(0, 5));
  file->write(ByteView(bytes).subview(5, bytes.size() - 5));
  file->close();
  CHECK(
      injected.count("pwrite") == 4); // 5 bytes, to 8 MiB, to 16 MiB, the rest.
  CHECK(injected.count("start_writeback") == 2);
  CHECK((read_file(*root, "f", bytes.size()) == bytes));
}

TEST_CASE("posix file system: a new root is durable name by name", "[io]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const std::string path = directory.path("a/b//c/");
  SECTION("missing directories are refused unless asked for") {
    const auto error =
        error_of([&] { (void)file_system.open_root(path, Create::no); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::not_found);
    CHECK(error->path() == path);
    CHECK(injected.count("mkdirat") == 0);
  }
  SECTION("each name is synced before the next one is made") {
    const auto root = file_system.open_root(path, Create::yes);
    CHECK(injected.count("mkdirat") == 3);
    std::vector<std::string> order;
    for (const std::string& call : injected.log()) {
      if (call == "mkdirat" || call == "fsync") {
        order.push_back(call);
      }
    }
    put_file(*root, "f", "x");
    CHECK(
        order ==
        std::vector<std::string>{
            "mkdirat", "fsync", "mkdirat", "fsync", "mkdirat", "fsync"});
    CHECK(
        get_file(
            *file_system.open_root(directory.path("a/b/c"), Create::no), "f") ==
        "x");
  }
  SECTION("one that is there may have a name that was never synced") {
    (void)file_system.open_root(directory.path(), Create::no);
    CHECK(injected.count("fsync") == 0);
    (void)file_system.open_root(directory.path(), Create::yes);
    CHECK(injected.count("fsync") == 1);
  }
  SECTION("the path may lead through links, and a file is no root") {
    const auto root = file_system.open_root(directory.path(), Create::no);
    root->create_directory("real");
    root->point_symlink("link", "real");
    root->point_symlink("dangling", "nowhere");
    put_file(*root, "f", "");
    const auto open = [&](const std::string& name, Create create) {
      return file_system.open_root(directory.path(name), create);
    };
    CHECK(
        open("link", Create::no)->identity() ==
        open("real", Create::no)->identity());
    put_file(*open("link/below", Create::yes), "g", "");
    CHECK(open("real/below", Create::no)->exists("g"));
    for (const Create create : {Create::no, Create::yes}) {
      CHECK(code_of([&] { (void)open("f", create); }) == "not_a_directory");
      CHECK(code_of([&] { (void)open("f/x", create); }) == "not_a_directory");
      CHECK(code_of([&] { (void)open("dangling", create); }) == "not_found");
    }
  }
  SECTION("a path is not empty") {
    CHECK(code_of([&] {
            (void)file_system.open_root("", Create::yes);
          }) == "invalid_argument");
    const std::string with_nul("a\0b", 3);
    CHECK(code_of([&] {
            (void)file_system.open_root(with_nul, Create::yes);
          }) == "invalid_argument");
  }
}

TEST_CASE("posix file system: a pipe neither blocks nor opens", "[io]") {
  const TemporaryDirectory directory;
  REQUIRE(::mkfifo(directory.path("pipe").c_str(), 0600) == 0);
  const auto root =
      default_file_system()->open_root(directory.path(), Create::no);
  CHECK(code_of([&] { (void)root->open_file("pipe"); }) == "io_error");
  CHECK(code_of([&] { (void)root->open_lock_file("pipe"); }) == "io_error");
  CHECK(listing(*root) == std::vector<std::string>{"pipe:other"});
  remove_tree(*root, "pipe");
  CHECK(root->list().empty());
}

TEST_CASE(
    "posix file system: answers of systems without locks",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  const auto lock = root->open_lock_file("LOCK");
  const auto reader = root->open_file("LOCK");
  for (const int error : {ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL}) {
    CAPTURE(error);
    injected.fail_always("lock_description", error);
    injected.fail_always("flock", error);
    CHECK(lock->try_lock() == LockResult::not_supported);
    CHECK_FALSE(reader->try_lock_shared());
    CHECK(reader->is_unlocked());
  }
  for (const int error : {EAGAIN, EACCES}) {
    injected.fail_always("lock_description", error);
    CHECK(lock->try_lock() == LockResult::held_by_other);
  }
  injected.fail_always("lock_description", EIO);
  injected.fail_always("flock", EIO);
  CHECK(code_of([&] { (void)lock->try_lock(); }) == "io_error");
  CHECK(code_of([&] { (void)reader->try_lock_shared(); }) == "io_error");
  CHECK(code_of([&] { (void)reader->is_unlocked(); }) == "io_error");
}

TEST_CASE(
    "posix file system: a reader's lock outlasts somebody who only asks",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  put_file(*root, "f", "x");
  const auto reader = root->open_file("f");
  injected.fail_times("flock", EWOULDBLOCK, 3);
  CHECK(reader->try_lock_shared());
  CHECK(injected.count("pause") == 3);
  injected.fail_always("flock", EWOULDBLOCK);
  CHECK_FALSE(reader->try_lock_shared());
}

TEST_CASE(
    "posix file system: a forked child shares the lock and cannot drop it",
    "[io][fork]") {
  const TemporaryDirectory directory;
  const auto root =
      default_file_system()->open_root(directory.path(), Create::no);
  auto lock = root->open_lock_file("LOCK");
  const auto other = root->open_lock_file("LOCK");
  REQUIRE(lock->try_lock() == LockResult::acquired);
  const pid_t child = ::fork();
  if (child == 0) {
    lock->unlock();
    lock.reset();
    ::_exit(other->try_lock() == LockResult::held_by_other ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(other->try_lock() == LockResult::held_by_other);
  lock->unlock();
  CHECK(other->try_lock() == LockResult::acquired);
}

TEST_CASE(
    "posix file system: remove_tree meets entries that vanish",
    "[io][fault]") {
  // The listing names what is gone when its turn comes: every unlink of a file
  // happens, and then says that there was nothing.
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  root->create_directory("d");
  put_file(*root->open_directory("d"), "f", "");
  injected.answer_after_doing("unlinkat", ENOENT);
  CHECK(code_of([&] { remove_tree(*root, "d"); }) == "no error");
  CHECK_FALSE(root->exists("d"));
}

TEST_CASE(
    "posix file system: a read that fails is no end of a list",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  put_file(*root, "f", "");
  put_file(*root, "g", "");
  for (std::uint64_t skip = 0; skip < 5; ++skip) {
    CAPTURE(skip);
    injected.fail_after("readdir", EIO, skip);
    CHECK(code_of([&] { (void)root->list(); }) == "io_error");
  }
}

TEST_CASE(
    "posix file system: a link that cannot be moved leaves nothing",
    "[io][fault]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  root->point_symlink("s", "a");
  injected.fail_always("renameat", EIO);
  CHECK(code_of([&] { root->point_symlink("s", "b"); }) == "io_error");
  CHECK(listing(*root) == std::vector<std::string>{"s:symlink"});
}

TEST_CASE(
    "posix file system: what was reserved too much is given back",
    "[io]") {
  const TemporaryDirectory directory;
  InjectedCalls injected;
  PosixFileSystem file_system(injected.calls());
  const auto root = file_system.open_root(directory.path(), Create::no);
  const bool by_sync = GENERATE(true, false);
  const auto file = root->create_file("f");
  file->reserve(1 << 20);
  file->write(ByteView(std::string_view("short")));
  if (by_sync) {
    file->sync();
    CHECK(injected.count("ftruncate") == 1);
  }
  file->close();
  CHECK(injected.count("ftruncate") == 1); // Once is enough.
  struct ::stat status = {};
  REQUIRE(::stat(directory.path("f").c_str(), &status) == 0);
  CHECK(status.st_size == 5);
  CHECK(status.st_blocks * 512 < (1 << 20));
}

TEST_CASE("posix file system: read_file meets a file that grows", "[io]") {
  // As if the size had been asked for before the last bytes came.
  class Growing final : public ReadableFile {
   public:
    std::uint64_t size() const override {
      return 3;
    }
    std::size_t read_at(
        std::uint64_t offset,
        std::byte* into,
        std::size_t count) override {
      const std::string_view text = "grown";
      const std::size_t from = std::min<std::size_t>(offset, text.size());
      return text.copy(reinterpret_cast<char*>(into), count, from);
    }
    void drop_cache() noexcept override {}
    bool try_lock_shared() override {
      return true;
    }
    std::unique_ptr<ExclusiveLock> try_lock_exclusive() override {
      return std::make_unique<ExclusiveLock>();
    }
  };
  Growing growing;
  CHECK(ByteView(detail::read_all(growing, 5, "f")).text() == "grown");
  CHECK(code_of([&] {
          (void)detail::read_all(growing, 4, "f");
        }) == "limit_exceeded");
}

#include "store_support.hpp"

#include <support/forked_child.hpp>
#include <support/temporary_directory.hpp>

#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/trash.hpp>
#include <holdfast/testing/fault_file_system.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

using namespace holdfast;
using namespace holdfast::test;
using testing::Fault;
using testing::FaultFileSystem;
using testing::MemoryFileSystem;
using testing::Operation;
using testing::Operations;

namespace {

/// Directories "a", "b" and "c" with files and a directory each.
std::shared_ptr<Directory> three_directories(FileSystem& files) {
  auto root = files.open_root("run", Create::yes);
  for (const char* const name : {"a", "b", "c"}) {
    root->create_directory(name);
    const auto directory = root->open_directory(name);
    write_file(*directory, "one", "1");
    directory->create_directory("model");
    write_file(*directory->open_directory("model"), "two", "22");
  }
  return root;
}

} // namespace

TEST_CASE("trash: all of it goes, at once or behind", "[store][trash]") {
  for (const Deletion deletion : {Deletion::at_once, Deletion::in_background}) {
    MemoryFileSystem files;
    const auto root = three_directories(files);
    Trash trash(root, deletion);
    trash.wait(); // nothing to wait for
    trash.remove("a");
    if (deletion == Deletion::at_once) {
      CHECK_FALSE(root->exists("a"));
    }
    trash.remove("b");
    trash.remove("not there");
    trash.wait();
    CHECK_FALSE(root->exists("a"));
    CHECK_FALSE(root->exists("b"));
    CHECK(root->exists("c"));
    CHECK(trash.take_failures().empty());
    trash.remove("c");
    trash.wait();
    CHECK(root->list().empty());
  }
}

TEST_CASE("trash: who fails is told once, and keeps nobody", "[store][trash]") {
  for (const Deletion deletion : {Deletion::at_once, Deletion::in_background}) {
    const auto memory = std::make_shared<MemoryFileSystem>();
    FaultFileSystem files(memory);
    const auto root = three_directories(files);
    Trash trash(root, deletion);
    files.plan(Fault::error(EIO)
                   .on(Operations{Operation::remove_file})
                   .named("b/")
                   .for_ever());
    for (const char* const name : {"a", "b", "c"}) {
      trash.remove(name);
    }
    trash.wait();
    const auto failures = trash.take_failures();
    REQUIRE(failures.size() == 1);
    CHECK(failures.front().find("b could not be deleted yet: ") == 0);
    CHECK(trash.take_failures().empty());
    CHECK(root->list().size() == 1);
    trash.remove("not there"); // and "b" once more
    trash.wait();
    CHECK(trash.take_failures().empty());
    CHECK(root->list().size() == 1);
    files.clear_faults();
    trash.wait();
    CHECK(root->list().size() == 1);
    trash.remove("not there");
    trash.wait();
    CHECK(root->list().empty());
  }
}

TEST_CASE("trash: nobody waits but who asks to", "[store][trash]") {
  const auto memory = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files(memory);
  const auto root = three_directories(files);
  const auto other = memory->open_root("run", Create::no);
  std::atomic<bool> blocked{false};
  std::atomic<bool> open{false};
  const auto caller = std::this_thread::get_id();
  files.set_hook([&](std::uint64_t, const std::string&) {
    if (std::this_thread::get_id() == caller) {
      return;
    }
    blocked = true;
    while (!open) {
      std::this_thread::yield();
    }
  });
  std::thread opener;
  const auto open_soon = [&] {
    opener = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      open = true;
    });
  };
  {
    Trash trash(root, Deletion::in_background);
    trash.remove("a");
    trash.remove("b");
    while (!blocked) {
      std::this_thread::yield();
    }
    // It stands still in its first operation; we do not.
    CHECK(trash.take_failures().empty());
    CHECK(other->exists("a"));
    CHECK(other->exists("b"));
    CHECK_FALSE(trash.wait_for(0.001));
    open_soon();
    SECTION("who waits") {
      trash.wait();
      CHECK_FALSE(other->exists("a"));
      CHECK_FALSE(other->exists("b"));
    }
    SECTION("and the destructor") {}
  }
  CHECK(other->list().size() == 1);
  opener.join();
}

TEST_CASE("trash: patience is for all of it", "[store][trash]") {
  const auto memory = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files(memory);
  const auto root = files.open_root("run", Create::yes);
  const auto caller = std::this_thread::get_id();
  files.set_hook([&](std::uint64_t, const std::string&) {
    if (std::this_thread::get_id() != caller) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  Trash trash(root, Deletion::in_background);
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i);
    root->create_directory(name);
    trash.remove(name);
  }
  CHECK_FALSE(trash.wait_for(0.1)); // far from done, though each is quick
  trash.wait();
  CHECK(trash.wait_for(0));
}

TEST_CASE("trash: who is in a hurry leaves the rest", "[store][trash]") {
  const auto memory = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files(memory);
  const auto root = three_directories(files);
  std::atomic<bool> blocked{false};
  std::atomic<bool> open{false};
  const auto caller = std::this_thread::get_id();
  files.set_hook([&](std::uint64_t, const std::string& what) {
    if (std::this_thread::get_id() == caller || what.find("remove") != 0) {
      return;
    }
    blocked = true;
    while (!open) {
      std::this_thread::yield();
    }
  });
  std::thread opener;
  {
    Trash trash(root, Deletion::in_background);
    trash.remove("a");
    trash.remove("b");
    while (!blocked) {
      std::this_thread::yield();
    }
    trash.leave(); // amid the first file of "a"
    opener = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      open = true;
    });
  }
  opener.join();
  const auto other = memory->open_root("run", Create::no);
  CHECK(other->list().size() == 3);
  const auto begun = other->open_directory("a");
  CHECK(begun->list().size() == 2);
  CHECK(begun->open_directory("model")->list().empty());
  CHECK(other->open_directory("b")->list().size() == 2);
}

TEST_CASE("trash: a forked child waits for nobody", "[store][trash][fork]") {
  TemporaryDirectory directory;
  const auto files = default_file_system();
  const auto root = files->open_root(directory.path(), Create::yes);
  root->create_directory("a");
  root->create_directory("b");
  auto* const trash = new Trash(root, Deletion::in_background);
  trash->remove("a");
  CHECK(in_forked_child([&] {
          trash->wait();
          const bool silent = trash->take_failures().empty();
          trash->remove("b"); // the parent's
          delete trash;
          return silent && root->exists("b") ? 0 : 1;
        }) == 0);
  delete trash;
  CHECK(root->list().size() == 1);
}

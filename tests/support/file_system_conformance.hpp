#pragma once

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/io/file_system.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

/// The contract of io/file_system.hpp as tests, for every implementation.
namespace holdfast::test {

/// Makes a new, empty, writable directory.
using MakeRoot = std::function<std::shared_ptr<Directory>()>;

inline void put_file(
    Directory& directory,
    const std::string& name,
    std::string_view text) {
  const auto file = directory.create_file(name);
  file->write(ByteView(text));
  file->sync();
  file->close();
}

inline std::string get_file(Directory& directory, const std::string& name) {
  const Bytes bytes = read_file(directory, name, 1U << 30);
  return std::string(ByteView(bytes).text());
}

/// The entries as "name:kind", sorted.
inline std::vector<std::string> listing(Directory& directory) {
  std::vector<std::string> lines;
  for (const DirectoryEntry& entry : directory.list()) {
    const char* const kinds[] = {"file", "directory", "symlink", "other"};
    lines.push_back(entry.name + ":" + kinds[static_cast<int>(entry.kind)]);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

inline void check_names(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("a name is one component") {
    const std::string bad = GENERATE(
        std::string(),
        std::string("."),
        std::string(".."),
        std::string("a/b"),
        std::string("/a"),
        std::string("a/"),
        std::string("a\0b", 3));
    CAPTURE(bad);
    put_file(*root, "file", "x");
    const std::string refused = "invalid_argument";
    CHECK(code_of([&] { (void)root->exists(bad); }) == refused);
    CHECK(code_of([&] { (void)root->create_file(bad); }) == refused);
    CHECK(code_of([&] { (void)root->open_file(bad); }) == refused);
    CHECK(code_of([&] { (void)root->open_lock_file(bad); }) == refused);
    CHECK(code_of([&] { root->create_directory(bad); }) == refused);
    CHECK(code_of([&] { (void)root->open_directory(bad); }) == refused);
    CHECK(code_of([&] { root->rename(bad, "other"); }) == refused);
    CHECK(code_of([&] { root->rename("file", bad); }) == refused);
    CHECK(code_of([&] { root->remove_file(bad); }) == refused);
    CHECK(code_of([&] { root->remove_directory(bad); }) == refused);
    CHECK(code_of([&] { root->point_symlink(bad, "file"); }) == refused);
    CHECK(code_of([&] { remove_tree(*root, bad); }) == refused);
    CHECK(listing(*root) == std::vector<std::string>{"file:file"});
  }
  SECTION("dots, blanks and bytes beyond ASCII are ordinary") {
    for (const std::string name :
         {".staging-000001", "...", "a b", "\xc3\xa9"}) {
      put_file(*root, name, name);
      CHECK(get_file(*root, name) == name);
    }
    CHECK(root->list().size() == 4);
  }
}

inline void check_writing(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("a file holds what was written, in pieces of any size") {
    const std::uint64_t from_seed = seed();
    CAPTURE(from_seed);
    const Bytes bytes = random_bytes(100'003, from_seed);
    const auto file = root->create_file("f");
    std::size_t offset = 0;
    for (std::size_t piece = 1; offset < bytes.size(); piece = piece * 3 + 1) {
      const std::size_t count = std::min(piece, bytes.size() - offset);
      file->write(ByteView(bytes).subview(offset, count));
      file->border();
      file->write({});
      offset += count;
    }
    file->sync();
    file->close();
    CHECK(read_file(*root, "f", bytes.size()) == bytes);
  }
  SECTION("a new file is empty and takes a name that is free") {
    put_file(*root, "f", "");
    CHECK(get_file(*root, "f").empty());
    put_file(*root, "g", "kept");
    root->create_directory("d");
    root->point_symlink("s", "nowhere");
    for (const std::string name : {"f", "g", "d", "s"}) {
      CAPTURE(name);
      CHECK(
          code_of([&] { (void)root->create_file(name); }) == "already_exists");
    }
    CHECK(get_file(*root, "g") == "kept");
  }
  SECTION("reserving does not change the size") {
    const auto file = root->create_file("f");
    file->reserve(1 << 20);
    file->write(ByteView(std::string_view("short")));
    file->sync();
    file->close();
    CHECK(root->open_file("f")->size() == 5);
    CHECK(get_file(*root, "f") == "short");
  }
  SECTION("writing beyond what was reserved is fine") {
    const auto file = root->create_file("f");
    file->reserve(3);
    file->write(ByteView(std::string_view("longer")));
    file->sync();
    file->close();
    CHECK(get_file(*root, "f") == "longer");
  }
  SECTION("nothing may follow close") {
    const auto file = root->create_file("f");
    file->close();
    const ByteView byte(std::string_view("x"));
    CHECK(code_of([&] { file->close(); }) == "invalid_argument");
    CHECK(code_of([&] { file->write(byte); }) == "invalid_argument");
    CHECK(code_of([&] { file->sync(); }) == "invalid_argument");
    CHECK(code_of([&] { file->reserve(1); }) == "invalid_argument");
  }
  SECTION("a file that is dropped without close is there, and no error") {
    root->create_file("f")->write(ByteView(std::string_view("abc")));
    CHECK(get_file(*root, "f") == "abc");
  }
}

inline void check_reading(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("reads anywhere, fewer only at the end") {
    put_file(*root, "f", "0123456789");
    const auto file = root->open_file("f");
    CHECK(file->size() == 10);
    Bytes into(20, std::byte{'.'});
    CHECK(file->read_at(0, into.data(), 10) == 10);
    CHECK(ByteView(into).text().substr(0, 11) == "0123456789.");
    CHECK(file->read_at(7, into.data(), 20) == 3);
    CHECK(ByteView(into).text().substr(0, 4) == "7893");
    CHECK(file->read_at(10, into.data(), 5) == 0);
    CHECK(file->read_at(11, into.data(), 5) == 0);
    CHECK(file->read_at(3, into.data(), 0) == 0);
    const std::uint64_t far = std::numeric_limits<std::uint64_t>::max();
    CHECK(file->read_at(far, into.data(), 5) == 0);
    file->drop_cache();
    CHECK(file->read_at(2, into.data(), 2) == 2);
    CHECK(ByteView(into).text().substr(0, 2) == "23");
  }
  SECTION("an open file outlives its name") {
    put_file(*root, "f", "contents");
    const auto file = root->open_file("f");
    root->remove_file("f");
    put_file(*root, "f", "other");
    Bytes into(8);
    CHECK(file->size() == 8);
    CHECK(file->read_at(0, into.data(), 8) == 8);
    CHECK(ByteView(into).text() == "contents");
  }
  SECTION("only regular files open") {
    put_file(*root, "f", "x");
    root->create_directory("d");
    root->point_symlink("s", "f");
    CHECK(code_of([&] { (void)root->open_file("none"); }) == "not_found");
    CHECK(code_of([&] { (void)root->open_file("d"); }) == "io_error");
    CHECK(code_of([&] { (void)root->open_file("s"); }) == "io_error");
    CHECK(code_of([&] { (void)root->open_lock_file("d"); }) == "io_error");
    CHECK(code_of([&] { (void)root->open_lock_file("s"); }) == "io_error");
  }
  SECTION("read_file takes files up to its limit") {
    put_file(*root, "f", "12345");
    CHECK(read_file(*root, "f", 5).size() == 5);
    CHECK(code_of([&] { (void)read_file(*root, "f", 4); }) == "limit_exceeded");
    CHECK(code_of([&] { (void)read_file(*root, "g", 4); }) == "not_found");
  }
}

inline void check_directories(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("a directory lists what is in it, with kinds") {
    CHECK(listing(*root).empty());
    put_file(*root, "f", "");
    root->create_directory("d");
    root->point_symlink("s", "d");
    const std::vector<std::string> expected = {
        "d:directory", "f:file", "s:symlink"};
    CHECK(listing(*root) == expected);
    CHECK(listing(*root) == expected); // A second time from the beginning.
    CHECK(listing(*root->open_directory("d")).empty());
  }
  SECTION("exists() sees names of any kind, and does not follow links") {
    put_file(*root, "f", "");
    root->create_directory("d");
    root->point_symlink("s", "nowhere");
    CHECK(root->exists("f"));
    CHECK(root->exists("d"));
    CHECK(root->exists("s"));
    CHECK_FALSE(root->exists("nowhere"));
  }
  SECTION("create_directory takes a name that is free") {
    put_file(*root, "f", "");
    root->create_directory("d");
    root->point_symlink("s", "d");
    for (const std::string name : {"f", "d", "s"}) {
      CAPTURE(name);
      CHECK(code_of([&] { root->create_directory(name); }) == "already_exists");
    }
  }
  SECTION("only directories open as directories") {
    put_file(*root, "f", "");
    root->create_directory("d");
    root->point_symlink("s", "d");
    const auto open = [&](const std::string& name) {
      return code_of([&] { (void)root->open_directory(name); });
    };
    CHECK(open("d") == "no error");
    CHECK(open("f") == "not_a_directory");
    CHECK(open("s") == "not_a_directory");
    CHECK(open("none") == "not_found");
  }
  SECTION("an open directory goes with its directory, not with the name") {
    root->create_directory("d");
    const auto held = root->open_directory("d");
    root->rename("d", "e");
    root->create_directory("d");
    put_file(*held, "f", "x");
    CHECK(listing(*root->open_directory("d")).empty());
    CHECK(get_file(*root->open_directory("e"), "f") == "x");
  }
  SECTION("work in a directory that was removed is not_found") {
    root->create_directory("d");
    const auto held = root->open_directory("d");
    root->remove_directory("d");
    CHECK(code_of([&] { (void)held->create_file("f"); }) == "not_found");
    CHECK(code_of([&] { held->create_directory("e"); }) == "not_found");
    CHECK_FALSE(held->exists("f"));
  }
  SECTION("identity tells directories apart") {
    root->create_directory("d");
    root->create_directory("e");
    const auto first = root->open_directory("d");
    const auto second = root->open_directory("d");
    CHECK(first->identity() == second->identity());
    CHECK(first->identity() != root->open_directory("e")->identity());
    CHECK(first->identity() != root->identity());
    root->rename("d", "moved");
    CHECK(first->identity() == root->open_directory("moved")->identity());
    CHECK_FALSE(first->identity().empty());
  }
  SECTION("paths are for messages") {
    root->create_directory("d");
    CHECK(root->open_directory("d")->path() == root->path() + "/d");
    const auto error = error_of([&] { (void)root->open_file("none"); });
    REQUIRE(error);
    CHECK(error->path() == root->path() + "/none");
  }
  SECTION("sync and space answer") {
    root->sync();
    CHECK(root->space().available_bytes > 0);
    CHECK(root->space().available_files > 0);
  }
}

inline void check_renaming(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("files, full directories and links move") {
    put_file(*root, "f", "x");
    root->create_directory("d");
    put_file(*root->open_directory("d"), "inner", "y");
    root->point_symlink("s", "f");
    root->rename("f", "f2");
    root->rename("d", "d2");
    root->rename("s", "s2");
    const std::vector<std::string> expected = {
        "d2:directory", "f2:file", "s2:symlink"};
    CHECK(listing(*root) == expected);
    CHECK(get_file(*root, "f2") == "x");
    CHECK(get_file(*root->open_directory("d2"), "inner") == "y");
  }
  SECTION("never over an existing name") {
    put_file(*root, "f", "x");
    put_file(*root, "g", "y");
    root->create_directory("d");
    root->create_directory("empty");
    root->point_symlink("s", "nowhere");
    const auto rename = [&](const std::string& from, const std::string& to) {
      return code_of([&] { root->rename(from, to); });
    };
    CHECK(rename("f", "g") == "already_exists");
    CHECK(rename("f", "empty") == "already_exists");
    CHECK(rename("d", "empty") == "already_exists");
    CHECK(rename("d", "g") == "already_exists");
    CHECK(rename("f", "s") == "already_exists");
    CHECK(rename("s", "f") == "already_exists");
    CHECK(rename("f", "f") == "already_exists");
    CHECK(get_file(*root, "f") == "x");
    CHECK(get_file(*root, "g") == "y");
    CHECK(root->list().size() == 5);
  }
  SECTION("what is not there cannot be renamed") {
    CHECK(code_of([&] { root->rename("none", "f"); }) == "not_found");
    CHECK(root->list().empty());
  }
}

inline void check_removing(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("remove_file removes files and links, never what a link leads to") {
    put_file(*root, "f", "x");
    root->create_directory("d");
    root->point_symlink("s", "f");
    root->point_symlink("t", "d");
    root->remove_file("s");
    root->remove_file("t");
    CHECK(listing(*root) == std::vector<std::string>{"d:directory", "f:file"});
    root->remove_file("f");
    CHECK(code_of([&] { root->remove_file("f"); }) == "not_found");
    CHECK(code_of([&] { root->remove_file("d"); }) == "io_error");
    CHECK(listing(*root) == std::vector<std::string>{"d:directory"});
  }
  SECTION("remove_directory removes empty directories only") {
    put_file(*root, "f", "x");
    root->create_directory("d");
    root->point_symlink("s", "d");
    put_file(*root->open_directory("d"), "inner", "");
    const auto remove = [&](const std::string& name) {
      return code_of([&] { root->remove_directory(name); });
    };
    CHECK(remove("d") == "already_exists");
    CHECK(remove("f") == "not_a_directory");
    CHECK(remove("s") == "not_a_directory");
    CHECK(remove("none") == "not_found");
    root->open_directory("d")->remove_file("inner");
    CHECK(remove("d") == "no error");
    CHECK(root->list().size() == 2);
  }
  SECTION("remove_tree removes everything below, links as links") {
    put_file(*root, "kept", "x");
    root->create_directory("other");
    put_file(*root->open_directory("other"), "kept", "y");
    root->create_directory("tree");
    const auto tree = root->open_directory("tree");
    put_file(*tree, "f", "1");
    tree->create_directory("a");
    const auto inner = tree->open_directory("a");
    inner->create_directory("b");
    put_file(*inner->open_directory("b"), "g", "2");
    inner->point_symlink("link", "../../other");
    remove_tree(*root, "tree");
    CHECK_FALSE(root->exists("tree"));
    CHECK(get_file(*root, "kept") == "x");
    CHECK(get_file(*root->open_directory("other"), "kept") == "y");
    remove_tree(*root, "tree"); // Nothing there: nothing to do.
    root->point_symlink("link", "other");
    remove_tree(*root, "link");
    remove_tree(*root, "kept");
    CHECK(listing(*root) == std::vector<std::string>{"other:directory"});
  }
}

inline void check_symlinks(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("a link is repointed in place, and nothing else is left") {
    root->point_symlink("s", "a");
    root->point_symlink("s", "b");
    CHECK(listing(*root) == std::vector<std::string>{"s:symlink"});
  }
  SECTION("only a link is replaced") {
    put_file(*root, "f", "x");
    root->create_directory("d");
    const auto point = [&](const std::string& name) {
      return code_of([&] { root->point_symlink(name, "a"); });
    };
    CHECK(point("f") == "already_exists");
    CHECK(point("d") == "already_exists");
    CHECK(get_file(*root, "f") == "x");
    CHECK(listing(*root) == std::vector<std::string>{"d:directory", "f:file"});
  }
}

inline void check_locks(const MakeRoot& make_root) {
  const auto root = make_root();
  SECTION("one open lock file at a time holds the lock") {
    const auto first = root->open_lock_file("LOCK");
    auto second = root->open_lock_file("LOCK");
    REQUIRE(first->try_lock() == LockResult::acquired);
    CHECK(first->try_lock() == LockResult::acquired);
    CHECK(second->try_lock() == LockResult::held_by_other);
    second.reset(); // Closing another one does not drop the lock.
    second = root->open_lock_file("LOCK");
    CHECK(second->try_lock() == LockResult::held_by_other);
    first->unlock();
    CHECK(second->try_lock() == LockResult::acquired);
    CHECK(first->try_lock() == LockResult::held_by_other);
    second.reset(); // The last handle takes its lock along.
    CHECK(first->try_lock() == LockResult::acquired);
  }
  SECTION("a lock file is overwritten in place") {
    const auto lock = root->open_lock_file("LOCK");
    CHECK(lock->read(10).empty());
    lock->write_at(0, "abcdef");
    lock->write_at(2, "XY");
    CHECK(lock->read(100) == "abXYef");
    CHECK(lock->read(3) == "abX");
    CHECK(lock->read(0).empty());
    lock->write_at(8, "z");
    lock->sync();
    lock->write_at(0, "A");
    lock->sync();
    const std::string expected("AbXYef\0\0z", 9);
    CHECK(lock->read(100) == expected);
    CHECK(root->open_lock_file("LOCK")->read(100) == expected);
    CHECK(get_file(*root, "LOCK") == expected);
  }
  SECTION("a lock file tells whether the name is still its own") {
    const auto lock = root->open_lock_file("LOCK");
    CHECK(lock->is_still_named());
    root->rename("LOCK", "away");
    CHECK_FALSE(lock->is_still_named());
    put_file(*root, "LOCK", "");
    CHECK_FALSE(lock->is_still_named());
    root->remove_file("LOCK");
    root->rename("away", "LOCK");
    CHECK(lock->is_still_named());
    root->remove_file("LOCK");
    CHECK_FALSE(lock->is_still_named());
  }
  SECTION("readers share a lock that others can see") {
    put_file(*root, "f", "x");
    const auto watcher = root->open_file("f");
    CHECK(watcher->is_unlocked());
    auto first = root->open_file("f");
    auto second = root->open_file("f");
    CHECK(first->try_lock_shared());
    CHECK(first->try_lock_shared());
    CHECK(second->try_lock_shared());
    CHECK_FALSE(watcher->is_unlocked());
    CHECK_FALSE(first->is_unlocked()); // Its own lock counts too.
    first.reset();
    CHECK_FALSE(watcher->is_unlocked());
    second.reset();
    CHECK(watcher->is_unlocked());
    CHECK(watcher->is_unlocked()); // Asking takes nothing.
    CHECK(watcher->try_lock_shared());
  }
  SECTION("an exclusive lock keeps others off while it lives") {
    put_file(*root, "f", "x");
    const auto writer = root->open_file("f");
    const auto reader = root->open_file("f");
    auto alone = writer->try_lock_exclusive();
    REQUIRE(alone);
    CHECK_FALSE(writer->try_lock_exclusive());
    CHECK_FALSE(reader->is_unlocked());
    CHECK_FALSE(reader->try_lock_shared());
    alone.reset();
    CHECK(reader->try_lock_shared());
    CHECK_FALSE(writer->try_lock_exclusive());
  }
  SECTION("a reader's lock follows a rename of the directory") {
    root->create_directory("d");
    put_file(*root->open_directory("d"), "f", "x");
    const auto reader = root->open_directory("d")->open_file("f");
    CHECK(reader->try_lock_shared());
    root->rename("d", "e");
    CHECK_FALSE(root->open_directory("e")->open_file("f")->is_unlocked());
  }
}

/// Threads that share one directory and nothing else: each finds its own names,
/// and what others do does not show in them.
inline void check_threads(const MakeRoot& make_root) {
  const auto root = make_root();
  std::atomic<int> wrong{0};
  const auto work = [&](char own) {
    try {
      for (int i = 0; i < 50; ++i) {
        const std::string name = own + std::to_string(i);
        root->create_directory(name);
        const auto directory = root->open_directory(name);
        put_file(*directory, "file", name);
        wrong += root->exists(name) ? 0 : 1;
        std::size_t own_names = 0;
        for (const DirectoryEntry& entry : root->list()) {
          own_names += entry.name.front() == own ? 1U : 0U;
        }
        wrong += own_names == 1 ? 0 : 1;
        wrong += get_file(*directory, "file") == name ? 0 : 1;
        root->rename(name, name + "-renamed");
        root->sync();
        remove_tree(*root, name + "-renamed");
        wrong += root->exists(name + "-renamed") ? 1 : 0;
      }
    } catch (...) {
      ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (const char own : {'a', 'b', 'c'}) {
    threads.emplace_back(work, own);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
  CHECK(root->list().empty());
}

/// Runs every rule of the seam but that for threads against directories from
/// `make_root`, which is called anew for each section. Call it as the whole
/// body of a TEST_CASE.
inline void run_file_system_conformance(const MakeRoot& make_root) {
  SECTION("names") {
    check_names(make_root);
  }
  SECTION("writing") {
    check_writing(make_root);
  }
  SECTION("reading") {
    check_reading(make_root);
  }
  SECTION("directories") {
    check_directories(make_root);
  }
  SECTION("renaming") {
    check_renaming(make_root);
  }
  SECTION("removing") {
    check_removing(make_root);
  }
  SECTION("symbolic links") {
    check_symlinks(make_root);
  }
  SECTION("locks") {
    check_locks(make_root);
  }
}

} // namespace holdfast::test

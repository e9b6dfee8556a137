#include <support/catch.hpp>
#include <support/file_system_conformance.hpp>
#include <support/random.hpp>

#include <holdfast/testing/fault_file_system.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast;
using holdfast::test::code_of;
using holdfast::test::get_file;
using holdfast::test::put_file;
using holdfast::testing::all_loss_patterns;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;

namespace {

using Paths = std::vector<std::string>;
using Sectors = LossPattern::Sectors;
using RenameTear = LossPattern::RenameTear;

ByteView bytes_in(const std::string& text) {
  return ByteView(std::string_view(text));
}

/// Writes and closes without any sync.
void leave_file(
    Directory& directory,
    const std::string& name,
    const std::string& text) {
  const auto file = directory.create_file(name);
  file->write(bytes_in(text));
  file->close();
}

std::shared_ptr<MemoryFileSystem> after(
    const MemoryFileSystem& disk,
    const LossPattern& pattern) {
  auto copy = disk.snapshot();
  copy->cut_power(pattern);
  return copy;
}

std::string blocks(std::size_t count, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += std::string(size, static_cast<char>('a' + i));
  }
  return text;
}

} // namespace

TEST_CASE("memory file system: keeps the contract of the seam", "[testing]") {
  const auto disk = std::make_shared<MemoryFileSystem>();
  test::run_file_system_conformance(
      [&] { return disk->open_root("runs/a", Create::yes); });
}

TEST_CASE("memory file system: threads share a directory", "[testing]") {
  MemoryFileSystem disk;
  test::check_threads([&] { return disk.open_root("runs/a", Create::yes); });
}

TEST_CASE("memory file system: a synced name without data", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  const std::string text = blocks(10, 512) + "tail";
  leave_file(*root, "f", text);
  root->sync();
  CHECK(disk.pending_operations() == 1);
  CHECK(disk.pending_names().empty());

  CHECK(disk.read_text("r/f") == text);
  CHECK(after(disk, LossPattern::all_kept())->read_text("r/f") == text);
  CHECK(after(disk, LossPattern::all_lost())->read_text("r/f").empty());
  CHECK(after(disk, LossPattern::data_lost())->read_text("r/f").empty());
  CHECK(
      after(disk, LossPattern::data_zeroed())->read_text("r/f") ==
      std::string(text.size(), '\0'));

  const auto torn = [&](Sectors sectors, std::size_t bytes, bool full) {
    return after(disk, LossPattern::data_torn(sectors, bytes, full))
        ->read_text("r/f");
  };
  const auto zero = [&](std::string copy, std::size_t from, std::size_t to) {
    std::fill(
        copy.begin() + static_cast<std::ptrdiff_t>(from),
        copy.begin() + static_cast<std::ptrdiff_t>(std::min(to, copy.size())),
        '\0');
    return copy;
  };
  // Sectors 0-9 are full, sector 10 has 4 bytes.
  std::string even = text;
  std::string odd = text;
  for (std::size_t i = 0; i <= 10; ++i) {
    std::string& loser = i % 2 == 0 ? odd : even;
    loser = zero(loser, i * 512, (i + 1) * 512);
  }
  CHECK(torn(Sectors::even, 512, true) == even);
  CHECK(torn(Sectors::even, 512, false) == even);
  CHECK(torn(Sectors::odd, 512, true) == odd);
  CHECK(torn(Sectors::odd, 512, false) == odd.substr(0, 5120));
  CHECK(torn(Sectors::first_half, 512, true) == zero(text, 2560, 9999));
  CHECK(torn(Sectors::first_half, 512, false) == text.substr(0, 2560));
  CHECK(torn(Sectors::last_half, 512, true) == zero(text, 0, 2560));
  CHECK(torn(Sectors::even, 4096, true) == zero(text, 4096, 9999));
  CHECK(torn(Sectors::even, 4096, false) == text.substr(0, 4096));
  CHECK(torn(Sectors::odd, 4096, false) == zero(text, 0, 4096));
}

TEST_CASE("memory file system: synced data without a name", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  put_file(*root, "f", "synced");
  CHECK(disk.pending_names() == Paths{"create f"});
  CHECK(disk.pending_data().empty());

  CHECK(after(disk, LossPattern::all_kept())->read_text("r/f") == "synced");
  CHECK(after(disk, LossPattern::data_lost())->read_text("r/f") == "synced");
  CHECK_FALSE(after(disk, LossPattern::names_lost())->exists("r/f"));
  CHECK_FALSE(after(disk, LossPattern::all_lost())->exists("r/f"));
  CHECK(after(disk, LossPattern::all_lost())->exists("r"));

  root->sync();
  CHECK(disk.pending_operations() == 0);
  CHECK(after(disk, LossPattern::all_lost())->read_text("r/f") == "synced");
}

TEST_CASE("memory file system: a rename before the sync", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  root->create_directory("old");
  const auto inner = root->open_directory("old");
  put_file(*inner, "f", "x");
  inner->create_directory("deep");
  put_file(*inner->open_directory("deep"), "g", "y");
  inner->open_directory("deep")->sync();
  inner->sync();
  root->sync();
  root->rename("old", "new");
  REQUIRE(disk.pending_renames() == std::vector<std::size_t>{0});

  const Paths old_tree = {"old/", "old/deep/", "old/deep/g", "old/f"};
  const Paths new_tree = {"new/", "new/deep/", "new/deep/g", "new/f"};
  Paths both = new_tree;
  both.insert(both.end(), old_tree.begin(), old_tree.end());
  const auto left = [&](const LossPattern& pattern) {
    return after(disk, pattern)->list_all("r");
  };
  CHECK(left(LossPattern::all_lost()) == old_tree);
  CHECK(left(LossPattern::all_kept()) == new_tree);
  CHECK(left(LossPattern::rename_torn(RenameTear::absent)).empty());
  CHECK(left(LossPattern::rename_torn(RenameTear::both)) == both);
  CHECK(left(LossPattern::rename_torn(RenameTear::both, 0)) == both);
  CHECK(left(LossPattern::rename_torn(RenameTear::both, 1)) == new_tree);

  // The two are apart: removing one leaves the other whole.
  const auto twice = after(disk, LossPattern::rename_torn(RenameTear::both));
  remove_tree(*twice->open_root("r", Create::no), "old");
  CHECK(twice->list_all("r") == new_tree);
  CHECK(twice->read_text("r/new/deep/g") == "y");

  root->sync();
  CHECK(left(LossPattern::all_lost()) == new_tree);
}

TEST_CASE("memory file system: chains of renames", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  put_file(*root, "a", "x");
  root->sync();
  root->rename("a", "b");
  root->rename("b", "c");
  const auto left = [&](const LossPattern& pattern) {
    return after(disk, pattern)->list_all("r");
  };
  CHECK(left(LossPattern::only_name_kept(0)) == Paths{"b"});
  CHECK(left(LossPattern::only_name_kept(1)) == Paths{"c"});
  CHECK(left(LossPattern::all_lost()) == Paths{"a"});
  CHECK(left(LossPattern::all_kept()) == Paths{"c"});
}

TEST_CASE("memory file system: directories and what is in them", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  root->create_directory("d");
  const auto inner = root->open_directory("d");
  put_file(*inner, "f", "x");

  SECTION("a lost directory takes everything along") {
    inner->sync();
    CHECK(after(disk, LossPattern::all_lost())->list_all() == Paths{"r/"});
    CHECK(after(disk, LossPattern::names_lost())->list_all() == Paths{"r/"});
  }
  SECTION("a synced name of a directory with unsynced contents is empty") {
    root->sync();
    CHECK(
        after(disk, LossPattern::all_lost())->list_all() ==
        Paths{"r/", "r/d/"});
    CHECK(after(disk, LossPattern::all_kept())->read_text("r/d/f") == "x");
  }
  SECTION("what was removed may come back, and not the other way round") {
    inner->sync();
    root->sync();
    inner->remove_file("f");
    root->remove_directory("d");
    CHECK(after(disk, LossPattern::all_lost())->read_text("r/d/f") == "x");
    CHECK(after(disk, LossPattern::all_kept())->list_all() == Paths{"r/"});
    // The file is gone, its directory is not.
    CHECK(
        after(disk, LossPattern::only_name_kept(0))->list_all() ==
        Paths{"r/", "r/d/"});
    root->sync();
    CHECK(after(disk, LossPattern::all_lost())->list_all() == Paths{"r/"});
    CHECK(disk.pending_operations() <= 1); // Of the open handle's directory.
  }
}

TEST_CASE("memory file system: single name operations", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  root->point_symlink("link", "former");
  root->sync();
  put_file(*root, "a", "1");
  put_file(*root, "b", "2");
  root->point_symlink("link", "latter");
  root->create_directory("c");
  CHECK(
      disk.pending_names() ==
      Paths{"create a", "create b", "replace link", "create c"});
  const auto left = [&](const LossPattern& pattern) {
    return after(disk, pattern)->list_all("r");
  };
  CHECK(left(LossPattern::only_name_lost(1)) == Paths{"a", "c/", "link@"});
  CHECK(left(LossPattern::only_name_kept(1)) == Paths{"b", "link@"});
  CHECK(left(LossPattern::first_names_kept(2)) == Paths{"a", "b", "link@"});
  CHECK(
      after(disk, LossPattern::only_name_lost(2))->read_link("r/link") ==
      "former");
  CHECK(
      after(disk, LossPattern::only_name_kept(2))->read_link("r/link") ==
      "latter");
  CHECK(
      left(LossPattern::rename_torn(RenameTear::absent)) ==
      Paths{"a", "b", "c/"});
}

TEST_CASE("memory file system: a file overwritten in place", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  const auto lock = root->open_lock_file("LOCK");
  lock->write_at(0, "000000 former owner");
  lock->sync();
  root->sync();

  SECTION("a sector has one of its states, never a mixture") {
    lock->write_at(0, "000001 latter owner");
    lock->write_at(0, "000002 newest owner");
    std::set<std::string> seen;
    for (const LossPattern& pattern : all_loss_patterns(disk, 50)) {
      seen.insert(after(disk, pattern)->read_text("r/LOCK"));
    }
    CHECK(
        seen ==
        std::set<std::string>{
            "000000 former owner",
            "000001 latter owner",
            "000002 newest owner"});
  }
  SECTION("a later write to the sector carries the earlier one") {
    lock->write_at(2, "AA");
    lock->write_at(15, "BB");
    CHECK(
        after(disk, LossPattern::only_data_kept(1))->read_text("r/LOCK") ==
        "00AA00 former oBBer");
    CHECK(
        after(disk, LossPattern::only_data_lost(1))->read_text("r/LOCK") ==
        "00AA00 former owner");
  }
  SECTION("sectors are lost one by one, and keep their old bytes") {
    lock->write_at(0, blocks(3, 512));
    lock->sync();
    lock->write_at(500, std::string(24, 'X'));
    CHECK(
        after(disk, LossPattern::data_torn(Sectors::even, 512))
            ->read_text("r/LOCK") ==
        std::string(500, 'a') + std::string(12, 'X') + std::string(512, 'b') +
            std::string(512, 'c'));
    CHECK(
        after(disk, LossPattern::data_torn(Sectors::odd, 512))
            ->read_text("r/LOCK") ==
        std::string(512, 'a') + std::string(12, 'X') + std::string(500, 'b') +
            std::string(512, 'c'));
  }
  SECTION("writes that do not touch a sector leave it") {
    lock->write_at(512, "second");
    lock->write_at(1024, "third");
    const std::string text =
        after(disk, LossPattern::only_data_kept(1))->read_text("r/LOCK");
    CHECK(
        text == "000000 former owner" + std::string(1024 - 19, '\0') + "third");
  }
}

namespace {

/// A checkpoint's commit in small, with switches to leave out its steps.
struct Protocol {
  bool sync_part = true;
  bool sync_manifest = true;
  bool sync_staging = true;
  bool sync_root = true;
  bool rename_first = false;

  void commit(Directory& root, const std::string& number) const {
    const std::string staging = ".staging-" + number;
    const std::string final_name = "ckpt-" + number;
    root.create_directory(staging);
    const auto directory = root.open_directory(staging);
    if (rename_first) {
      root.rename(staging, final_name);
      root.sync();
    }
    put(*directory, "part", part(), sync_part);
    put(*directory, "MANIFEST", "complete", sync_manifest);
    if (sync_staging) {
      directory->sync();
    }
    if (!rename_first) {
      root.rename(staging, final_name);
    }
    if (sync_root) {
      root.sync();
    }
  }

  static std::string part() {
    return blocks(20, 500);
  }
  static void put(
      Directory& directory,
      const std::string& name,
      const std::string& text,
      bool sync) {
    const auto file = directory.create_file(name);
    file->write(bytes_in(text));
    if (sync) {
      file->sync();
    }
    file->close();
  }
};

/// 'g' good, 'i' visibly incomplete, 't' torn: it looks complete and is not;
/// '-' not there.
char state_of(const MemoryFileSystem& disk, const std::string& number) {
  const std::string path = "r/ckpt-" + number;
  if (!disk.exists(path)) {
    return '-';
  }
  const bool committed = disk.exists(path + "/MANIFEST") &&
      disk.read_text(path + "/MANIFEST") == "complete";
  if (!committed) {
    return 'i';
  }
  const bool whole = disk.exists(path + "/part") &&
      disk.read_text(path + "/part") == Protocol::part();
  return whole ? 'g' : 't';
}

struct Verdict {
  std::size_t states = 0;
  std::size_t acknowledged_lost = 0;
  std::size_t former_lost = 0;
  std::size_t torn = 0;
  std::size_t incomplete = 0;
};

/// Two commits, the second one cut at each of its operations and after it, each
/// state with every loss pattern.
Verdict crash_everywhere(const Protocol& protocol) {
  Verdict verdict;
  for (std::uint64_t n = 1;; ++n) {
    const auto disk = std::make_shared<MemoryFileSystem>();
    Protocol().commit(*disk->open_root("r", Create::yes), "1");
    FaultFileSystem faulty(disk);
    const auto root = faulty.open_root("r", Create::no);
    faulty.plan(Fault::power_cut().at(n));
    bool acknowledged = false;
    try {
      protocol.commit(*root, "2");
      acknowledged = true;
    } catch (const testing::PowerCut&) {
    }
    for (const LossPattern& pattern : all_loss_patterns(*disk, 20, n)) {
      const auto left = after(*disk, pattern);
      const char state = state_of(*left, "2");
      ++verdict.states;
      verdict.acknowledged_lost += acknowledged && state != 'g' ? 1 : 0;
      verdict.former_lost += state_of(*left, "1") != 'g' ? 1 : 0;
      verdict.torn += state == 't' ? 1 : 0;
      verdict.incomplete += state == 'i' ? 1 : 0;
    }
    if (acknowledged) {
      return verdict;
    }
  }
}

} // namespace

TEST_CASE(
    "memory file system: the full order of syncs survives every loss",
    "[testing]") {
  const Verdict verdict = crash_everywhere(Protocol());
  CHECK(verdict.states > 300);
  CHECK(verdict.acknowledged_lost == 0);
  CHECK(verdict.former_lost == 0);
  CHECK(verdict.torn == 0);
  CHECK(verdict.incomplete == 0);
}

TEST_CASE("memory file system: each sync left out is found out", "[testing]") {
  SECTION("of a part: a complete manifest with a torn part") {
    Protocol protocol;
    protocol.sync_part = false;
    const Verdict verdict = crash_everywhere(protocol);
    CHECK(verdict.torn > 0);
    CHECK(verdict.acknowledged_lost > 0);
  }
  SECTION("of the manifest") {
    Protocol protocol;
    protocol.sync_manifest = false;
    const Verdict verdict = crash_everywhere(protocol);
    CHECK(verdict.incomplete > 0);
    CHECK(verdict.acknowledged_lost > 0);
  }
  SECTION("of the staging directory: a final name with files missing") {
    Protocol protocol;
    protocol.sync_staging = false;
    const Verdict verdict = crash_everywhere(protocol);
    CHECK(verdict.torn > 0);
    CHECK(verdict.incomplete > 0);
    CHECK(verdict.acknowledged_lost > 0);
  }
  SECTION("of the root: acknowledged, and still under the old name") {
    Protocol protocol;
    protocol.sync_root = false;
    const Verdict verdict = crash_everywhere(protocol);
    CHECK(verdict.torn == 0);
    CHECK(verdict.acknowledged_lost > 0);
  }
  SECTION("the name before the contents") {
    Protocol protocol;
    protocol.rename_first = true;
    const Verdict verdict = crash_everywhere(protocol);
    CHECK(verdict.incomplete > 0);
    CHECK(verdict.acknowledged_lost == 0);
  }
}

TEST_CASE("memory file system: random losses", "[testing]") {
  const std::uint64_t from_seed = test::seed();
  CAPTURE(from_seed);
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  leave_file(*root, "a", blocks(4, 512));
  put_file(*root, "b", "synced");
  root->create_directory("d");
  root->rename("a", "c");

  std::set<std::string> states;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const LossPattern pattern = LossPattern::random(from_seed + i);
    CAPTURE(i);
    const auto first = after(disk, pattern);
    const auto second = after(disk, pattern);
    const Paths paths = first->list_all();
    REQUIRE(paths == second->list_all());
    std::string state;
    for (const std::string& path : paths) {
      state += path + " ";
      if (path.back() != '/') {
        const std::string text = first->read_text(path);
        REQUIRE(text == second->read_text(path));
        state += text + " ";
        if (path == "r/b") {
          REQUIRE(text == "synced");
        } else {
          // Each sector is as written, or zeros.
          const std::string full = blocks(4, 512);
          REQUIRE(text.size() <= full.size());
          for (std::size_t at = 0; at < text.size(); at += 512) {
            const std::string sector = text.substr(at, 512);
            REQUIRE(
                (sector == full.substr(at, 512) ||
                 sector == std::string(512, '\0')));
          }
        }
      }
    }
    states.insert(state);
  }
  // Two files and a directory, names and data in many states.
  CHECK(states.size() > 30);
}

TEST_CASE("memory file system: the list of patterns", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  SECTION("nothing pending, nothing to lose") {
    CHECK(all_loss_patterns(disk, 10).size() == 1);
  }
  SECTION("each is listed once, in words of its own") {
    leave_file(*root, "a", "1");
    leave_file(*root, "b", "2");
    root->rename("a", "c");
    const auto patterns = all_loss_patterns(disk, 5, 7);
    std::set<std::string> texts;
    for (const LossPattern& pattern : patterns) {
      texts.insert(pattern.describe());
    }
    CHECK(texts.size() == patterns.size());
    CHECK(texts.count(LossPattern::all_lost().describe()) == 1);
    CHECK(texts.count(LossPattern::all_kept().describe()) == 1);
    CHECK(texts.count(LossPattern::names_lost().describe()) == 1);
    CHECK(texts.count(LossPattern::data_zeroed().describe()) == 1);
    CHECK(texts.count(LossPattern::only_data_kept(1).describe()) == 1);
    CHECK(texts.count("random loss, seed 11") == 1);
    CHECK(
        texts.count("names: all kept, rename #2 torn: no name left; data: all "
                    "kept") == 1);
    // All kinds of end states of this disk: 'c' and 'b' whole, empty, absent,
    // 'a' back, and both.
    std::set<Paths> listings;
    for (const LossPattern& pattern : patterns) {
      listings.insert(after(disk, pattern)->list_all("r"));
    }
    for (const Paths& expected :
         {Paths{},
          Paths{"a"},
          Paths{"a", "b"},
          Paths{"a", "b", "c"},
          Paths{"b"},
          Paths{"b", "c"},
          Paths{"c"}}) {
      CAPTURE(expected);
      CHECK(listings.count(expected) == 1);
    }
  }
}

TEST_CASE("memory file system: handles die with the power", "[testing]") {
  const auto disk = std::make_shared<MemoryFileSystem>();
  auto root = disk->open_root("r", Create::yes);
  put_file(*root, "f", "x");
  root->create_directory("d");
  auto writable = root->create_file("w");
  auto readable = root->open_file("f");
  REQUIRE(readable->try_lock_shared());
  auto lock = root->open_lock_file("LOCK");
  REQUIRE(lock->try_lock() == LockResult::acquired);
  auto inner = root->open_directory("d");
  disk->cut_power(LossPattern::all_kept());

  const std::string dead = "io_error";
  std::byte byte{};
  CHECK(code_of([&] { (void)root->list(); }) == dead);
  CHECK(code_of([&] { (void)root->exists("f"); }) == dead);
  CHECK(code_of([&] { (void)root->create_file("g"); }) == dead);
  CHECK(code_of([&] { (void)root->open_file("f"); }) == dead);
  CHECK(code_of([&] { (void)root->open_lock_file("LOCK"); }) == dead);
  CHECK(code_of([&] { root->create_directory("e"); }) == dead);
  CHECK(code_of([&] { (void)root->open_directory("d"); }) == dead);
  CHECK(code_of([&] { root->rename("f", "g"); }) == dead);
  CHECK(code_of([&] { root->remove_file("f"); }) == dead);
  CHECK(code_of([&] { root->remove_directory("d"); }) == dead);
  CHECK(code_of([&] { root->point_symlink("s", "f"); }) == dead);
  CHECK(code_of([&] { root->sync(); }) == dead);
  CHECK(code_of([&] { (void)root->space(); }) == dead);
  CHECK(code_of([&] { (void)root->identity(); }) == dead);
  CHECK(code_of([&] { (void)inner->list(); }) == dead);
  CHECK(code_of([&] { writable->write(bytes_in("x")); }) == dead);
  CHECK(code_of([&] { writable->reserve(1); }) == dead);
  CHECK(code_of([&] { writable->sync(); }) == dead);
  CHECK(code_of([&] { writable->close(); }) == dead);
  CHECK(code_of([&] { (void)readable->size(); }) == dead);
  CHECK(code_of([&] { (void)readable->read_at(0, &byte, 1); }) == dead);
  CHECK(code_of([&] { (void)readable->try_lock_shared(); }) == dead);
  CHECK(code_of([&] { (void)readable->is_unlocked(); }) == dead);
  CHECK(code_of([&] { (void)lock->try_lock(); }) == dead);
  CHECK(code_of([&] { (void)lock->read(1); }) == dead);
  CHECK(code_of([&] { lock->write_at(0, "x"); }) == dead);
  CHECK(code_of([&] { lock->sync(); }) == dead);
  CHECK(code_of([&] { (void)lock->is_still_named(); }) == dead);

  // The locks are free, and the dead handles cannot take away new ones.
  const auto booted = disk->open_root("r", Create::no);
  const auto new_lock = booted->open_lock_file("LOCK");
  CHECK(new_lock->try_lock() == LockResult::acquired);
  const auto new_reader = booted->open_file("f");
  CHECK(new_reader->is_unlocked());
  CHECK(new_reader->try_lock_shared());
  lock->unlock();
  lock.reset();
  readable.reset();
  writable.reset();
  inner.reset();
  root.reset();
  CHECK(
      booted->open_lock_file("LOCK")->try_lock() == LockResult::held_by_other);
  CHECK_FALSE(booted->open_file("f")->is_unlocked());
}

TEST_CASE("memory file system: a snapshot is a disk of its own", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  auto file = root->create_file("f");
  file->write(bytes_in("one"));
  const auto lock = root->open_lock_file("LOCK");
  REQUIRE(lock->try_lock() == LockResult::acquired);

  const auto copy = disk.snapshot();
  file->write(bytes_in(" two"));
  put_file(*root, "g", "later");
  CHECK(copy->read_text("r/f") == "one");
  CHECK_FALSE(copy->exists("r/g"));

  const auto other = copy->open_root("r", Create::no);
  CHECK(other->identity() != root->identity());
  const auto other_lock = other->open_lock_file("LOCK");
  CHECK(other_lock->try_lock() == LockResult::acquired);
  other_lock->write_at(0, "theirs");
  copy->flip_bit("r/f", 1);
  CHECK(copy->read_text("r/f") == "mne");
  CHECK(disk.read_text("r/f") == "one two");
  CHECK(lock->read(10).empty());

  copy->cut_power(LossPattern::all_lost());
  CHECK(disk.read_text("r/f") == "one two");
  file->write(bytes_in("!")); // The other disk's power is not ours.
}

TEST_CASE("memory file system: a full disk", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  disk.set_capacity(1000, 5);
  CHECK(root->space().available_bytes == 1000);
  CHECK(root->space().available_files == 4);

  SECTION("a write writes what fits") {
    auto file = root->create_file("f");
    file->write(bytes_in(std::string(900, 'a')));
    CHECK(root->space().available_bytes == 100);
    const auto error =
        test::error_of([&] { file->write(bytes_in(std::string(200, 'b'))); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::no_space);
    CHECK(error->system_error() == ENOSPC);
    CHECK(error->path() == "r/f");
    CHECK(
        disk.read_text("r/f") == std::string(900, 'a') + std::string(100, 'b'));
    CHECK(root->space().available_bytes == 0);
    // An open file keeps its space.
    root->remove_file("f");
    CHECK(root->space().available_bytes == 0);
    file.reset();
    CHECK(root->space().available_bytes == 1000);
  }
  SECTION("overwriting needs no space") {
    const auto lock = root->open_lock_file("LOCK");
    lock->write_at(0, std::string(1000, 'a'));
    lock->write_at(0, std::string(1000, 'b'));
    CHECK(code_of([&] { lock->write_at(1000, "c"); }) == "no_space");
    CHECK(code_of([&] { lock->write_at(2000, "c"); }) == "no_space");
    CHECK(disk.read_text("r/LOCK") == std::string(1000, 'b'));
  }
  SECTION("a reservation is kept until the file is closed") {
    auto first = root->create_file("f");
    first->reserve(600);
    CHECK(root->space().available_bytes == 400);
    auto second = root->create_file("g");
    CHECK(code_of([&] { second->reserve(401); }) == "no_space");
    second->reserve(400);
    first->write(bytes_in(std::string(600, 'a')));
    CHECK(code_of([&] { first->write(bytes_in("b")); }) == "no_space");
    second->write(bytes_in("short"));
    second->close();
    CHECK(root->space().available_bytes == 395);
    first->write(bytes_in("b"));
    CHECK(root->space().available_bytes == 394);
  }
  SECTION("names run out too") {
    for (const char* const name : {"a", "b", "c", "d"}) {
      root->create_directory(name);
    }
    CHECK(root->space().available_files == 0);
    CHECK(code_of([&] { root->create_directory("e"); }) == "no_space");
    CHECK(code_of([&] { (void)root->create_file("e"); }) == "no_space");
    CHECK(code_of([&] { root->point_symlink("e", "a"); }) == "no_space");
    CHECK_FALSE(root->exists("e"));
    root->remove_directory("a");
    CHECK(code_of([&] { (void)root->create_file("e"); }) == "no error");
  }
}

TEST_CASE("memory file system: roots and links on the way", "[testing]") {
  MemoryFileSystem disk;
  CHECK(
      code_of([&] { (void)disk.open_root("a/b", Create::no); }) == "not_found");
  const auto root = disk.open_root("/a/b", Create::yes);
  CHECK(disk.pending_operations() == 0); // Made durable.
  disk.write_file("a/file", bytes_in("x"));
  disk.make_symlink("home", "a");
  disk.make_symlink("a/up", "../home/b");
  disk.make_symlink("a/absolute", "/a/b");
  disk.make_symlink("loop", "loop");
  for (const char* const path :
       {"a/b",
        "/a/b/",
        "./a//b",
        "home/b",
        "home/up",
        "a/absolute",
        "a/b/../b"}) {
    CAPTURE(path);
    CHECK(disk.open_root(path, Create::no)->identity() == root->identity());
  }
  const auto open = [&](const char* path) {
    return code_of([&] { (void)disk.open_root(path, Create::yes); });
  };
  CHECK(open("a/file") == "not_a_directory");
  CHECK(open("a/file/below") == "not_a_directory");
  CHECK(open("loop") == "not_a_directory");
}

TEST_CASE("memory file system: helpers damage for good", "[testing]") {
  MemoryFileSystem disk;
  const auto root = disk.open_root("r", Create::yes);
  disk.write_file("r/d/f", bytes_in("abc"));
  disk.write_file("r/g", bytes_in("xyz"));
  const auto lost = [&] {
    return after(disk, LossPattern::all_lost());
  };

  SECTION("bytes") {
    disk.flip_bit("r/d/f", 9);
    CHECK(lost()->read_text("r/d/f") == "a`c");
    CHECK(code_of([&] { disk.flip_bit("r/d/f", 24); }) == "invalid_argument");
    disk.truncate("r/d/f", 1);
    CHECK(lost()->read_text("r/d/f") == "a");
    disk.truncate("r/d/f", 3);
    CHECK(lost()->read_text("r/d/f") == std::string("a\0\0", 3));
    disk.write_file("r/d/f", bytes_in("new"));
    CHECK(lost()->read_text("r/d/f") == "new");
  }
  SECTION("names") {
    disk.copy("r/d", "r/e");
    disk.flip_bit("r/e/f", 0);
    disk.move("r/g", "s/moved");
    disk.make_directory("t/u");
    CHECK(
        lost()->list_all() ==
        Paths{
            "r/",
            "r/d/",
            "r/d/f",
            "r/e/",
            "r/e/f",
            "s/",
            "s/moved",
            "t/",
            "t/u/"});
    CHECK(lost()->read_text("r/d/f") == "abc");
    CHECK(lost()->read_text("r/e/f") == "`bc");
    disk.remove("r/d");
    disk.remove("t");
    disk.move("s/moved", "r/e");
    CHECK(lost()->list_all() == Paths{"r/", "r/e", "s/"});
    CHECK(lost()->read_text("r/e") == "xyz");
    CHECK(code_of([&] { disk.remove("r/none"); }) == "not_found");
    CHECK(code_of([&] { (void)disk.read_file("r"); }) == "io_error");
  }
  SECTION("names with changes pending") {
    root->rename("g", "h");
    leave_file(*root, "new", "1");
    disk.move("r/h", "s/h");
    root->rename("new", "newer");
    disk.copy("r/d", "r/g");
    CHECK(
        lost()->list_all() ==
        Paths{"r/", "r/d/", "r/d/f", "r/g/", "r/g/f", "r/newer", "s/", "s/h"});
    disk.move("s/h", "r/newer");
    CHECK(
        lost()->list_all() ==
        Paths{"r/", "r/d/", "r/d/f", "r/g/", "r/g/f", "r/newer", "s/"});
    CHECK(lost()->read_text("r/newer") == "xyz");
  }
  SECTION("unreadable files") {
    disk.set_unreadable("r/g", EIO);
    CHECK(code_of([&] { (void)get_file(*root, "g"); }) == "io_error");
    CHECK(lost()->read_text("r/g") == "xyz"); // Helpers see all.
    disk.set_unreadable("r/g", EACCES);
    CHECK(code_of([&] { (void)root->open_file("g"); }) == "permission_denied");
    disk.set_unreadable("r/g", 0);
    CHECK(get_file(*root, "g") == "xyz");
  }
  SECTION("everything durable") {
    root->rename("g", "h");
    leave_file(*root->open_directory("d"), "new", "1");
    CHECK(disk.pending_operations() == 3);
    disk.sync_all();
    CHECK(disk.pending_operations() == 0);
    CHECK(lost()->list_all("r") == Paths{"d/", "d/f", "d/new", "h"});
    CHECK(lost()->read_text("r/d/new") == "1");
  }
}

TEST_CASE("memory file system: without locks", "[testing]") {
  MemoryFileSystem disk;
  disk.set_locks_supported(false);
  const auto root = disk.open_root("r", Create::yes);
  put_file(*root, "f", "x");
  CHECK(root->open_lock_file("LOCK")->try_lock() == LockResult::not_supported);
  CHECK_FALSE(root->open_file("f")->try_lock_shared());
  CHECK(root->open_file("f")->is_unlocked());
}

TEST_CASE("memory file system: several threads", "[testing]") {
  MemoryFileSystem disk;
  const auto made = disk.open_root("r", Create::yes);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&disk, t] {
      const auto root = disk.open_root("r", Create::no);
      for (int i = 0; i < 50; ++i) {
        const std::string name = std::to_string(t) + "-" + std::to_string(i);
        put_file(*root, name, name);
        root->rename(name, "done-" + name);
        if (i % 10 == 0) {
          root->sync();
          (void)disk.snapshot()->list_all();
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(made->list().size() == 200);
  CHECK(disk.read_text("r/done-3-49") == "3-49");
}

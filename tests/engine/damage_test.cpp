#include "engine_support.hpp"

#include <cerrno>
#include <random>
#include <stdexcept>

// What becomes of a run whose newest checkpoint is damaged in some way: it goes
// on from the next older one, with that one's exact state, and says so; and it
// does the same at the next try.

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;

namespace {

Options compressed(const Disk& disk) {
  return keep_everything(disk).compression(zstd(1));
}

const std::string kNewest = checkpoint_path(3);
const std::string kNewestName = checkpoint_name(3, 3);
constexpr const char* kModel = "/model/model.safetensors";
constexpr const char* kState = "/state.json";
constexpr const char* kManifest = "/MANIFEST.json";

/// Resumes, twice as a rule, from a disk whose checkpoint 3 of 3 cannot be
/// used.
void check_falls_back(
    const Disk& disk,
    Verdict verdict,
    bool moved,
    bool again = true) {
  std::string reason;
  {
    ToyRun run(kRoot, keep_everything(disk));
    const ResumeReport report = run.manager.resume();
    REQUIRE(report.resumed());
    REQUIRE(report.checkpoint->step == 2);
    REQUIRE(run.fingerprint() == undisturbed(2));
    REQUIRE(report.steps_lost == 1);
    REQUIRE(report.passed_over.size() == 1);
    const PassedOver& other = report.passed_over.front();
    REQUIRE(other.name == kNewestName);
    REQUIRE(to_string(other.verdict) == std::string(to_string(verdict)));
    REQUIRE(other.quarantined == moved);
    REQUIRE_FALSE(other.reason.empty());
    reason = "passed over " + kNewestName + ": " + to_string(verdict) + ": " +
        other.reason;
    REQUIRE(report.to_string().find(reason) != std::string::npos);
  }
  const Catalog catalog = catalog_of(disk);
  REQUIRE(catalog.quarantined.size() == (moved ? 1 : 0));
  REQUIRE(catalog.checkpoints.size() == (moved ? 2 : 3));
  if (!again) {
    return;
  }
  ToyRun run(kRoot, keep_everything(disk));
  const ResumeReport report = run.manager.resume();
  REQUIRE(report.checkpoint->step == 2);
  REQUIRE(run.fingerprint() == undisturbed(2));
  REQUIRE(report.passed_over.empty() == moved);
  REQUIRE((moved || report.to_string().find(reason) != std::string::npos));
}

/// Two disks with three checkpoints: plain and compressed.
std::vector<Disk> three_checkpoints() {
  return {trained(3), trained(3, compressed)};
}

/// Puts the file of checkpoint 2 in the place of checkpoint 3's.
void replace(const Disk& disk, const std::string& file) {
  disk->write_file(kNewest + file, disk->read_file(checkpoint_path(2) + file));
}

std::uint64_t pick(std::mt19937_64& engine, std::uint64_t below) {
  return engine() % below;
}

std::vector<float> teacher_after(std::int64_t step) {
  return std::vector<float>(16, 0.25F * static_cast<float>(step));
}

/// Three checkpoints with a part more, as long as the model; bit i of
/// `compressed_ones`: checkpoint i + 1 is compressed.
Disk three_with_teacher(unsigned compressed_ones) {
  Disk disk = new_disk();
  for (std::int64_t step = 1; step <= 3; ++step) {
    const bool is_compressed = (compressed_ones >> (step - 1) & 1U) != 0;
    ToyRun run(kRoot, is_compressed ? compressed(disk) : keep_everything(disk));
    ToyModel teacher;
    run.manager.add("teacher", teacher);
    run.manager.resume();
    teacher.weight = teacher_after(step);
    train_steps(run, 1);
  }
  return disk;
}

} // namespace

TEST_CASE("damage: every flipped bit of a manifest is found", "[damage][P4]") {
  const Disk before = trained(3);
  const std::uint64_t bits = 8 * before->read_file(kNewest + kManifest).size();
  REQUIRE(bits > 4000);
  // Thin: still a bit of every byte, and each of the eight.
  const std::uint64_t every = test::one_in(7);
  WARN("flipped every bit number " << every << " of " << bits);
  for (std::uint64_t bit = 0; bit < bits; bit += every) {
    CAPTURE(bit);
    const Disk disk = before->snapshot();
    disk->flip_bit(kNewest + kManifest, bit);
    // A manifest that is damaged no longer tells whose it is. A second resume
    // for a quarter of them, each of the eight bits among these.
    const bool again = (bit + bit / 8) % 4 == 0;
    check_falls_back(disk, Verdict::damaged, false, again);
  }
}

TEST_CASE(
    "damage: random flipped bits of the other files are found",
    "[damage][P4]") {
  CAPTURE(test::seed());
  std::mt19937_64 engine(test::seed());
  const auto flips = static_cast<int>(600 / test::one_in(4));
  WARN("flipped bits of each file " << flips);
  for (const Disk& before : three_checkpoints()) {
    std::vector<std::string> files = files_of(before, kNewest);
    files.erase(
        std::remove(files.begin(), files.end(), kNewest + kManifest),
        files.end());
    REQUIRE(files.size() == 2);
    for (const std::string& file : files) {
      const std::uint64_t bits = 8 * before->read_file(file).size();
      for (int i = 0; i < flips; ++i) {
        const std::uint64_t bit = pick(engine, bits);
        CAPTURE(file, bit);
        const Disk disk = before->snapshot();
        disk->flip_bit(file, bit);
        check_falls_back(disk, Verdict::damaged, true);
      }
    }
  }
}

TEST_CASE("damage: files cut or grown at any length are found", "[damage]") {
  CAPTURE(test::seed());
  std::mt19937_64 engine(test::seed());
  for (const Disk& before : three_checkpoints()) {
    for (const std::string& file : files_of(before, kNewest)) {
      const std::uint64_t size = before->read_file(file).size();
      for (int i = 0; i < 100; ++i) {
        // 0 and 1 byte less and more, and others.
        const std::uint64_t length = i == 0 ? 0
            : i == 1                        ? size - 1
            : i == 2                        ? size + 1
            : i < 10                        ? size + 1 + pick(engine, 5000)
                                            : pick(engine, size);
        CAPTURE(file, length);
        const Disk disk = before->snapshot();
        disk->truncate(file, length);
        check_falls_back(disk, Verdict::damaged, file != kNewest + kManifest);
      }
    }
  }
}

TEST_CASE("damage: wrong, zeroed and doubled blocks are found", "[damage]") {
  CAPTURE(test::seed());
  std::mt19937_64 engine(test::seed());
  for (const Disk& before : three_checkpoints()) {
    for (const std::string& file : files_of(before, kNewest)) {
      const Bytes bytes = before->read_file(file);
      for (int i = 0; i < 60; ++i) {
        const std::size_t block = i % 3 == 0 ? 16 : i % 3 == 1 ? 64 : 128;
        const std::size_t to = pick(engine, bytes.size() - block);
        const std::size_t from = pick(engine, bytes.size() - block);
        Bytes changed = bytes;
        if (i % 2 == 0) {
          std::fill_n(
              changed.begin() + static_cast<std::ptrdiff_t>(to),
              block,
              std::byte{0});
        } else {
          std::copy_n(
              bytes.begin() + static_cast<std::ptrdiff_t>(from),
              block,
              changed.begin() + static_cast<std::ptrdiff_t>(to));
        }
        if (changed == bytes) {
          continue;
        }
        CAPTURE(file, block, to, from, i);
        const Disk disk = before->snapshot();
        disk->write_file(file, changed);
        check_falls_back(disk, Verdict::damaged, file != kNewest + kManifest);
      }
    }
  }
}

TEST_CASE("damage: a part of another step in the place of one", "[damage]") {
  const Disk plain = trained(3);
  SECTION("tensors") {
    replace(plain, kModel);
  }
  SECTION("values") {
    replace(plain, kState);
  }
  check_falls_back(plain, Verdict::damaged, true);
}

TEST_CASE("damage: the manifest of another checkpoint", "[damage]") {
  const Disk disk = trained(3);
  replace(disk, kManifest);
  check_falls_back(disk, Verdict::foreign, false);
}

TEST_CASE("damage: two parts' files have changed places", "[damage]") {
  const Disk disk = new_disk();
  ToyModel teacher;
  teacher.weight.assign(16, 0.25F);
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("teacher", teacher);
    run.manager.resume();
    train_steps(run, 2);
  }
  const std::string newest = checkpoint_path(2);
  disk->move(newest + kModel, newest + "/other");
  disk->move(newest + "/teacher/model.safetensors", newest + kModel);
  disk->move(newest + "/other", newest + "/teacher/model.safetensors");
  ToyRun run(kRoot, keep_everything(disk));
  ToyModel other;
  run.manager.add("teacher", other);
  const ResumeReport report = run.manager.resume();
  CHECK(report.checkpoint->step == 1);
  CHECK(run.fingerprint() == undisturbed(1));
  CHECK(other.weight == teacher.weight);
  REQUIRE(report.passed_over.size() == 1);
  CHECK(report.passed_over[0].verdict == Verdict::damaged);
  CHECK(report.passed_over[0].quarantined);
}

TEST_CASE("damage: random swaps of parts are found", "[damage]") {
  CAPTURE(test::seed());
  std::mt19937_64 engine(test::seed());
  for (const unsigned zstd_mask : {0U, 7U, 2U}) { // none, all, the second
    const Disk before = three_with_teacher(zstd_mask);
    std::vector<std::pair<std::int64_t, std::string>> parts; // step, path
    for (std::int64_t step = 1; step <= 3; ++step) {
      for (const std::string& file : files_of(before, checkpoint_path(step))) {
        if (file != checkpoint_path(step) + kManifest) {
          parts.emplace_back(step, file);
        }
      }
    }
    REQUIRE(parts.size() == 9);
    std::map<std::int64_t, int> resumed_at;
    for (int i = 0; i < 100; ++i) {
      const std::size_t a = pick(engine, 9);
      // With a part of the same checkpoint, the same part of another one, any.
      const std::size_t b = i % 3 == 0 ? a / 3 * 3 + pick(engine, 3)
          : i % 3 == 1                 ? pick(engine, 3) * 3 + a % 3
                                       : pick(engine, 9);
      const Bytes bytes_a = before->read_file(parts[a].second);
      const Bytes bytes_b = before->read_file(parts[b].second);
      std::set<std::int64_t> damaged;
      if (bytes_a != bytes_b) {
        damaged = {parts[a].first, parts[b].first};
      }
      std::int64_t newest = 3;
      while (damaged.count(newest) != 0) {
        --newest;
      }
      ++resumed_at[newest];
      CAPTURE(zstd_mask, parts[a].second, parts[b].second);
      const Disk disk = before->snapshot();
      disk->write_file(parts[a].second, bytes_b);
      disk->write_file(parts[b].second, bytes_a);
      for (const bool first : {true, false}) {
        ToyRun run(kRoot, keep_everything(disk));
        ToyModel teacher;
        run.manager.add("teacher", teacher);
        const ResumeReport report = run.manager.resume();
        REQUIRE(report.checkpoint->step == newest);
        REQUIRE(run.fingerprint() == undisturbed(newest));
        REQUIRE(teacher.weight == teacher_after(newest));
        REQUIRE(
            report.passed_over.size() ==
            (first ? static_cast<std::size_t>(3 - newest) : 0));
        for (const PassedOver& other : report.passed_over) {
          REQUIRE(other.verdict == Verdict::damaged);
          REQUIRE(other.quarantined);
        }
      }
    }
    // Some of everything was drawn.
    CHECK(resumed_at[1] > 5);
    CHECK(resumed_at[2] > 5);
    CHECK(resumed_at[3] > 5);
  }
}

TEST_CASE("damage: a missing file makes a checkpoint incomplete", "[damage]") {
  for (const Disk& before : three_checkpoints()) {
    for (const std::string& path : before->list_all(kNewest)) {
      CAPTURE(path);
      const Disk removed = before->snapshot();
      removed->remove(
          kNewest + "/" +
          (path.back() == '/' ? path.substr(0, path.size() - 1) : path));
      check_falls_back(removed, Verdict::incomplete, false);
    }
  }
}

TEST_CASE(
    "damage: a quarantined checkpoint keeps its files and tells why",
    "[damage]") {
  const Disk disk = trained(3);
  disk->flip_bit(kNewest + kModel, 8 * 300);
  const Bytes model = disk->read_file(kNewest + kModel);
  Events events;
  std::string reason;
  {
    ToyRun run(kRoot, keep_everything(disk).on_event(events.handler()));
    reason = run.manager.resume().passed_over.at(0).reason;
  }
  const Catalog catalog = catalog_of(disk);
  REQUIRE(catalog.quarantined.size() == 1);
  const std::string bad = std::string(kRoot) + "/" + catalog.quarantined[0];
  CHECK(disk->read_file(bad + kModel) == model);
  CHECK(disk->read_text(bad + "/REASON.txt") == reason + "\n");
  REQUIRE(events.all.size() == 3);
  CHECK(events.all[0].kind == Event::Kind::quarantined);
  CHECK(events.all[0].text == kNewestName + " was moved aside: " + reason);
  CHECK(events.all[1].kind == Event::Kind::passed_over);
  CHECK(events.all[1].checkpoint == kNewestName);
  CHECK(events.all[1].text == kNewestName + ": damaged: " + reason);
  CHECK(events.all[2].kind == Event::Kind::resumed);
  CHECK(events.all[2].checkpoint == checkpoint_name(2, 2));
}

TEST_CASE("damage: what cannot be moved aside is not said to be", "[damage]") {
  const Disk disk = trained(3);
  disk->flip_bit(kNewest + kModel, 8 * 300);
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  faulty->plan(Fault::error(ENOSPC).on({Operation::rename}).for_ever());
  {
    ToyRun run(kRoot, keep_everything(faulty));
    const ResumeReport report = run.manager.resume();
    CHECK(report.checkpoint->step == 2);
    CHECK_FALSE(report.passed_over.at(0).quarantined);
    CHECK(report.to_string().find("moved aside") == std::string::npos);
    CHECK(faulty->faults() == 1);
  }
  check_falls_back(disk, Verdict::damaged, true);
}

TEST_CASE(
    "damage: a damaged checkpoint of another run is not moved",
    "[damage]") {
  const Disk disk = trained(3);
  edit_manifest(disk, kNewest, [](std::string& text) {
    const std::size_t at = text.find("\"run_id\":\"") + 10;
    text.replace(at, 32, std::string(32, 'a'));
  });
  disk->flip_bit(kNewest + kModel, 8 * 300);
  check_falls_back(disk, Verdict::damaged, false);
}

TEST_CASE("damage: nothing is moved by a resume that fails", "[damage]") {
  const Disk disk = trained(3);
  disk->flip_bit(kNewest + kModel, 8 * 300);
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, keep_everything(disk));
    double other = 0;
    run.manager.add("other", other);
    CHECK(code_of([&] { run.manager.resume(); }) == "part_missing");
    CHECK(catalog_of(disk).quarantined.empty());
  }
  check_falls_back(disk, Verdict::damaged, true);
}

TEST_CASE(
    "damage: nothing is moved before another one has been applied",
    "[damage]") {
  struct Fails {
    Values save_state() const {
      return {};
    }
    void load_state(const Values&) {
      if (fail) {
        throw std::runtime_error("load_state fails");
      }
    }
    bool fail = false;
  } object;
  const Disk disk = new_disk();
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("object", object);
    run.manager.resume();
    train_steps(run, 3);
  }
  disk->flip_bit(kNewest + kModel, 8 * 300);
  for (const bool fail : {true, true, false}) {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("object", object);
    object.fail = fail;
    if (fail) {
      CHECK_THROWS_WITH(run.manager.resume(), "load_state fails");
    } else {
      CHECK(run.manager.resume().passed_over.at(0).quarantined);
    }
    CHECK(catalog_of(disk).quarantined.empty() == fail);
  }
}

TEST_CASE(
    "damage: all checkpoints damaged is an error, every time",
    "[damage][P5]") {
  const Disk disk = trained(3);
  disk->flip_bit(checkpoint_path(1) + kModel, 8 * 300);
  disk->truncate(checkpoint_path(2) + kState, 100);
  disk->remove(kNewest + kManifest);
  const std::vector<std::string> files = disk->list_all();
  std::string first;
  for (int i = 0; i < 3; ++i) {
    ToyRun run(kRoot, keep_everything(disk));
    const auto error = error_of([&] { run.manager.resume(); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::no_usable_checkpoint);
    for (const std::string& piece :
         {kNewestName + ": incomplete: MANIFEST.json is missing",
          checkpoint_name(2, 2) + ": damaged: part 'state.json': 100 bytes",
          checkpoint_name(1, 1) +
              ": damaged: part 'model/model.safetensors'"}) {
      CHECK_THAT(error->what(), contains(piece));
    }
    CHECK((first.empty() || first == error->what()));
    first = error->what();
    CHECK(run.fingerprint() == undisturbed(0));
    CHECK(disk->list_all() == files);
  }
  {
    ToyRun run(kRoot, keep_everything(disk));
    CHECK_FALSE(run.manager.start_fresh("x").resumed());
    train_steps(run, 1);
    CHECK(run.fingerprint() == undisturbed(1));
  }
  ToyRun run(kRoot, keep_everything(disk));
  CHECK(run.manager.resume().checkpoint->name == checkpoint_name(5, 1));
  CHECK(run.fingerprint() == undisturbed(1));
}

TEST_CASE(
    "damage: reads that differ are an error and move nothing",
    "[damage][fault]") {
  for (const Disk& before : three_checkpoints()) {
    const std::vector<std::string> files = before->list_all();
    int once = 0;
    for (std::uint64_t n = 1;; ++n) {
      CAPTURE(n);
      const Disk disk = before->snapshot();
      const auto faulty = std::make_shared<FaultFileSystem>(disk);
      faulty->plan(
          Fault::flip_bit().on({Operation::read}).named(kNewestName).at(n));
      ToyRun run(kRoot, keep_everything(faulty));
      const std::string code = code_of([&] { run.manager.resume(); });
      if (faulty->faults() == 0) {
        CHECK(code == "no error");
        break;
      }
      ++once;
      REQUIRE(code == "unstable");
      REQUIRE(run.fingerprint() == undisturbed(0));
      REQUIRE(disk->list_all() == files);
      // The next read is right.
      REQUIRE(run.manager.resume().checkpoint->step == 3);
      REQUIRE(run.fingerprint() == undisturbed(3));
    }
    CHECK(once >= 4);
    for (const std::string& file : files_of(before, kNewest)) {
      CAPTURE(file);
      const Disk disk = before->snapshot();
      const auto faulty = std::make_shared<FaultFileSystem>(disk);
      faulty->plan(
          Fault::flip_bit().on({Operation::read}).named(file).for_ever());
      for (int i = 0; i < 2; ++i) {
        ToyRun run(kRoot, keep_everything(faulty));
        CHECK(code_of([&] { run.manager.resume(); }) == "unstable");
        CHECK(run.fingerprint() == undisturbed(0));
        CHECK(disk->list_all() == files);
      }
    }
  }
}

TEST_CASE(
    "damage: a flipped bit in every read of a table is never a mismatch",
    "[damage][fault]") {
  // The table of a safetensors file is parsed before its digest is known.
  const Disk before = trained(3);
  for (std::uint64_t bit = 64; bit < std::uint64_t{8} * 190; bit += 3) {
    CAPTURE(bit);
    const Disk disk = before->snapshot();
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    int opened = 0;
    faulty->set_hook([&](std::uint64_t, const std::string& what) {
      if (what == "open_file " + kNewest + kModel) {
        ++opened; // for its size; for the restore; to be verified
        if (opened == 2 || opened == 3) {
          disk->flip_bit(kNewest + kModel, bit);
        }
      }
    });
    ToyRun run(kRoot, keep_everything(faulty));
    REQUIRE(code_of([&] { run.manager.resume(); }) == "unstable");
    REQUIRE(run.fingerprint() == undisturbed(0));
    REQUIRE(opened >= 3);
  }
}

TEST_CASE(
    "damage: a lasting EIO is passed over and not moved",
    "[damage][fault]") {
  for (const Disk& before : three_checkpoints()) {
    for (const std::string& file : files_of(before, kNewest)) {
      CAPTURE(file);
      const Disk disk = before->snapshot();
      disk->set_unreadable(file, EIO);
      check_falls_back(disk, Verdict::unreadable, false);
    }
  }
}

TEST_CASE("damage: an EIO that goes away costs nothing", "[damage][fault]") {
  const Disk before = trained(3);
  int struck = 0;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    const Disk disk = before->snapshot();
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    faulty->plan(
        Fault::error(EIO)
            .on({Operation::read, Operation::open_file, Operation::size})
            .named(kNewestName)
            .at(n));
    ToyRun run(kRoot, keep_everything(faulty));
    const ResumeReport report = run.manager.resume();
    if (faulty->faults() == 0) {
      break;
    }
    ++struck;
    REQUIRE(report.passed_over.empty());
    REQUIRE(run.fingerprint() == undisturbed(3));
  }
  CHECK(struck > 8);
}

TEST_CASE(
    "damage: what may not be read is an error and not passed over",
    "[damage][fault]") {
  const Disk before = trained(3);
  for (const std::string& file : files_of(before, kNewest)) {
    CAPTURE(file);
    const Disk disk = before->snapshot();
    disk->set_unreadable(file, EACCES);
    for (int i = 0; i < 2; ++i) {
      ToyRun run(kRoot, keep_everything(disk));
      const auto error = error_of([&] { run.manager.resume(); });
      REQUIRE(error);
      CHECK(error->code() == ErrorCode::unreadable);
      CHECK(error->system_error() == EACCES);
      CHECK(error->path() == kNewest);
      CHECK(run.fingerprint() == undisturbed(0));
    }
    disk->set_unreadable(file, 0);
    ToyRun run(kRoot, keep_everything(disk));
    CHECK(run.manager.resume().checkpoint->step == 3);
  }
}

TEST_CASE(
    "damage: a newer format or an unknown codec ends the search",
    "[damage]") {
  Disk disk;
  std::string piece;
  SECTION("a newer major version") {
    disk = trained(3);
    edit_manifest(disk, kNewest, [](std::string& text) {
      replace_once(text, "\"major\":1", "\"major\":2");
    });
  }
  SECTION("an unknown codec") {
    disk = trained(3, compressed);
    edit_manifest(disk, kNewest, [](std::string& text) {
      replace_once(text, "\"codec\":\"zstd\"", "\"codec\":\"lz77\"");
    });
  }
  const std::vector<std::string> files = disk->list_all();
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, keep_everything(disk));
    const auto error = error_of([&] { run.manager.resume(); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::unsupported_version);
    CHECK(error->path() == kNewest);
    CHECK(run.fingerprint() == undisturbed(0));
    CHECK(disk->list_all() == files);
  }
}

TEST_CASE("damage: a newer minor version is read", "[damage]") {
  const Disk disk = trained(3);
  edit_manifest(disk, kNewest, [](std::string& text) {
    replace_once(text, "\"minor\":0", "\"minor\":7");
    replace_once(text, "{\"attempt\"", "{\"added\":[1,2],\"attempt\"");
  });
  ToyRun run(kRoot, keep_everything(disk));
  CHECK(run.manager.resume().checkpoint->step == 3);
  CHECK(run.fingerprint() == undisturbed(3));
}

TEST_CASE(
    "damage: a run goes on after a fallback as if it had been killed then",
    "[damage]") {
  const Disk disk = trained(3);
  disk->flip_bit(kNewest + kModel, 8 * 300);
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.resume();
  train_steps(run, 2);
  CHECK(run.fingerprint() == undisturbed(4));
  // Neither the number of the quarantined one is used again, nor is it counted.
  CHECK(run.manager.latest()->name == checkpoint_name(5, 4));
  CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{1, 2, 3, 4});
}

TEST_CASE(
    "damage: what was passed over holds nothing in retention",
    "[damage]") {
  // An incomplete checkpoint stays where it is. It must not be one of the
  // newest two that retention relies on.
  const Disk disk = trained(3);
  disk->remove(kNewest + kState);
  ToyRun run(kRoot, quiet_options(disk).keep_last(1));
  run.manager.resume();
  CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{1, 2});
  train_steps(run, 1);
  CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{2, 3});
  CHECK(disk->exists(kNewest)); // the incomplete one
  CHECK(disk->exists(checkpoint_path(2)));
  CHECK(disk->exists(checkpoint_path(4, 3)));
}

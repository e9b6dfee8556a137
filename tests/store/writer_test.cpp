#include "store_support.hpp"

#include <holdfast/io/posix_file_system.hpp>
#include <holdfast/store/read_lease.hpp>

#include <support/temporary_directory.hpp>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;
using holdfast::testing::Operations;

namespace {

struct WriterPlace {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  std::shared_ptr<Directory> root = open_run(files);
  ManualClock clock;
  std::unique_ptr<Writer> writer = std::make_unique<Writer>(root, clock, 0);

  void restart() {
    writer.reset();
    writer = std::make_unique<Writer>(root, clock, 0);
  }
};

using Names = std::vector<std::string>;

std::size_t line_of_log(
    const std::vector<std::string>& log,
    const std::string& piece,
    std::size_t from = 0) {
  for (std::size_t i = from; i < log.size(); ++i) {
    if (log[i].find(piece) != std::string::npos) {
      return i;
    }
  }
  return log.size();
}

} // namespace

TEST_CASE("writer: sweeps what others left, and nothing else", "[store]") {
  WriterPlace place;
  const CheckpointName kept = as_name(save(*place.writer, 10));
  place.writer.reset();
  place.disk->write_file(
      in_run(".staging-000007/model/x"), ByteView(std::string_view("x")));
  place.disk->write_file(in_run(".staging-000008"), ByteView());
  place.disk->write_file(
      in_run(".trash-000005-0a/x"), ByteView(std::string_view("x")));
  place.disk->make_symlink(
      in_run(".latest-0123456789abcdef0123456789abcdef"), "x");
  place.disk->make_symlink(in_run(".latest-mine"), "x");
  place.disk->write_file(in_run(".staging-mine/x"), ByteView());
  place.disk->write_file(in_run(".bad-000002-0a/x"), ByteView());
  place.disk->write_file(in_run("notes.txt"), ByteView());
  place.writer = std::make_unique<Writer>(place.root, place.clock, 0);
  CHECK(
      names_in(*place.root) ==
      Names{
          ".bad-000002",
          ".latest-mine",
          ".staging-mine",
          "LATEST",
          "LOCK",
          kept.name,
          "notes.txt"});
  CHECK(place.writer->mark().highest == 8);
  CHECK(place.writer->mark().committed == 2);
  CHECK(save(*place.writer, 11).sequence == 9);
}

TEST_CASE(
    "writer: numbers are in LOCK before their names are swept",
    "[store]") {
  WriterPlace place;
  place.writer.reset();
  place.disk->make_directory(in_run(".staging-000007"));
  place.files.clear_log();
  place.writer = std::make_unique<Writer>(place.root, place.clock, 0);
  const auto log = place.files.log();
  // The owner's record, then the mark.
  const std::size_t owner = line_of_log(log, "sync_lock");
  const std::size_t mark = line_of_log(log, "sync_lock", owner + 1);
  const std::size_t rename = line_of_log(log, "rename");
  const std::size_t sync = line_of_log(log, "sync_directory", rename);
  const std::size_t removal = line_of_log(log, "remove_directory");
  REQUIRE(removal < log.size());
  CHECK(mark < rename);
  CHECK(rename < sync);
  CHECK(sync < removal);
}

TEST_CASE(
    "writer: a directory that cannot be swept can be written",
    "[store][fault]") {
  WriterPlace place;
  place.writer.reset();
  place.disk->write_file(in_run(".staging-000007/x"), ByteView());
  place.files.plan(Fault::error(EROFS)
                       .on(
                           {Operation::rename,
                            Operation::remove_file,
                            Operation::remove_directory})
                       .for_ever());
  CHECK(code_of([&] {
          place.writer = std::make_unique<Writer>(place.root, place.clock, 0);
        }) == "no error");
  place.files.clear_faults();
  CHECK(place.disk->exists(in_run(".staging-000007")));
  CHECK(save(*place.writer, 1).sequence == 8);
  place.restart();
  CHECK_FALSE(place.disk->exists(in_run(".staging-000007")));
}

TEST_CASE(
    "writer: left-overs go where renames are impossible",
    "[store][fault]") {
  WriterPlace place;
  place.writer.reset();
  place.disk->write_file(in_run(".staging-000007/MANIFEST.json"), ByteView());
  place.disk->write_file(in_run(".staging-000007/x"), ByteView());
  place.disk->write_file(in_run(".staging-000008"), ByteView());
  place.files.plan(Fault::error(EXDEV).on({Operation::rename}).for_ever());
  place.writer = std::make_unique<Writer>(place.root, place.clock, 0);
  CHECK(names_in(*place.root) == Names{"LOCK"});
}

TEST_CASE("writer: a number is given out once", "[store]") {
  WriterPlace place;
  CHECK(place.writer->claim_number([](std::uint64_t) {}) == 1);
  CHECK(code_of([&] {
          (void)place.writer->claim_number(
              [](std::uint64_t) { throw Error(ErrorCode::no_space, "full"); });
        }) == "no_space");
  CHECK(place.writer->claim_number([](std::uint64_t) {}) == 3);
  SECTION("a taken name moves on to the next free number") {
    place.disk->make_directory(in_run(".staging-000004"));
    place.disk->make_directory(in_run("ckpt-000009-step-1"));
    CHECK(place.writer->claim_number([&](std::uint64_t number) {
      place.root->create_directory(staging_name(number));
    }) == 10);
  }
  SECTION("but not for ever") {
    CHECK(code_of([&] {
            (void)place.writer->claim_number([](std::uint64_t) {
              throw Error(ErrorCode::already_exists, "always");
            });
          }) == "already_exists");
  }
  SECTION("nor beyond fifteen digits") {
    place.writer->record_used(kMaxSequence - 1);
    CHECK(place.writer->claim_number([](std::uint64_t) {}) == kMaxSequence);
    CHECK(code_of([&] {
            (void)place.writer->claim_number([](std::uint64_t) {});
          }) == "limit_exceeded");
  }
}

TEST_CASE("writer: LOCK remembers numbers whose names are gone", "[store]") {
  WriterPlace place;
  save(*place.writer, 10);
  const CheckpointName second = as_name(save(*place.writer, 20));
  place.writer->record_used(5);
  place.writer.reset();
  place.disk->remove(in_run(second.name));
  place.writer = std::make_unique<Writer>(place.root, place.clock, 0);
  CHECK(place.writer->mark().highest == 5);
  CHECK(place.writer->mark().committed == 2);
  CHECK(save(*place.writer, 30).sequence == 6);
}

TEST_CASE(
    "writer: an unconfirmed checkpoint's number is kept when it goes",
    "[store][fault]") {
  WriterPlace place;
  save(*place.writer, 10);
  place.files.plan(Fault::error(EIO).on({Operation::sync_lock}));
  CHECK(code_of([&] { (void)save(*place.writer, 20); }) == "io_error");
  CHECK(place.writer->mark().highest == 1);
  const CheckpointName second{2, 20, "ckpt-000002-step-20"};
  SECTION("by removal") {
    place.writer->remove(second);
  }
  SECTION("by quarantine and a hand") {
    place.writer->quarantine(second, "x");
    place.disk->remove(in_run(scan(*place.root).quarantined.at(0)));
  }
  CHECK(place.writer->mark().highest == 2);
  place.disk->cut_power(LossPattern::all_lost());
  const auto root = open_run(*place.disk);
  Writer next(root, place.clock, 0);
  CHECK(save(next, 30).sequence == 3);
}

TEST_CASE("fence: a foreign name with a higher number is the end", "[store]") {
  WriterPlace place;
  save(*place.writer, 10);
  const std::string name = GENERATE(
      as<std::string>(),
      "ckpt-000002-step-1",
      "line-000002-from-000000",
      ".staging-000002",
      ".trash-000002-ab",
      ".bad-000002-ab");
  CAPTURE(name);
  CHECK(code_of([&] { place.writer->check_fence(); }) == "no error");
  place.disk->make_directory(in_run(name));
  const std::string lost = "lost_lock";
  CHECK(code_of([&] { place.writer->check_fence(); }) == lost);
  place.disk->remove(in_run(name));
  CHECK(code_of([&] { place.writer->check_fence(); }) == lost);
  CHECK(code_of([&] { (void)save(*place.writer, 20); }) == lost);
  CHECK(code_of([&] { place.writer->record_committed(9); }) == lost);
  CHECK(code_of([&] { place.writer->record_used(9); }) == lost);
  CHECK(code_of([&] { place.writer->begin_line(0, ""); }) == lost);
  const CheckpointName first{1, 10, "ckpt-000001-step-10"};
  CHECK(code_of([&] { place.writer->remove(first); }) == lost);
  CHECK(code_of([&] { place.writer->quarantine(first, ""); }) == lost);
  CHECK(place.disk->exists(in_run(first.name)));
}

TEST_CASE(
    "fence: a writer that was suspended loses to its successor",
    "[store]") {
  MemoryFileSystem disk;
  disk.set_locks_supported(false); // So that two can be made.
  ManualClock clock;
  const auto root = open_run(disk);
  auto first = std::make_unique<Writer>(root, clock, 0);
  save(*first, 10);
  Transaction asleep(*first, 100);
  write_parts(asleep, 1);
  disk.remove(in_run("LOCK"));
  Writer second(root, clock, 0);
  CHECK_FALSE(disk.exists(in_run(".staging-000002")));
  CHECK(code_of([&] {
          (void)asleep.commit(manifest_for(20, random_id()));
        }) != "no error");
  CHECK(code_of([&] { first->check_fence(); }) == "lost_lock");
  CHECK(save(second, 30).sequence == 3);
  CHECK(
      names_in(*root) ==
      Names{"LATEST", "LOCK", "ckpt-000001-step-10", "ckpt-000003-step-30"});
}

TEST_CASE("line: begun, it is durable and has its number", "[store]") {
  WriterPlace place;
  CHECK_FALSE(place.writer->asked_line());
  save(*place.writer, 10);
  const Line line = place.writer->begin_line(1, "warm-restart");
  CHECK(line.sequence == 2);
  CHECK(line.origin == 1);
  const auto after = place.disk->snapshot();
  after->cut_power(LossPattern::all_lost());
  const auto root = open_run(*after);
  CHECK(scan(*root).current_line() == 2);
  CHECK(read_mark(*root).highest == 2);
  CHECK(read_mark(*root).committed == 1);
  const Writer next(root, place.clock, 0);
  const auto read = const_cast<Writer&>(next).asked_line();
  REQUIRE(read);
  CHECK(read->sequence == 2);
  CHECK(read->origin == 1);
  CHECK(read->tag == "warm-restart");
  CHECK(save(*place.writer, 20).sequence == 3);
}

TEST_CASE("line: the newest one counts", "[store]") {
  WriterPlace place;
  place.writer->begin_line(0, "a");
  place.writer->begin_line(0, "");
  REQUIRE(place.writer->asked_line());
  CHECK(place.writer->asked_line()->tag.empty());
  CHECK(place.writer->asked_line()->sequence == 2);
}

TEST_CASE(
    "line: a rollback goes on with the one that was asked for",
    "[store]") {
  WriterPlace place;
  save(*place.writer, 10);
  place.writer->begin_line(1, "", true);
  CHECK_FALSE(place.writer->asked_line());
  place.writer->begin_line(1, "asked");
  place.writer->begin_line(1, "", true);
  place.writer->begin_line(1, "", true);
  REQUIRE(place.writer->asked_line());
  CHECK(place.writer->asked_line()->tag == "asked");
  CHECK(place.writer->asked_line()->sequence == 3);
  CHECK_FALSE(place.writer->asked_line()->rollback);
  CHECK(scan(*place.root).current_line() == 5);
}

TEST_CASE("line: tag and origin are checked", "[store]") {
  WriterPlace place;
  const std::string refused = "invalid_argument";
  CHECK(code_of([&] { place.writer->begin_line(0, "A tag"); }) == refused);
  CHECK(code_of([&] { place.writer->begin_line(1, "x"); }) == refused);
  CHECK(names_in(*place.root) == Names{"LOCK"});
}

TEST_CASE(
    "line: a damaged file is an error, never a line without a tag",
    "[store]") {
  WriterPlace place;
  place.writer->begin_line(0, "anew");
  const std::string name = in_run("line-000001-from-000000");
  const std::size_t bits = place.disk->read_text(name).size() * 8;
  for (std::size_t bit = 0; bit < bits; ++bit) {
    place.disk->flip_bit(name, bit);
    REQUIRE(code_of([&] {
              (void)place.writer->asked_line();
            }) == "checksum_mismatch");
    place.disk->flip_bit(name, bit);
  }
  CHECK(place.writer->asked_line()->tag == "anew");
  place.disk->truncate(name, 0);
  CHECK(code_of([&] {
          (void)place.writer->asked_line();
        }) == "checksum_mismatch");
}

TEST_CASE("line: a file that contradicts its name is foreign", "[store]") {
  WriterPlace place;
  place.writer->begin_line(0, "anew");
  place.disk->move(
      in_run("line-000001-from-000000"), in_run("line-000003-from-000001"));
  CHECK(code_of([&] { (void)place.writer->asked_line(); }) == "foreign");
}

TEST_CASE(
    "quarantine: moved, with the reason, and its number kept",
    "[store]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  place.writer->quarantine(name, "a flipped bit");
  const Catalog catalog = scan(*place.root);
  CHECK(catalog.checkpoints.empty());
  REQUIRE(catalog.quarantined.size() == 1);
  const std::string moved = in_run(catalog.quarantined[0]);
  CHECK(place.disk->read_text(moved + "/REASON.txt") == "a flipped bit\n");
  CHECK(place.disk->exists(moved + "/MANIFEST.json"));
  const auto after = place.disk->snapshot();
  after->cut_power(LossPattern::all_lost());
  CHECK(after->exists(moved + "/REASON.txt"));
  CHECK_FALSE(after->exists(in_run(name.name)));
  place.restart();
  CHECK(place.disk->exists(moved + "/MANIFEST.json"));
  CHECK(save(*place.writer, 20).sequence == 2);
}

TEST_CASE("quarantine: what cannot be renamed stays", "[store][fault]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  place.files.plan(Fault::error(ENOSPC).on({Operation::rename}));
  CHECK(code_of([&] { place.writer->quarantine(name, "x"); }) == "no error");
  CHECK(place.files.faults() == 1);
  CHECK(
      judge(*place.root, name, VerifyLevel::full, place.clock).verdict ==
      Verdict::valid);
}

TEST_CASE("remove: renamed, synced, and only then deleted", "[store]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  place.files.clear_log();
  place.writer->remove(name);
  const auto log = place.files.log();
  const std::size_t rename = line_of_log(log, "rename");
  const std::size_t sync = line_of_log(log, "sync_directory");
  const std::size_t removal = line_of_log(log, "remove_file");
  REQUIRE(removal < log.size());
  CHECK(rename < sync);
  CHECK(sync < removal);
  CHECK(names_in(*place.root) == Names{"LATEST", "LOCK"});
}

TEST_CASE(
    "remove: where the rename fails the manifest goes first",
    "[store][fault]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  place.files.plan(
      Fault::error(GENERATE(EXDEV, ENOSPC)).on({Operation::rename}).for_ever());
  place.files.clear_log();
  SECTION("all goes") {
    place.writer->remove(name);
    const auto log = place.files.log();
    const std::size_t manifest = line_of_log(log, "remove_file");
    REQUIRE(manifest < log.size());
    CHECK_THAT(log[manifest], contains(kManifestName));
    const std::size_t sync = line_of_log(log, "sync_directory", manifest);
    CHECK(sync == manifest + 1);
    CHECK_FALSE(place.disk->exists(in_run(name.name)));
  }
  SECTION("a crash in between leaves no lie") {
    place.files.plan(
        Fault::error(EIO).on({Operation::remove_file}).at(2).for_ever());
    CHECK(code_of([&] { place.writer->remove(name); }) == "io_error");
    const auto after = place.disk->snapshot();
    after->cut_power(LossPattern::all_lost());
    const Judgement judged =
        judge(*open_run(*after), name, VerifyLevel::quick, place.clock);
    CHECK(judged.verdict == Verdict::incomplete);
    place.files.clear_faults();
    place.writer->remove(name);
    CHECK_FALSE(place.disk->exists(in_run(name.name)));
  }
}

TEST_CASE("remove: one that is read stays", "[store]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  CHECK_FALSE(place.writer->hold_on(name).any());
  auto reader = place.root->open_directory(name.name)->open_file(kManifestName);
  REQUIRE(reader->try_lock_shared());
  CHECK(place.writer->hold_on(name).being_read);
  CHECK(code_of([&] { place.writer->remove(name); }) == "locked");
  CHECK(
      judge(*place.root, name, VerifyLevel::full, place.clock).verdict ==
      Verdict::valid);
  reader.reset();
  place.writer->remove(name);
  CHECK_FALSE(place.disk->exists(in_run(name.name)));
  CHECK_FALSE(place.writer->hold_on(name).any());
  CHECK(code_of([&] { place.writer->remove(name); }) == "no error");
}

TEST_CASE("remove: no reader comes while the name goes", "[store]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  const auto root = place.disk->open_root(kRoot, Create::no);
  std::string met;
  place.files.set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("rename") == 0) {
      met = code_of([&] { ReadLease(*root, name.name); });
    }
  });
  place.writer->remove(name);
  CHECK(met == "locked");
  CHECK_FALSE(place.disk->exists(in_run(name.name)));
}

TEST_CASE("remove: a pin that is made while the name goes counts", "[store]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  place.files.set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("rename") == 0 && place.disk->exists(in_run(name.name))) {
      place.disk->write_file(in_run(name.name + "/PIN"), ByteView());
    }
  });
  CHECK(code_of([&] { place.writer->remove(name); }) == "locked");
  CHECK(place.writer->hold_on(name).pin == "");
  CHECK(
      judge(*place.root, name, VerifyLevel::full, place.clock).verdict ==
      Verdict::valid);
}

TEST_CASE("remove: one that is pinned stays", "[store]") {
  WriterPlace place;
  const CheckpointName name = as_name(save(*place.writer, 10));
  place.writer->pin(name, "figure 3");
  CHECK(place.writer->hold_on(name).pin == "figure 3");
  CHECK(code_of([&] { place.writer->remove(name); }) == "locked");
  CHECK(
      judge(*place.root, name, VerifyLevel::full, place.clock).verdict ==
      Verdict::valid);
  place.writer->unpin(name);
  CHECK_FALSE(place.writer->hold_on(name).any());
  place.disk->write_file(in_run(name.name + "/PIN"), ByteView()); // by hand
  CHECK(code_of([&] { place.writer->remove(name); }) == "locked");
  place.disk->remove(in_run(name.name + "/PIN"));
  place.writer->remove(name);
  CHECK_FALSE(place.disk->exists(in_run(name.name)));
  CHECK(code_of([&] { place.writer->pin(name, ""); }) == "not_found");
  CHECK(code_of([&] { place.writer->unpin(name); }) == "not_found");
}

TEST_CASE(
    "writer: LATEST points to the newest, and its errors do not matter",
    "[store][fault]") {
  WriterPlace place;
  save(*place.writer, 10);
  CHECK(place.disk->read_link(in_run("LATEST")) == "ckpt-000001-step-10");
  save(*place.writer, 20);
  CHECK(place.disk->read_link(in_run("LATEST")) == "ckpt-000002-step-20");
  place.files.plan(Fault::error(EIO).on({Operation::point_symlink}));
  CHECK(code_of([&] { save(*place.writer, 30); }) == "no error");
  CHECK(place.files.faults() == 1);
}

TEST_CASE(
    "writer: nothing can be changed from a forked child",
    "[store][fork]") {
  TemporaryDirectory temporary;
  const auto root =
      default_file_system()->open_root(temporary.path(), Create::no);
  ManualClock clock;
  auto writer = std::make_unique<Writer>(root, clock, 0);
  const CheckpointName name = as_name(save(*writer, 10));
  auto open = std::make_unique<Transaction>(*writer, 100);
  write_parts(*open, 1);
  const int status = in_forked_child([&] {
    const std::string forked = "forked";
    const bool refused = code_of([&] { writer->check_fence(); }) == forked &&
        code_of([&] { (void)save(*writer, 20); }) == forked &&
        code_of([&] { writer->remove(name); }) == forked &&
        code_of([&] { writer->quarantine(name, ""); }) == forked &&
        code_of([&] { writer->begin_line(0, ""); }) == forked &&
        code_of([&] { writer->record_used(9); }) == forked &&
        code_of([&] { write_parts(*open, 1); }) == forked &&
        code_of([&] { open->commit(manifest_for(2, random_id())); }) == forked;
    open.reset(); // Leaves the parent's staging directory alone.
    writer.reset();
    return refused ? 0 : 1;
  });
  CHECK(status == 0);
  const Committed committed = open->commit(manifest_for(20, random_id()));
  CHECK(
      judge(*root, as_name(committed), VerifyLevel::full, clock).verdict ==
      Verdict::valid);
}

#include "store_support.hpp"

#include <holdfast/io/zstd.hpp>

#include <limits>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::LossPattern;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;

namespace {

struct TransactionPlace {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  std::shared_ptr<Directory> root = open_run(files);
  ManualClock clock;
  std::unique_ptr<Writer> writer = std::make_unique<Writer>(root, clock, 0);
};

using Names = std::vector<std::string>;

const std::function<void(ByteSink&)> kNothing = [](ByteSink&) {
};

void write_x(ByteSink& sink) {
  write_text(sink, "x");
}

} // namespace

TEST_CASE(
    "transaction: a commit is whole, durable and as it was given",
    "[store]") {
  TransactionPlace place;
  Transaction transaction(*place.writer, 5000);
  CHECK(transaction.sequence() == 1);
  write_parts(transaction, 7);
  Manifest manifest = manifest_for(120, random_id());
  manifest.sequence = 99; // Filled in by the transaction.
  manifest.parts.resize(5);
  const Committed committed = transaction.commit(manifest);
  CHECK(committed.sequence == 1);
  CHECK(committed.name == "ckpt-000001-step-120");
  CHECK(place.writer->mark().committed == 1);

  place.disk->cut_power(LossPattern::all_lost());
  const auto root = open_run(*place.disk);
  const Judgement judged =
      judge(*root, as_name(committed), VerifyLevel::full, place.clock);
  CHECK(judged.verdict == Verdict::valid);
  REQUIRE(judged.manifest);
  CHECK(judged.manifest->id == manifest.id);
  CHECK(judged.manifest->sequence == 1);
  CHECK(judged.manifest->step == 120);
  REQUIRE(judged.manifest->parts.size() == 3);
  const std::string folder = in_run(committed.name);
  const Bytes model =
      place.disk->read_file(folder + "/model/model.safetensors");
  CHECK(model == random_bytes(1700, 7));
  const PartFile& part = judged.manifest->parts[0];
  CHECK(part.path == "model/model.safetensors");
  CHECK(part.bytes == 1700);
  CHECK(part.digest == digest_of(model));
  CHECK_FALSE(part.stored);
  const PartFile& compressed = judged.manifest->parts[1];
  REQUIRE(compressed.stored);
  CHECK(compressed.digest == digest_of(repetitive_bytes(3000, 7)));
  const Bytes stored =
      place.disk->read_file(folder + "/optimizer/state.safetensors.zst");
  CHECK(compressed.stored->bytes == stored.size());
  CHECK(compressed.stored->digest == digest_of(stored));
}

TEST_CASE(
    "transaction: given up, it leaves nothing but a spent number",
    "[store]") {
  TransactionPlace place;
  {
    Transaction transaction(*place.writer, 100);
    write_parts(transaction, 1);
    CHECK(place.disk->exists(in_run(".staging-000001")));
  }
  CHECK(names_in(*place.root) == Names{"LOCK"});
  CHECK(save(*place.writer, 10).sequence == 2);
}

TEST_CASE(
    "transaction: a staging that cannot be removed is swept",
    "[store][fault]") {
  TransactionPlace place;
  {
    Transaction transaction(*place.writer, 100);
    write_parts(transaction, 1);
    place.files.plan(
        Fault::error(EROFS)
            .on({Operation::remove_file, Operation::remove_directory})
            .for_ever());
  }
  place.files.clear_faults();
  CHECK(place.disk->exists(in_run(".staging-000001")));
  CHECK(save(*place.writer, 10).sequence == 2);
  place.writer.reset();
  place.writer = std::make_unique<Writer>(place.root, place.clock, 0);
  CHECK_FALSE(place.disk->exists(in_run(".staging-000001")));
}

TEST_CASE(
    "transaction: space is looked at before anything is made",
    "[store]") {
  TransactionPlace place;
  const std::uint64_t mib = std::uint64_t{1} << 20;
  place.disk->set_capacity(100 * mib);
  const auto refused = error_of([&] { Transaction(*place.writer, 90 * mib); });
  REQUIRE(refused);
  CHECK(refused->code() == ErrorCode::no_space);
  CHECK_FALSE(refused->expected().empty());
  CHECK_FALSE(refused->found().empty());
  CHECK(names_in(*place.root) == Names{"LOCK"});
  CHECK(code_of([&] { Transaction(*place.writer, 80 * mib); }) == "no error");
  const auto most = std::numeric_limits<std::uint64_t>::max();
  CHECK(code_of([&] { Transaction(*place.writer, most); }) == "no_space");
}

TEST_CASE(
    "transaction: a file system that does not know its space is used",
    "[store][fault]") {
  TransactionPlace place;
  SECTION("an error") {
    place.files.plan(Fault::error(ENOSYS).on({Operation::space}).for_ever());
    CHECK(save(*place.writer, 1).sequence == 1);
    CHECK(place.files.faults() == 1);
  }
  SECTION("zero: the writes tell") {
    place.disk->set_capacity(1);
    const auto refused = error_of([&] { (void)save(*place.writer, 1); });
    REQUIRE(refused);
    CHECK(refused->code() == ErrorCode::no_space);
    CHECK(place.files.operations() > 0);
    place.disk->set_capacity(MemoryFileSystem::kUnlimited);
    CHECK(save(*place.writer, 2).sequence == 2);
  }
}

TEST_CASE(
    "transaction: every size of disk ends in a commit or a clean no_space",
    "[store]") {
  for (std::uint64_t room = 2000; room < 20'000; room += 256) {
    CAPTURE(room);
    MemoryFileSystem disk;
    ManualClock clock;
    const auto root = open_run(disk);
    Writer writer(root, clock, 0);
    save(writer, 10);
    std::string code;
    {
      Transaction transaction(writer, 0);
      disk.set_capacity(room); // After the look at the space.
      code = code_of([&] {
        write_parts(transaction, 20);
        transaction.commit(manifest_for(20, random_id()));
      });
    }
    REQUIRE((code == "no error" || code == "no_space"));
    const Catalog catalog = scan(*root);
    REQUIRE(catalog.staging.empty());
    REQUIRE(catalog.checkpoints.size() == (code == "no error" ? 2U : 1U));
    for (const CheckpointName& name : catalog.checkpoints) {
      REQUIRE(
          judge(*root, name, VerifyLevel::full, clock).verdict ==
          Verdict::valid);
    }
  }
}

TEST_CASE(
    "transaction: paths are files, at most one directory deep",
    "[store]") {
  TransactionPlace place;
  Transaction transaction(*place.writer, 100);
  const std::string path = GENERATE(
      as<std::string>(),
      "",
      "/",
      "/a",
      "a/",
      "a/b/c",
      ".",
      "..",
      "../a",
      "a/..",
      "./a",
      "MANIFEST.json");
  CAPTURE(path);
  CHECK(code_of([&] {
          transaction.write_part(path, 0, {}, kNothing);
        }) == "invalid_argument");
  // Nothing was touched: the transaction goes on.
  transaction.write_part("a", 0, {}, kNothing);
  CHECK(transaction.commit(manifest_for(1, random_id())).sequence == 1);
}

TEST_CASE("transaction: a path is taken once, on disk too", "[store]") {
  TransactionPlace place;
  Transaction transaction(*place.writer, 100);
  transaction.write_part("d/a", 0, {1}, write_x);
  transaction.write_part("b.zst", 0, {}, write_x);
  const std::string taken = "duplicate_name";
  CHECK(
      code_of([&] { transaction.write_part("d/a", 0, {}, write_x); }) == taken);
  CHECK(code_of([&] {
          transaction.write_part("d/a.zst", 0, {}, write_x);
        }) == taken);
  CHECK(
      code_of([&] { transaction.write_part("b", 0, {3}, write_x); }) == taken);
  transaction.write_part("b", 0, {}, write_x);
  CHECK(transaction.commit(manifest_for(1, random_id())).sequence == 1);
}

TEST_CASE("transaction: after a failure nothing can be committed", "[store]") {
  TransactionPlace place;
  Transaction transaction(*place.writer, 100);
  transaction.write_part("a", 0, {}, write_x);
  CHECK_THROWS_AS(
      transaction.write_part(
          "b", 0, {}, [](ByteSink&) { throw std::runtime_error("mine"); }),
      std::runtime_error);
  const std::string refused = "invalid_argument";
  CHECK(
      code_of([&] { transaction.write_part("c", 0, {}, write_x); }) == refused);
  CHECK(code_of([&] {
          transaction.commit(manifest_for(1, random_id()));
        }) == refused);
  CHECK(scan(*place.root).checkpoints.empty());
}

TEST_CASE("transaction: commits once", "[store]") {
  TransactionPlace place;
  Transaction transaction(*place.writer, 100);
  transaction.commit(manifest_for(1, random_id()));
  const std::string refused = "invalid_argument";
  CHECK(code_of([&] {
          transaction.commit(manifest_for(1, random_id()));
        }) == refused);
  CHECK(
      code_of([&] { transaction.write_part("c", 0, {}, write_x); }) == refused);
}

TEST_CASE(
    "transaction: what no reader would take is not committed",
    "[store]") {
  TransactionPlace place;
  {
    Transaction transaction(*place.writer, 100);
    Manifest manifest = manifest_for(1, random_id());
    SECTION("a manifest beyond its size") {
      for (int i = 0; i < 3000; ++i) {
        manifest.reasons.push_back(std::string(500, 'r'));
      }
    }
    SECTION("an id that is none") {
      manifest.id = "mine";
    }
    SECTION("a negative step") {
      manifest.step = -1;
    }
    CHECK(code_of([&] { transaction.commit(manifest); }) != "no error");
  }
  CHECK(names_in(*place.root) == Names{"LOCK"});
}

TEST_CASE(
    "transaction: steps 6 and 7 failed, it is unconfirmed",
    "[store][fault]") {
  TransactionPlace place;
  save(*place.writer, 10);
  const std::size_t mark = place.writer->mark().committed;
  Transaction transaction(*place.writer, 100);
  write_parts(transaction, 2);
  SECTION("the root") {
    place.files.plan(Fault::error(EIO).on({Operation::sync_directory}).at(4));
  }
  SECTION("LOCK") {
    place.files.plan(Fault::error(EIO).on({Operation::sync_lock}));
  }
  CHECK(code_of([&] {
          transaction.commit(manifest_for(20, random_id()));
        }) == "io_error");
  CHECK(place.writer->mark().committed == mark);
  const auto order = scan(*place.root).search_order();
  REQUIRE(order.size() == 2);
  CHECK(
      judge(*place.root, order[0], VerifyLevel::full, place.clock).verdict ==
      Verdict::valid);
  CHECK(save(*place.writer, 30).sequence == 3);
}

TEST_CASE("transaction: the steps come in their order", "[store]") {
  TransactionPlace place;
  place.files.clear_log();
  save(*place.writer, 10);
  std::vector<std::string> order;
  const auto note = [&](const std::string& line,
                        const std::string& operation,
                        const std::string& piece,
                        const std::string& name) {
    if (line.substr(0, operation.size()) == operation &&
        line.find(piece) != std::string::npos) {
      order.push_back(name);
    }
  };
  for (const std::string& line : place.files.log()) {
    note(line, "sync_file", "model.safetensors", "model");
    note(line, "sync_file", "state.safetensors", "optimizer");
    note(line, "sync_file", "state.json", "state");
    note(line, "create_file", "MANIFEST", "create manifest");
    note(line, "sync_file", "MANIFEST", "manifest");
    note(line, "sync_directory", "000001/model", "directory");
    note(line, "sync_directory", "000001/optimizer", "directory");
    if (line.size() > 14 && line.substr(line.size() - 14) == "staging-000001") {
      note(line, "sync_directory", "", "staging");
    }
    note(line, "rename", "ckpt-", "rename");
    if (line == "sync_directory runs/a") {
      order.push_back("root");
    }
    note(line, "sync_lock", "", "lock");
    note(line, "point_symlink", "", "latest");
  }
  CHECK(
      order ==
      Names{
          "model",
          "optimizer",
          "state",
          "create manifest",
          "manifest",
          "directory",
          "directory",
          "staging",
          "rename",
          "root",
          "lock",
          "latest"});
}

TEST_CASE("transaction: another writer's name stops step 5", "[store]") {
  TransactionPlace place;
  Transaction transaction(*place.writer, 100);
  write_parts(transaction, 1);
  place.disk->make_directory(in_run("ckpt-000002-step-1"));
  CHECK(code_of([&] {
          transaction.commit(manifest_for(1, random_id()));
        }) == "lost_lock");
  CHECK_FALSE(place.disk->exists(in_run("ckpt-000001-step-1")));
}

TEST_CASE("transaction: a name that took its number stops step 5", "[store]") {
  const std::string name = GENERATE(
      as<std::string>(),
      "ckpt-000002-step-7",
      "line-000002-from-000000",
      ".trash-000002-ab",
      ".bad-000002-ab");
  CAPTURE(name);
  TransactionPlace place;
  save(*place.writer, 10);
  Transaction transaction(*place.writer, 100);
  REQUIRE(transaction.sequence() == 2);
  write_parts(transaction, 1);
  place.disk->make_directory(in_run(name));
  // NOREPLACE would not mind: the names differ, and both would be foreign.
  CHECK(code_of([&] {
          (void)transaction.commit(manifest_for(20, random_id()));
        }) == "lost_lock");
  CHECK_FALSE(place.disk->exists(in_run("ckpt-000002-step-20")));
  CHECK(place.disk->exists(in_run(name)));
}

#include "store_support.hpp"

#include <cerrno>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::MemoryFileSystem;
using holdfast::testing::Operation;
using holdfast::testing::Operations;

namespace {

struct VerdictPlace {
  std::shared_ptr<MemoryFileSystem> disk = std::make_shared<MemoryFileSystem>();
  FaultFileSystem files{disk};
  ManualClock clock;
  std::shared_ptr<Directory> root = open_run(files);
  CheckpointName name;

  VerdictPlace() {
    Writer writer(root, clock, 0);
    name = as_name(save(writer, 10));
  }
  std::string path(const std::string& file) const {
    return in_run(name.name) + "/" + file;
  }
  Judgement judged(VerifyLevel level = VerifyLevel::full) {
    return judge(*root, name, level, clock);
  }
  /// Puts `edited` in the manifest's place, its digest made right.
  void rewrite_manifest(const std::function<void(std::string&)>& edit) {
    std::string text = disk->read_text(path(kManifestName));
    text.resize(text.size() - 48);
    edit(text);
    text += ",\"xxh3_128\":\"" +
        digest_of(ByteView(std::string_view(text))).hex() + "\"}\n";
    disk->write_file(path(kManifestName), ByteView(std::string_view(text)));
  }
};

void replace(
    std::string& text,
    const std::string& from,
    const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

const char* const kModel = "model/model.safetensors";

} // namespace

TEST_CASE("verdict: valid, without a word and without a write", "[store]") {
  VerdictPlace place;
  place.files.clear_log();
  const Judgement judged =
      place.judged(GENERATE(VerifyLevel::quick, VerifyLevel::full));
  CHECK(judged.verdict == Verdict::valid);
  CHECK(judged.reason.empty());
  CHECK(judged.manifest);
  CHECK_FALSE(judged.may_pass_over());
  CHECK(place.clock.sleeps == 0);
  for (const std::string& line : place.files.log()) {
    CAPTURE(line);
    CHECK(line.find("write") == std::string::npos);
    CHECK(line.find("create") == std::string::npos);
    CHECK(line.find("sync") == std::string::npos);
  }
}

TEST_CASE("verdict: incomplete where something is missing", "[store]") {
  VerdictPlace place;
  bool with_manifest = true;
  const VerifyLevel level = GENERATE(VerifyLevel::quick, VerifyLevel::full);
  SECTION("a part") {
    place.disk->remove(place.path(kModel));
  }
  SECTION("a part's directory") {
    place.disk->remove(place.path("model"));
  }
  SECTION("a link in a part's place") {
    place.disk->move(place.path(kModel), place.path("model/there"));
    place.disk->make_symlink(place.path(kModel), "there");
  }
  SECTION("a link in a part's directory's place") {
    place.disk->move(place.path("model"), place.path("there"));
    place.disk->make_symlink(place.path("model"), "there");
  }
  SECTION("a directory in a part's place") {
    place.disk->remove(place.path(kModel));
    place.disk->make_directory(place.path(kModel));
  }
  SECTION("the manifest") {
    place.disk->remove(place.path(kManifestName));
    with_manifest = false;
  }
  SECTION("all of it") {
    place.disk->remove(in_run(place.name.name));
    with_manifest = false;
  }
  const Judgement judged = place.judged(level);
  CHECK(judged.verdict == Verdict::incomplete);
  CHECK_FALSE(judged.reason.empty());
  CHECK(judged.may_pass_over());
  CHECK(judged.manifest.has_value() == with_manifest);
}

TEST_CASE(
    "verdict: damaged where every read finds the same wrong bytes",
    "[store]") {
  VerdictPlace place;
  const std::string part = GENERATE(
      as<std::string>(),
      "model/model.safetensors",
      "optimizer/state.safetensors.zst",
      "state.json");
  CAPTURE(part);
  SECTION("a flipped bit") {
    place.disk->flip_bit(place.path(part), 37);
    CHECK(place.judged(VerifyLevel::quick).verdict == Verdict::valid);
  }
  SECTION("cut") {
    place.disk->truncate(place.path(part), 5);
    CHECK(place.judged(VerifyLevel::quick).verdict == Verdict::damaged);
  }
  SECTION("grown") {
    place.disk->truncate(place.path(part), 100'000);
    CHECK(place.judged(VerifyLevel::quick).verdict == Verdict::damaged);
  }
  const Judgement judged = place.judged();
  CHECK(judged.verdict == Verdict::damaged);
  CHECK_THAT(judged.reason, contains(part));
  CHECK(judged.may_pass_over());
  CHECK(judged.manifest);
}

TEST_CASE("verdict: every flipped bit of a manifest", "[store]") {
  VerdictPlace place;
  const std::string file = place.path(kManifestName);
  const std::size_t bits = place.disk->read_text(file).size() * 8;
  for (std::size_t bit = 0; bit < bits; ++bit) {
    place.disk->flip_bit(file, bit);
    CAPTURE(bit);
    const Judgement judged = place.judged(VerifyLevel::quick);
    REQUIRE(judged.verdict == Verdict::damaged);
    REQUIRE_FALSE(judged.manifest);
    REQUIRE(judged.may_pass_over());
    place.disk->flip_bit(file, bit);
  }
}

TEST_CASE("verdict: a manifest of every other length is damaged", "[store]") {
  VerdictPlace place;
  const std::string file = place.path(kManifestName);
  const Bytes whole = place.disk->read_file(file);
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    place.disk->write_file(file, ByteView(whole).subview(0, size));
    CAPTURE(size);
    REQUIRE(place.judged(VerifyLevel::quick).verdict == Verdict::damaged);
  }
  place.disk->truncate(file, kMaxManifestBytes + 100);
  CHECK(place.judged(VerifyLevel::quick).verdict == Verdict::damaged);
}

TEST_CASE("verdict: unstable where two reads differ", "[store][fault]") {
  VerdictPlace place;
  const bool lasting = GENERATE(true, false);
  CAPTURE(lasting);
  const std::string file = GENERATE(
      as<std::string>(),
      "MANIFEST.json",
      "model.safetensors",
      "state.safetensors.zst");
  CAPTURE(file);
  const Fault flip = Fault::flip_bit().on(Operations::reads()).named(file);
  place.files.plan(lasting ? flip.for_ever() : flip);
  const Judgement judged = place.judged();
  CHECK(place.files.faults() != 0);
  CHECK(judged.verdict == Verdict::unstable);
  CHECK_FALSE(judged.may_pass_over());
  CHECK(judged.manifest.has_value() == (file != "MANIFEST.json"));
}

TEST_CASE(
    "verdict: a system error that goes away is nobody's fault",
    "[store][fault]") {
  VerdictPlace place;
  const int system_error = GENERATE(EIO, EACCES, ESTALE, ENOMEM);
  CAPTURE(system_error);
  for (std::uint64_t n = 1; n <= 12; ++n) {
    CAPTURE(n);
    place.files.plan(Fault::error(system_error).at(n));
    CHECK(place.judged().verdict == Verdict::valid);
    place.files.clear_faults();
  }
  CHECK(place.clock.sleeps >= 10);
}

TEST_CASE("verdict: unreadable where it stays", "[store][fault]") {
  VerdictPlace place;
  const int system_error = GENERATE(EIO, EACCES, ESTALE);
  CAPTURE(system_error);
  const std::string file =
      GENERATE(as<std::string>(), "MANIFEST.json", "model.safetensors");
  CAPTURE(file);
  place.files.plan(Fault::error(system_error)
                       .on({Operation::open_file, Operation::read})
                       .named(file)
                       .for_ever());
  const double before = place.clock.monotonic;
  const Judgement judged = place.judged();
  CHECK(judged.verdict == Verdict::unreadable);
  CHECK(judged.system_error == system_error);
  CHECK(judged.may_pass_over() == (system_error == EIO));
  CHECK(judged.manifest.has_value() == (file != "MANIFEST.json"));
  CHECK(place.clock.sleeps == 3);
  CHECK(place.clock.monotonic - before < 1.1);
}

TEST_CASE(
    "verdict: a directory that cannot be opened is unreadable",
    "[store][fault]") {
  VerdictPlace place;
  place.files.plan(
      Fault::error(EACCES).on({Operation::open_directory}).for_ever());
  const Judgement judged = place.judged();
  CHECK(judged.verdict == Verdict::unreadable);
  CHECK(judged.system_error == EACCES);
  CHECK_FALSE(judged.may_pass_over());
}

TEST_CASE("verdict: foreign where manifest and name disagree", "[store]") {
  VerdictPlace place;
  const std::string other =
      GENERATE(as<std::string>(), "ckpt-000002-step-10", "ckpt-000001-step-11");
  CAPTURE(other);
  place.disk->move(in_run(place.name.name), in_run(other));
  const ParsedName parsed = parse_name(other);
  place.name = {parsed.sequence, parsed.step, other};
  const Judgement judged = place.judged(VerifyLevel::quick);
  CHECK(judged.verdict == Verdict::foreign);
  CHECK(judged.may_pass_over());
  REQUIRE(judged.manifest);
  CHECK(judged.manifest->sequence == 1);
}

TEST_CASE("verdict: unsupported is not passed over", "[store]") {
  VerdictPlace place;
  SECTION("a newer major") {
    place.rewrite_manifest(
        [](std::string& text) { replace(text, "\"major\":1", "\"major\":2"); });
  }
  SECTION("an unknown codec") {
    place.rewrite_manifest([](std::string& text) {
      replace(text, "\"codec\":\"zstd\"", "\"codec\":\"zstd9\"");
    });
  }
  const Judgement judged = place.judged(VerifyLevel::quick);
  CAPTURE(judged.reason);
  CHECK(judged.verdict == Verdict::unsupported);
  CHECK_FALSE(judged.may_pass_over());
}

TEST_CASE("verdict: an intact text that is no manifest is damaged", "[store]") {
  VerdictPlace place;
  place.rewrite_manifest([](std::string& text) { text = "{\"a\":1"; });
  const Judgement judged = place.judged(VerifyLevel::quick);
  CHECK(judged.verdict == Verdict::damaged);
  CHECK_FALSE(judged.manifest);
}

TEST_CASE("verdict: every verdict has its name", "[store]") {
  CHECK(std::string(to_string(Verdict::valid)) == "valid");
  CHECK(std::string(to_string(Verdict::incomplete)) == "incomplete");
  CHECK(std::string(to_string(Verdict::damaged)) == "damaged");
  CHECK(std::string(to_string(Verdict::unstable)) == "unstable");
  CHECK(std::string(to_string(Verdict::unreadable)) == "unreadable");
  CHECK(std::string(to_string(Verdict::unsupported)) == "unsupported");
  CHECK(std::string(to_string(Verdict::foreign)) == "foreign");
}

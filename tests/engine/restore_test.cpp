#include "engine_support.hpp"
#include "state/fake_tensor.hpp"

#include <holdfast/engine/restore.hpp>

using namespace holdfast;
using namespace holdfast::test;

namespace {

const LoadOptions kPlainLoad;

/// Writes down what the engine does with it.
struct Noted final : Part {
  Noted(std::string its_name, Stage its_stage, std::vector<std::string>& log)
      : name(std::move(its_name)), stage_(its_stage), log_(log) {}
  std::string kind() const override {
    return "noted";
  }
  Stage stage() const override {
    return stage_;
  }
  State capture(const Names&) override {
    return {};
  }
  std::unique_ptr<Restore> prepare(const Saved&, const Names&, Mismatches&)
      override {
    struct Noting final : Restore {
      explicit Noting(Noted& noted) : part(noted) {}
      void apply(const std::vector<const std::byte*>&) override {
        part.log_.push_back("apply " + part.name);
        if (part.fails) {
          throw std::runtime_error(part.name);
        }
      }
      void undo() noexcept override {
        part.log_.push_back("undo " + part.name);
      }
      Noted& part;
    };
    log_.push_back("prepare " + name);
    return std::make_unique<Noting>(*this);
  }
  void restored() override {
    log_.push_back("restored " + name);
  }
  std::string name;
  bool fails = false;

 private:
  Stage stage_;
  std::vector<std::string>& log_;
};

/// An object with a tensor that others may have, too.
struct Having {
  FakeTensor* tensor;
  template <class V>
  void state(V& v) {
    v("x", *tensor);
  }
};

using Log = std::vector<std::string>;

/// A part of every stage, in an order that is not theirs.
struct AllStages {
  AllStages() {
    add("random", Stage::random);
    add("data", Stage::data);
    add("module", Stage::module);
    add("second", Stage::user);
    add("value", Stage::value);
    add("scheduler", Stage::scheduler);
    add("user", Stage::user);
    add("optimizer", Stage::optimizer);
  }
  void add(const std::string& name, Stage stage) {
    auto part = std::make_unique<Noted>(name, stage, log);
    by_name[name] = part.get();
    parts.add(name, std::move(part));
  }
  PreparedRestore prepare() {
    const auto directory =
        disk->open_root(kRoot, Create::no)->open_directory(checkpoint);
    const Manifest manifest =
        parse_manifest(read_file(*directory, kManifestName, kMaxManifestBytes));
    return PreparedRestore(
        *directory, manifest, parts, nullptr, unheard_meter());
  }
  void save() {
    Manager manager(kRoot, keep_everything(disk));
    Log ignored;
    for (const NamedPart& part : parts.all()) {
      manager.add_part(
          part.name,
          std::make_unique<Noted>(part.name, part.part->stage(), ignored));
    }
    manager.resume();
    manager.step();
  }
  Disk disk = new_disk();
  std::string checkpoint = checkpoint_name(1, 1);
  Log log;
  PartSet parts;
  std::map<std::string, Noted*> by_name;
};

} // namespace

TEST_CASE(
    "restore: applied in the order of stages, random state at the end",
    "[restore]") {
  AllStages all;
  all.save();
  PreparedRestore restore = all.prepare();
  CHECK(all.log.size() == 8);
  CHECK(all.log.front() == "prepare random");
  all.log.clear();
  restore.apply();
  CHECK(
      all.log ==
      Log{"apply second",
          "apply user",
          "apply module",
          "apply optimizer",
          "apply scheduler",
          "apply value",
          "apply data",
          "restored second",
          "restored user",
          "restored module",
          "restored optimizer",
          "restored scheduler",
          "restored value",
          "restored data",
          "restored random",
          "apply random"});
  CHECK(restore.restored().size() == 8);
}

TEST_CASE("restore: what failed is taken back, in reverse", "[restore]") {
  AllStages all;
  all.save();
  SECTION("the first") {
    all.by_name["second"]->fails = true;
    PreparedRestore restore = all.prepare();
    all.log.clear();
    CHECK_THROWS_WITH(restore.apply(), "second");
    CHECK(all.log == Log{"apply second", "undo second"});
  }
  SECTION("one in the middle") {
    all.by_name["module"]->fails = true;
    PreparedRestore restore = all.prepare();
    all.log.clear();
    CHECK_THROWS_WITH(restore.apply(), "module");
    CHECK(
        all.log ==
        Log{"apply second",
            "apply user",
            "apply module",
            "undo module",
            "undo user",
            "undo second"});
  }
}

TEST_CASE("restore: one that is not applied changes nothing", "[restore]") {
  const Disk disk = trained(2);
  const auto directory =
      disk->open_root(kRoot, Create::no)->open_directory(checkpoint_name(2, 2));
  const Manifest manifest =
      parse_manifest(read_file(*directory, kManifestName, kMaxManifestBytes));
  ToyModel model;
  PartSet parts;
  parts.add("model", make_part(model));
  {
    const PreparedRestore restore(
        *directory, manifest, parts, &kPlainLoad, unheard_meter());
    CHECK(restore.restored().size() == 1);
    CHECK(restore.engine().count("last_save") == 1);
  }
  CHECK(model.weight == ToyModel().weight);
  CHECK(code_of([&] {
          PreparedRestore(
              *directory, manifest, parts, nullptr, unheard_meter());
        }) == "part_unexpected");
}

TEST_CASE("restore: wrong bytes are never applied", "[restore]") {
  const Disk disk = trained(2);
  disk->flip_bit(checkpoint_path(2) + "/model/model.safetensors", 8 * 300);
  const auto directory =
      disk->open_root(kRoot, Create::no)->open_directory(checkpoint_name(2, 2));
  const Manifest manifest =
      parse_manifest(read_file(*directory, kManifestName, kMaxManifestBytes));
  ToyModel model;
  PartSet parts;
  parts.add("model", make_part(model));
  const auto error = error_of([&] {
    PreparedRestore(*directory, manifest, parts, &kPlainLoad, unheard_meter());
  });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::checksum_mismatch);
  CHECK(error->path() == "model/model.safetensors");
  CHECK(model.weight == ToyModel().weight);
}

TEST_CASE("restore: tensors over each other need the same bytes", "[restore]") {
  const Disk disk = new_disk();
  const auto resume = [&](FakeTensor& a, FakeTensor& b) {
    Having first{&a};
    Having second{&b};
    Manager manager(kRoot, keep_everything(disk));
    manager.add("a", first);
    manager.add("b", second);
    manager.resume();
    b.numbers[1] += &a == &b ? 0 : 1;
    manager.save().wait();
  };
  FakeTensor both{1, 2};
  resume(both, both);
  both.numbers = {0, 0};
  resume(both, both);
  CHECK(both.numbers == std::vector<float>{1, 2});

  FakeTensor a{0, 0};
  FakeTensor b{0, 0};
  resume(a, b);
  CHECK(a.numbers == std::vector<float>{1, 2});
  CHECK(b.numbers == std::vector<float>{1, 3});
  both.numbers = {7, 7};
  const auto error = error_of([&] { resume(both, both); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::type_mismatch);
  CHECK(error->name() == "b: x");
  CHECK(error->expected() == "the memory of 'a: x'");
  CHECK(error->found() == "a tensor of its own with other values");
  CHECK(both.numbers == std::vector<float>{7, 7});
  resume(a, b);
}

#include "engine_support.hpp"

#include <state/fake_tensor.hpp>

#include <cstring>
#include <map>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Named tensors of f32 or f64 that bear with what a load bears with.
template <class T>
struct Net {
  std::map<std::string, std::vector<T>> tensors;

  bool operator==(const Net& other) const {
    return tensors == other.tensors;
  }
};

template <class T>
class NetPart final : public Part {
 public:
  explicit NetPart(Net<T>& net) : net_(net) {}

  std::string kind() const override {
    return "module";
  }
  Stage stage() const override {
    return Stage::module;
  }
  State capture(const Names&) override {
    State state;
    for (const auto& [name, numbers] : net_.tensors) {
      state.tensors.push_back({info(name), std::make_shared<Source>(numbers)});
    }
    return state;
  }
  std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    seen_device = saved.device;
    auto restore = std::make_unique<Overwrite>();
    std::set<std::string> present;
    for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
      const TensorInfo& there = saved.tensors[i];
      present.insert(there.name);
      const auto found = net_.tensors.find(there.name);
      if (found == net_.tensors.end()) {
        (void)mismatches.allow(
            {ErrorCode::name_unexpected, there.name, "nothing", "a tensor"});
        continue;
      }
      const TensorInfo here = info(there.name);
      if (here.shape != there.shape &&
          mismatches.allow(
              {ErrorCode::shape_mismatch,
               there.name,
               detail::shape_text(here.shape),
               detail::shape_text(there.shape)})) {
        continue;
      }
      if (here.dtype != there.dtype) {
        (void)mismatches.allow(
            {ErrorCode::dtype_mismatch,
             there.name,
             std::string(holdfast::info(here.dtype).name),
             std::string(holdfast::info(there.dtype).name)});
      }
      restore->targets.push_back({i, there.dtype, &found->second});
    }
    for (const auto& [name, numbers] : net_.tensors) {
      if (present.count(name) == 0) {
        (void)mismatches.allow(
            {ErrorCode::name_missing,
             name,
             detail::tensor_text(info(name)),
             "nothing"});
      }
    }
    return restore;
  }
  std::vector<std::string> notes() const override {
    return {"device '" + seen_device + "'"};
  }

 private:
  class Source final : public TensorSource {
   public:
    explicit Source(const std::vector<T>& numbers) : numbers_(numbers) {}
    const std::byte* data() const noexcept override {
      return reinterpret_cast<const std::byte*>(numbers_.data());
    }
    void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
        const override {
      std::memcpy(into, data() + offset, count);
    }

   private:
    const std::vector<T>& numbers_;
  };

  struct Overwrite final : Restore {
    struct Target {
      std::size_t source;
      DType dtype;
      std::vector<T>* numbers;
    };
    void apply(const std::vector<const std::byte*>& bytes) override {
      for (const Target& target : targets) {
        for (std::size_t i = 0; i < target.numbers->size(); ++i) {
          (*target.numbers)[i] = target.dtype == DType::f32
              ? static_cast<T>(at<float>(bytes[target.source], i))
              : static_cast<T>(at<double>(bytes[target.source], i));
        }
      }
    }
    template <class U>
    static U at(const std::byte* bytes, std::size_t i) {
      U value;
      std::memcpy(&value, bytes + i * sizeof(U), sizeof(U));
      return value;
    }
    std::vector<Target> targets;
  };

  TensorInfo info(const std::string& name) const {
    TensorInfo info;
    info.name = name;
    info.dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
    info.shape = {static_cast<std::int64_t>(net_.tensors.at(name).size())};
    return info;
  }

  Net<T>& net_;
  std::string seen_device;
};

struct Before {
  FakeTensor kept{1, 2};
  FakeTensor gone{3};
  FakeTensor left{4};
  template <class V>
  void state(V& v) {
    v("kept", kept);
    v("gone", gone);
    v("left", left);
  }
};
struct After {
  FakeTensor fresh{-1};
  FakeTensor kept{-2, -2};
  template <class V>
  void state(V& v) {
    v("fresh", fresh);
    v("kept", kept);
  }
};

struct Average {
  FakeTensor values{7, 8};
  template <class V>
  void state(V& v) {
    v("values", values);
  }
};

using Net32 = Net<float>;
using Net64 = Net<double>;

/// The same object before and after its members got other names.
struct Named {
  std::string average = "average";
  std::string values = "values";
  std::string rate = "rate";
};
struct Shadow {
  const Named& named;
  FakeTensor values{0, 0};
  int updates = 0;
  template <class V>
  void state(V& v) {
    v(named.values, values);
    v("updates", updates);
  }
};
struct Renamed {
  explicit Renamed(Named names, std::string tensor)
      : named(std::move(names)), net{{{tensor, {0}}}} {}
  Named named;
  Shadow shadow{named};
  double rate = 0;
  Net32 net;
  template <class V>
  void state(V& v) {
    v(named.average, shadow);
    v(named.rate, rate);
    v("net", net);
  }
};

} // namespace

namespace holdfast {
template <class T>
struct StateAdapter<Net<T>> {
  static std::unique_ptr<Part> make(Net<T>& net) {
    return std::make_unique<NetPart<T>>(net);
  }
};
} // namespace holdfast

namespace {

/// A run with "model" {a, b.x, b.y} and "count", saved as checkpoints 1 and 2
/// (a[0] is their number).
Disk saved_run() {
  Disk disk = new_disk();
  Net32 model{{{"a", {0, 2}}, {"b.x", {3}}, {"b.y", {4, 5, 6}}}};
  Average average;
  std::int64_t count = 9;
  Manager manager(kRoot, keep_everything(disk));
  manager.add("model", model);
  manager.add("average", average);
  manager.add("count", count);
  manager.resume();
  for (int i = 1; i <= 2; ++i) {
    model.tensors["a"][0] = static_cast<float>(i);
    manager.step();
  }
  return disk;
}

template <class T>
LoadReport load_model(
    const Disk& disk,
    const LoadOptions& options,
    Net<T>& model,
    const std::string& path = kRoot) {
  static ManualClock clock;
  PartSet parts;
  parts.add("model", make_part(model));
  return load(path, options, parts, *disk, clock);
}

/// "name: fate" of each.
std::vector<std::string> fates_of(const LoadReport& report) {
  std::vector<std::string> fates;
  for (const TensorFate& tensor : report.tensors) {
    CHECK(tensor.part == "model");
    fates.push_back(tensor.name + ": " + to_string(tensor.fate));
  }
  return fates;
}

using Fates = std::vector<std::string>;

/// The code a load fails with; nothing has changed then.
template <class T>
std::string refused(
    const Disk& disk,
    const LoadOptions& options,
    Net<T> model,
    const std::string& path = kRoot) {
  const Net<T> before = model;
  const std::string code =
      code_of([&] { load_model(disk, options, model, path); });
  CHECK(model == before);
  return code;
}

} // namespace

TEST_CASE("load options: bad patterns are refused at once", "[load]") {
  const auto name_of = [](const std::function<void(LoadOptions&)>& set) {
    LoadOptions options;
    const auto error = error_of([&] { set(options); });
    return error && error->code() == ErrorCode::invalid_argument ? error->name()
                                                                 : "no error";
  };
  for (const std::string bad : {"", "[a]", "a{b,c}", ":", "model:", ":a"}) {
    CAPTURE(bad);
    CHECK(name_of([&](auto& o) { o.allow_missing(bad); }) == "allow_missing");
    CHECK(name_of([&](auto& o) {
            o.allow_unexpected(bad);
          }) == "allow_unexpected");
    CHECK(name_of([&](auto& o) {
            o.skip_shape_mismatch(bad);
          }) == "skip_shape_mismatch");
    CHECK(name_of([&](auto& o) { o.convert_dtype(bad); }) == "convert_dtype");
    CHECK(name_of([&](auto& o) { o.rename(bad, "b"); }) == "rename");
  }
  CHECK(name_of([](auto& o) { o.rename("a.*", "b"); }) == "rename");
  CHECK(name_of([](auto& o) { o.rename("a", ""); }) == "rename");
  CHECK(name_of([](auto& o) { o.rename("a", "model:b"); }) == "rename");
  CHECK(name_of([](auto& o) { o.rename("m?del:a.*", "b.*"); }) == "no error");
  const auto error = error_of([] { LoadOptions().allow_missing("a["); });
  REQUIRE(error);
  CHECK(
      std::string(error->what()) ==
      "'allow_missing': a pattern is a name with * and ?, or part:name; no [ ] "
      "{ } \\: found 'a[' (invalid_argument)");
}

TEST_CASE("load options: none are strict", "[load]") {
  const Disk disk = saved_run();
  Net32 same{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {0, 0, 0}}}};
  const LoadReport report = load_model(disk, {}, same);
  CHECK(fates_of(report) == Fates{"a: loaded", "b.x: loaded", "b.y: loaded"});
  CHECK(same.tensors.at("a") == std::vector<float>{2, 2});
  CHECK(
      report.to_string() ==
      "loaded ckpt-000002-step-2 (epoch 0, step 2) in 'runs/a': 1 part, 24 "
      "bytes\n"
      "  tensors: 3 loaded\n"
      "  note: model: device ''");
  CHECK(
      report.table() ==
      "model: 'a': loaded, F32 [2]\n"
      "model: 'b.x': loaded, F32 [1]\n"
      "model: 'b.y': loaded, F32 [3]\n");

  CHECK(refused(disk, {}, Net32{{{"a", {0, 0}}}}) == "name_unexpected");
  Net32 more = same;
  more.tensors["c"] = {1};
  CHECK(refused(disk, {}, more) == "name_missing");
  Net32 other = same;
  other.tensors["a"] = {1};
  CHECK(refused(disk, {}, other) == "shape_mismatch");
  CHECK(
      refused(
          disk, {}, Net64{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {1, 1, 1}}}}) ==
      "dtype_mismatch");
}

TEST_CASE("load options: allowed names and shapes", "[load]") {
  const Disk disk = saved_run();
  Net32 model{{{"a", {0, 0}}, {"b.x", {-1, -1}}, {"head.w", {-3}}}};
  const LoadOptions options = LoadOptions()
                                  .allow_missing("head.*")
                                  .allow_unexpected("model:b.y")
                                  .skip_shape_mismatch("b.?")
                                  .allow_missing("hed.*")
                                  .device("tpu");
  const LoadReport report = load_model(disk, options, model);
  CHECK(model == Net32{{{"a", {2, 2}}, {"b.x", {-1, -1}}, {"head.w", {-3}}}});
  CHECK(
      report.to_string() ==
      "loaded ckpt-000002-step-2 (epoch 0, step 2) in 'runs/a': 1 part, 24 "
      "bytes\n"
      "  tensors: 1 loaded, 1 missing, 1 of another shape, 1 not used\n"
      "  model: 'b.x': left as it was, [1] in the checkpoint, [2] here\n"
      "  model: 'b.y': not used: F32 [3]\n"
      "  model: 'head.w': left as it was, not in the checkpoint: F32 [1]\n"
      "  note: model: device 'tpu'\n"
      "  note: allow_missing(\"hed.*\") found nothing to do");
  CHECK(report.count(Fate::loaded) == 1);

  // Each of them is needed, and none allows more than it says.
  CHECK(
      refused(
          disk,
          LoadOptions().allow_unexpected("b.y").skip_shape_mismatch("b.*"),
          model) == "name_missing");
  CHECK(
      refused(
          disk,
          LoadOptions().allow_missing("*").skip_shape_mismatch("*"),
          model) == "name_unexpected");
  CHECK(
      refused(
          disk,
          LoadOptions().allow_missing("*").allow_unexpected("*"),
          model) == "shape_mismatch");
  CHECK(
      refused(
          disk,
          LoadOptions()
              .allow_missing("head")
              .allow_unexpected("*")
              .skip_shape_mismatch("*"),
          model) == "name_missing");
  CHECK(
      refused(
          disk,
          LoadOptions()
              .allow_missing("*")
              .allow_unexpected("other:*")
              .skip_shape_mismatch("*"),
          model) == "name_unexpected");
}

TEST_CASE("load options: names that changed", "[load]") {
  const Disk disk = saved_run();
  Net32 model{{{"a", {0, 0}}, {"c.x.w", {0}}, {"c.y.w", {0, 0, 0}}}};
  const LoadReport report = load_model(
      disk,
      LoadOptions()
          .rename("b.*", "c.*.w")
          .rename("c.*", "d.*") // a name changes once
          .rename("other:a", "z"),
      model);
  CHECK(model == Net32{{{"a", {2, 2}}, {"c.x.w", {3}}, {"c.y.w", {4, 5, 6}}}});
  CHECK(
      report.to_string() ==
      "loaded ckpt-000002-step-2 (epoch 0, step 2) in 'runs/a': 1 part, 24 "
      "bytes\n"
      "  tensors: 3 loaded, 2 renamed\n"
      "  model: 'c.x.w' (renamed from 'b.x'): loaded, F32 [1]\n"
      "  model: 'c.y.w' (renamed from 'b.y'): loaded, F32 [3]\n"
      "  note: model: device ''\n"
      "  note: rename(\"c.*\", \"d.*\") found nothing to do\n"
      "  note: rename(\"other:a\", \"z\") found nothing to do");

  CHECK(
      refused(disk, LoadOptions().rename("b.?", "x?"), model) ==
      "name_unexpected");
  const auto error = error_of(
      [&] { load_model(disk, LoadOptions().rename("b.x", "a"), model); });
  REQUIRE(error);
  CHECK(
      std::string(error->what()) ==
      "'runs/a/ckpt-000002-step-2': 'a': two tensors have this name "
      "after renaming (duplicate_name)");
}

TEST_CASE("load options: converted where asked", "[load]") {
  const Disk disk = saved_run();
  Net64 model{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {0, 0, 0}}}};
  CHECK(
      refused(disk, LoadOptions().convert_dtype("b.*"), model) ==
      "dtype_mismatch");
  const LoadReport report =
      load_model(disk, LoadOptions().convert_dtype("*"), model);
  CHECK(model == Net64{{{"a", {2, 2}}, {"b.x", {3}}, {"b.y", {4, 5, 6}}}});
  CHECK(report.count(Fate::converted) == 3);
  CHECK(
      report.tensors[1].to_string() ==
      "model: 'b.x': converted from F32 to F64");
}

TEST_CASE("load options: a part that the checkpoint lacks", "[load]") {
  const Disk disk = saved_run();
  static ManualClock clock;
  Net32 model{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {0, 0, 0}}}};
  double extra = 5;
  PartSet parts;
  parts.add("model", make_part(model));
  parts.add("extra", make_part(extra));
  for (const char* not_named : {"*", "model:*", "extra:value"}) {
    CHECK(code_of([&] {
            load(
                kRoot,
                LoadOptions().allow_missing(not_named),
                parts,
                *disk,
                clock);
          }) == "part_missing");
    CHECK(model.tensors.at("a")[0] == 0);
  }
  const LoadReport report =
      load(kRoot, LoadOptions().allow_missing("extra:*"), parts, *disk, clock);
  CHECK(extra == 5);
  CHECK(model.tensors.at("a")[0] == 2);
  REQUIRE(report.notes.size() == 2);
  CHECK(report.notes[1] == "extra: not in the checkpoint, left as it was");
}

TEST_CASE("load options: members of an object", "[load]") {
  const Disk disk = new_disk();
  {
    Before before;
    Manager manager(kRoot, keep_everything(disk));
    manager.add("object", before);
    manager.resume();
    manager.step();
  }
  static ManualClock clock;
  After after;
  PartSet parts;
  parts.add("object", make_part(after));
  const auto options = [] {
    return LoadOptions().allow_unexpected("gone").allow_unexpected("left");
  };
  CHECK(code_of([&] {
          load(kRoot, options(), parts, *disk, clock);
        }) == "name_missing");
  CHECK(code_of([&] {
          load(kRoot, LoadOptions().allow_missing("*"), parts, *disk, clock);
        }) == "name_unexpected");
  CHECK(after.kept.numbers[0] == -2);
  const LoadReport report =
      load(kRoot, options().allow_missing("fresh"), parts, *disk, clock);
  CHECK(after.kept.numbers == std::vector<float>{1, 2});
  CHECK(after.fresh.numbers == std::vector<float>{-1});
  CHECK(report.count(Fate::loaded) == 1);
  CHECK(report.count(Fate::missing) == 1);
}

TEST_CASE("load options: members that got other names", "[load]") {
  const Disk disk = new_disk();
  {
    Renamed before({}, "b.x");
    before.shadow.values.numbers = {7, 8};
    before.shadow.updates = 3;
    before.rate = 0.5;
    before.net.tensors["b.x"] = {9};
    Manager manager(kRoot, keep_everything(disk));
    manager.add("object", before);
    manager.resume();
    manager.step();
  }
  static ManualClock clock;
  Renamed after({"ema", "shadow", "lr"}, "c.x");
  PartSet parts;
  parts.add("object", make_part(after));
  const auto options = [] {
    return LoadOptions()
        .rename("average.values", "ema.shadow")
        .rename("rate", "lr")
        .rename("net.b.*", "net.c.*");
  };
  CHECK(code_of([&] {
          load(kRoot, options(), parts, *disk, clock);
        }) == "name_missing");
  CHECK(after.rate == 0);
  const LoadReport report =
      load(kRoot, options().rename("average.*", "ema.*"), parts, *disk, clock);
  CHECK(after.shadow.values.numbers == std::vector<float>{7, 8});
  CHECK(after.shadow.updates == 3);
  CHECK(after.rate == 0.5);
  CHECK(after.net.tensors["c.x"] == std::vector<float>{9});
  REQUIRE(report.tensors.size() == 2);
  CHECK(
      report.tensors[0].to_string() ==
      "object: 'ema.shadow' (renamed from 'average.values'): loaded, F32 [2]");
  CHECK(
      report.tensors[1].to_string() ==
      "object: 'net.c.x' (renamed from 'net.b.x'): loaded, F32 [1]");
  const auto twice = error_of([&] {
    load(kRoot, LoadOptions().rename("rate", "net"), parts, *disk, clock);
  });
  REQUIRE(twice);
  CHECK(twice->code() == ErrorCode::duplicate_name);
  CHECK(twice->name() == "net");
  // A name stays in its member.
  CHECK(code_of([&] {
          load(
              kRoot,
              LoadOptions()
                  .rename("net.b.x", "ema.x")
                  .rename("average.values", "ema.shadow")
                  .rename("average.*", "ema.*")
                  .rename("rate", "lr"),
              parts,
              *disk,
              clock);
        }) == "name_unexpected");
}

TEST_CASE("salvage: other parts may be damaged or gone", "[load]") {
  const std::string newest = checkpoint_path(2);
  const Net32 blank{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {0, 0, 0}}}};
  const std::string other = newest + "/average/state.safetensors";
  for (const bool gone : {false, true}) {
    const Disk disk = saved_run();
    if (gone) {
      disk->remove(other);
    } else {
      disk->flip_bit(other, 8 * 20);
    }
    CAPTURE(gone);
    Net32 model = blank;
    CHECK(load_model(disk, {}, model).checkpoint.step == (gone ? 1 : 2));
    model = blank;
    const LoadReport report =
        load_model(disk, LoadOptions().salvage(true), model);
    CHECK(report.checkpoint.step == 2);
    CHECK(model.tensors.at("a")[0] == 2);
    CHECK(report.passed_over.empty());
    CHECK(report.salvaged());
    REQUIRE(report.damaged.size() == 1);
    CHECK(report.damaged[0].path == "average/state.safetensors");
    CHECK(
        report.damaged[0].verdict ==
        (gone ? Verdict::incomplete : Verdict::damaged));
    CHECK_THAT(
        report.to_string(),
        contains(
            "salvaged from ckpt-000002-step-2 (epoch 0, step 2) in 'runs/a': "
            "1 part, 24 bytes\n  " +
            std::string(gone ? "incomplete" : "damaged") +
            ": part 'average/state.safetensors'"));
    // Under another name, too, and by its own.
    disk->copy(newest, "exports/best");
    for (const std::string& path : {std::string("exports/best"), newest}) {
      model = blank;
      CHECK(load_model(disk, LoadOptions().salvage(true), model, path)
                .salvaged());
      CHECK(model.tensors.at("a")[0] == 2);
    }
    // A mismatch is no damage, whatever else is damaged.
    CHECK(
        refused(disk, LoadOptions().salvage(true), Net32{{{"a", {0, 0}}}}) ==
        "name_unexpected");
  }
  const Disk disk = saved_run();
  Net32 model = blank;
  CHECK_FALSE(load_model(disk, LoadOptions().salvage(true), model).salvaged());
  // A resume never is one.
  disk->remove(other);
  Average average{FakeTensor{0, 0}};
  std::int64_t count = 0;
  Manager manager(kRoot, keep_everything(disk));
  manager.add("model", model);
  manager.add("average", average);
  manager.add("count", count);
  CHECK(manager.resume().checkpoint->step == 1);
}

TEST_CASE("salvage: what is asked for has to verify", "[load]") {
  const Disk disk = saved_run();
  const Net32 blank{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {0, 0, 0}}}};
  const std::string newest = checkpoint_path(2);
  const std::string file = newest + "/model/model.safetensors";
  disk->flip_bit(file, 8 * (disk->read_text(file).size() - 1));
  Net32 model = blank;
  const LoadReport report =
      load_model(disk, LoadOptions().salvage(true), model);
  CHECK(report.checkpoint.step == 1);
  CHECK_FALSE(report.salvaged());
  REQUIRE(report.passed_over.size() == 1);
  CHECK(report.passed_over[0].verdict == Verdict::damaged);
  CHECK(
      refused(disk, LoadOptions().salvage(true), blank, newest) ==
      "no_usable_checkpoint");
  disk->copy(newest, "exports/best");
  CHECK(
      refused(disk, LoadOptions().salvage(true), blank, "exports/best") ==
      "damaged");
  // Nor without a manifest.
  disk->remove(checkpoint_path(1) + "/" + kManifestName);
  CHECK(
      refused(disk, LoadOptions().salvage(true), blank) ==
      "no_usable_checkpoint");
}

TEST_CASE("salvage: a module without state.json", "[load]") {
  const Disk disk = saved_run();
  const Net32 blank{{{"a", {0, 0}}, {"b.x", {0}}, {"b.y", {0, 0, 0}}}};
  disk->flip_bit(checkpoint_path(2) + "/" + kStateName, 80);
  Net32 model = blank;
  CHECK(load_model(disk, {}, model).checkpoint.step == 1);
  const LoadReport report =
      load_model(disk, LoadOptions().salvage(true), model);
  CHECK(report.checkpoint.step == 2);
  CHECK(model.tensors.at("a")[0] == 2);
  CHECK(model.tensors.at("b.y") == std::vector<float>{4, 5, 6});
  CHECK(report.count(Fate::loaded) == 3);
  REQUIRE(report.damaged.size() == 1);
  CHECK(report.damaged[0].path == kStateName);
  CHECK_THAT(report.to_string(), contains("note: without state.json nothing"));
  CHECK(
      refused(disk, LoadOptions().salvage(true), Net32{{{"a", {0, 0}}}}) ==
      "name_unexpected");

  // Anything else than a module needs it, and takes the older one.
  static ManualClock clock;
  Average average{FakeTensor{0, 0}};
  PartSet parts;
  parts.add("model", make_part(model));
  parts.add("average", make_part(average));
  CHECK(
      load(kRoot, LoadOptions().salvage(true), parts, *disk, clock)
          .checkpoint.step == 1);
  CHECK(average.values.numbers == std::vector<float>{7, 8});
  // A module that the checkpoint lacks has no file to be salvaged from.
  PartSet unknown;
  unknown.add("other", make_part(model));
  CHECK(code_of([&] {
          load(
              checkpoint_path(2),
              LoadOptions().salvage(true),
              unknown,
              *disk,
              clock);
        }) == "damaged");
}

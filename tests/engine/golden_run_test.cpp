#include "engine_support.hpp"

#include <holdfast/engine/load.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <support/temporary_directory.hpp>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

// golden/v1/run is a run directory of format version 1 as it was released:
// whatever changes, it must be read, and gone on with. See golden_test.cpp for
// HOLDFAST_WRITE_GOLDEN, which makes one anew.
//
//     ckpt-000001-step-1      plain, pinned for "figure 3"
//     ckpt-000002-step-2      compressed
//     ckpt-000003-step-3      on the line that was left
//     line-000004-from-000002 killed before its first save

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr const char* kGoldenPinned = "ckpt-000001-step-1";
constexpr const char* kGoldenCompressed = "ckpt-000002-step-2";
constexpr const char* kGoldenLeft = "ckpt-000003-step-3";

/// State that the step alone determines, without any rounding.
struct GoldenState {
  explicit GoldenState(std::uint32_t step) {
    const auto fill = [](std::vector<float>& values, std::uint32_t from) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint32_t bits =
            (from + static_cast<std::uint32_t>(i)) * 2654435761U;
        std::memcpy(&values[i], &bits, sizeof bits);
      }
    };
    fill(model.weight, step * 100);
    fill(model.moment, step * 100 + 50);
    const std::uint32_t quiet_nan = 0x7fc12345U + step;
    std::memcpy(model.weight.data(), &quiet_nan, sizeof quiet_nan);
    engine.seed(step);
    engine.discard(step * 700); // in the middle of its block
    rate = std::ldexp(0x1.23456789abcdfp0, -static_cast<int>(step) * 300);
    zero = step % 2 == 0 ? -0.0 : 0.0;
    seen = std::numeric_limits<std::int64_t>::min() + step;
    note = "step " + std::to_string(step) + " \xc3\xa4\n\"";
    flag = step % 2 == 1;
    for (std::uint32_t i = 0; i < step; ++i) {
      history.push_back(i);
    }
  }

  template <class Add>
  void add_to(const Add& add) {
    add("model", model);
    add("engine", engine);
    add("rate", rate);
    add("zero", zero);
    add("seen", seen);
    add("note", note);
    add("flag", flag);
    add("history", history);
  }
  /// All of it, bit by bit.
  [[nodiscard]] std::string bits() const {
    std::string all;
    const auto raw = [&](const void* data, std::size_t size) {
      all.append(static_cast<const char*>(data), size);
    };
    raw(model.weight.data(), model.weight.size() * sizeof(float));
    raw(model.moment.data(), model.moment.size() * sizeof(float));
    std::mt19937_64 copy = engine;
    for (int i = 0; i < 700; ++i) {
      const std::uint64_t draw = copy();
      raw(&draw, sizeof draw);
    }
    raw(&rate, sizeof rate);
    raw(&zero, sizeof zero);
    raw(&seen, sizeof seen);
    raw(history.data(), history.size() * sizeof(std::int64_t));
    return all + note + (flag ? "1" : "0");
  }

  ToyModel model;
  std::mt19937_64 engine;
  double rate = 0;
  double zero = 0;
  std::int64_t seen = 0;
  std::string note;
  bool flag = false;
  std::vector<std::int64_t> history;
};

Options golden_options() {
  return quiet_options(std::make_shared<PosixFileSystem>())
      .event_log(false)
      .heartbeat(std::chrono::seconds(0));
}

/// A process's life in the golden run.
struct GoldenLife {
  GoldenLife(const std::string& root, const Options& options)
      : manager(root, options) {
    state.add_to(
        [&](const char* name, auto& object) { manager.add(name, object); });
  }
  void step(std::uint32_t number) {
    state = GoldenState(number);
    manager.step({{"loss", 1.0 / number}});
  }

  GoldenState state{0};
  Manager manager;
};

void write_golden_run(const std::string& root) {
  const Options plain = golden_options().keep_all();
  {
    GoldenLife life(root, plain);
    life.manager.resume();
    life.step(1);
    life.manager.pin(kGoldenPinned, "figure 3");
  }
  {
    GoldenLife life(root, Options(plain).compression(zstd(3)));
    life.manager.resume();
    life.step(2);
  }
  {
    GoldenLife life(root, plain);
    life.manager.resume();
    life.step(3);
  }
  GoldenLife(root, plain).manager.resume_from(kGoldenCompressed, "again");
  // Not every copy keeps links.
  std::filesystem::remove(root + "/" + kLatestName);
}

/// A copy of the golden run on the real disk.
struct GoldenCopy {
  GoldenCopy() {
    const char* const anew = std::getenv("HOLDFAST_WRITE_GOLDEN");
    const std::string from = anew == nullptr
        ? std::string(HOLDFAST_GOLDEN_DIRECTORY) + "/v1/run"
        : std::string(anew) + "/run";
    if (anew != nullptr && !std::filesystem::exists(from)) {
      write_golden_run(from);
      WARN("wrote " << from);
    }
    std::filesystem::copy(from, root, std::filesystem::copy_options::recursive);
  }
  [[nodiscard]] bool has(const std::string& name) const {
    return std::filesystem::exists(root + "/" + name);
  }
  [[nodiscard]] std::set<std::string> files() const {
    std::set<std::string> all;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(root)) {
      all.insert(entry.path().string().substr(root.size() + 1));
    }
    return all;
  }

  TemporaryDirectory directory;
  std::string root = directory.path("run");
};

std::string loaded_bits(const std::string& path, LoadReport& report) {
  GoldenState state(0);
  PartSet parts;
  state.add_to([&](const char* name, auto& object) {
    parts.add(name, make_part(object));
  });
  report = load(path, parts);
  return state.bits();
}

} // namespace

TEST_CASE("golden: a run directory of version 1 is loaded", "[golden]") {
  const GoldenCopy run;
  const std::set<std::string> files = run.files();
  CHECK(files.count(std::string(kGoldenPinned) + "/PIN") == 1);
  CHECK(files.count("line-000004-from-000002") == 1);
  const std::string tensors = "/model/model.safetensors";
  CHECK(files.count(kGoldenPinned + tensors) == 1);
  CHECK(files.count(kGoldenCompressed + tensors + ".zst") == 1);

  LoadReport report;
  CHECK((loaded_bits(run.root, report) == GoldenState(2).bits()));
  CHECK(report.checkpoint.name == kGoldenCompressed); // 3 is on no line
  CHECK(report.checkpoint.metrics.values() == Metrics::Map{{"loss", 0.5}});
  CHECK(report.checkpoint.reasons == std::vector<std::string>{"every step"});
  CHECK(report.checkpoint.wall_time == 1'700'000'000);
  CHECK(report.passed_over.empty());
  for (std::uint32_t step = 1; step <= 3; ++step) {
    const std::string path = run.root + "/" + checkpoint_name(step, step);
    CAPTURE(path);
    CHECK((loaded_bits(path, report) == GoldenState(step).bits()));
    CHECK(report.checkpoint.sequence == step);
  }
  CHECK(run.files() == files);
}

TEST_CASE("golden: a run directory of version 1 goes on", "[golden]") {
  const GoldenCopy run;
  GoldenLife life(run.root, golden_options().keep_last(1));
  ResumeReport report;
  SECTION("by a resume") {
    report = life.manager.resume();
  }
  SECTION("by the call that began its line") {
    report = life.manager.resume_from(kGoldenCompressed, "again");
  }
  REQUIRE(report.resumed());
  CHECK(report.checkpoint->name == kGoldenCompressed);
  CHECK(report.line == 4);
  CHECK(report.passed_over.empty());
  CHECK((life.state.bits() == GoldenState(2).bits()));
  CHECK(steps_of(life.manager.list()) == std::vector<std::int64_t>{1, 2});
  const RetentionPlan plan = life.manager.plan();
  REQUIRE(plan.abandoned.size() == 1);
  CHECK(plan.abandoned.front().checkpoints == 1);
  CHECK(plan.checkpoints.front().reasons.front() == "pinned: figure 3");

  for (std::uint32_t step = 3; step <= 6; ++step) {
    life.step(step);
    CHECK(life.manager.latest()->name == checkpoint_name(step + 2, step));
  }
  // Retention keeps what is pinned, what it came from and the newest two, and
  // never looks at a line that was left.
  CHECK(steps_of(life.manager.list()) == std::vector<std::int64_t>{1, 2, 5, 6});
  CHECK(run.has(kGoldenPinned));
  CHECK(run.has(kGoldenLeft));
  CHECK_FALSE(run.has(checkpoint_name(5, 3)));
  CHECK_FALSE(run.has("line-000005-from-000002"));

  life.manager.unpin(kGoldenPinned);
  life.step(7);
  CHECK_FALSE(run.has(kGoldenPinned));
  LoadReport loaded;
  CHECK((loaded_bits(run.root, loaded) == GoldenState(7).bits()));
}

TEST_CASE("golden: the LOCK of version 1 tells the numbers used", "[golden]") {
  const GoldenCopy run;
  std::filesystem::remove_all(run.root + "/" + kGoldenLeft);
  std::filesystem::remove(run.root + "/line-000004-from-000002");
  GoldenLife life(run.root, golden_options().keep_all());
  CHECK(life.manager.resume().checkpoint->name == kGoldenCompressed);
  life.step(3);
  CHECK(life.manager.latest()->name == checkpoint_name(5, 3));
}

#include "engine_support.hpp"

#include <holdfast/base/scope_exit.hpp>
#include <holdfast/engine/load.hpp>
#include <holdfast/io/posix_file_system.hpp>
#include <support/forked_child.hpp>
#include <support/temporary_directory.hpp>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <new>

#include <grp.h>
#include <unistd.h>

// What is refused: with which error, without any change to the live objects,
// and so that a corrected resume works afterwards.

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using holdfast::testing::Operation;
using holdfast::testing::Operations;

namespace {

/// A bare part: what it captures and what it does are given.
struct FreePart final : Part {
  [[nodiscard]] std::string kind() const override {
    return kind_name;
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::value;
  }
  [[nodiscard]] State capture(const Names&) override {
    State state;
    for (const TensorInfo& info : tensors) {
      TensorOut tensor;
      tensor.info = info;
      tensor.source = std::make_shared<ToyTensor>(data);
      state.tensors.push_back(std::move(tensor));
    }
    state.values = values;
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    for (const Mismatch& mismatch : complaints) {
      mismatches.push_back(mismatch);
    }
    struct None final : Restore {
      void apply(const std::vector<const std::byte*>&) override {}
    };
    seen = saved;
    return std::make_unique<None>();
  }

  std::string kind_name = "value";
  std::vector<TensorInfo> tensors;
  std::vector<float> data = std::vector<float>(64, 1.5F);
  Values values;
  std::vector<Mismatch> complaints;
  Saved seen;
};

TensorInfo info_of(const std::string& name, std::vector<std::int64_t> shape) {
  TensorInfo info;
  info.name = name;
  info.shape = std::move(shape);
  return info;
}

/// Objects as no fresh start and no checkpoint has them: whoever touches them
/// changes them.
void make_unlike(ToyRun& run) {
  run.engine.discard(17);
  run.rate = 0.25;
  run.model.weight[0] = 7;
  run.loader.load(4, 2);
}

/// Resumes a run that `prepare` has made wrong: the code, and nothing changed.
/// Then resumes one that is right.
Error check_refused(
    const Disk& disk,
    const std::function<void(ToyRun&)>& prepare,
    std::int64_t step) {
  std::optional<Error> error;
  {
    ToyRun run(kRoot, keep_everything(disk));
    prepare(run);
    make_unlike(run);
    const std::string before = run.fingerprint();
    for (int i = 0; i < 2; ++i) {
      const auto again = error_of([&] { run.manager.resume(); });
      REQUIRE(again);
      CHECK(run.fingerprint() == before);
      CHECK((!error || error->what() == std::string(again->what())));
      error = again;
    }
  }
  ToyRun run(kRoot, keep_everything(disk));
  CHECK(run.manager.resume().checkpoint->step == step);
  CHECK(run.fingerprint() == undisturbed(step));
  return *error;
}

Options on_real_disk() {
  return Options()
      .save_every(steps(1))
      .keep_all()
      .lock_wait(std::chrono::seconds(0))
      .on_event({});
}

/// The paths of all there is below a directory.
std::set<std::string> tree_of(const std::string& directory) {
  std::set<std::string> paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory)) {
    paths.insert(entry.path().string());
  }
  return paths;
}

std::string option_named(const Options& options) {
  const auto error = error_of([&] { Manager manager(kRoot, options); });
  return error && error->code() == ErrorCode::invalid_argument ? error->name()
                                                               : "no error";
}

} // namespace

TEST_CASE("refusal: tensors of another shape", "[refusal]") {
  const Disk disk = trained(2);
  const Error error = check_refused(
      disk, [](ToyRun& run) { run.model.weight.resize(17); }, 2);
  CHECK(error.code() == ErrorCode::shape_mismatch);
  CHECK(error.path() == checkpoint_path(2));
  CHECK(error.name() == "model: weight");
  CHECK_THAT(error.what(), contains("the checkpoint does not match"));
}

TEST_CASE("refusal: every way in which an object can differ", "[refusal][P3]") {
  const ErrorCode code = GENERATE(
      ErrorCode::shape_mismatch,
      ErrorCode::dtype_mismatch,
      ErrorCode::name_missing,
      ErrorCode::name_unexpected,
      ErrorCode::type_mismatch,
      ErrorCode::value_out_of_range,
      ErrorCode::data_changed);
  const Disk disk = new_disk();
  {
    Manager manager(kRoot, keep_everything(disk));
    manager.add_part("free", std::make_unique<FreePart>());
    manager.resume();
    manager.step();
  }
  Manager manager(kRoot, keep_everything(disk));
  auto part = std::make_unique<FreePart>();
  part->complaints = {Mismatch{code, "layer", "this", "that"}};
  manager.add_part("free", std::move(part));
  const auto error = error_of([&] { manager.resume(); });
  REQUIRE(error);
  CHECK(error->code() == code);
  CHECK(error->name() == "free: layer");
  CHECK(error->expected() == "this");
  CHECK(error->found() == "that");
}

TEST_CASE("refusal: all mismatches are listed, not the first", "[refusal]") {
  const Disk disk = trained(2);
  double added = 0;
  auto other_kind = [&](ToyRun& run) {
    run.model.weight.resize(3);
    run.model.moment.resize(5);
    run.manager.add("added", added);
    run.manager.add_part("free", std::make_unique<FreePart>());
  };
  const Error error = check_refused(disk, other_kind, 2);
  CHECK(error.code() == ErrorCode::shape_mismatch);
  CHECK_THAT(error.what(), contains("does not match in 4 places:"));
  for (const char* piece :
       {"\n  'model: moment': found one, expected another (shape_mismatch)",
        "\n  'model: weight': found one, expected another (shape_mismatch)",
        "\n  'added': found nothing in the checkpoint, expected a part of kind "
        "'value' (part_missing)",
        "\n  'free': found nothing in the checkpoint, expected a part of kind "
        "'value' (part_missing)"}) {
    CHECK_THAT(error.what(), contains(piece));
  }
}

TEST_CASE("refusal: a part of another kind", "[refusal]") {
  const Disk disk = trained(1);
  Manager manager(kRoot, keep_everything(disk));
  ToyModel model;
  ToyLoader loader{5};
  double rate = 0;
  std::string engine = "no engine";
  manager.add("model", model);
  manager.add("data", loader);
  manager.add("schedule", rate);
  manager.add("engine-state", engine);
  const auto error = error_of([&] { manager.resume(); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::type_mismatch);
  CHECK(error->name() == "engine-state");
  CHECK(error->expected() == "value");
  CHECK(error->found() == "engine");
  CHECK(rate == 0);
}

TEST_CASE("refusal: a part that nobody registered", "[refusal]") {
  const Disk disk = trained(1);
  Manager manager(kRoot, keep_everything(disk));
  ToyModel model;
  manager.add("model", model);
  const auto error = error_of([&] { manager.resume(); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::part_unexpected);
  CHECK_THAT(error->what(), contains("'data'"));
  CHECK_THAT(error->what(), contains("'engine-state'"));
  CHECK_THAT(error->what(), contains("'schedule'"));
  CHECK(model.weight == ToyModel().weight);
}

TEST_CASE("refusal: a part the checkpoint lacks", "[refusal]") {
  const Disk disk = trained(2);
  double added = 3;
  const Error error = check_refused(
      disk, [&](ToyRun& run) { run.manager.add("added", added); }, 2);
  CHECK(error.code() == ErrorCode::part_missing);
  CHECK(error.name() == "added");
  CHECK(added == 3);
}

TEST_CASE(
    "refusal: a mismatch never falls back to an older checkpoint",
    "[refusal][P3]") {
  const Disk disk = new_disk();
  double added = 3;
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.resume();
    train_steps(run, 1);
  }
  {
    // The newest one has a part more: an older one would match.
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.add("added", added);
    run.manager.start_fresh("more");
    train_steps(run, 1);
  }
  disk->remove(std::string(kRoot) + "/" + line_name(2, 0));
  const std::vector<std::string> files = disk->list_all();
  ToyRun run(kRoot, keep_everything(disk));
  make_unlike(run);
  const std::string before = run.fingerprint();
  CHECK(code_of([&] { run.manager.resume(); }) == "part_unexpected");
  CHECK(run.fingerprint() == before);
  CHECK(disk->list_all() == files);
}

TEST_CASE("refusal: a second writer, until the first has ended", "[refusal]") {
  const Disk disk = trained(2);
  auto first = std::make_unique<ToyRun>(kRoot, keep_everything(disk));
  first->manager.resume();
  ToyRun second(kRoot, keep_everything(disk));
  const auto error = error_of([&] { second.manager.resume(); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::locked);
  CHECK_THAT(error->what(), contains("process " + std::to_string(::getpid())));
  CHECK(second.fingerprint() == undisturbed(0));
  CHECK(code_of([&] { second.manager.start_fresh("x"); }) == "locked");
  first.reset();
  CHECK(second.manager.resume().checkpoint->step == 2);
}

TEST_CASE("refusal: the lock is waited for", "[refusal]") {
  const Disk disk = trained(2);
  auto first = std::make_unique<ToyRun>(kRoot, keep_everything(disk));
  first->manager.resume();
  struct Waiting final : Clock {
    double wall_seconds() override {
      return 1.7e9;
    }
    double monotonic_seconds() override {
      return now;
    }
    void sleep(double seconds) override {
      now += seconds;
      if (now > 5) {
        first->reset();
      }
    }
    std::unique_ptr<ToyRun>* first = nullptr;
    double now = 0;
  } clock;
  clock.first = &first;
  ToyRun second(
      kRoot,
      keep_everything(disk).clock(clock).lock_wait(std::chrono::seconds(6)));
  CHECK(second.manager.resume().resumed());
  CHECK(clock.now > 5);
  CHECK(clock.now < 6);
}

TEST_CASE("refusal: a suspended writer that lost the directory", "[refusal]") {
  const Disk disk = trained(1);
  Events events;
  ToyRun first(
      kRoot,
      keep_everything(disk).on_event(events.handler()).max_save_failures(3));
  first.manager.resume();
  // What a network file system does to a client that was gone for too long.
  disk->remove(std::string(kRoot) + "/" + kLockName);
  {
    ToyRun second(kRoot, keep_everything(disk));
    second.manager.resume();
    train_steps(second, 1);
  }
  const std::vector<std::string> files = disk->list_all();
  // At once, whatever the patience with other failures.
  first.loader.begin();
  first.train_batch(first.loader.next());
  CHECK(code_of([&] { first.manager.step(); }) == "lost_lock");
  CHECK(first.fingerprint() == undisturbed(2)); // trained, though not saved
  CHECK(events.count(Event::Kind::save_failed) == 1);
  CHECK(code_of([&] { first.manager.save().wait(); }) == "lost_lock");
  CHECK(disk->list_all() == files);
  // For good, even when nobody holds it any more.
  CHECK(code_of([&] { first.manager.save().wait(); }) == "lost_lock");
  CHECK(disk->list_all() == files);
  CHECK(first.fingerprint() == undisturbed(2));
}

TEST_CASE("refusal: a forked child", "[refusal]") {
  test::TemporaryDirectory directory;
  const std::string root = directory.path("run");
  auto run = std::make_unique<ToyRun>(root, on_real_disk());
  run->manager.resume();
  train_steps(*run, 2);
  const int wrong_in_child = in_forked_child([&] {
    int wrong = 0;
    const auto expect_forked = [&](const auto& call) {
      wrong += code_of(call) == "forked" ? 0 : 1;
    };
    Manager& manager = run->manager;
    double value = 0;
    expect_forked([&] { manager.step(); });
    expect_forked([&] { manager.end_epoch(); });
    expect_forked([&] { manager.save(); });
    expect_forked([&] { (void)manager.running(epochs(3)); });
    expect_forked([&] { (void)manager.running(steps(3)); });
    expect_forked([&] { (void)manager.epoch_done(); });
    expect_forked([&] { manager.resume(); });
    expect_forked([&] { manager.start_fresh("x"); });
    expect_forked([&] { manager.resume_from(checkpoint_name(1, 1)); });
    expect_forked([&] { manager.add("value", value); });
    expect_forked([&] { (void)manager.list(); });
    expect_forked([&] { (void)manager.latest(); });
    expect_forked([&] { (void)manager.best("loss"); });
    expect_forked([&] { (void)manager.plan(); });
    expect_forked([&] { (void)manager.progress(); });
    expect_forked([&] { (void)manager.epoch(); });
    expect_forked([&] { (void)manager.epoch_mean("loss"); });
    manager.request_stop();
    run.reset();
    return wrong;
  });
  CHECK(wrong_in_child == 0);

  // Still locked, and the parent goes on.
  ToyRun second(root, on_real_disk());
  CHECK(code_of([&] { second.manager.resume(); }) == "locked");
  run->train_batch(run->loader.next());
  run->manager.step({{"loss", run->loss()}});
  CHECK(run->fingerprint() == undisturbed(3));
  CHECK(run->manager.latest()->step == 3);
}

TEST_CASE("refusal: a directory that may not be written", "[refusal][fault]") {
  const Disk before = trained(2);
  for (const int error : {EROFS, EACCES, EPERM, ENOSPC}) {
    CAPTURE(error);
    const Disk disk = before->snapshot();
    const auto faulty = std::make_shared<FaultFileSystem>(disk);
    faulty->plan(Fault::error(error).on(Operations::changes()).for_ever());
    ToyRun run(kRoot, keep_everything(faulty));
    const std::string expected = error == EROFS ? "read_only"
        : error == ENOSPC                       ? "no_space"
                                                : "permission_denied";
    CHECK(code_of([&] { run.manager.resume(); }) == expected);
    CHECK(run.fingerprint() == undisturbed(0));
    CHECK(disk->list_all() == before->list_all());
    // Once it may, the same manager resumes.
    faulty->clear_faults();
    CHECK(run.manager.resume().checkpoint->step == 2);
    CHECK(run.fingerprint() == undisturbed(2));
  }
}

TEST_CASE("refusal: a file in the place of the directory", "[refusal]") {
  test::TemporaryDirectory directory;
  const std::string path = directory.path("run");
  std::ofstream(path) << "text";
  ToyRun run(path, Options().on_event({}));
  make_unlike(run);
  const std::string before = run.fingerprint();
  const auto refused = [&](const auto& call) {
    CHECK(code_of(call) == "not_a_directory");
    CHECK(run.fingerprint() == before);
  };
  refused([&] { run.manager.resume(); });
  refused([&] { run.manager.start_fresh("x"); });
  refused([&] { run.manager.resume_from(checkpoint_name(1, 1)); });
  std::string text;
  std::getline(std::ifstream(path), text);
  CHECK(text == "text");
  CHECK(tree_of(directory.path()) == std::set<std::string>{path});
}

TEST_CASE("refusal: a directory without write permission", "[refusal]") {
  namespace fs = std::filesystem;
  test::TemporaryDirectory directory;
  const std::string root = directory.path("run");
  {
    ToyRun run(root, on_real_disk());
    run.manager.resume();
    train_steps(run, 2);
  }
  const std::set<std::string> files = tree_of(directory.path());
  const auto set_writable = [&](bool writable) {
    const auto owner = writable ? fs::perms::owner_write : fs::perms::none;
    const auto may_read =
        fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read;
    const auto may_enter = may_read | fs::perms::owner_exec |
        fs::perms::group_exec | fs::perms::others_exec;
    fs::permissions(directory.path(), may_enter | owner);
    for (const std::string& path : files) {
      if (!fs::is_symlink(path)) {
        fs::permissions(
            path, (fs::is_directory(path) ? may_enter : may_read) | owner);
      }
    }
  };
  set_writable(false);
  const ScopeExit restore([&] { set_writable(true); }); // or nobody removes it

  constexpr int kStillRoot = 77;
  const int status = in_forked_child([&] {
    if (::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 ||
         ::setuid(65534) != 0)) {
      return kStillRoot;
    }
    int wrong = 0;
    for (const std::string& where : {root, directory.path("new/run")}) {
      ToyRun run(where, on_real_disk());
      make_unlike(run);
      const std::string before = run.fingerprint();
      const auto refused = [&](const char* expected, const auto& call) {
        const std::string code = code_of(call);
        if (code != expected || run.fingerprint() != before) {
          std::fprintf(
              stderr,
              "%s: %s, not %s, or changed\n",
              where.c_str(),
              code.c_str(),
              expected);
          ++wrong;
        }
      };
      for (int i = 0; i < 2; ++i) {
        refused("permission_denied", [&] { run.manager.resume(); });
        refused("permission_denied", [&] { run.manager.start_fresh("x"); });
      }
      refused(where == root ? "permission_denied" : "not_found", [&] {
        run.manager.resume_from(checkpoint_name(1, 1));
      });
    }
    // To read needs no permission to write.
    ToyModel model;
    PartSet parts;
    parts.add("model", make_part(model));
    wrong += load(root, parts).checkpoint.step == 2 ? 0 : 1;
    return wrong;
  });
  if (status == kStillRoot) {
    WARN("not shown: this root cannot become anybody else");
  } else {
    CHECK(status == 0);
  }
  CHECK(tree_of(directory.path()) == files);
  set_writable(true);
  ToyRun run(root, on_real_disk());
  CHECK(run.manager.resume().checkpoint->step == 2);
  CHECK(run.fingerprint() == undisturbed(2));
}

TEST_CASE(
    "refusal: a directory that cannot be listed is not empty",
    "[refusal][fault]") {
  const auto faulty = std::make_shared<FaultFileSystem>(trained(2));
  faulty->plan(Fault::error(EIO).on({Operation::list}).for_ever());
  ToyRun run(kRoot, keep_everything(faulty));
  make_unlike(run);
  const std::string before = run.fingerprint();
  CHECK(code_of([&] { run.manager.resume(); }) == "io_error");
  CHECK(run.fingerprint() == before);
  faulty->clear_faults();
  CHECK(run.manager.resume().checkpoint->step == 2);
  CHECK(run.fingerprint() == undisturbed(2));
}

TEST_CASE("refusal: calls before a resume and after it", "[refusal]") {
  ToyRun run(kRoot, keep_everything(new_disk()));
  Manager& manager = run.manager;
  CHECK(code_of([&] { manager.step(); }) == "not_resumed");
  CHECK(code_of([&] { manager.end_epoch(); }) == "not_resumed");
  CHECK(code_of([&] { manager.save(); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.running(epochs(1)); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.running(steps(1)); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.epoch_done(); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.list(); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.latest(); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.best("loss"); }) == "not_resumed");
  CHECK(code_of([&] { (void)manager.plan(); }) == "not_resumed");
  CHECK(manager.progress() == Progress());
  manager.resume();
  double value = 0;
  CHECK(code_of([&] { manager.resume(); }) == "already_resumed");
  CHECK(code_of([&] { manager.start_fresh("x"); }) == "already_resumed");
  CHECK(code_of([&] {
          manager.resume_from(checkpoint_name(1, 1));
        }) == "already_resumed");
  CHECK(code_of([&] { manager.add("value", value); }) == "already_resumed");
  CHECK(code_of([&] { (void)manager.epoch_mean("x"); }) == "unknown_metric");
}

TEST_CASE("refusal: names of parts", "[refusal]") {
  Manager manager(kRoot, keep_everything(new_disk()));
  double value = 0;
  for (const std::string& name :
       {std::string(),
        std::string("Model"),
        std::string("a b"),
        std::string("a/b"),
        std::string(".."),
        std::string("a.b"),
        std::string(65, 'a'),
        std::string("\xc3\xa4"),
        std::string("rng")}) {
    CAPTURE(name);
    CHECK(code_of([&] { manager.add(name, value); }) == "invalid_argument");
  }
  manager.add(std::string(64, 'a'), value);
  manager.add("a-b_0", value);
  const auto error = error_of([&] { manager.add("a-b_0", value); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::duplicate_name);
  CHECK(error->name() == "a-b_0");
}

TEST_CASE("refusal: names of metrics", "[refusal]") {
  ToyRun run(kRoot, keep_everything(new_disk()));
  run.manager.resume();
  for (const std::string& name : {std::string(), std::string("a\xff")}) {
    Metrics metrics;
    metrics.set(name, 1);
    CHECK(code_of([&] { run.manager.step(metrics); }) == "invalid_argument");
    CHECK(
        code_of([&] { run.manager.end_epoch(metrics); }) == "invalid_argument");
    CHECK(code_of([&] { run.manager.save(metrics); }) == "invalid_argument");
  }
  CHECK(run.manager.progress().step == 0);
  CHECK(run.manager.epoch() == 0);
}

TEST_CASE(
    "refusal: tags of lines, and checkpoints to go back to",
    "[refusal]") {
  const Disk disk = trained(2);
  const auto files = disk->list_all();
  ToyRun run(kRoot, keep_everything(disk));
  for (const std::string& tag :
       {std::string(),
        std::string("a b"),
        std::string("A"),
        std::string("a\n"),
        std::string(65, 'a'),
        std::string("../x")}) {
    CAPTURE(tag);
    CHECK(code_of([&] { run.manager.start_fresh(tag); }) == "invalid_argument");
    if (!tag.empty()) {
      CHECK(code_of([&] {
              run.manager.resume_from(checkpoint_name(1, 1), tag);
            }) == "invalid_argument");
    }
  }
  for (const char* name :
       {"", "x", "/", "ckpt-1-step-1", "LOCK", "line-000003-from-000001"}) {
    CAPTURE(name);
    CHECK(
        code_of([&] { run.manager.resume_from(name); }) == "invalid_argument");
  }
  CHECK(disk->list_all() == files);
  // Of another directory.
  disk->copy(kRoot, "runs/b");
  CHECK(code_of([&] {
          run.manager.resume_from("runs/b/" + checkpoint_name(1, 1));
        }) == "invalid_argument");
  // Not there, damaged, of a number that is taken twice.
  CHECK(code_of([&] {
          run.manager.resume_from(checkpoint_name(7, 7));
        }) == "not_found");
  {
    ToyRun mistyped("runs/typo", keep_everything(disk));
    CHECK(code_of([&] {
            mistyped.manager.resume_from(checkpoint_name(1, 1));
          }) == "not_found");
    CHECK_FALSE(disk->exists("runs/typo"));
  }
  disk->copy(checkpoint_path(2), checkpoint_path(2, 5));
  CHECK(code_of([&] {
          run.manager.resume_from(checkpoint_name(2, 2));
        }) == "foreign");
  disk->remove(checkpoint_path(2, 5));
  disk->flip_bit(checkpoint_path(2) + "/state.json", 80);
  CHECK(code_of([&] {
          run.manager.resume_from(checkpoint_name(2, 2));
        }) == "damaged");
  CHECK(catalog_of(disk).lines.empty());
  CHECK(run.fingerprint() == undisturbed(0));
  CHECK(run.manager.resume_from(checkpoint_path(1)).checkpoint->sequence == 1);
}

TEST_CASE("refusal: options that make no sense", "[refusal]") {
  const auto bad = [](const std::function<void(Options&)>& set) {
    std::string name = "no error";
    try {
      Options options;
      set(options);
      name = option_named(options);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      name = error.name();
    }
    return name;
  };
  using Time = std::chrono::duration<double>;
  const double infinite = std::numeric_limits<double>::infinity();
  CHECK(bad([](Options&) {}) == "no error");
  CHECK(bad([](Options& o) { o.save_every(steps(0)); }) == "save_every");
  CHECK(bad([](Options& o) { o.save_every(steps(-1)); }) == "save_every");
  CHECK(bad([](Options& o) { o.save_every(epochs(0)); }) == "save_every");
  CHECK(bad([](Options& o) { o.save_every(Time(0)); }) == "save_every");
  CHECK(bad([&](Options& o) { o.save_every(Time(infinite)); }) == "save_every");
  CHECK(bad([](Options& o) { o.keep_last(0); }) == "keep_last");
  CHECK(bad([](Options& o) { o.keep_best(""); }) == "keep_best");
  CHECK(bad([](Options& o) {
          o.keep_best("loss", Best::lowest, 0);
        }) == "keep_best");
  CHECK(bad([](Options& o) { o.keep_one_per(Time(0)); }) == "keep_one_per");
  CHECK(bad([&](Options& o) {
          o.keep_younger_than(Time(infinite));
        }) == "keep_younger_than");
  CHECK(bad([](Options& o) {
          o.keep_younger_than(Time(-1));
        }) == "keep_younger_than");
  CHECK(bad([](Options& o) { o.keep_all().keep_last(2); }) == "keep_all");
  CHECK(bad([](Options& o) { o.keep_best("a").keep_all(); }) == "keep_all");
  CHECK(bad([](Options& o) { o.compression(zstd(0)); }) == "compression");
  CHECK(bad([](Options& o) { o.compression(zstd(20)); }) == "compression");
  CHECK(bad([](Options& o) { o.compression(zstd(19)); }) == "no error");
  CHECK(bad([](Options& o) { o.lock_wait(Time(-1)); }) == "lock_wait");
  CHECK(bad([&](Options& o) { o.lock_wait(Time(infinite)); }) == "lock_wait");
  CHECK(
      bad([](Options& o) { o.max_save_failures(-1); }) == "max_save_failures");
  CHECK(bad([](Options& o) { o.tag("A B", "x"); }) == "tag");
  CHECK(code_of([] { Manager manager(""); }) == "invalid_argument");
}

TEST_CASE(
    "refusal: what cannot be captured is said before the disk is touched",
    "[refusal]") {
  struct Refuses {
    Values save_state() const {
      ErrorDetails details;
      details.message = "it holds a socket";
      throw Error(ErrorCode::not_capturable, std::move(details));
    }
    void load_state(const Values&) {}
  } object;
  const Disk disk = new_disk();
  const auto faulty = std::make_shared<FaultFileSystem>(disk);
  ToyRun run(kRoot, keep_everything(faulty));
  run.manager.add("object", object);
  const auto error = error_of([&] { run.manager.resume(); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::not_capturable);
  CHECK(error->path() == "part object");
  CHECK(faulty->operations() == 0);
}

TEST_CASE(
    "refusal: tensors that no file can hold are said at the resume",
    "[refusal]") {
  const auto faulty = std::make_shared<FaultFileSystem>(new_disk());
  Manager manager(kRoot, keep_everything(faulty));
  auto part = std::make_unique<FreePart>();
  SECTION("a name that is too long") {
    part->tensors = {info_of(std::string(5000, 'x'), {4})};
  }
  SECTION("an empty name") {
    part->tensors = {info_of("", {4})};
  }
  SECTION("two of one name") {
    part->tensors = {info_of("a", {4}), info_of("a", {4})};
  }
  manager.add_part("free", std::move(part));
  const auto error = error_of([&] { manager.resume(); });
  REQUIRE(error);
  CHECK(error->path() == "part free");
  CHECK(faulty->operations() == 0);
}

TEST_CASE("refusal: a manifest that lies, with the right digest", "[refusal]") {
  const Disk disk = trained(2);
  const std::string newest = checkpoint_path(2);
  struct Case {
    const char* from;
    const char* to;
    Verdict verdict;
  };
  const Case change = GENERATE(
      Case{
          "\"path\":\"model/model.safetensors\"",
          "\"path\":\"../ckpt-000001-step-1/model\"",
          Verdict::damaged},
      Case{
          "\"path\":\"model/model.safetensors\"",
          "\"path\":\"/etc/passwd\"",
          Verdict::damaged},
      Case{
          "\"path\":\"model/model.safetensors\"",
          "\"path\":\"model/../../x\"",
          Verdict::damaged},
      Case{
          "\"path\":\"model/model.safetensors\"",
          "\"path\":\"state.json\"",
          Verdict::damaged},
      Case{
          "\"path\":\"model/model.safetensors\"",
          "\"path\":\"MANIFEST.json\"",
          Verdict::damaged},
      Case{
          "\"path\":\"state.json\"",
          "\"path\":\"value.json\"",
          Verdict::incomplete},
      Case{
          "{\"bytes\":320,",
          "{\"bytes\":4611686018427387904,",
          Verdict::damaged},
      Case{"{\"bytes\":320,", "{\"bytes\":-1,", Verdict::damaged},
      Case{"{\"bytes\":320,", "{\"bytes\":1e3,", Verdict::damaged},
      Case{"\"step\":2,\"wall", "\"step\":1,\"wall", Verdict::foreign},
      Case{
          "\"sequence\":2",
          "\"sequence\":18446744073709551615",
          Verdict::damaged},
      Case{"{\"attempt\":0", "{\"attempt\":\"0\"", Verdict::damaged});
  CAPTURE(change.from, change.to);
  edit_manifest(disk, newest, [&](std::string& text) {
    replace_once(text, change.from, change.to);
  });
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, keep_everything(disk));
    const ResumeReport report = run.manager.resume();
    CHECK(report.checkpoint->step == 1);
    CHECK(run.fingerprint() == undisturbed(1));
    if (!report.passed_over.empty()) {
      CHECK(
          to_string(report.passed_over[0].verdict) ==
          std::string(to_string(change.verdict)));
    } else {
      CHECK(i == 1); // it could be moved aside
    }
  }
}

TEST_CASE(
    "refusal: a state.json that lies, with the right digest",
    "[refusal]") {
  const Disk disk = trained(2);
  struct Case {
    const char* from;
    const char* to;
    const char* code;
  };
  const Case change = GENERATE(
      Case{
          "\"file\":\"model/model.safetensors\"",
          "\"file\":\"other/model.safetensors\"",
          "malformed_manifest"},
      Case{
          "\"file\":\"model/model.safetensors\"",
          "\"file\":\"../../secret\"",
          "malformed_manifest"},
      Case{
          "\"file\":\"model/model.safetensors\"",
          "\"file\":\"state.json\"",
          "malformed_tensors"},
      Case{
          "\"file\":\"model/model.safetensors\"",
          "\"file\":\"\"",
          "name_missing"},
      Case{"\"name\":\"schedule\"", "\"name\":\"model\"", "duplicate_name"},
      Case{"\"name\":\"moment\"", "\"name\":\"weight\"", "duplicate_name"},
      Case{"\"name\":\"moment\"", "\"name\":\"momentum\"", "malformed_tensors"},
      Case{"\"kind\":\"module\"", "\"kind\":\"optimizer\"", "type_mismatch"},
      Case{"\"position\":2", "\"position\":2.5", "type_mismatch"},
      Case{"\"position\":2", "\"position\":\"2\"", "type_mismatch"},
      Case{"\"means\":{", "\"moans\":{", "name_missing"},
      Case{"\"ended\":false", "\"ended\":0", "type_mismatch"},
      Case{"{\"engine\":", "{\"engine\":3,\"x\":", "malformed_value"},
      Case{"{\"engine\":", "[\"engine\":", "malformed_json"},
      Case{
          "\"epoch\":0,\"step\":2",
          "\"epoch\":0,\"epoch\":0,\"step\":2",
          "malformed_json"});
  CAPTURE(change.from, change.to);
  edit_part(disk, checkpoint_path(2), kStateName, [&](std::string& text) {
    replace_once(text, change.from, change.to);
  });
  const std::vector<std::string> files = disk->list_all();
  for (int i = 0; i < 2; ++i) {
    ToyRun run(kRoot, keep_everything(disk));
    const auto error = error_of([&] { run.manager.resume(); });
    REQUIRE(error);
    CHECK(to_string(error->code()) == std::string(change.code));
    CHECK_THAT(error->what(), contains(checkpoint_path(2)));
    CHECK(run.fingerprint() == undisturbed(0));
    CHECK(disk->list_all() == files);
    // Nor does going back to it begin a line.
    CHECK(code_of([&] {
            run.manager.resume_from(checkpoint_path(2));
          }) == change.code);
    CHECK(catalog_of(disk).lines.empty());
  }
}

TEST_CASE(
    "refusal: a tensor file that lies, with the right digest",
    "[refusal]") {
  const Disk disk = trained(2);
  edit_part(
      disk,
      checkpoint_path(2),
      "model/model.safetensors",
      [&](std::string& text) {
        replace_once(
            text, "\"data_offsets\":[64,128]", "\"data_offsets\":[0,128] ");
      });
  ToyRun run(kRoot, keep_everything(disk));
  CHECK(code_of([&] { run.manager.resume(); }) == "malformed_tensors");
  CHECK(run.fingerprint() == undisturbed(0));
}

TEST_CASE(
    "refusal: too little memory is an error like the others",
    "[refusal]") {
  const Disk disk = trained(1);
  struct Huge final : Part {
    std::string kind() const override {
      return "value";
    }
    Stage stage() const override {
      return Stage::value;
    }
    State capture(const Names&) override {
      return {};
    }
    std::unique_ptr<Restore> prepare(const Saved&, const Names&, Mismatches&)
        override {
      throw std::bad_alloc();
    }
  };
  // All others can be prepared, before it and after it.
  ToyModel model;
  ToyLoader loader{ToyRun::kSamples};
  std::mt19937 engine{7};
  model.weight[0] = 7;
  loader.load(4, 2);
  const ToyModel model_before = model;
  Manager manager(kRoot, keep_everything(disk));
  manager.add("model", model);
  manager.add_part("schedule", std::make_unique<Huge>());
  manager.add("data", loader);
  manager.add("engine-state", engine);
  for (int i = 0; i < 2; ++i) {
    const auto error = error_of([&] { manager.resume(); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::limit_exceeded);
    CHECK(error->path() == checkpoint_path(1));
    CHECK_THAT(error->what(), contains("not enough memory"));
    CHECK(model.weight == model_before.weight);
    CHECK(model.moment == model_before.moment);
    CHECK(engine == std::mt19937{7});
    CHECK(at(loader.save(), "epoch") == Value(4));
    CHECK(at(loader.save(), "position") == Value(2));
  }
}

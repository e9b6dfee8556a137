#include "engine_support.hpp"

// Two experiments that were given one directory.

using namespace holdfast;

namespace {

Options named_run(
    const test::Disk& disk,
    const std::string& name,
    OtherRun other = OtherRun::refuse) {
  return test::keep_everything(disk).run_name(name, other);
}

test::Disk trained_by(const std::string& name) {
  return test::trained(3, [&](const test::Disk& disk) {
    return name.empty() ? test::keep_everything(disk) : named_run(disk, name);
  });
}

} // namespace

TEST_CASE("run name: another run's checkpoint is refused", "[engine]") {
  const auto disk = trained_by("lr-0.1");
  const std::vector<std::string> files = disk->list_all(test::kRoot);
  test::ToyRun run(test::kRoot, named_run(disk, "lr-0.2"));
  const std::string before = run.fingerprint();
  try {
    run.manager.resume();
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(
        std::string(error.what()) ==
        "'runs/a/ckpt-000003-step-3': 'run_name': this checkpoint belongs to "
        "another run: found 'lr-0.1', expected 'lr-0.2' (other_run)");
  }
  CHECK(test::code_of([&] {
          run.manager.resume_from("ckpt-000002-step-2");
        }) == "other_run");
  CHECK(run.fingerprint() == before);
  CHECK(test::catalog_of(disk).lines.empty());
  CHECK(test::steps_on(disk).size() == 3);

  // It may begin for itself, beside it, and goes on with its own.
  CHECK_FALSE(run.manager.start_fresh("mine").resumed());
  test::train_steps(run, 2);
  CHECK(test::code_of([&] {
          run.manager.rollback("ckpt-000002-step-2");
        }) == "other_run");
  CHECK(run.fingerprint() == test::undisturbed(2));
  CHECK(test::catalog_of(disk).lines.size() == 1);
}

TEST_CASE("run name: its own, none, and one that is adopted", "[engine]") {
  const auto resumed_by = [](const test::Disk& disk, const Options& options) {
    test::ToyRun run(test::kRoot, options);
    CHECK(run.manager.resume().resumed());
    run.loader.begin();
    run.train_batch(run.loader.next());
    run.manager.step();
    return parse_manifest(ByteView(std::string_view(disk->read_text(
                              run.manager.latest()->path + "/MANIFEST.json"))))
        .run_name;
  };
  const auto disk = trained_by("a");
  CHECK(resumed_by(disk, named_run(disk, "a")) == "a");
  CHECK(resumed_by(disk, test::keep_everything(disk)) == "a"); // stays its name
  const auto adopted = trained_by("a");
  CHECK(resumed_by(adopted, named_run(adopted, "b", OtherRun::adopt)) == "b");
  test::ToyRun former(test::kRoot, named_run(adopted, "a"));
  CHECK(test::code_of([&] { former.manager.resume(); }) == "other_run");
  const auto unnamed = trained_by("");
  CHECK(resumed_by(unnamed, named_run(unnamed, "c")) == "c");
}

TEST_CASE("run name: is text", "[engine]") {
  CHECK(test::code_of([] { Options().run_name(""); }) == "invalid_argument");
  CHECK(
      test::code_of([] { Options().run_name("\xff"); }) == "invalid_argument");
}

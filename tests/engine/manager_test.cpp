#include <support/catch.hpp>
#include <support/toy_run.hpp>

#include <holdfast/testing/memory_file_system.hpp>

using namespace holdfast;
using holdfast::test::ToyRun;

namespace {

Options on(const std::shared_ptr<FileSystem>& disk) {
  return Options().file_system(disk).lock_wait(std::chrono::seconds(0));
}

std::string uninterrupted(std::int64_t goal) {
  ToyRun run(
      "runs/a", on(std::make_shared<testing::MemoryFileSystem>()));
  run.manager.resume();
  run.train(goal);
  return run.fingerprint();
}

} // namespace

TEST_CASE("manager: a run that was cut at any step ends like one that was not",
          "[engine]") {
  const std::string expected = uninterrupted(3);
  for (std::int64_t every : {1, 2, 3, 5}) {
    for (std::int64_t kill = 1; kill <= 15; ++kill) {
      CAPTURE(every, kill);
      auto disk = std::make_shared<testing::MemoryFileSystem>();
      {
        ToyRun run("runs/a", on(disk).save_every(steps(every)).keep_last(2));
        CHECK_FALSE(run.manager.resume().resumed());
        CHECK_THROWS_AS(run.train(3, kill), ToyRun::Killed);
      }
      ToyRun run("runs/a", on(disk).save_every(steps(every)).keep_last(2));
      const ResumeReport report = run.manager.resume();
      CHECK(report.resumed() == (kill > every));
      run.train(3);
      CHECK(run.fingerprint() == expected);
    }
  }
}

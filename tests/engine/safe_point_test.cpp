#include "engine_support.hpp"

#include <stdexcept>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// What a handler saw: kind, step, metric, and whether that step was saved.
std::string seen(const SafePoint& point) {
  static const char* const kinds[] = {"fresh", "resumed", "step", "epoch"};
  const Progress progress = point.manager.progress();
  const auto latest = point.manager.latest();
  std::string text = std::string(kinds[static_cast<int>(point.kind)]) + " " +
      std::to_string(progress.step);
  for (const auto& metric : point.metrics.values()) {
    text += " " + metric.first;
  }
  return text + (latest && latest->step == progress.step ? " saved" : "");
}

} // namespace

TEST_CASE("safe point: tells what was done, saves included", "[engine]") {
  const Disk disk = new_disk();
  std::vector<std::string> all;
  std::size_t second = 0;
  const auto options = [&] {
    return Options()
        .file_system(disk)
        .save_every(steps(2))
        .on_safe_point([&](const SafePoint& point) {
          all.push_back(seen(point));
          CHECK(capture(point.parts).size() == 4);
        })
        .on_safe_point([&](const SafePoint&) { ++second; });
  };
  {
    ToyRun run(kRoot, options());
    run.manager.resume();
    CHECK_THROWS_AS(run.train(1, 4), ToyRun::Killed);
  }
  CHECK(
      all ==
      std::vector<std::string>{
          "fresh 0", "step 1 loss", "step 2 loss saved", "step 3 loss"});
  all.clear();
  ToyRun run(kRoot, options());
  run.manager.resume();
  run.train(1);
  run.manager.rollback(1);
  CHECK(
      all ==
      std::vector<std::string>{
          "resumed 2 saved",
          "step 3 loss",
          "step 4 loss saved",
          "step 5 loss",
          "epoch 5 val_loss saved",
          "resumed 5 saved"});
  CHECK(second == 10);
}

TEST_CASE("safe point: what a handler throws comes through", "[engine]") {
  const Disk disk = new_disk();
  ToyRun run(
      kRoot,
      Options().file_system(disk).save_every(steps(1)).on_safe_point(
          [](const SafePoint& point) {
            if (point.manager.progress().step == 2) {
              throw std::domain_error("enough");
            }
          }));
  run.manager.resume();
  CHECK_THROWS_AS(run.train(1), std::domain_error);
  CHECK(run.manager.progress().step == 2); // the call's work was done
  CHECK(run.manager.latest()->step == 2);
}

TEST_CASE("safe point: an ignored end of an epoch is none", "[engine]") {
  const Disk disk = new_disk();
  std::size_t points = 0;
  ToyRun run(
      kRoot,
      Options().file_system(disk).on_event({}).on_safe_point(
          [&](const SafePoint&) { ++points; }));
  run.manager.resume();
  REQUIRE(run.manager.running(epochs(2)));
  run.loader.begin();
  run.train_batch(run.loader.next());
  run.manager.request_stop();
  run.manager.step();
  CHECK(points == 2);
  run.manager.end_epoch();
  CHECK(points == 2);
}

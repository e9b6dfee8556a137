// What step() costs when nothing is due: the price of asking at every training
// step.
//
//     step_bench [STEPS=2000000] [REPETITIONS=5]

#include <bench/timing.hpp>
#include <support/toy_run.hpp>

#include <holdfast/run/preemption.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

using holdfast::Metrics;
using holdfast::Options;
using holdfast::bench::Series;
using holdfast::test::ToyRun;

Options options() {
  return Options()
      .file_system(std::make_shared<holdfast::testing::MemoryFileSystem>())
      .keep_best("val_loss");
}

/// Nanoseconds a call.
void measure(
    const std::string& name,
    const Options& options,
    bool preemptible,
    const Metrics& metrics,
    bool in_run,
    int steps,
    int repetitions) {
  ToyRun run("runs/a", options);
  std::unique_ptr<holdfast::Preemption> preemption;
  if (preemptible) {
    preemption = std::make_unique<holdfast::Preemption>(
        run.manager,
        holdfast::PreemptionOptions()
            .time_limit(std::chrono::hours(100))
            .notice("cloud", [] { return false; }));
  }
  run.manager.resume();
  Series series(name);
  for (int i = 0; i < repetitions; ++i) {
    const auto loop = [&] {
      for (int step = 0; step < steps; ++step) {
        run.manager.step(metrics);
      }
    };
    series.add(holdfast::bench::seconds([&] {
      if (in_run) {
        run.manager.run(loop);
      } else {
        loop();
      }
    }));
  }
  std::printf(
      "%-44s %7.1f ns a call\n", name.c_str(), series.median() / steps * 1e9);
}

} // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2'000'000;
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 5;
  const auto many = [&] {
    return options()
        .save_every(holdfast::steps(1'000'000'000))
        .save_every(holdfast::epochs(1))
        .save_every(std::chrono::hours(10))
        .save_overhead(0.5, std::chrono::hours(10));
  };
  measure(
      "one trigger",
      options().save_every(holdfast::steps(1'000'000'000)),
      false,
      {},
      false,
      steps,
      repetitions);
  measure("default triggers", options(), false, {}, false, steps, repetitions);
  measure("four triggers", many(), false, {}, false, steps, repetitions);
  measure(
      "four triggers, preemption", many(), true, {}, false, steps, repetitions);
  measure(
      "four triggers, preemption, a metric",
      many(),
      true,
      {{"loss", 0.5}},
      false,
      steps,
      repetitions);
  measure(
      "the same in run(), looking at 2 % of the time",
      many(),
      true,
      {{"loss", 0.5}},
      true,
      steps,
      repetitions);
  measure(
      "without run(), and a rule for divergence",
      many().rollback_on_divergence(),
      true,
      {{"loss", 0.5}},
      false,
      steps,
      repetitions);
}

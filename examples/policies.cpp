// What would be kept? Prints the plans of a run that has saved for two days,
// and what its next save would change. Needs no LibTorch: any C++ program can
// keep its state with holdfast/core.hpp.

#include <holdfast/core.hpp>

#include <chrono>
#include <cmath>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

/// A clock that goes as fast as the example wants.
struct FastClock final : holdfast::Clock {
  double wall_seconds() override {
    return 1'764'115'200 + seconds; // a midnight, UTC
  }
  double monotonic_seconds() override {
    return seconds;
  }
  void sleep(double duration) override {
    seconds += duration;
  }
  double seconds = 0;
};

holdfast::Options options(FastClock& clock) {
  return holdfast::Options().clock(clock).on_event({}).save_every(
      std::chrono::hours(3));
}

void print_plan(
    const std::string& title,
    const holdfast::Options& rules,
    std::vector<double>& weights,
    double& loss) {
  holdfast::Manager checkpoints("runs/policies", rules);
  checkpoints.add("weights", weights);
  checkpoints.add("loss", loss);
  checkpoints.resume();
  std::cout << "\n--- " << title << '\n' << checkpoints.plan() << '\n';
}

void run() {
  using std::chrono::hours;
  FastClock clock;
  std::vector<double> weights(10'000, 0.5);
  double loss = 1;
  {
    holdfast::Manager checkpoints("runs/policies", options(clock).keep_all());
    checkpoints.add("weights", weights);
    checkpoints.add("loss", loss);
    checkpoints.start_fresh("example");
    for (int hour = 1; hour <= 48; ++hour) {
      clock.seconds += 3600;
      for (double& weight : weights) {
        weight *= 0.999;
      }
      loss = 1 / (1 + 0.1 * hour) + 0.05 * std::sin(hour);
      checkpoints.step({{"loss", loss}});
    }
    checkpoints.pin(
        checkpoints.list().at(1).path, "before the learning rate fell");
  }
  const auto rules = [&] {
    return options(clock);
  };
  print_plan(
      "the last three, and the best two",
      rules().keep_last(3).keep_best("loss", holdfast::Best::lowest, 2),
      weights,
      loss);
  print_plan(
      "one a day, every 20 steps for ever, and the last 8 hours",
      rules()
          .keep_one_per(hours(24))
          .keep_every(holdfast::steps(20))
          .keep_younger_than(hours(8)),
      weights,
      loss);
  print_plan(
      "all that fit into 500 kB", rules().keep_at_most(500'000), weights, loss);
}

} // namespace

int main() {
  try {
    run();
  } catch (const std::exception& error) {
    std::cerr << "policies: " << error.what() << '\n';
    return 1;
  }
}

#include "libtorch/network.hpp"

#include <torch/optim/schedulers/lr_scheduler.h>
#include <torch/optim/schedulers/step_lr.h>
#include <torch/optim/sgd.h>
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#define HAS_PLATEAU 1
#endif

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace optim = torch::optim;

namespace {

/// A linear warm-up of the user's, with state of its own or without.
struct SlowStart : optim::LRScheduler {
  explicit SlowStart(optim::Optimizer& optimizer) : LRScheduler(optimizer) {}
  std::vector<double> get_lrs() override {
    seen += 0.1;
    return {seen * step_count_};
  }
  double seen = 0;
};
struct SavedWarmUp : SlowStart {
  using SlowStart::SlowStart;
  Values save_state() const {
    return {{"seen", seen}};
  }
  void load_state(const Values& values) {
    if (refuses) {
      throw std::runtime_error("refused");
    }
    seen = holdfast::at(values, "seen").as<double>("seen");
    if (seen == refused) {
      throw std::runtime_error("refused halfway");
    }
  }
  void on_restored() {
    ++restored;
  }
  bool refuses = false;
  double refused = -1;
  int restored = 0;
};

template <class Scheduler>
struct SchedulerRun {
  template <class... Arguments>
  explicit SchedulerRun(double lr, Arguments... arguments)
      : optimizer(layer->parameters(), optim::SGDOptions(lr)),
        scheduler(optimizer, arguments...) {
    // The scheduler first: what it needs must not depend on the order.
    add(parts, "scheduler", scheduler);
    add(parts, "optimizer", optimizer);
    add(parts, "model", layer);
  }
  double lr() {
    return optimizer.param_groups()[0].options().get_lr();
  }
  torch::nn::Linear layer{2, 2};
  optim::SGD optimizer;
  Scheduler scheduler;
  Parts parts;
};

/// Learning rates of the next `count` steps.
template <class Scheduler, class... Metric>
std::vector<double> rates(
    SchedulerRun<Scheduler>& run,
    int count,
    Metric... metric) {
  std::vector<double> rates;
  for (int i = 0; i < count; ++i) {
    run.scheduler.step(metric...);
    rates.push_back(run.lr());
  }
  return rates;
}

} // namespace

TEST_CASE("scheduler: StepLR goes on in the middle of its period") {
  for (const int before : {0, 2, 5}) {
    CAPTURE(before);
    SchedulerRun<optim::StepLR> first(0.3, 3U, 0.7);
    (void)rates(first, before);
    const Snapshot saved = capture(first.parts);
    const std::vector<double> expected = rates(first, 8);

    SchedulerRun<optim::StepLR> second(0.9, 3U, 0.7);
    (void)rates(second, 1);
    // Both, or neither: the learning rate is the optimizer's.
    REQUIRE(text_of(restore(saved, second.parts)) == "");
    CHECK(rates(second, 8) == expected);
    CHECK(second.parts[0].second->notes().empty());
  }
}

TEST_CASE("scheduler: one of the user's own is saved if it says how") {
  SchedulerRun<SavedWarmUp> first(0.1);
  (void)rates(first, 3);
  const Snapshot saved = capture(first.parts);
  const std::vector<double> expected = rates(first, 4);
  SchedulerRun<SavedWarmUp> second(0.1);
  REQUIRE(text_of(restore(saved, second.parts)) == "");
  CHECK(second.scheduler.restored == 1);
  CHECK(second.parts[0].second->notes().empty());
  CHECK(rates(second, 4) == expected);
}

TEST_CASE("scheduler: a refused state changes neither it nor the optimizer") {
  SchedulerRun<SavedWarmUp> first(0.1);
  (void)rates(first, 3);
  const Snapshot saved = capture(first.parts);
  SchedulerRun<SavedWarmUp> second(0.2);
  second.scheduler.refuses = true;
  const Snapshot before = capture(second.parts);
  CHECK_THROWS_AS(restore(saved, second.parts), std::runtime_error);
  CHECK(difference(before, capture(second.parts)) == "");
}

TEST_CASE("scheduler: a state refused halfway is taken back") {
  SchedulerRun<SavedWarmUp> first(0.1);
  (void)rates(first, 3);
  const Snapshot saved = capture(first.parts);
  SchedulerRun<SavedWarmUp> second(0.2);
  second.scheduler.refused = first.scheduler.seen;
  const Snapshot before = capture(second.parts);
  REQUIRE(difference(before, saved) != "");
  CHECK_THROWS_WITH(restore(saved, second.parts), "refused halfway");
  CHECK(difference(before, capture(second.parts)) == "");
}

TEST_CASE("scheduler: one whose own state is unknown is named in the notes") {
  SchedulerRun<SlowStart> first(0.1);
  (void)rates(first, 3);
  const Snapshot saved = capture(first.parts);
  const std::vector<std::string> notes = first.parts[0].second->notes();
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], contains("SlowStart only the step count is saved"));

  SchedulerRun<optim::StepLR> other(0.1, 2U, 0.5);
  CHECK_THAT(
      text_of(restore(saved, other.parts)),
      contains("type type_mismatch: expected torch::optim::StepLR"));
}

TEST_CASE("scheduler: is found behind a base reference or a shared_ptr") {
  torch::nn::Linear layer(2, 2);
  optim::SGD sgd(layer->parameters(), optim::SGDOptions(0.1));
  auto shared = std::make_shared<optim::StepLR>(sgd, 2U, 0.5);
  optim::LRScheduler& base = *shared;
  Parts parts;
  add(parts, "a", shared);
  add(parts, "b", base);
  const Snapshot saved = capture(parts);
  CHECK(
      (stored_in(saved, "a").saved.values ==
       stored_in(saved, "b").saved.values));
  shared = nullptr;
  CHECK(code_of([&] { (void)capture(parts); }) == "not_capturable");
}

#if HAS_PLATEAU
namespace {

struct CountingPlateau : optim::ReduceLROnPlateauScheduler {
  explicit CountingPlateau(optim::Optimizer& of)
      : ReduceLROnPlateauScheduler(of) {}
  int count = 0;
};
struct SavedPlateau : CountingPlateau {
  using CountingPlateau::CountingPlateau;
  Values save_state() const {
    return {{"count", count}};
  }
  void load_state(const Values& values) {
    count = holdfast::at(values, "count").as<int>("count");
    if (count == refused) {
      throw std::runtime_error("refused halfway");
    }
  }
  int refused = -1;
};
struct ExtraPlateau : CountingPlateau, ExtraState {
  using CountingPlateau::CountingPlateau;
  Values save_state() const override {
    return {{"count", count}};
  }
  void load_state(const Values& values) override {
    count = holdfast::at(values, "count").as<int>("count");
  }
};

template <class Plateau>
std::vector<std::string> plateau_notes(int expected) {
  SchedulerRun<Plateau> first(0.3);
  first.scheduler.count = 7;
  (void)rates(first, 3, 1.0F);
  const Snapshot saved = capture(first.parts);
  SchedulerRun<Plateau> second(0.3);
  REQUIRE(text_of(restore(saved, second.parts)) == "");
  CHECK(second.scheduler.count == expected);
  CHECK(rates(second, 30, 1.0F) == rates(first, 30, 1.0F));
  return first.parts[0].second->notes();
}

} // namespace

TEST_CASE("scheduler: a plateau of the user's own is saved if it says how") {
  CHECK(plateau_notes<SavedPlateau>(7).empty());
  CHECK(plateau_notes<ExtraPlateau>(7).empty());
  const std::vector<std::string> notes = plateau_notes<CountingPlateau>(0);
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], contains("CountingPlateau only what"));

  SchedulerRun<SavedPlateau> first(0.3);
  first.scheduler.count = 7;
  (void)rates(first, 3, 1.0F);
  const Snapshot saved = capture(first.parts);
  SchedulerRun<SavedPlateau> second(0.2);
  second.scheduler.refused = 7;
  const Snapshot before = capture(second.parts);
  CHECK_THROWS_WITH(restore(saved, second.parts), "refused halfway");
  CHECK(difference(before, capture(second.parts)) == "");

  SchedulerRun<ExtraPlateau> other(0.3);
  CHECK_THAT(text_of(restore(saved, other.parts)), contains("type_mismatch"));
}

TEST_CASE("scheduler: plateau goes on, whatever its best") {
  using Plateau = optim::ReduceLROnPlateauScheduler;
  for (const int before : {0, 1, 3, 6}) {
    CAPTURE(before);
    const auto make = [](double lr) {
      return std::make_unique<SchedulerRun<Plateau>>(
          lr, Plateau::min, 0.5F, 1, 1e-4, Plateau::rel, 2);
    };
    auto first = make(0.3);
    (void)rates(*first, before, 1.0F);
    const Snapshot saved = capture(first->parts);
    const double best =
        holdfast::at(stored_in(saved, "scheduler").saved.values, "best")
            .as<double>();
    CHECK((best >= std::numeric_limits<float>::max()) == (before == 0));
    const std::vector<double> expected = rates(*first, 8, 1.0F);
    auto second = make(0.9);
    (void)rates(*second, 1, 0.5F);
    REQUIRE(text_of(restore(saved, second->parts)) == "");
    CHECK(difference(saved, capture(second->parts)) == "");
    CHECK(rates(*second, 8, 1.0F) == expected);

    Snapshot infinite = saved;
    stored_in(infinite, "scheduler").saved.values["best"] =
        -std::numeric_limits<double>::infinity();
    REQUIRE(text_of(restore(infinite, second->parts)) == "");
    CHECK(difference(infinite, capture(second->parts)) == "");
  }
}
#endif

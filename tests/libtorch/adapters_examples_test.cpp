/// The code of docs/adapters.md, compiled and tried.
#include "libtorch/network.hpp"

#include <holdfast/holdfast.hpp>
#include <holdfast/libtorch/compat.hpp>

#include <torch/nn/modules/linear.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/schedulers/lr_scheduler.h>
#include <torch/optim/sgd.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast::test;

namespace {

// adapters-begin
struct Average {
  at::Tensor shadow = at::zeros({3});
  std::int64_t updates = 0;

  template <class V>
  void state(V& v) {
    v("shadow", shadow);
    v("updates", updates);
  }
};
// adapters-end

// adapters-begin
struct Curriculum {
  holdfast::Values save_state() const {
    return {{"level", level_}, {"best", best_}};
  }
  void load_state(const holdfast::Values& values) {
    const auto level = holdfast::at(values, "level").as<int>("level");
    const auto best = holdfast::at(values, "best").as<double>("best");
    if (level < 1) {
      throw std::runtime_error("a level is at least 1");
    }
    level_ = level;
    best_ = best;
  }
  void on_restored() {
    restored_ = true; // everything is applied now: derived data may be rebuilt
  }

  int level_ = 1;
  double best_ = 0;
  bool restored_ = false;
};
// adapters-end

// adapters-begin
struct Codebook : torch::nn::Module, holdfast::ExtraState {
  Codebook() {
    entries = register_parameter("entries", at::ones({4, 2}));
  }
  holdfast::Values save_state() const override {
    return {{"uses", uses}};
  }
  void load_state(const holdfast::Values& values) override {
    uses = holdfast::at(values, "uses").as<std::int64_t>("uses");
  }
  at::Tensor entries;
  std::int64_t uses = 0;
};
// adapters-end

namespace foreign {

/// As a library of somebody else's has it.
class Meter {
 public:
  void add(double value) {
    total_ += value;
  }
  [[nodiscard]] double total() const {
    return total_;
  }
  void set_total(double total) {
    total_ = total;
  }

 private:
  double total_ = 0;
};

} // namespace foreign

// adapters-begin
struct MeterState {
  foreign::Meter& meter;

  holdfast::Values save_state() const {
    return {{"total", meter.total()}};
  }
  void load_state(const holdfast::Values& values) {
    meter.set_total(holdfast::at(values, "total").as<double>("total"));
  }
};
// adapters-end

// adapters-begin
struct LionState : torch::optim::OptimizerCloneableParamState<LionState> {
  at::Tensor mean;

  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("mean", mean, /*is_buffer=*/true);
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    archive.read("mean", mean, /*is_buffer=*/true);
  }
};
// adapters-end

/// Steps by the sign of a mean; with options of LibTorch's.
struct Lion : torch::optim::Optimizer {
  explicit Lion(std::vector<at::Tensor> parameters, double lr = 0.125)
      : Optimizer(
            std::move(parameters),
            std::make_unique<torch::optim::SGDOptions>(lr)) {}
  at::Tensor step(LossClosure closure = nullptr) override {
    at::Tensor loss;
    if (closure) {
      loss = closure();
    }
    const c10::NoGradGuard no_grad;
    for (torch::optim::OptimizerParamGroup& group : param_groups()) {
      for (at::Tensor& parameter : group.params()) {
        using Map = std::decay_t<decltype(state())>;
        auto& slot = state()[holdfast::detail::state_key<Map>(
            parameter.unsafeGetTensorImpl())];
        if (!slot) {
          auto fresh = std::make_unique<LionState>();
          fresh->mean = at::zeros_like(parameter);
          slot = std::move(fresh);
        }
        at::Tensor& mean = static_cast<LionState&>(*slot).mean;
        mean.mul_(0.5).add_(parameter.grad());
        parameter.sub_(mean.sign() * group.options().get_lr());
      }
    }
    return loss;
  }
};

// adapters-begin
struct CountingLion : Lion, holdfast::ExtraState {
  using Lion::Lion;
  holdfast::Values save_state() const override {
    return {{"steps", steps}};
  }
  void load_state(const holdfast::Values& values) override {
    steps = holdfast::at(values, "steps").as<std::int64_t>("steps");
  }
  std::int64_t steps = 0;
};
// adapters-end

// adapters-begin
struct WarmUp : torch::optim::LRScheduler {
  using LRScheduler::LRScheduler;
  std::vector<double> get_lrs() override {
    scale = 0.5 * scale + 0.5;
    return std::vector<double>(get_current_lrs().size(), base * scale);
  }
  holdfast::Values save_state() const {
    return {{"scale", scale}};
  }
  void load_state(const holdfast::Values& values) {
    scale = holdfast::at(values, "scale").as<double>("scale");
  }
  double base = 0.25;
  double scale = 0;
};
// adapters-end

} // namespace

// adapters-begin
template <>
struct holdfast::OptimizerStateType<Lion> {
  using type = LionState;
};
// adapters-end
template <>
struct holdfast::OptimizerStateType<CountingLion> {
  using type = LionState;
};

namespace {

// adapters-begin
class MeterPart final : public holdfast::Part {
 public:
  explicit MeterPart(foreign::Meter& meter)
      : state_{meter}, inner_(holdfast::make_part(state_)) {}

  std::string kind() const override {
    return inner_->kind();
  }
  holdfast::Stage stage() const override {
    return inner_->stage();
  }
  holdfast::State capture(const holdfast::Names& names) override {
    return inner_->capture(names);
  }
  std::unique_ptr<holdfast::Restore> prepare(
      const holdfast::Saved& saved,
      const holdfast::Names& names,
      holdfast::Mismatches& mismatches) override {
    return inner_->prepare(saved, names, mismatches);
  }

 private:
  MeterState state_;
  std::unique_ptr<holdfast::Part> inner_;
};
// adapters-end

} // namespace

// adapters-begin
template <>
struct holdfast::StateAdapter<foreign::Meter> {
  static constexpr const char* default_name = nullptr; // must be named()
  static std::unique_ptr<Part> make(foreign::Meter& meter) {
    return std::unique_ptr<Part>(new MeterPart(meter));
  }
};
// adapters-end

namespace {

struct Run {
  Codebook model;
  CountingLion optimizer{model.parameters()};
  WarmUp scheduler{optimizer};
  Average average;
  Curriculum curriculum;
  foreign::Meter meter;
  Lion plain{model.parameters()};
  Parts parts;

  Run() {
    add(parts, "model", model);
    add(parts, "optimizer", optimizer);
    add(parts, "scheduler", scheduler);
    add(parts, "average", average);
    add(parts, "curriculum", curriculum);
    add(parts, "meter", meter);
    add(parts, "plain", plain);
  }
  void step() {
    model.entries.mutable_grad() = at::ones({4, 2}) * (1.0 - meter.total());
    optimizer.step();
    plain.step();
    scheduler.step();
    ++optimizer.steps;
    ++model.uses;
    average.shadow.add_(model.entries.detach().sum());
    ++average.updates;
    ++curriculum.level_;
    curriculum.best_ += 0.5;
    meter.add(0.75);
  }
};

} // namespace

TEST_CASE("adapters: the examples of the document go on bit for bit") {
  Run first;
  first.step();
  first.step();
  const Snapshot saved = capture(first.parts);
  first.step();
  Run second;
  second.step();
  REQUIRE(text_of(restore(saved, second.parts)) == "");
  CHECK(difference(saved, capture(second.parts)) == "");
  CHECK(second.curriculum.restored_);
  CHECK(second.meter.total() == 1.5);
  CHECK(second.optimizer.steps == 2);
  second.step();
  CHECK(difference(capture(first.parts), capture(second.parts)) == "");
}

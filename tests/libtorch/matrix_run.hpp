#pragma once

#include "libtorch/network.hpp"

#include <holdfast/format/json.hpp>
#include <holdfast/holdfast.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/libtorch/compat.hpp>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/schedulers/step_lr.h>
#include <torch/optim/sgd.h>
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#define HOLDFAST_TEST_PLATEAU 1
#endif

#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// What the resume matrix trains: every optimizer with every schedule and every
/// kind of model. Small, so that ten thousand cells take minutes.
namespace holdfast::test {

namespace optim = torch::optim;

// --- data --------------------------------------------------------------------

/// Eight samples of four numbers, with noise that a batch's own engine draws:
/// the same for any number of workers.
struct NoisySamples {
  [[nodiscard]] at::Tensor get_batch(
      const std::vector<std::size_t>& indices,
      std::mt19937_64& engine) const {
    std::vector<float> numbers;
    for (const std::size_t index : indices) {
      for (int i = 0; i < 4; ++i) {
        const auto noise = static_cast<float>(engine() % 1000) / 5000.0F;
        numbers.push_back(
            static_cast<float>(index) / 8 - 0.3F * static_cast<float>(i) +
            noise);
      }
    }
    return at::tensor(numbers).view(
        {static_cast<std::int64_t>(indices.size()), 4});
  }
  [[nodiscard]] std::optional<std::size_t> size() const {
    return 8;
  }
};

inline constexpr std::int64_t kEpochs = 4;
inline constexpr std::int64_t kBatches = 3; // in an epoch, the last one smaller

// --- models ------------------------------------------------------------------

struct MatrixModel : torch::nn::Module {
  virtual at::Tensor forward(const at::Tensor& x, std::int64_t step) = 0;
  /// Whether `zero_grad` leaves gradients undefined, or zero.
  [[nodiscard]] virtual bool resets_gradients() const {
    return true;
  }
};

/// A layer that is only used in every other step: then it has no new gradient,
/// but keeps one of zeros, by which its moments move on.
struct DropoutModel final : MatrixModel {
  DropoutModel() {
    first = register_module("first", torch::nn::Linear(4, 6));
    dropout = register_module("dropout", torch::nn::Dropout(0.3));
    sometimes = register_module("sometimes", torch::nn::Linear(6, 6));
    last = register_module("last", torch::nn::Linear(6, 2));
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t step) override {
    at::Tensor hidden = dropout->forward(first->forward(x).tanh());
    if (step % 2 == 0) {
      hidden = sometimes->forward(hidden);
    }
    return last->forward(hidden);
  }
  [[nodiscard]] bool resets_gradients() const override {
    return false;
  }
  torch::nn::Linear first{nullptr}, sometimes{nullptr}, last{nullptr};
  torch::nn::Dropout dropout{nullptr};
};

/// Running statistics, which stop in the third step, and a frozen layer, which
/// is trained from the fourth on.
struct NormModel final : MatrixModel {
  NormModel() {
    first = register_module("first", torch::nn::Linear(4, 6));
    norm = register_module("norm", torch::nn::BatchNorm1d(6));
    frozen = register_module("frozen", torch::nn::Linear(6, 6));
    last = register_module("last", torch::nn::Linear(6, 2));
    freeze(true);
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t step) override {
    if (step == 2) {
      norm->eval();
    }
    if (step == 3) {
      freeze(false);
    }
    return last->forward(
        frozen->forward(norm->forward(first->forward(x))).tanh());
  }
  torch::nn::Linear first{nullptr}, frozen{nullptr}, last{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};

 private:
  void freeze(bool frozen_now) {
    for (at::Tensor& parameter : frozen->parameters()) {
      parameter.set_requires_grad(!frozen_now);
    }
  }
};

/// Encoder and decoder share a weight; the optimizer gets it twice, as
/// `parameters()` lists it under both names.
struct TiedModel final : MatrixModel {
  TiedModel() {
    weight = register_parameter("encoder", 0.5 * at::randn({6, 4}));
    register_parameter("decoder", weight);
    bias = register_parameter("bias", at::zeros({4}));
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t) override {
    return x.matmul(weight.t()).tanh().matmul(weight) + bias - x;
  }
  at::Tensor weight;
  at::Tensor bias;
};

struct ChannelsLastModel final : MatrixModel {
  ChannelsLastModel() {
    convolution = register_module(
        "convolution", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 1)));
    last = register_module("last", torch::nn::Linear(6, 2));
    convolution->weight.set_data(
        convolution->weight.contiguous(at::MemoryFormat::ChannelsLast));
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t) override {
    const at::Tensor image =
        x.view({-1, 2, 2, 1}).contiguous(at::MemoryFormat::ChannelsLast);
    return last->forward(convolution->forward(image).tanh().flatten(1));
  }
  torch::nn::Conv2d convolution{nullptr};
  torch::nn::Linear last{nullptr};
};

/// Parameters in float and double, buffers in bfloat16 and int64.
struct MixedModel final : MatrixModel {
  MixedModel() {
    first = register_module("first", torch::nn::Linear(4, 6));
    last = register_module("last", torch::nn::Linear(6, 2));
    last->to(at::kDouble);
    average = register_buffer("average", at::zeros({6}, at::kBFloat16));
    count = register_buffer("count", at::zeros({}, at::kLong));
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t) override {
    const at::Tensor hidden = first->forward(x).tanh();
    if (is_training()) {
      const c10::NoGradGuard no_grad;
      average.mul_(0.5).add_(hidden.mean(0).to(at::kBFloat16));
      count.add_(1);
    }
    return last->forward((hidden + average.to(at::kFloat)).to(at::kDouble));
  }
  torch::nn::Linear first{nullptr}, last{nullptr};
  at::Tensor average;
  at::Tensor count;
};

struct ModelKind {
  const char* name;
  std::shared_ptr<MatrixModel> (*make)();
};

template <class Model>
std::shared_ptr<MatrixModel> make_model() {
  return std::make_shared<Model>();
}

inline const std::vector<ModelKind>& model_kinds() {
  static const std::vector<ModelKind> kinds{
      {"dropout", &make_model<DropoutModel>},
      {"batch norm", &make_model<NormModel>},
      {"tied", &make_model<TiedModel>},
      {"channels last", &make_model<ChannelsLastModel>},
      {"mixed dtypes", &make_model<MixedModel>}};
  return kinds;
}

// --- optimizers --------------------------------------------------------------

/// A user's own: sign of a momentum, as in Lion, with serialisable state.
struct SignOptions : optim::OptimizerCloneableOptions<SignOptions> {
  SignOptions(double rate = 0.01) : lr_(rate) {}
  TORCH_ARG(double, lr);

 public:
  void serialize(torch::serialize::InputArchive& archive) override {
    c10::IValue rate;
    archive.read("lr", rate);
    lr(rate.toDouble());
  }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("lr", c10::IValue(lr()));
  }
  double get_lr() const override {
    return lr();
  }
  void set_lr(const double rate) override {
    lr(rate);
  }
};
struct SignOptimizer;
struct SignState : optim::OptimizerCloneableParamState<SignState> {
  TORCH_ARG(at::Tensor, momentum);
  TORCH_ARG(std::int64_t, step) = 0;

 public:
  void serialize(torch::serialize::InputArchive& archive) override {
    at::Tensor saved;
    archive.read("momentum", saved);
    momentum(saved);
    c10::IValue count;
    archive.read("step", count);
    step(count.toInt());
  }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("momentum", momentum());
    archive.write("step", c10::IValue(step()));
  }
};
} // namespace holdfast::test

/// As a user has to tell it whose optimizer has no `load` of its own.
template <>
struct holdfast::OptimizerStateType<holdfast::test::SignOptimizer> {
  using type = holdfast::test::SignState;
};

namespace holdfast::test {

struct SignOptimizer final : optim::Optimizer {
  SignOptimizer(std::vector<at::Tensor> parameters, const SignOptions& options)
      : Optimizer(
            {optim::OptimizerParamGroup(std::move(parameters))},
            std::make_unique<SignOptions>(options)) {}
  at::Tensor step(LossClosure closure) override {
    at::Tensor loss;
    if (closure) {
      const at::AutoGradMode enabled(true);
      loss = closure();
    }
    const c10::NoGradGuard no_grad;
    for (auto& group : param_groups()) {
      for (at::Tensor& parameter : group.params()) {
        if (!parameter.grad().defined()) {
          continue;
        }
        auto& slot = state()[holdfast::detail::state_key<
            std::decay_t<decltype(state())>>(parameter.unsafeGetTensorImpl())];
        if (slot == nullptr) {
          auto fresh = std::make_unique<SignState>();
          fresh->momentum(at::zeros_like(parameter));
          slot = std::move(fresh);
        }
        auto& own = static_cast<SignState&>(*slot);
        own.step(own.step() + 1);
        own.momentum().mul_(0.9).add_(parameter.grad(), 0.1);
        parameter.add_(
            own.momentum().sign(),
            -group.options().get_lr() / static_cast<double>(own.step()));
      }
    }
    return loss;
  }
};

struct OptimizerKind {
  const char* name;
  std::function<std::unique_ptr<optim::Optimizer>(std::vector<at::Tensor>)>
      make;
  /// False where one state spans all parameters, or its meaning is not known.
  bool order_is_free = true;
};

template <class Optimizer, class OptimizerOptions>
OptimizerKind kind(const char* name, const OptimizerOptions& options) {
  return {
      name,
      [options](std::vector<at::Tensor> parameters) {
        return std::make_unique<Optimizer>(std::move(parameters), options);
      },
      !std::is_same_v<Optimizer, optim::LBFGS> &&
          !std::is_same_v<Optimizer, SignOptimizer>};
}

/// Groups, and parameters in them, in the opposite order.
inline void turn_around(optim::Optimizer& optimizer) {
  auto& groups = optimizer.param_groups();
  std::vector<optim::OptimizerParamGroup> turned(
      groups.rbegin(), groups.rend());
  groups.swap(turned);
  for (optim::OptimizerParamGroup& group : groups) {
    std::reverse(group.params().begin(), group.params().end());
  }
}

inline const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> kinds{
      kind<optim::Adam>("Adam", optim::AdamOptions(0.02)),
      kind<optim::Adam>("Adam amsgrad", optim::AdamOptions(0.02).amsgrad(true)),
      kind<optim::AdamW>("AdamW", optim::AdamWOptions(0.02)),
      kind<optim::SGD>("SGD", optim::SGDOptions(0.05)),
      kind<optim::SGD>("SGD momentum", optim::SGDOptions(0.05).momentum(0.9)),
      kind<optim::SGD>(
          "SGD nesterov", optim::SGDOptions(0.05).momentum(0.9).nesterov(true)),
      kind<optim::RMSprop>("RMSprop", optim::RMSpropOptions(0.01)),
      kind<optim::RMSprop>(
          "RMSprop centered", optim::RMSpropOptions(0.01).centered(true)),
      kind<optim::RMSprop>(
          "RMSprop momentum",
          optim::RMSpropOptions(0.01).centered(true).momentum(0.5)),
      kind<optim::Adagrad>("Adagrad", optim::AdagradOptions(0.05)),
      kind<optim::LBFGS>(
          "LBFGS", optim::LBFGSOptions(0.1).max_iter(2).history_size(3)),
      kind<optim::LBFGS>(
          "LBFGS strong Wolfe",
          optim::LBFGSOptions(0.5).max_iter(2).history_size(100).line_search_fn(
              "strong_wolfe")),
      {"Adam in two groups",
       [](std::vector<at::Tensor> parameters) {
         std::vector<at::Tensor> head{parameters.back()};
         parameters.pop_back();
         std::vector<optim::OptimizerParamGroup> groups;
         groups.emplace_back(std::move(parameters));
         groups.emplace_back(
             std::move(head),
             std::make_unique<optim::AdamOptions>(
                 optim::AdamOptions(0.1).weight_decay(0.01)));
         return std::make_unique<optim::Adam>(
             std::move(groups), optim::AdamOptions(0.02));
       }},
      kind<SignOptimizer>("a user's own", SignOptions(0.02)),
  };
  return kinds;
}

// --- schedules ---------------------------------------------------------------

/// A user's own, with state besides the base class's.
struct WarmUp : optim::LRScheduler {
  explicit WarmUp(optim::Optimizer& optimizer) : LRScheduler(optimizer) {}
  std::vector<double> get_lrs() override {
    heat_ = 0.5 * heat_ + 0.01;
    std::vector<double> rates = get_current_lrs();
    for (double& rate : rates) {
      rate += heat_ / (1 + step_count_);
    }
    return rates;
  }
  Values save_state() const {
    return {{"heat", heat_}};
  }
  void load_state(const Values& values) {
    heat_ = holdfast::at(values, "heat").as<double>("heat");
  }

 private:
  double heat_ = 0;
};

enum class Schedule { none, step_lr, plateau, own };

inline const std::vector<std::pair<Schedule, const char*>>& schedules() {
  static const std::vector<std::pair<Schedule, const char*>> all{
      {Schedule::none, "no schedule"},
      {Schedule::step_lr, "StepLR"},
#ifdef HOLDFAST_TEST_PLATEAU
      {Schedule::plateau, "plateau"},
#endif
      {Schedule::own, "own schedule"}};
  return all;
}

// --- one run -----------------------------------------------------------------

/// What is trained.
struct Subject {
  const OptimizerKind* optimizer = nullptr;
  const ModelKind* model = nullptr;
  Schedule schedule = Schedule::none;
};

/// In which order the program lists groups and parameters.
enum class Order { own, turned_around };

inline std::string bits_of(double number) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &number, sizeof bits);
  return std::to_string(bits);
}

/// Thrown out of a loop.
struct Interrupted {};

/// Everything a training run consists of.
class MatrixRun {
 public:
  MatrixRun(
      const Subject& subject,
      std::size_t workers,
      Order order = Order::own)
      : subject_(subject),
        turned_around_(
            order == Order::turned_around && subject.optimizer->order_is_free),
        model_(subject.model->make()),
        optimizer_(subject.optimizer->make(model_->parameters())),
        batches_(holdfast::make_data_loader(
            NoisySamples(),
            DataLoaderOptions(3).seed(3).workers(workers))) {
    if (turned_around_) {
      turn_around(*optimizer_);
    }
    if (subject.schedule == Schedule::step_lr) {
      step_lr_ = std::make_unique<optim::StepLR>(*optimizer_, 1, 0.7);
    } else if (subject.schedule == Schedule::own) {
      own_ = std::make_unique<WarmUp>(*optimizer_);
    }
#ifdef HOLDFAST_TEST_PLATEAU
    if (subject.schedule == Schedule::plateau) {
      // Patience 0: any epoch that is not better lowers the rate.
      plateau_ = std::make_unique<optim::ReduceLROnPlateauScheduler>(
          *optimizer_,
          optim::ReduceLROnPlateauScheduler::max,
          0.5F,
          0,
          1e-4,
          optim::ReduceLROnPlateauScheduler::rel);
    }
#endif
  }

  using Checkpoints =
      CheckpointManager<std::shared_ptr<MatrixModel>, DataLoader<NoisySamples>>;

  [[nodiscard]] std::unique_ptr<Checkpoints> manage(
      const std::string& directory,
      const Options& options) {
    auto checkpoints =
        std::make_unique<Checkpoints>(directory, options, model_, batches_);
    with_optimizer(
        [&](auto& optimizer) { checkpoints->add("optimizer", optimizer); });
    with_scheduler(
        [&](auto& scheduler) { checkpoints->add("scheduler", scheduler); });
    return checkpoints;
  }

  /// Trains to the end; before step `interrupt_after` + 1 it calls `interrupt`.
  /// Without a manager nothing of Holdfast but the order of samples takes part.
  void train(
      Manager* checkpoints,
      std::int64_t interrupt_after = -1,
      const std::function<void()>& interrupt = {}) {
    std::int64_t epoch = 0;
    std::int64_t step = checkpoints ? checkpoints->progress().step : 0;
    const auto running = [&] {
      return checkpoints ? checkpoints->running(epochs(kEpochs))
                         : epoch < kEpochs;
    };
    while (running()) {
      for (const at::Tensor& batch : batches_) {
        const at::Tensor loss = optimizer_->step([&] {
          // As zero_grad(set_to_none), which LibTorch 1.13 has not.
          for (at::Tensor& parameter : model_->parameters()) {
            if (model_->resets_gradients()) {
              parameter.mutable_grad().reset();
            } else if (parameter.grad().defined()) {
              parameter.mutable_grad().zero_();
            }
          }
          at::Tensor error = model_->forward(batch, step).square().mean();
          error.backward();
          return error;
        });
        ++step;
        auto& groups = optimizer_->param_groups();
        log_[step] = bits_of(loss.item<double>()) + " " +
            bits_of((turned_around_ ? groups.back() : groups.front())
                        .options()
                        .get_lr());
        if (step == interrupt_after && checkpoints != nullptr) {
          interrupt(); // killed, or a stop that step() sees
        }
        if (checkpoints) {
          checkpoints->step({{"loss", loss}});
        }
      }
      if (checkpoints && !checkpoints->epoch_done()) {
        return;
      }
      end_epoch();
      if (checkpoints) {
        checkpoints->end_epoch();
      }
      ++epoch;
    }
    if (!checkpoints || checkpoints->epoch() == kEpochs) {
      log_[kFinal] = digest();
    }
  }

  /// Loss and learning rate in bits by step, and `kFinal`: a digest of
  /// everything.
  [[nodiscard]] const std::map<std::int64_t, std::string>& log()
      const noexcept {
    return log_;
  }
  static constexpr std::int64_t kFinal = 1000;

 private:
  /// The state type of a user's own is known by its own type only.
  template <class Use>
  void with_optimizer(Use use) {
    if (auto* const own = dynamic_cast<SignOptimizer*>(optimizer_.get())) {
      use(*own);
    } else {
      use(*optimizer_);
    }
  }
  template <class Use>
  void with_scheduler(Use use) {
    if (step_lr_) {
      use(*step_lr_);
    }
    if (own_) {
      use(*own_);
    }
#ifdef HOLDFAST_TEST_PLATEAU
    if (plateau_) {
      use(*plateau_);
    }
#endif
  }

  void end_epoch() {
    if (step_lr_) {
      step_lr_->step();
    }
    if (own_) {
      own_->step();
    }
#ifdef HOLDFAST_TEST_PLATEAU
    if (plateau_) {
      const c10::NoGradGuard no_grad;
      model_->eval();
      plateau_->step(model_->forward(at::ones({3, 4}), 0).sum().item<float>());
      model_->train();
    }
#endif
  }

  std::string digest() {
    if (turned_around_) { // The order is the program's, not the training's.
      turn_around(*optimizer_);
    }
    Parts parts;
    add(parts, "model", model_);
    with_optimizer(
        [&](auto& optimizer) { add(parts, "optimizer", optimizer); });
    with_scheduler(
        [&](auto& scheduler) { add(parts, "scheduler", scheduler); });
    parts.emplace_back("rng", make_default_generators());
    Hasher hasher;
    for (const auto& [name, stored] : test::capture(parts)) {
      const std::string values = to_json(Value(stored.saved.values));
      hasher.update(ByteView(std::string_view(values)));
      for (std::size_t i = 0; i < stored.bytes.size(); ++i) {
        hasher.update(ByteView(std::string_view(stored.saved.tensors[i].name)));
        hasher.update(ByteView(stored.bytes[i].data(), stored.bytes[i].size()));
      }
    }
    return hasher.digest().hex();
  }

  Subject subject_;
  bool turned_around_;
  std::shared_ptr<MatrixModel> model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<optim::StepLR> step_lr_;
  std::unique_ptr<WarmUp> own_;
#ifdef HOLDFAST_TEST_PLATEAU
  std::unique_ptr<optim::ReduceLROnPlateauScheduler> plateau_;
#endif
  DataLoader<NoisySamples> batches_;
  std::map<std::int64_t, std::string> log_;
};

} // namespace holdfast::test

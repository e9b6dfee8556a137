#include "libtorch/network.hpp"

#include <holdfast/holdfast.hpp>

#include "support/temporary_directory.hpp"

#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/dropout.h>
#include <torch/optim/adam.h>
#include <torch/optim/schedulers/step_lr.h>
#include <torch/optim/sgd.h>

#include <ATen/Parallel.h>
#include <ATen/ops/_empty_affine_quantized.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace optim = torch::optim;

namespace {

Options quiet() {
  return Options().on_event({});
}

struct Level {
  int level = 1;
  double best = 0;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(Level, level, best)
};

/// An average of weights, as users write it.
struct ShadowWeights {
  at::Tensor shadow = at::zeros({3});
  std::int64_t updates = 0;
  bool restored = false;
  template <class V>
  void state(V& v) {
    v("shadow", shadow);
    v("updates", updates);
  }
  void on_restored() {
    restored = true;
  }
};

/// A layer, and one tensor as parameter or as buffer of a module inside.
struct OddOneImpl : torch::nn::Module {
  OddOneImpl(at::Tensor odd, bool is_parameter) {
    register_module("layer", layer);
    auto inner = std::make_shared<torch::nn::Module>();
    if (is_parameter) {
      inner->register_parameter("odd", std::move(odd), false);
    } else {
      inner->register_buffer("odd", std::move(odd));
    }
    register_module("inner", std::move(inner));
  }
  torch::nn::Linear layer{4, 2};
};
TORCH_MODULE(OddOne);

/// One of everything that a manager takes.
struct ManagedRun {
  Network model;
  optim::Adam optimizer{model->parameters(), optim::AdamOptions(0.05)};
  optim::StepLR scheduler{optimizer, 2, 0.5};
  std::mt19937 twister{5};
  std::int64_t samples = 0;
  std::string phase = "warm-up";
  at::Tensor mean = at::zeros({2, 3});
  Level curriculum;
  ShadowWeights average;

  void train(int from, int to) {
    test::train(model, optimizer, from, to);
    scheduler.step();
    twister.discard(static_cast<unsigned long long>(to - from));
    samples += to - from;
    phase = "step " + std::to_string(to);
    mean.add_(0.1 * to);
    curriculum.level += 1;
    curriculum.best = 1.0 / to;
    average.shadow.add_(1.0 / to);
    average.updates += 1;
  }

  Snapshot everything() {
    Parts parts;
    add(parts, "model", model);
    add(parts, "optimizer", optimizer);
    add(parts, "scheduler", scheduler);
    add(parts, "twister", twister);
    add(parts, "samples", samples);
    add(parts, "phase", phase);
    add(parts, "mean", mean);
    add(parts, "curriculum", curriculum);
    add(parts, "average", average);
    parts.emplace_back("rng", make_default_generators());
    return test::capture(parts);
  }
};

/// A manager over all of it, two parts by `add()`.
template <class Use>
void manage(const std::string& directory, ManagedRun& run, Use use) {
  CheckpointManager checkpoints{
      directory,
      quiet(),
      named("samples", run.samples),
      run.model,
      named("twister", run.twister),
      run.optimizer,
      run.scheduler,
      named("mean", run.mean),
      named("curriculum", run.curriculum)};
  static_assert(std::is_same_v<
                decltype(checkpoints),
                CheckpointManager<
                    Named<std::int64_t>,
                    Network,
                    Named<std::mt19937>,
                    optim::Adam,
                    optim::StepLR,
                    Named<at::Tensor>,
                    Named<Level>>>);
  checkpoints.add("phase", run.phase);
  checkpoints.add("average", run.average);
  use(checkpoints);
}

template <class Report>
std::vector<std::string> names_of(const Report& report) {
  std::vector<std::string> names;
  for (const RestoredPart& part : report.parts) {
    names.push_back(part.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// As a trainer would have it, which knows nothing of the parts.
void count_step(Manager& checkpoints, const at::Tensor& loss) {
  checkpoints.step({{"loss", loss}});
}

} // namespace

TEST_CASE("checkpoint manager: every kind of part goes on where it was") {
  const TemporaryDirectory directory;
  seed_everything(1);
  ManagedRun run;
  manage(directory.path(), run, [&](Manager& checkpoints) {
    CHECK_FALSE(checkpoints.resume().resumed());
    run.train(0, 5);
    checkpoints.save().wait();
  });
  const Snapshot saved = run.everything();
  run.train(5, 9);
  const Snapshot finished = run.everything();
  REQUIRE_FALSE(difference(saved, finished).empty());

  seed_everything(2);
  ManagedRun fresh;
  manage(directory.path(), fresh, [&](Manager& checkpoints) {
    const ResumeReport report = checkpoints.resume();
    REQUIRE(report.resumed());
    CHECK(report.exact());
    CHECK(
        names_of(report) ==
        std::vector<std::string>{
            "average",
            "curriculum",
            "mean",
            "model",
            "optimizer",
            "phase",
            "rng",
            "samples",
            "scheduler",
            "twister"});
  });
  CHECK(difference(saved, fresh.everything()).empty());
  CHECK(fresh.average.restored);
  fresh.train(5, 9);
  CHECK(difference(finished, fresh.everything()).empty());
}

TEST_CASE("checkpoint manager: a module is one part however it is held") {
  const TemporaryDirectory directory;
  seed_everything(3);
  int next = 0;
  // Each form loads what the form before it saved.
  std::string former;
  std::string expected;
  const auto goes_round = [&](auto& form, torch::nn::Module& module) {
    CAPTURE(next);
    if (!former.empty()) {
      const LoadReport report = load(former, form);
      CHECK(names_of(report) == std::vector<std::string>{"model"});
      CHECK(module.parameters()[0].sum().item<float>() == Approx(next - 1));
      CHECK(module.buffers()[0].sum().item<float>() == Approx(8 * next - 8));
    }
    const c10::NoGradGuard no_grad;
    module.parameters()[0].fill_(next / 32.0); // 8 by 4
    module.buffers()[0].fill_(next);
    former = directory.path("run-" + std::to_string(next++));
    CheckpointManager checkpoints{former, quiet(), form};
    checkpoints.resume();
    checkpoints.save().wait();
  };

  NetworkImpl on_stack;
  goes_round(on_stack, on_stack);
  Network holder;
  goes_round(holder, *holder);
  auto pointer = std::make_shared<NetworkImpl>();
  goes_round(pointer, *pointer);
  std::shared_ptr<torch::nn::Module> base = std::make_shared<NetworkImpl>();
  goes_round(base, *base);
  NetworkImpl another;
  torch::nn::Module& reference = another;
  goes_round(reference, reference);
  auto shared_holder = std::make_shared<Network>(Network());
  goes_round(*shared_holder, **shared_holder);
  auto accumulating = with_gradients(holder);
  goes_round(accumulating, *holder);
  CHECK(next == 7);
}

TEST_CASE("checkpoint manager: containers of modules") {
  const TemporaryDirectory directory;
  const auto make = [] {
    return torch::nn::Sequential(
        torch::nn::Linear(3, 4), torch::nn::BatchNorm1d(4));
  };
  torch::nn::Sequential sequential = make();
  torch::nn::AnyModule any{torch::nn::Linear(2, 2)};
  CheckpointManager checkpoints{
      directory.path(), quiet(), sequential, named("any", any)};
  static_assert(std::is_same_v<
                decltype(checkpoints),
                CheckpointManager<
                    torch::nn::Sequential,
                    Named<torch::nn::AnyModule>>>);
  checkpoints.resume();
  checkpoints.save().wait();

  torch::nn::Sequential other = make();
  torch::nn::AnyModule any_other{torch::nn::Linear(2, 2)};
  REQUIRE_FALSE(
      at::equal(any.ptr()->parameters()[0], any_other.ptr()->parameters()[0]));
  load(directory.path(), other, named("any", any_other));
  CHECK(at::equal(sequential->parameters()[0], other->parameters()[0]));
  CHECK(
      at::equal(any.ptr()->parameters()[0], any_other.ptr()->parameters()[0]));
}

TEST_CASE("checkpoint manager: optimizers by their base class and shared") {
  const TemporaryDirectory directory;
  seed_everything(4);
  Network model;
  auto shared = std::make_shared<optim::Adam>(model->parameters());
  auto scheduler = std::make_shared<optim::StepLR>(*shared, 1, 0.5);
  {
    optim::Optimizer& base = *shared;
    optim::LRScheduler& base_scheduler = *scheduler;
    CheckpointManager checkpoints{
        directory.path(), quiet(), model, base, base_scheduler};
    static_assert(
        std::is_same_v<
            decltype(checkpoints),
            CheckpointManager<Network, optim::Optimizer, optim::LRScheduler>>);
    checkpoints.resume();
    train(model, *shared, 0, 3);
    scheduler->step();
    checkpoints.save().wait();
  }
  train(model, *shared, 3, 6);

  Network other;
  auto other_optimizer = std::make_shared<optim::Adam>(other->parameters());
  auto other_scheduler =
      std::make_shared<optim::StepLR>(*other_optimizer, 1, 0.5);
  CheckpointManager checkpoints{
      directory.path(), quiet(), other, other_optimizer, other_scheduler};
  CHECK(checkpoints.resume().resumed());
  CHECK(
      other_optimizer->param_groups()[0].options().get_lr() ==
      shared->param_groups()[0].options().get_lr());
  train(other, *other_optimizer, 3, 6);
  for (std::size_t i = 0; i < model->parameters().size(); ++i) {
    CHECK(at::equal(model->parameters()[i], other->parameters()[i]));
  }
}

TEST_CASE("checkpoint manager: a module that was forgotten is an error") {
  const TemporaryDirectory directory;
  torch::nn::Linear encoder(4, 2);
  torch::nn::Linear decoder(2, 4);
  at::Tensor scale = at::ones({3}).set_requires_grad(true);
  std::vector<at::Tensor> all = encoder->parameters();
  for (const at::Tensor& parameter : decoder->parameters()) {
    all.push_back(parameter);
  }
  all.push_back(scale);
  optim::Adam optimizer(all);
  const auto refused = [&](const std::string& what, auto&... parts) {
    CheckpointManager checkpoints{
        directory.path(), quiet(), encoder, optimizer, parts...};
    const auto error = error_of([&] { checkpoints.resume(); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::not_capturable);
    CHECK_THAT(error->what(), contains(what));
  };
  auto with_decoder = named("decoder", decoder);
  auto with_scale = named("scale", scale);
  refused("group 0, parameter 2 ([4, 2]) belongs to no part that is saved");
  refused("group 0, parameter 2 ([4, 2])", with_scale);
  refused("group 0, parameter 4 ([3])", with_decoder);

  CheckpointManager checkpoints{
      directory.path(), quiet(), encoder, optimizer, with_decoder, with_scale};
  checkpoints.resume();
  checkpoints.save().wait();
  scale.detach().zero_();
  load(directory.path(), with_scale);
  CHECK(at::equal(scale, at::ones({3})));
}

TEST_CASE("checkpoint manager: resume refuses what no save could hold") {
  const TemporaryDirectory directory;
  const OneThread one_thread;
  const auto quantized = [] {
    return at::_empty_affine_quantized(
               {2, 3}, at::TensorOptions().dtype(at::kQInt8), 0.5, 3)
        .fill_(1.5);
  };
  const auto sparse = [] {
    return at::ones({2, 3}).to_sparse();
  };
  const auto elements = [](const at::Tensor& tensor) {
    return (tensor.is_quantized() ? tensor.int_repr() : tensor.to_dense())
        .clone();
  };
  // `odd` is in one of the parts, under that name.
  const auto refused = [&](const std::string& run,
                           ErrorCode code,
                           const std::string& part,
                           const std::string& name,
                           const at::Tensor& odd,
                           torch::nn::Linear& layer,
                           auto&... parts) {
    INFO(run << ": " << part << ", " << name);
    const std::string path = directory.path(run);
    const std::vector<std::string> files = std::filesystem::exists(path)
        ? files_in(path)
        : std::vector<std::string>();
    const at::Tensor weight = layer->weight.detach().clone();
    const at::Tensor was = elements(odd);
    const c10::Layout layout = odd.layout();
    seed_everything(11);
    {
      CheckpointManager checkpoints{path, quiet(), parts...};
      const auto error = error_of([&] { checkpoints.resume(); });
      REQUIRE(error);
      CHECK(error->code() == code);
      CHECK(error->path() == "part " + part);
      CHECK(error->name() == name);
      CHECK(code_of([&] { checkpoints.step(); }) == "not_resumed");
    }
    const at::Tensor drawn = at::randn({4});
    seed_everything(11);
    CHECK(at::equal(drawn, at::randn({4})));
    CHECK(at::equal(layer->weight, weight));
    CHECK(odd.layout() == layout);
    CHECK(at::equal(elements(odd), was));
    // Not even the directory is made.
    CHECK(std::filesystem::exists(path) == !files.empty());
    if (!files.empty()) {
      CHECK(files_in(path) == files);
    }
  };

  // Runs whose parts could be saved, and of which one no longer can.
  for (const bool is_parameter : {true, false}) {
    OddOne dense(at::ones({2, 3}), is_parameter);
    at::Tensor mask = at::ones({2, 3});
    CheckpointManager checkpoints{
        directory.path(is_parameter ? "parameter" : "buffer"),
        quiet(),
        dense,
        named("mask", mask)};
    checkpoints.resume();
    checkpoints.save().wait();
  }

  for (const bool exists : {false, true}) {
    for (const bool is_parameter : {true, false}) {
      const std::string kind = is_parameter ? "parameter" : "buffer";
      const std::string run = exists ? kind : "new";
      for (const bool is_sparse : {false, true}) {
        const ErrorCode code = is_sparse ? ErrorCode::not_capturable
                                         : ErrorCode::unsupported_dtype;
        const at::Tensor odd = is_sparse ? sparse() : quantized();
        OddOne model(odd, is_parameter);
        at::Tensor mask = at::ones({2, 3});
        auto good_mask = named("mask", mask);
        refused(
            run,
            code,
            "model",
            "inner.odd",
            odd,
            model->layer,
            model,
            good_mask);

        OddOne good(at::ones({2, 3}), is_parameter);
        at::Tensor bad = odd;
        auto bad_mask = named("mask", bad);
        refused(run, code, "mask", "tensor", odd, good->layer, good, bad_mask);
      }
    }
  }
}

TEST_CASE("checkpoint manager: two networks that play against each other") {
  const TemporaryDirectory directory;
  struct Game {
    Network generator;
    Network discriminator;
    optim::Adam generator_optimizer{
        generator->parameters(),
        optim::AdamOptions(0.01)};
    optim::SGD discriminator_optimizer{
        discriminator->parameters(),
        optim::SGDOptions(0.02).momentum(0.9)};

    void play(Manager* checkpoints, int from, int to) {
      for (int step = from; step < to; ++step) {
        train(generator, generator_optimizer, step, step + 1);
        train(discriminator, discriminator_optimizer, step, step + 1);
        if (checkpoints != nullptr) {
          count_step(*checkpoints, at::ones({}));
        }
      }
    }
    Snapshot everything() {
      Parts parts;
      add(parts, "generator", generator);
      add(parts, "discriminator", discriminator);
      add(parts, "generator-optimizer", generator_optimizer);
      add(parts, "discriminator-optimizer", discriminator_optimizer);
      parts.emplace_back("rng", make_default_generators());
      return test::capture(parts);
    }
  };
  const auto play = [&](Game& game, int from, int to) {
    CheckpointManager checkpoints{
        directory.path(),
        quiet().save_every(steps(4)),
        named("generator", game.generator),
        named("discriminator", game.discriminator),
        named("generator-optimizer", game.generator_optimizer),
        named("discriminator-optimizer", game.discriminator_optimizer)};
    const ResumeReport report = checkpoints.resume();
    CHECK(checkpoints.progress().step == from);
    game.play(&checkpoints, from, to);
    return report;
  };
  seed_everything(6);
  Game uninterrupted;
  uninterrupted.play(nullptr, 0, 12);
  const Snapshot expected = uninterrupted.everything();

  seed_everything(6);
  Game killed;
  CHECK_FALSE(play(killed, 0, 7).resumed());
  seed_everything(7);
  Game resumed;
  CHECK(play(resumed, 4, 12).resumed());
  CHECK(difference(expected, resumed.everything()).empty());
}

TEST_CASE("checkpoint manager: metrics are numbers, tensors and maps") {
  const TemporaryDirectory directory;
  Network model;
  CheckpointManager checkpoints{
      directory.path(), quiet().save_every(steps(1)), model};
  checkpoints.resume();
  const at::Tensor loss =
      (model->input->weight.sum() * 0 + 0.75).requires_grad_(true);
  REQUIRE(loss.requires_grad());
  checkpoints.step(
      {{"loss", loss},
       {"half", at::ones({1, 1}, at::kHalf)},
       {"count", 3},
       {"rate", 0.5F}});
  CHECK(loss.use_count() == 1); // nobody keeps the graph
  const Metrics::Map metrics = checkpoints.latest()->metrics.values();
  CHECK(metrics.at("loss") == 0.75);
  CHECK(metrics.at("half") == 1);
  CHECK(metrics.at("count") == 3);
  CHECK(metrics.at("rate") == 0.5);
  checkpoints.step(std::map<std::string, at::Tensor>{{"loss", loss * 3}});
  CHECK(checkpoints.epoch_mean("loss") == 1.5);
  for (const at::Tensor& none : {at::zeros({2}), at::Tensor()}) {
    CHECK(code_of([&] {
            checkpoints.step({{"loss", none}});
          }) == "invalid_argument");
  }
  CHECK(checkpoints.progress().step == 2);
}

TEST_CASE("checkpoint manager: load for inference and fine-tuning") {
  const TemporaryDirectory directory;
  seed_everything(8);
  ManagedRun run;
  std::string first;
  std::vector<at::Tensor> old_weights;
  manage(directory.path(), run, [&](Manager& checkpoints) {
    checkpoints.resume();
    run.train(0, 2);
    checkpoints.save().wait();
    first = checkpoints.latest()->path;
    for (const at::Tensor& parameter : run.model->parameters()) {
      old_weights.push_back(parameter.detach().clone());
    }
    run.train(2, 4);
    checkpoints.save().wait();
  });
  const std::vector<std::string> files = files_in(directory.path());
  const at::Tensor random_state = at::randn({2});

  Network newest;
  seed_everything(9);
  const LoadReport report = load(directory.path(), newest);
  CHECK(report.checkpoint.sequence == 2);
  CHECK(names_of(report) == std::vector<std::string>{"model"});
  const at::Tensor drawn = at::randn({2});
  seed_everything(9);
  CHECK(at::equal(drawn, at::randn({2}))); // random state is left alone
  Network older;
  std::int64_t samples = 0;
  load(first, older, named("samples", samples));
  CHECK(samples == 2);
  for (std::size_t i = 0; i < old_weights.size(); ++i) {
    CHECK(at::equal(run.model->parameters()[i], newest->parameters()[i]));
    CHECK(at::equal(old_weights[i], older->parameters()[i]));
  }
  CHECK(files_in(directory.path()) == files);

  Network untouched;
  const at::Tensor weight = untouched->input->weight.detach().clone();
  CHECK(code_of([&] {
          load(directory.path("nothing"), untouched);
        }) == "not_found");
  CHECK(code_of([&] {
          load(first, untouched, named("other", samples));
        }) == "part_missing");
  CHECK(at::equal(weight, untouched->input->weight));
}

namespace {

/// A network, a tensor and a network in a struct, in training or not.
struct Modes {
  struct Inner {
    Network network;
    template <class V>
    void state(V& v) {
      v("network", network);
    }
  };
  explicit Modes(bool evaluating) {
    for (Network* network : {&model, &inner.network, pointer.get()}) {
      (*network)->forward(at::randn({4, 4}), true).sum().backward();
      if (!evaluating) {
        continue;
      }
      (*network)->eval();
      (*network)->norm->train();
      for (at::Tensor& parameter : (*network)->parameters()) {
        parameter.set_requires_grad(false);
      }
      (*network)->frozen->weight.set_requires_grad(true);
    }
    scale.set_requires_grad(!evaluating);
  }
  /// All but the values of parameters and buffers.
  std::string text() {
    std::string text = scale.requires_grad() ? "grad" : "fixed";
    for (Network* network : {&model, &inner.network, pointer.get()}) {
      for (const auto& module : (*network)->modules()) {
        text += module->is_training() ? " train" : " eval";
      }
      for (const at::Tensor& parameter : (*network)->parameters()) {
        text += parameter.requires_grad() ? " grad" : " fixed";
        text += parameter.grad().defined()
            ? std::to_string(parameter.grad().square().sum().item<double>())
            : "-";
      }
    }
    return text;
  }
  Network model;
  Inner inner;
  std::shared_ptr<Network> pointer = std::make_shared<Network>();
  at::Tensor scale = at::ones({2});
};

} // namespace

TEST_CASE("checkpoint manager: load leaves modes, flags and gradients alone") {
  const TemporaryDirectory directory;
  seed_everything(21);
  const auto run = [&](Modes& modes, auto use) {
    auto accumulating = with_gradients(modes.model);
    use(named("model", accumulating),
        named("inner", modes.inner),
        named("pointer", modes.pointer),
        named("scale", modes.scale));
  };
  Modes training(false);
  run(training, [&](auto... parts) {
    CheckpointManager checkpoints{directory.path(), quiet(), parts...};
    checkpoints.resume();
    checkpoints.save().wait();
  });
  Modes evaluating(true);
  evaluating.model->output->weight.mutable_grad() = at::Tensor();
  const std::string before = evaluating.text();
  REQUIRE(before != training.text());
  run(evaluating, [&](auto... parts) { load(directory.path(), parts...); });
  CHECK(evaluating.text() == before);
  for (std::size_t i = 0; i < training.model->parameters().size(); ++i) {
    CHECK(at::equal(
        training.model->parameters()[i], evaluating.model->parameters()[i]));
    CHECK(at::equal(
        training.inner.network->parameters()[i],
        evaluating.inner.network->parameters()[i]));
    CHECK(at::equal(
        (*training.pointer)->parameters()[i],
        (*evaluating.pointer)->parameters()[i]));
  }

  run(evaluating, [&](auto... parts) {
    CheckpointManager checkpoints{directory.path(), quiet(), parts...};
    CHECK(checkpoints.resume().resumed());
  });
  CHECK(evaluating.scale.requires_grad());
  for (Network* network :
       {&evaluating.model,
        &evaluating.inner.network,
        evaluating.pointer.get()}) {
    CHECK((*network)->is_training());
    CHECK((*network)->dropout->is_training());
    CHECK((*network)->input->weight.requires_grad());
    CHECK_FALSE((*network)->frozen->weight.requires_grad());
    CHECK((*network)->output->weight.grad().defined());
  }
  CHECK(at::equal(
      evaluating.model->output->weight.grad(),
      training.model->output->weight.grad()));
}

namespace {

/// Tries to resume with a module, an optimizer and a counter.
template <class Module, class Optimizer>
std::optional<Error> try_resume(
    const std::string& directory,
    Module& model,
    Optimizer& optimizer) {
  std::int64_t samples = 17;
  CheckpointManager checkpoints{
      directory, quiet(), model, optimizer, named("samples", samples)};
  const auto error = error_of([&] { checkpoints.resume(); });
  CHECK(samples == 17);
  return error;
}

/// The same two objects, captured with the generators.
template <class Module, class Optimizer>
Snapshot snapshot_of(Module& model, Optimizer& optimizer) {
  Parts parts;
  add(parts, "model", model);
  add(parts, "optimizer", optimizer);
  parts.emplace_back("rng", make_default_generators());
  return test::capture(parts);
}

/// A network whose sizes and layers are chosen.
struct OtherImpl : torch::nn::Module {
  OtherImpl(std::int64_t hidden, const std::vector<std::string>& layers) {
    for (const std::string& name : layers) {
      register_module(name, torch::nn::Linear(4, hidden));
    }
  }
};

} // namespace

TEST_CASE("checkpoint manager: what does not match changes nothing") {
  const TemporaryDirectory directory;
  seed_everything(10);
  const std::vector<std::string> layers{"first", "second"};
  const auto grown = [](torch::nn::Module& module, optim::Optimizer& by) {
    for (at::Tensor& parameter : module.parameters()) {
      parameter.mutable_grad() = at::randn(
          parameter.sizes(), parameter.options().requires_grad(false));
    }
    by.step();
  };
  OtherImpl saved(3, layers);
  optim::Adam saved_optimizer(saved.parameters());
  grown(saved, saved_optimizer);
  {
    std::int64_t samples = 4;
    CheckpointManager checkpoints{
        directory.path(),
        quiet(),
        saved,
        saved_optimizer,
        named("samples", samples)};
    checkpoints.resume();
    checkpoints.save().wait();
  }

  const auto refused = [&](auto& model,
                           auto& optimizer,
                           const std::string& code,
                           const std::vector<std::string>& pieces) {
    grown(model, optimizer);
    const Snapshot before = snapshot_of(model, optimizer);
    const auto error = try_resume(directory.path(), model, optimizer);
    REQUIRE(error);
    INFO(error->what());
    CHECK(to_string(error->code()) == code);
    for (const std::string& piece : pieces) {
      CHECK_THAT(error->what(), contains(piece));
    }
    CHECK_THAT(error->what(), contains("ckpt-000001-step-0"));
    CHECK(difference(before, snapshot_of(model, optimizer)).empty());
  };

  SECTION("shapes: every one is told") {
    OtherImpl model(5, layers);
    optim::Adam optimizer(model.parameters());
    refused(
        model,
        optimizer,
        "shape_mismatch",
        {"'model: first.weight'",
         "'model: first.bias'",
         "'model: second.weight'",
         "'model: second.bias'",
         "found [3, 4], expected [5, 4]"});
  }
  SECTION("dtypes") {
    OtherImpl model(3, layers);
    model.to(at::kDouble);
    optim::Adam optimizer(model.parameters());
    refused(
        model,
        optimizer,
        "dtype_mismatch",
        {"'model: first.weight'",
         "'model: second.bias'",
         "found F32, expected F64"});
  }
  SECTION("a layer more") {
    OtherImpl model(3, {"first", "second", "third"});
    optim::Adam optimizer(model.parameters());
    refused(
        model,
        optimizer,
        "name_missing",
        {"'model: third.weight'", "'model: third.bias'", "(name_missing)"});
  }
  SECTION("a layer less") {
    OtherImpl model(3, {"second"});
    optim::Adam optimizer(model.parameters());
    refused(
        model,
        optimizer,
        "name_unexpected",
        {"'model: first.weight'", "'model: first.bias'", "(name_unexpected)"});
  }
  SECTION("another optimizer") {
    OtherImpl model(3, layers);
    optim::SGD optimizer(
        model.parameters(), optim::SGDOptions(0.1).momentum(0.5));
    refused(
        model,
        optimizer,
        "type_mismatch",
        {"torch::optim::SGD", "torch::optim::Adam", "optimizer"});
  }
  SECTION("all at once") {
    OtherImpl model(5, {"first", "third"});
    optim::SGD optimizer(model.parameters(), optim::SGDOptions(0.1));
    refused(
        model,
        optimizer,
        "shape_mismatch",
        {"'model: first.weight'",
         "'model: third.weight'",
         "'model: second.weight'",
         "torch::optim::Adam",
         "(shape_mismatch)",
         "(name_missing)",
         "(name_unexpected)",
         "(type_mismatch)"});
  }
  SECTION("parts that are missing and parts that are left over") {
    OtherImpl model(3, layers);
    optim::Adam optimizer(model.parameters());
    grown(model, optimizer);
    const Snapshot before = snapshot_of(model, optimizer);
    std::string other = "as it was";
    CheckpointManager checkpoints{
        directory.path(), quiet(), model, optimizer, named("other", other)};
    const auto error = error_of([&] { checkpoints.resume(); });
    REQUIRE(error);
    INFO(error->what());
    CHECK(error->code() == ErrorCode::part_unexpected);
    CHECK_THAT(error->what(), contains("'samples'"));
    CHECK_THAT(error->what(), contains("(part_unexpected)"));
    CHECK_THAT(error->what(), contains("'other'"));
    CHECK_THAT(error->what(), contains("(part_missing)"));
    CHECK(other == "as it was");
    CHECK(difference(before, snapshot_of(model, optimizer)).empty());
  }

  // The directory was let go, and a run that matches goes on.
  OtherImpl model(3, layers);
  optim::Adam optimizer(model.parameters());
  std::int64_t samples = 0;
  CheckpointManager checkpoints{
      directory.path(), quiet(), model, optimizer, named("samples", samples)};
  CHECK(checkpoints.resume().resumed());
  CHECK(samples == 4);
  CHECK(at::equal(model.parameters()[0], saved.parameters()[0]));
}

TEST_CASE("checkpoint manager: the environment is compared") {
  const TemporaryDirectory directory;
  const int threads = at::get_num_threads();
  Network model;
  at::set_num_threads(threads + 1);
  {
    CheckpointManager checkpoints{
        directory.path(), quiet().tag("data", "v1"), model};
    checkpoints.resume();
    checkpoints.save().wait();
  }
  at::set_num_threads(threads);
  CheckpointManager checkpoints{
      directory.path(), quiet().tag("data", "v2"), model};
  const ResumeReport report = checkpoints.resume();
  CHECK(report.resumed());
  CHECK_FALSE(report.exact());
  const auto told = [&](const std::string& name) {
    for (const EnvironmentDifference& difference : report.differences) {
      if (difference.name == name) {
        return difference.was + " -> " + difference.is + " " +
            to_string(difference.severity);
      }
    }
    return std::string("nothing");
  };
  CHECK(
      told("threads.intra_op") ==
      std::to_string(threads + 1) + " -> " + std::to_string(threads) +
          " breaks_bit_equality");
  CHECK(told("tag.data") == "v1 -> v2 breaks_bit_equality");
  CHECK(told("libtorch.version") == "nothing");
  CHECK_THAT(report.to_string(), contains("threads.intra_op"));
}

TEST_CASE("checkpoint manager: GPUs that are not used break nothing") {
  Environment program;
  program.set("gpu.models", "A GPU", Severity::breaks_bit_equality);
  program.set("machine.processor", "P", Severity::breaks_bit_equality);
  const auto recorded = [&program](bool uses_cuda) {
    Environment record =
        holdfast::detail::joined_environment(Environment(), program, uses_cuda);
    // As managers do: what is there stays.
    record.entries.insert(program.entries.begin(), program.entries.end());
    CHECK(
        record.entries.at("machine.processor").severity ==
        Severity::breaks_bit_equality);
    CHECK(record.entries.at("gpu.models").value == "A GPU");
    return record.entries.at("gpu.models").severity;
  };
  CHECK(recorded(false) == Severity::information);
  CHECK(recorded(true) == Severity::breaks_bit_equality);
  CHECK(holdfast::detail::joined_environment({}, {}, false).entries.empty());
}

namespace {

/// Does not say what its state is.
struct Mute : optim::Optimizer {
  explicit Mute(std::vector<at::Tensor> parameters)
      : Optimizer(
            std::move(parameters),
            std::make_unique<optim::SGDOptions>(0.1)) {}
  at::Tensor step(LossClosure) override {
    return {};
  }
};

} // namespace

TEST_CASE("checkpoint manager: what was changed is told in full") {
  const TemporaryDirectory directory;
  struct Net : torch::nn::Module {
    explicit Net(const std::string& second) {
      register_module("first", torch::nn::Linear(1, 1));
      register_module(second, torch::nn::Dropout(0.5));
      register_parameter(second + "_scale", at::ones({2}));
    }
  };
  Net saved("second");
  optim::Adam adam(saved.parameters(), optim::AdamOptions(0.1));
  const int threads = at::get_num_threads();
  {
    CheckpointManager checkpoints{directory.path(), quiet(), saved, adam};
    checkpoints.resume();
    adam.param_groups()[0].options().set_lr(0.025); // a scheduler
    checkpoints.save().wait();
  }
  const std::string at_checkpoint =
      "'" + directory.path() + "/ckpt-000001-step-0': ";

  SECTION("the optimizer's type") {
    optim::SGD sgd(saved.parameters(), optim::SGDOptions(0.1));
    CheckpointManager checkpoints{
        directory.path(), quiet(), saved, named("optimizer", sgd)};
    CHECK(
        error_of([&] { checkpoints.resume(); })->what() ==
        at_checkpoint +
            "'optimizer: type': the checkpoint does not match: found "
            "torch::optim::Adam, expected torch::optim::SGD (type_mismatch)");
  }
  SECTION("an optimizer that cannot be saved") {
    Mute mute(saved.parameters());
    CheckpointManager checkpoints{directory.path(), quiet(), saved, mute};
    CHECK(
        error_of([&] { checkpoints.resume(); })->what() ==
        std::string(
            "'part optimizer': '(anonymous namespace)::Mute': nothing says "
            "what its state is: specialise holdfast::OptimizerStateType with "
            "the type of its parameter states (void if it has none), override "
            "save() and load(), or specialise holdfast::StateAdapter "
            "(not_capturable)"));
  }
  SECTION("a layer's name") {
    Net renamed("other");
    optim::Adam same(renamed.parameters(), optim::AdamOptions(0.1));
    CheckpointManager checkpoints{directory.path(), quiet(), renamed, same};
    CHECK(
        error_of([&] { checkpoints.resume(); })->what() ==
        at_checkpoint +
            "the checkpoint does not match in 4 places:\n"
            "  'model: other_scale': found nothing, expected F32 [2] "
            "(name_missing)\n"
            "  'model: second_scale': found F32 [2], expected nothing "
            "(name_unexpected)\n"
            "  'optimizer: model.other_scale': found nothing, expected a "
            "parameter in group 0 (name_missing)\n"
            "  'optimizer: model.second_scale': found a parameter, expected "
            "nothing in group 0 (name_unexpected)\n"
            "  (name_missing)");
  }
  SECTION("options, mode and threads go into the report") {
    Net fresh("second");
    fresh.children()[1]->eval();
    optim::Adam other(fresh.parameters(), optim::AdamOptions(0.2));
    at::set_num_threads(threads + 1);
    CheckpointManager checkpoints{directory.path(), quiet(), fresh, other};
    std::string report = checkpoints.resume().to_string();
    at::set_num_threads(threads);
    const std::size_t mkl = report.find("\n  environment: threads.mkl");
    if (mkl != std::string::npos) { // Only where there is MKL.
      report.erase(mkl, report.find('\n', mkl + 1) - mkl);
    }
    CHECK(
        report.substr(report.find('\n')) ==
        "\n  environment: threads.intra_op was '" + std::to_string(threads) +
            "', is '" + std::to_string(threads + 1) +
            "' (breaks_bit_equality)"
            "\n  note: model: the saved mode is used, training, and not that "
            "of the program: 'second'"
            "\n  note: optimizer: group 0: lr was 0.1 in the program, is 0.2: "
            "the saved one is used, 0.025");
    CHECK(fresh.children()[1]->is_training());
    CHECK(other.param_groups()[0].options().get_lr() == 0.025);
  }
}

TEST_CASE("checkpoint manager: nothing is told of a resume that failed") {
  const TemporaryDirectory directory;
  const auto optimizer_of = [](Network& model, double lr) {
    return optim::Adam(model->parameters(), optim::AdamOptions(lr));
  };
  {
    Network model;
    optim::Adam optimizer = optimizer_of(model, 0.01);
    CheckpointManager checkpoints{directory.path(), quiet(), model, optimizer};
    checkpoints.resume();
    checkpoints.save().wait();
  }
  Network model;
  model->eval();
  optim::Adam optimizer = optimizer_of(model, 0.3);
  int unsaved = 0;
  CheckpointManager checkpoints{
      directory.path(), quiet(), model, optimizer, named("more", unsaved)};
  CHECK_THROWS_AS(checkpoints.resume(), Error);
  const ResumeReport report = checkpoints.start_fresh("anew");
  CHECK(report.notes.empty());
  CHECK(report.exact());
  CHECK(optimizer.param_groups()[0].options().get_lr() == 0.3);
}

TEST_CASE("checkpoint manager: saving moves no generator") {
  const TemporaryDirectory directory;
  Network model;
  CheckpointManager checkpoints{
      directory.path(), quiet().save_every(steps(1)), model};
  checkpoints.resume();
  seed_everything(11);
  const at::Tensor expected = at::randn({8});
  seed_everything(11);
  checkpoints.step();
  checkpoints.save().wait();
  CHECK(at::equal(at::randn({8}), expected));
}

namespace {

/// Where in a step an exception comes.
enum class Failing { nowhere, fetch, forward, backward, update };

/// Twelve steps of plain SGD, which writes past the tensors' version counters.
void train_with_run(
    CheckpointManager<Network, optim::SGD>& checkpoints,
    Network& model,
    optim::SGD& optimizer,
    Failing failing,
    std::int64_t failing_step) {
  const auto fail_here = [&](Failing here) {
    if (here == failing && checkpoints.progress().step + 1 == failing_step) {
      TORCH_CHECK(false, "out of memory");
    }
  };
  checkpoints.run([&] {
    while (checkpoints.running(steps(12))) {
      fail_here(Failing::fetch);
      const at::Tensor x = at::randn({6, 4});
      optimizer.zero_grad();
      const at::Tensor y = model->forward(x, true);
      fail_here(Failing::forward);
      y.square().mean().backward();
      fail_here(Failing::backward);
      if (failing == Failing::update) {
        at::Tensor first = model->parameters().front();
        first.data().add_(first.grad(), -0.1);
        fail_here(Failing::update);
        first.data().add_(first.grad(), 0.1);
      }
      optimizer.step();
      checkpoints.step();
    }
  });
}

/// The newest step, and all state after the goal.
std::pair<std::int64_t, Snapshot> trained_with_run(
    const std::string& directory,
    Failing failing,
    std::int64_t failing_step,
    std::uint64_t memory) {
  seed_everything(3);
  Network model;
  optim::SGD optimizer(model->parameters(), optim::SGDOptions(0.1));
  CheckpointManager checkpoints{
      directory,
      quiet().save_every(steps(8)).exception_overhead(1, memory),
      model,
      optimizer};
  const std::int64_t resumed_at = [&] {
    checkpoints.resume();
    return checkpoints.progress().step;
  }();
  if (failing == Failing::nowhere) {
    train_with_run(checkpoints, model, optimizer, failing, failing_step);
  } else {
    CHECK_THROWS_AS(
        train_with_run(checkpoints, model, optimizer, failing, failing_step),
        c10::Error);
  }
  Parts parts;
  add(parts, "model", model);
  add(parts, "optimizer", optimizer);
  parts.emplace_back("rng", make_default_generators());
  return {resumed_at, test::capture(parts)};
}

} // namespace

TEST_CASE("checkpoint manager: an exception costs no step") {
  const OneThread one_thread;
  TemporaryDirectory directory;
  const auto whole =
      trained_with_run(directory.path() + "/whole", Failing::nowhere, -1, 0);
  struct Case {
    Failing failing;
    std::uint64_t memory;
    bool saved;
  };
  // What forward has changed, running statistics, is small.
  const std::uint64_t statistics = 256;
  const std::uint64_t everything = 1 << 20;
  const std::vector<Case> cases = {
      {Failing::fetch, 0, true},
      {Failing::forward, 0, false},
      {Failing::forward, statistics, true},
      {Failing::backward, statistics, true},
      {Failing::update, statistics, false},
      {Failing::update, everything, true}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    const std::string run = directory.path() + "/" + std::to_string(i);
    static_cast<void>(
        trained_with_run(run, cases[i].failing, 6, cases[i].memory));
    const auto rest = trained_with_run(run, Failing::nowhere, -1, 0);
    CHECK(rest.first == (cases[i].saved ? 5 : 0));
    CHECK(difference(rest.second, whole.second).empty());
  }
}

TEST_CASE("checkpoint manager: a run on a GPU goes on there", "[cuda]") {
  const TemporaryDirectory directory;
  const at::Device cuda("cuda:0");
  const auto bits = [](Network& model) {
    std::vector<at::Tensor> values;
    for (const at::Tensor& parameter : model->parameters()) {
      values.push_back(parameter.detach().cpu());
    }
    return values;
  };
  seed_everything(12);
  Network model;
  model->to(cuda);
  optim::Adam optimizer(model->parameters(), optim::AdamOptions(0.05));
  {
    CheckpointManager checkpoints{directory.path(), quiet(), model, optimizer};
    checkpoints.resume();
    train(model, optimizer, 0, 5);
    checkpoints.save().wait();
  }
  const std::vector<at::Tensor> saved = bits(model);
  train(model, optimizer, 5, 9);
  const std::vector<at::Tensor> expected = bits(model);

  seed_everything(13);
  Network resumed;
  resumed->to(cuda);
  optim::Adam resumed_optimizer(
      resumed->parameters(), optim::AdamOptions(0.05));
  CheckpointManager checkpoints{
      directory.path(), quiet(), resumed, resumed_optimizer};
  CHECK(checkpoints.resume().exact());
  train(resumed, resumed_optimizer, 5, 9);
  const std::vector<at::Tensor> got = bits(resumed);
  Network on_host;
  load(directory.path(), on_host);
  const std::vector<at::Tensor> host = bits(on_host);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(at::equal(got[i], expected[i]));
    CHECK(at::equal(host[i], saved[i]));
  }
}

TEST_CASE("manager: tensors over each other are restored right or refused") {
  const TemporaryDirectory directory;
  const auto resume = [&](std::vector<at::Tensor>& slots) {
    CheckpointManager checkpoints(
        directory.path("slots"), quiet(), named("slots", slots));
    checkpoints.resume();
    slots[1] = at::full({1}, 5.0);
    checkpoints.save().wait();
  };
  std::vector<at::Tensor> apart{at::zeros({1}), at::zeros({1})};
  resume(apart);
  std::vector<at::Tensor> together(2, at::full({1}, 7.0));
  const auto error = error_of([&] { resume(together); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::type_mismatch);
  CHECK_THAT(std::string(error->what()), contains("the memory of 'slots: 0"));
  CHECK(together[0].item<float>() == 7);
  apart = {at::ones({1}), at::ones({1})};
  resume(apart);
  CHECK(apart[0].item<float>() == 0);
}

TEST_CASE("manager: two modules over one memory, of which one moved on") {
  const TemporaryDirectory directory;
  torch::nn::Linear online(2, 2);
  torch::nn::Linear target(2, 2);
  const auto tie = [&] {
    target->weight.set_data(online->weight.data());
    target->bias.set_data(online->bias.data());
  };
  const auto resume = [&] {
    CheckpointManager checkpoints(
        directory.path(),
        quiet(),
        named("online", online),
        named("target", target));
    checkpoints.resume();
    checkpoints.save().wait();
  };
  tie();
  resume();
  resume();
  target = torch::nn::Linear(2, 2);
  {
    CheckpointManager checkpoints(
        directory.path(),
        quiet(),
        named("online", online),
        named("target", target));
    checkpoints.start_fresh("untied");
    checkpoints.save().wait();
  }
  tie();
  CHECK(code_of(resume) == "type_mismatch");
}

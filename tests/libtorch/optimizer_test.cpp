#include "libtorch/network.hpp"

#include <holdfast/base/text.hpp>
#include <holdfast/libtorch/compat.hpp>
#include <holdfast/state/builtin.hpp>
#include <holdfast/state/extra_state.hpp>

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace optim = torch::optim;

namespace {

using Make = std::function<
    std::unique_ptr<optim::Optimizer>(std::vector<at::Tensor>, double lr)>;

template <class Optimizer, class Options>
Make maker(Options options) {
  return [options](std::vector<at::Tensor> parameters, double lr) {
    Options with_lr = options;
    with_lr.lr(lr);
    return std::make_unique<Optimizer>(std::move(parameters), with_lr);
  };
}

struct Configuration {
  std::string name;
  Make make;
};

const std::vector<Configuration>& configurations() {
  static const std::vector<Configuration> all{
      {"Adam", maker<optim::Adam>(optim::AdamOptions().betas({0.8, 0.99}))},
      {"Adam amsgrad",
       maker<optim::Adam>(
           optim::AdamOptions().amsgrad(true).weight_decay(0.01))},
      {"AdamW", maker<optim::AdamW>(optim::AdamWOptions())},
      {"AdamW amsgrad",
       maker<optim::AdamW>(optim::AdamWOptions().amsgrad(true))},
      {"SGD", maker<optim::SGD>(optim::SGDOptions(0.1))},
      {"SGD momentum", maker<optim::SGD>(optim::SGDOptions(0.1).momentum(0.9))},
      {"SGD nesterov",
       maker<optim::SGD>(optim::SGDOptions(0.1).momentum(0.9).nesterov(true))},
      {"RMSprop", maker<optim::RMSprop>(optim::RMSpropOptions())},
      {"RMSprop centered",
       maker<optim::RMSprop>(optim::RMSpropOptions().centered(true))},
      {"RMSprop momentum",
       maker<optim::RMSprop>(optim::RMSpropOptions().momentum(0.5))},
      {"Adagrad",
       maker<optim::Adagrad>(
           optim::AdagradOptions().lr_decay(0.01).initial_accumulator_value(
               0.1))},
      {"LBFGS",
       maker<optim::LBFGS>(optim::LBFGSOptions().max_iter(3).history_size(4))},
      {"LBFGS strong_wolfe",
       maker<optim::LBFGS>(
           optim::LBFGSOptions().max_iter(3).history_size(4).line_search_fn(
               "strong_wolfe"))},
  };
  return all;
}

/// The objects of one run.
struct OptimizerRun {
  OptimizerRun(const Make& make, double lr, std::uint64_t seed) {
    seed_everything(seed);
    network = Network();
    optimizer = make(network->parameters(), lr);
    add(parts, "rng", generators);
    add(parts, "optimizer", *optimizer);
    add(parts, "model", network);
  }
  void train(int from, int to) {
    test::train(network, *optimizer, from, to);
  }

  struct Generators {};
  Network network{nullptr};
  std::unique_ptr<optim::Optimizer> optimizer;
  Parts parts;
  Generators generators;

 private:
  template <class T>
  static void add(Parts& parts, const char* name, T& object) {
    parts.emplace_back(name, make_part(object));
  }
  static void add(Parts& parts, const char* name, Generators&) {
    parts.emplace_back(name, make_default_generators());
  }
};

} // namespace

TEST_CASE("optimizer: continues bit-identically in fresh and live objects") {
  const OneThread one_thread;
  for (const Configuration& configuration : configurations()) {
    for (const int before : {0, 1, 2, 5}) {
      for (const int lived : {0, 3}) {
        CAPTURE(configuration.name, before, lived);
        OptimizerRun first(configuration.make, 0.05, 1);
        first.train(0, before);
        // A scheduler moved the learning rate to a value that no constructor
        // was given.
        first.optimizer->param_groups()[0].options().set_lr(0.1 / 3);
        const Snapshot saved = capture(first.parts);
        first.train(before, before + 4);
        const Snapshot uninterrupted = capture(first.parts);

        OptimizerRun second(configuration.make, 0.2, 2);
        second.train(0, lived);
        REQUIRE(text_of(restore(saved, second.parts)) == "");
        CHECK(difference(saved, capture(second.parts)) == "");
        second.train(before, before + 4);
        CHECK(difference(uninterrupted, capture(second.parts)) == "");
      }
    }
  }
}

namespace {

/// Two layers in two groups, and a parameter that is in no module.
struct Pair {
  explicit Pair(bool reversed, double lr) {
    free = at::randn({3}).set_requires_grad(true);
    late = at::randn({2}).set_requires_grad(true);
    std::vector<at::Tensor> first = a->parameters();
    std::vector<at::Tensor> second = b->parameters();
    if (reversed) {
      std::reverse(first.begin(), first.end());
      std::reverse(second.begin(), second.end());
      std::swap(first, second);
    }
    std::vector<optim::OptimizerParamGroup> groups;
    groups.emplace_back(
        first, std::make_unique<optim::AdamOptions>(lr * (reversed ? 3 : 2)));
    groups.emplace_back(
        second, std::make_unique<optim::AdamOptions>(lr * (reversed ? 2 : 3)));
    groups.emplace_back(
        std::vector<at::Tensor>{free},
        std::make_unique<optim::AdamOptions>(lr * 5));
    optimizer = std::make_unique<optim::Adam>(groups, optim::AdamOptions(lr));
    test::add(parts, "a", a);
    test::add(parts, "b", b);
    test::add(parts, "free", free);
    test::add(parts, "optimizer", *optimizer);
    test::add(parts, "late", late);
  }
  void train(int steps) {
    for (int i = 0; i < steps; ++i) {
      optimizer->zero_grad();
      (b->forward(a->forward(at::ones({2, 4}))).square().sum() +
       free.square().sum() + late.square().sum())
          .backward();
      optimizer->step();
    }
  }
  std::string weights() const {
    std::string text;
    for (const at::Tensor& tensor :
         {a->weight, a->bias, b->weight, b->bias, free}) {
      text += to_hex(
          {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()});
    }
    return text;
  }

  torch::nn::Linear a{4, 4};
  torch::nn::Linear b{4, 4};
  at::Tensor free;
  at::Tensor late; // In no group at first.
  std::unique_ptr<optim::Optimizer> optimizer;
  Parts parts;
};

/// A user's optimizer: sign of a running mean. The state has an archive inside,
/// the options a text.
struct SignOptions : optim::OptimizerCloneableOptions<SignOptions> {
  SignOptions(double rate = 0.1) : lr_(rate) {}
  TORCH_ARG(double, lr) = 0.1;
  TORCH_ARG(std::string, mode) = "plain";

 public:
  void serialize(torch::serialize::InputArchive& archive) override {
    c10::IValue value;
    archive.read("lr", value);
    lr_ = value.toDouble();
    archive.read("mode", value);
    mode_ = value.toStringRef();
  }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("lr", c10::IValue(lr_));
    archive.write("mode", c10::IValue(mode_));
  }
  double get_lr() const override {
    return lr_;
  }
  void set_lr(const double rate) override {
    lr_ = rate;
  }
};

struct SignState : optim::OptimizerCloneableParamState<SignState> {
  std::int64_t step = 0;
  at::Tensor mean;
  void serialize(torch::serialize::InputArchive& archive) override {
    c10::IValue value;
    archive.read("step", value);
    step = value.toInt();
    torch::serialize::InputArchive inner;
    archive.read("inner", inner);
    inner.read("mean", mean, /*is_buffer=*/true);
  }
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("step", c10::IValue(step));
    torch::serialize::OutputArchive inner(archive.compilation_unit());
    inner.write("mean", mean, /*is_buffer=*/true);
    archive.write("inner", inner);
  }
};

/// Has neither `serialize`, as happens.
struct SilentState : optim::OptimizerCloneableParamState<SilentState> {
  at::Tensor mean;
};

template <class State>
struct Sign : optim::Optimizer, ExtraState {
  explicit Sign(std::vector<at::Tensor> parameters, double lr = 0.1)
      : Optimizer(std::move(parameters), std::make_unique<SignOptions>(lr)) {}
  at::Tensor step(LossClosure closure) override {
    at::Tensor loss;
    if (closure) {
      loss = closure();
    }
    const c10::NoGradGuard no_grad;
    ++steps;
    for (optim::OptimizerParamGroup& group : param_groups()) {
      for (at::Tensor& parameter : group.params()) {
        if (!parameter.grad().defined()) {
          continue;
        }
        auto& slot = state()[holdfast::detail::state_key<
            std::decay_t<decltype(state())>>(parameter.unsafeGetTensorImpl())];
        if (!slot) {
          slot = std::make_unique<State>();
          static_cast<State&>(*slot).mean = at::zeros_like(parameter);
        }
        at::Tensor& mean = static_cast<State&>(*slot).mean;
        mean.mul_(0.9).add_(parameter.grad(), 0.1);
        parameter.sub_(
            mean.sign() *
            (group.options().get_lr() / static_cast<double>(steps)));
      }
    }
    return loss;
  }
  Values save_state() const override {
    return {{"steps", steps}};
  }
  void load_state(const Values& values) override {
    steps = holdfast::at(values, "steps").as<int>("steps");
    if (steps == refused) {
      throw std::runtime_error("refused halfway");
    }
  }
  int refused = -1;
  int steps = 0;
};

} // namespace

template <>
struct holdfast::OptimizerStateType<Sign<SignState>> {
  using type = SignState;
};

TEST_CASE("optimizer: reordered groups and parameters keep their own state") {
  Pair first(false, 0.01);
  first.train(3);
  const Snapshot saved = capture(first.parts);
  first.train(3);

  Pair second(true, 0.5);
  REQUIRE(text_of(restore(saved, second.parts)) == "");
  CHECK(second.optimizer->param_groups()[0].options().get_lr() == 0.01 * 3);
  CHECK(second.optimizer->param_groups()[1].options().get_lr() == 0.01 * 2);
  CHECK(second.optimizer->defaults().get_lr() == 0.01);
  second.train(3);
  CHECK(first.weights() == second.weights());
}

TEST_CASE("optimizer: differing parameter sets are all named") {
  Pair pair(false, 0.01);
  pair.train(1);
  const Snapshot saved = capture(pair.parts);
  optim::Adam other({pair.a->weight, pair.b->weight}, optim::AdamOptions(0.1));
  Parts parts;
  add(parts, "a", pair.a);
  add(parts, "b", pair.b);
  add(parts, "free", pair.free);
  add(parts, "optimizer", other);
  const Snapshot before = capture(parts);
  CHECK(
      text_of(restore(saved, parts)) ==
      "a.bias name_unexpected: expected nothing in group 0, found a parameter\n"
      "b.weight name_missing: expected a parameter in group 0, found nothing\n"
      "groups shape_mismatch: expected 1, found 3\n");
  CHECK(difference(before, capture(parts)) == "");
}

TEST_CASE("optimizer: another type is refused") {
  Network network;
  optim::AdamW saved_one(network->parameters(), optim::AdamWOptions(0.1));
  optim::Adam live(network->parameters(), optim::AdamOptions(0.2));
  Parts source;
  add(source, "model", network);
  add(source, "optimizer", saved_one);
  Parts target;
  add(target, "model", network);
  add(target, "optimizer", live);
  CHECK(
      text_of(restore(capture(source), target)) ==
      "type type_mismatch: expected torch::optim::Adam, found "
      "torch::optim::AdamW\n");
  CHECK(live.param_groups()[0].options().get_lr() == 0.2);
}

TEST_CASE("optimizer: LBFGS refuses another order of parameters") {
  torch::nn::Linear a(2, 2);
  std::vector<at::Tensor> order = a->parameters();
  optim::LBFGS saved_one(order, optim::LBFGSOptions(0.1));
  std::reverse(order.begin(), order.end());
  optim::LBFGS live(order, optim::LBFGSOptions(0.1));
  Parts source;
  add(source, "model", a);
  add(source, "optimizer", saved_one);
  Parts target;
  add(target, "model", a);
  add(target, "optimizer", live);
  CHECK(
      text_of(restore(capture(source), target)) ==
      "group 0, parameter 0 type_mismatch: expected model.bias, found "
      "model.weight\n"
      "group 0, parameter 1 type_mismatch: expected model.weight, found "
      "model.bias\n");
}

TEST_CASE("optimizer: a failed prepare leaves moments and options alone") {
  const Make& make = configurations()[1].make;
  OptimizerRun first(make, 0.05, 1);
  first.train(0, 3);
  Snapshot saved = capture(first.parts);
  Stored& stored = stored_in(saved, "optimizer");
  stored.saved.tensors[0].shape = {1};
  stored.saved.tensors[1].name += "x";
  OptimizerRun second(make, 0.2, 2);
  second.train(0, 2);
  const Snapshot before = capture(second.parts);
  const std::string text = text_of(restore(saved, second.parts));
  CHECK_THAT(text, contains("input.weight.exp_avg shape_mismatch"));
  CHECK_THAT(text, contains("name_unexpected"));
  CHECK(difference(before, capture(second.parts)) == "");
}

TEST_CASE("optimizer: state keeps its dtype and layout, not the parameter's") {
  Network network(at::kHalf);
  optim::SGD sgd(
      network->input->parameters(), optim::SGDOptions(0.1).momentum(0.9));
  auto state = std::make_unique<optim::SGDParamState>();
  state->momentum_buffer(at::randn({4, 8}).t());
  const at::Tensor saved_buffer = state->momentum_buffer().clone();
  sgd.state()[holdfast::detail::state_key<std::decay_t<decltype(sgd.state())>>(
      network->input->weight.unsafeGetTensorImpl())] = std::move(state);
  Parts parts;
  add(parts, "model", network);
  add(parts, "optimizer", sgd);
  const Snapshot saved = capture(parts);
  sgd.state().clear();
  REQUIRE(text_of(restore(saved, parts)) == "");
  REQUIRE(sgd.state().size() == 1);
  const at::Tensor& buffer =
      static_cast<optim::SGDParamState&>(*sgd.state().begin()->second)
          .momentum_buffer();
  CHECK(buffer.scalar_type() == at::kFloat);
  CHECK(buffer.strides() == at::IntArrayRef({1, 8}));
  CHECK(at::equal(buffer, saved_buffer));
}

TEST_CASE("optimizer: one of the user's own goes on, its members too") {
  const auto make = [](std::vector<at::Tensor> parameters, double lr) {
    return std::make_unique<Sign<SignState>>(std::move(parameters), lr);
  };
  for (const int before : {0, 3}) {
    CAPTURE(before);
    seed_everything(1);
    Network network;
    auto sign = make(network->parameters(), 0.03);
    static_cast<SignOptions&>(sign->param_groups()[0].options()).mode("odd");
    Parts parts;
    add(parts, "model", network);
    add(parts, "optimizer", *sign);
    parts.emplace_back("rng", make_default_generators());
    train(network, *sign, 0, before);
    const Snapshot saved = capture(parts);
    train(network, *sign, before, before + 3);
    const Snapshot uninterrupted = capture(parts);

    Network fresh;
    auto other = make(fresh->parameters(), 0.7);
    Parts into;
    add(into, "model", fresh);
    add(into, "optimizer", *other);
    into.emplace_back("rng", make_default_generators());
    train(fresh, *other, 0, 1);
    REQUIRE(text_of(restore(saved, into)) == "");
    CHECK(difference(saved, capture(into)) == "");
    CHECK(
        static_cast<SignOptions&>(other->param_groups()[0].options()).mode() ==
        "odd");
    train(fresh, *other, before, before + 3);
    CHECK(difference(uninterrupted, capture(into)) == "");
  }
}

TEST_CASE("optimizer: options that inherit LibTorch's clone() are restored") {
  struct WarmOptions : optim::SGDOptions { // clone() gives plain SGDOptions
    using SGDOptions::SGDOptions;
  };
  Network network;
  optim::SGD sgd(network->parameters(), optim::SGDOptions(0.1));
  sgd.param_groups()[0].set_options(std::make_unique<WarmOptions>(0.5));
  auto& live = static_cast<WarmOptions&>(sgd.param_groups()[0].options());
  live.momentum(0.75);
  Parts parts;
  add(parts, "model", network);
  add(parts, "optimizer", sgd);
  const Snapshot saved = capture(parts);
  live.lr(0.25);
  live.momentum(0);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(live.lr() == 0.5);
  CHECK(live.momentum() == 0.75);
}

TEST_CASE("optimizer: an extra state refused halfway is taken back") {
  torch::nn::Linear layer(2, 2);
  Sign<SignState> sign(layer->parameters());
  Parts parts;
  add(parts, "model", layer);
  add(parts, "optimizer", sign);
  sign.steps = 5;
  const Snapshot saved = capture(parts);
  sign.steps = 2;
  sign.refused = 5;
  const Snapshot before = capture(parts);
  CHECK_THROWS_WITH(restore(saved, parts), "refused halfway");
  CHECK(sign.steps == 2);
  CHECK(difference(before, capture(parts)) == "");
}

namespace {

/// Keeps nothing and says nothing.
struct Bare : optim::Optimizer {
  explicit Bare(std::vector<at::Tensor> parameters)
      : Optimizer(
            std::move(parameters),
            std::make_unique<optim::SGDOptions>(0.1)) {}
  at::Tensor step(LossClosure closure) override {
    at::Tensor loss;
    if (closure) {
      loss = closure();
    }
    const c10::NoGradGuard no_grad;
    ++steps;
    for (optim::OptimizerParamGroup& group : param_groups()) {
      for (at::Tensor& parameter : group.params()) {
        if (parameter.grad().defined()) {
          parameter.sub_(parameter.grad() * (0.1 / static_cast<double>(steps)));
        }
      }
    }
    return loss;
  }
  std::int64_t steps = 0;
};
struct Stateless : Bare {
  using Bare::Bare;
};

/// Moments as LibTorch's own optimizers keep them, a counter and a tensor of
/// its own; all of it in `save` and `load`.
struct SelfSaving : Bare {
  using Bare::Bare;
  at::Tensor step(LossClosure closure) override {
    at::Tensor loss;
    if (closure) {
      loss = closure();
    }
    const c10::NoGradGuard no_grad;
    ++steps;
    for (at::Tensor& parameter : param_groups()[0].params()) {
      if (!parameter.grad().defined()) {
        continue;
      }
      auto& slot =
          state()[holdfast::detail::state_key<std::decay_t<decltype(state())>>(
              parameter.unsafeGetTensorImpl())];
      if (!slot) {
        slot = std::make_unique<optim::SGDParamState>();
        static_cast<optim::SGDParamState&>(*slot).momentum_buffer(
            at::zeros_like(parameter));
      }
      at::Tensor& buffer =
          static_cast<optim::SGDParamState&>(*slot).momentum_buffer();
      buffer.mul_(0.9).add_(parameter.grad());
      norm.add_(parameter.grad().square().sum().to(at::kFloat));
      parameter.sub_(
          buffer *
          (param_groups()[0].options().get_lr() / static_cast<double>(steps)) /
          (1 + norm.to(parameter.scalar_type())));
    }
    return loss;
  }
  void save(torch::serialize::OutputArchive& archive) const override {
    optim::serialize<optim::SGDParamState, optim::SGDOptions>(archive, *this);
    archive.write("steps", c10::IValue(steps));
    archive.write("norm", norm, /*is_buffer=*/true);
  }
  void load(torch::serialize::InputArchive& archive) override {
    optim::serialize<optim::SGDParamState, optim::SGDOptions>(archive, *this);
    c10::IValue value;
    archive.read("steps", value);
    steps = value.toInt();
    archive.read("norm", norm, /*is_buffer=*/true);
    if (steps == refused) {
      throw std::runtime_error("refused halfway");
    }
  }
  at::Tensor norm = at::zeros({1});
  std::int64_t refused = -1;
};

/// With an adapter: the members are named one by one.
struct Adapted : Bare {
  using Bare::Bare;
};
struct AdaptedState {
  Adapted& optimizer;
  template <class V>
  void state(V& v) {
    v("steps", optimizer.steps);
  }
};

} // namespace

template <>
struct holdfast::OptimizerStateType<Stateless> {
  using type = void;
};
template <>
struct holdfast::StateAdapter<Adapted> {
  static constexpr const char* default_name = "optimizer";
  static std::unique_ptr<Part> make(Adapted& optimizer) {
    struct Owning {
      explicit Owning(Adapted& of)
          : state{of}, members(holdfast::make_part(state)) {}
      AdaptedState state;
      std::unique_ptr<Part> members;
    };
    struct AdaptedPart final : Part {
      explicit AdaptedPart(Adapted& of) : owning(of) {}
      std::string kind() const override {
        return "adapted";
      }
      Stage stage() const override {
        return owning.members->stage();
      }
      State capture(const Names& names) override {
        return owning.members->capture(names);
      }
      std::unique_ptr<Restore> prepare(
          const Saved& saved,
          const Names& names,
          Mismatches& mismatches) override {
        return owning.members->prepare(saved, names, mismatches);
      }
      Owning owning;
    };
    return std::make_unique<AdaptedPart>(optimizer);
  }
};

TEST_CASE("optimizer: the user's own are saved by the way they offer") {
  const auto goes_on = [](auto make, int before) {
    seed_everything(1);
    Network network;
    auto first = make(network->parameters());
    Parts parts;
    add(parts, "model", network);
    add(parts, "optimizer", *first);
    parts.emplace_back("rng", make_default_generators());
    train(network, *first, 0, before);
    const Snapshot saved = capture(parts);
    CHECK(difference(saved, capture(parts)) == "");
    train(network, *first, before, before + 3);
    const Snapshot uninterrupted = capture(parts);

    Network fresh;
    auto other = make(fresh->parameters());
    Parts into;
    add(into, "model", fresh);
    add(into, "optimizer", *other);
    into.emplace_back("rng", make_default_generators());
    train(fresh, *other, 0, 2); // What it has is gone afterwards.
    REQUIRE(text_of(restore(saved, into)) == "");
    CHECK(difference(saved, capture(into)) == "");
    train(fresh, *other, before, before + 3);
    CHECK(difference(uninterrupted, capture(into)) == "");
  };
  for (const int before : {0, 3}) {
    CAPTURE(before);
    goes_on(
        [](auto list) { return std::make_unique<SelfSaving>(list); }, before);
    goes_on([](auto list) { return std::make_unique<Adapted>(list); }, before);
    // By the base class; one that derives from LibTorch's by its save(), since
    // its type is not told.
    struct Derived : optim::AdamW {
      using AdamW::AdamW;
    };
    goes_on(
        [](auto list) -> std::unique_ptr<optim::Optimizer> {
          return std::make_unique<Derived>(list);
        },
        before);
    goes_on(
        [](auto list) -> std::unique_ptr<optim::Optimizer> {
          return std::make_unique<SelfSaving>(list);
        },
        before);
  }
}

namespace {

/// As people write them: a step of their own, everything else inherited.
struct Clipped : optim::Adam {
  using Adam::Adam;
  at::Tensor step(LossClosure closure) override {
    at::Tensor loss;
    if (closure) {
      loss = closure();
    }
    for (optim::OptimizerParamGroup& group : param_groups()) {
      for (at::Tensor& parameter : group.params()) {
        if (parameter.grad().defined()) {
          parameter.mutable_grad().clamp_(-0.01, 0.01);
        }
      }
    }
    Adam::step();
    return loss;
  }
};

/// Has a member that only its own `save` knows.
struct Counting : Clipped {
  using Clipped::Clipped;
  void save(torch::serialize::OutputArchive& archive) const override {
    Clipped::save(archive);
    archive.write("count", c10::IValue(count));
  }
  void load(torch::serialize::InputArchive& archive) override {
    Clipped::load(archive);
    c10::IValue value;
    archive.read("count", value);
    count = value.toInt();
  }
  std::int64_t count = 0;
};
struct CountingDerived : Counting {
  using Counting::Counting;
};
struct OnlySaves : Clipped {
  using Clipped::Clipped;
  void save(torch::serialize::OutputArchive& archive) const override {
    Clipped::save(archive);
  }
};
struct OnlyLoads : Clipped {
  using Clipped::Clipped;
  void load(torch::serialize::InputArchive& archive) override {
    Clipped::load(archive);
  }
};
class HidesSave : public Clipped {
 public:
  using Clipped::Clipped;

 private:
  void save(torch::serialize::OutputArchive& archive) const override {
    Clipped::save(archive);
  }
};

} // namespace

TEST_CASE("optimizer: one that inherits LibTorch's save() is saved by name") {
  const OneThread one_thread;
  const optim::AdamOptions options(0.03);
  const auto parts_of = [](Network& network, auto& optimizer) {
    Parts parts;
    add(parts, "model", network);
    add(parts, "optimizer", optimizer);
    parts.emplace_back("rng", make_default_generators());
    return parts;
  };
  const auto has_archive = [](const Snapshot& snapshot) {
    return stored_in(snapshot, "optimizer").saved.values.count("own_save") != 0;
  };
  // By a reference to the base class, as all of them were once: by save().
  for (const bool by_base : {false, true}) {
    CAPTURE(by_base);
    seed_everything(1);
    Network network;
    Clipped first(network->parameters(), options);
    optim::Adam& base = first;
    Parts parts = by_base ? parts_of(network, base) : parts_of(network, first);
    train(network, first, 0, 3);
    const Snapshot saved = capture(parts);
    CHECK(has_archive(saved) == by_base);
    train(network, first, 3, 6);
    Parts by_type = parts_of(network, first);
    const Snapshot uninterrupted = capture(by_type);

    Network fresh;
    auto other = std::make_shared<Clipped>(fresh->parameters(), options);
    Parts into = parts_of(fresh, other);
    train(fresh, *other, 0, 1); // What it has is gone afterwards.
    REQUIRE(text_of(restore(saved, into)) == "");
    if (!by_base) {
      CHECK(difference(saved, capture(into)) == "");
    }
    train(fresh, *other, 3, 6);
    CHECK(difference(uninterrupted, capture(into)) == "");

    optim::Adam plain(fresh->parameters(), options);
    Parts others = parts_of(fresh, plain);
    CHECK_THAT(text_of(restore(saved, others)), contains("Clipped"));
  }
}

TEST_CASE("optimizer: an inherited save() is not called, whatever the number") {
  struct Many : torch::nn::Module {
    explicit Many(std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        register_parameter(std::to_string(i), at::ones({1}));
      }
    }
  } many(2000);
  optim::Adam plain(many.parameters());
  Clipped clipped(many.parameters());
  for (at::Tensor& parameter : many.parameters()) {
    parameter.mutable_grad() = at::ones({1});
  }
  plain.step();
  clipped.step(nullptr);
  const auto state_of = [&many](auto& optimizer) {
    Parts parts;
    add(parts, "model", many);
    add(parts, "optimizer", optimizer);
    return parts[1].second->capture(publish(parts));
  };
  // The same names and values as those of LibTorch's own, hence no archive,
  // which takes time by the square of the number.
  State expected = state_of(plain);
  State state = state_of(clipped);
  expected.values["type"] = state.values["type"];
  CHECK((state.values == expected.values));
  REQUIRE(state.tensors.size() == 4000);
  REQUIRE(expected.tensors.size() == 4000);
  std::size_t others = 0;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    others += state.tensors[i].info.name != expected.tensors[i].info.name;
  }
  CHECK(others == 0);
}

TEST_CASE("optimizer: a save() or load() of the user's is called") {
  torch::nn::Linear layer(2, 2);
  const auto note_of = [&layer](auto& optimizer) {
    Parts parts;
    add(parts, "model", layer);
    add(parts, "optimizer", optimizer);
    (void)capture(parts);
    const std::vector<std::string> notes = parts[1].second->notes();
    return notes.empty() ? std::string() : notes.front();
  };
  const std::string by_its_own = "is saved by its own save() and load()";
  Counting counting(layer->parameters());
  CHECK_THAT(note_of(counting), contains(by_its_own));
  CountingDerived derived(layer->parameters());
  CHECK_THAT(note_of(derived), contains(by_its_own));
  OnlySaves only_saves(layer->parameters());
  CHECK_THAT(note_of(only_saves), contains(by_its_own));
  OnlyLoads only_loads(layer->parameters());
  CHECK_THAT(note_of(only_loads), contains(by_its_own));
  HidesSave hides_save(layer->parameters());
  CHECK_THAT(note_of(hides_save), contains(by_its_own));
  // What the compiler sees inherits, but the object may not.
  Clipped& clipped = counting;
  CHECK_THAT(note_of(clipped), contains(by_its_own));
  optim::Adam& adam = counting;
  CHECK_THAT(note_of(adam), contains(by_its_own));

  counting.count = 7;
  Parts parts;
  add(parts, "model", layer);
  add(parts, "optimizer", clipped);
  const Snapshot saved = capture(parts);
  counting.count = 0;
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(counting.count == 7);
}

TEST_CASE("optimizer: a load() of the user's that throws is taken back") {
  Network network;
  SelfSaving optimizer(network->parameters());
  Parts parts;
  add(parts, "model", network);
  add(parts, "optimizer", optimizer);
  train(network, optimizer, 0, 2);
  const Snapshot saved = capture(parts);
  REQUIRE(parts[1].second->notes().size() == 1);
  CHECK_THAT(
      parts[1].second->notes()[0],
      contains("SelfSaving is saved by its own save() and load()"));
  train(network, optimizer, 2, 4);
  optimizer.refused = 2;
  const Snapshot before = capture(parts);
  CHECK_THROWS_WITH(restore(saved, parts), "refused halfway");
  CHECK(difference(before, capture(parts)) == "");
  CHECK(optimizer.steps == 4);
}

TEST_CASE("optimizer: one that says nothing of its state is an error") {
  torch::nn::Linear layer(2, 2);
  const auto error_with = [&](auto& optimizer) {
    Parts parts;
    add(parts, "model", layer);
    add(parts, "optimizer", optimizer);
    return error_of([&] { (void)capture(parts); });
  };
  // Before the first step: at resume().
  Bare bare(layer->parameters());
  const auto error = error_with(bare);
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::not_capturable);
  CHECK_THAT(error->name(), contains("Bare"));
  CHECK(
      error->details().message ==
      "nothing says what its state is: specialise holdfast::OptimizerStateType "
      "with the type of its parameter states (void if it has none), override "
      "save() and load(), or specialise holdfast::StateAdapter");
  Sign<SilentState> silent(layer->parameters());
  CHECK_THAT(error_with(silent)->what(), contains("SilentState"));
  optim::Optimizer& base = silent; // Does not tell its type.
  CHECK_THAT(error_with(base)->what(), contains("OptimizerStateType"));

  Stateless stateless(layer->parameters());
  CHECK_FALSE(error_with(stateless));
  stateless.state()
      [holdfast::detail::state_key<std::decay_t<decltype(stateless.state())>>(
          layer->weight.unsafeGetTensorImpl())] =
      std::make_unique<SilentState>();
  const auto late = error_with(stateless);
  REQUIRE(late);
  CHECK_THAT(late->what(), contains("SilentState"));
  CHECK_THAT(late->what(), contains("serialize()"));
}

TEST_CASE("optimizer: options that the program changed are remarked on") {
  Pair first(false, 0.01);
  first.train(1);
  (void)capture(first.parts); // As resume() does first...
  first.optimizer->param_groups()[0].options().set_lr(0.005); // a scheduler
  const Snapshot saved = capture(first.parts);
  const auto notes_of = [&](Pair& pair) {
    (void)capture(pair.parts);
    REQUIRE(text_of(restore(saved, pair.parts)) == "");
    return pair.parts[3].second->notes();
  };
  // What a scheduler changed is no change of the program.
  Pair same(false, 0.01);
  CHECK(notes_of(same).empty());

  Pair changed(false, 0.02);
  static_cast<optim::AdamOptions&>(
      changed.optimizer->param_groups()[2].options())
      .betas({0.5, 0.75});
  const std::vector<std::string> expected{
      "group 0: lr was 0.02 in the program, is 0.04: the saved one is used, "
      "0.005",
      "group 1: lr was 0.03 in the program, is 0.06: the saved one is used, "
      "0.03",
      "group 2: betas was [0.9,0.999] in the program, is [0.5,0.75]: the saved "
      "one is used, [0.9,0.999]",
      "group 2: lr was 0.05 in the program, is 0.1: the saved one is used, "
      "0.05"};
  CHECK(notes_of(changed) == expected);
  CHECK(changed.optimizer->param_groups()[0].options().get_lr() == 0.005);
  // It is told as long as it is so.
  const Snapshot again = capture(changed.parts);
  CHECK(difference(saved, again) == "");
  CHECK(notes_of(changed) == expected);
}

TEST_CASE("optimizer: groups and parameters come and go") {
  // What a run does before it is saved; the program that resumes sets its
  // optimizer up so that the parameters are the same.
  struct Case {
    const char* name;
    void (*first)(Pair&);
    void (*second)(Pair&);
  };
  const auto nothing = [](Pair&) {
  };
  const auto add_group = [](Pair& pair) {
    pair.optimizer->add_param_group(optim::OptimizerParamGroup(
        {pair.late}, std::make_unique<optim::AdamOptions>(0.25)));
  };
  const auto add_parameter = [](Pair& pair) {
    pair.optimizer->param_groups()[1].params().push_back(pair.late);
  };
  const std::vector<Case> cases{
      {"frozen",
       [](Pair& pair) { pair.a->weight.set_requires_grad(false); },
       nothing},
      {"frozen and unfrozen again",
       [](Pair& pair) {
         pair.a->weight.set_requires_grad(false);
         pair.a->weight.mutable_grad().reset();
         pair.train(2);
         pair.a->weight.set_requires_grad(true);
       },
       nothing},
      {"a group added later", add_group, add_group},
      {"a parameter added later", add_parameter, add_parameter},
      {"state of a parameter that left its group",
       [](Pair& pair) {
         pair.optimizer->param_groups()[1].params().pop_back();
       },
       [](Pair& pair) {
         pair.optimizer->param_groups()[1].params().pop_back();
       }},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    Pair first(false, 0.01);
    first.train(2);
    one.first(first);
    first.train(1);
    const Snapshot saved = capture(first.parts);
    first.train(3);
    const Snapshot uninterrupted = capture(first.parts);

    Pair second(false, 0.5);
    one.second(second);
    second.train(1);
    REQUIRE(text_of(restore(saved, second.parts)) == "");
    CHECK(difference(saved, capture(second.parts)) == "");
    second.train(3);
    CHECK(difference(uninterrupted, capture(second.parts)) == "");
  }
}

TEST_CASE("optimizer: parameters of half precision and of doubles") {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const Configuration& configuration : configurations()) {
      CAPTURE(c10::toString(type), configuration.name);
      const auto step = [](at::Tensor& weight, optim::Optimizer& optimizer) {
        optimizer.step([&] {
          optimizer.zero_grad();
          const at::Tensor loss = (weight * weight).sum();
          weight.mutable_grad() = weight.detach() * 2;
          return loss;
        });
      };
      seed_everything(1);
      std::vector<at::Tensor> weights;
      std::vector<std::unique_ptr<optim::Optimizer>> optimizers;
      std::vector<Parts> parts(2);
      for (std::size_t i = 0; i < 2; ++i) {
        weights.push_back(at::randn({8}).to(type).set_requires_grad(true));
        optimizers.push_back(configuration.make({weights[i]}, 0.01));
      }
      for (std::size_t i = 0; i < 2; ++i) {
        add(parts[i], "weight", weights[i]);
        add(parts[i], "optimizer", *optimizers[i]);
      }
      try {
        step(weights[0], *optimizers[0]);
      } catch (const c10::Error&) {
        // LibTorch 1.13 has no half precision for it on the CPU.
        REQUIRE(type == at::kHalf);
        continue;
      }
      step(weights[0], *optimizers[0]);
      const Snapshot saved = capture(parts[0]);
      REQUIRE(text_of(restore(saved, parts[1])) == "");
      step(weights[0], *optimizers[0]);
      step(weights[1], *optimizers[1]);
      CHECK(difference(capture(parts[0]), capture(parts[1])) == "");
    }
  }
}

TEST_CASE("optimizer: state of parameters in no group is remarked on") {
  torch::nn::Linear layer(2, 2);
  optim::Adagrad adagrad(layer->parameters());
  adagrad.param_groups()[0].params().pop_back();
  Parts parts;
  add(parts, "optimizer", adagrad);
  add(parts, "model", layer);
  (void)capture(parts);
  REQUIRE(parts[0].second->notes().size() == 1);
  CHECK_THAT(parts[0].second->notes()[0], contains("state of 1 parameter"));
}

TEST_CASE("optimizer: a parameter that no part saves is an error") {
  torch::nn::Linear layer(2, 3);
  at::Tensor scale = at::ones({5, 7}).set_requires_grad(true);
  optim::SGD sgd(layer->parameters(), optim::SGDOptions(0.1));
  sgd.add_param_group(
      optim::OptimizerParamGroup(std::vector<at::Tensor>{scale}));
  Parts parts;
  add(parts, "optimizer", sgd);
  add(parts, "model", layer);
  const auto error = error_of([&] { (void)capture(parts); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::not_capturable);
  CHECK_THAT(
      error->what(),
      contains(
          "group 1, parameter 0 ([5, 7]) belongs to no part that is saved: "
          "add its module, or the tensor itself with holdfast::named()"));
  SECTION("a tensor") {
    add(parts, "scale", scale);
    CHECK(stored_in(capture(parts), "optimizer").kind == "optimizer");
  }
  SECTION("a container of tensors") {
    std::vector<at::Tensor> tensors{scale};
    add(parts, "tensors", tensors);
    CHECK(stored_in(capture(parts), "optimizer").kind == "optimizer");
  }
}

TEST_CASE("optimizer: finds tied parameters under either tensor") {
  struct Tied : torch::nn::Module {
    Tied() {
      encoder = register_parameter("encoder", at::ones({2, 3}));
      decoder = register_parameter("decoder", encoder.detach());
    }
    at::Tensor encoder, decoder;
  };
  const optim::SGDOptions options = optim::SGDOptions(0.1).momentum(0.9);
  Tied tied;
  optim::SGD sgd({tied.encoder, tied.decoder}, options);
  ((tied.encoder * 2).sum() + tied.decoder.sum()).backward();
  sgd.step();
  Parts parts;
  add(parts, "model", tied);
  add(parts, "optimizer", sgd);
  const Snapshot saved = capture(parts);
  REQUIRE(stored_in(saved, "optimizer").saved.tensors.size() == 2);

  Tied fresh;
  optim::SGD other({fresh.decoder, fresh.encoder}, options);
  Parts into;
  add(into, "model", fresh);
  add(into, "optimizer", other);
  REQUIRE(text_of(restore(saved, into)) == "");
  const auto momentum = [&](const at::Tensor& parameter) {
    return static_cast<optim::SGDParamState&>(
               *other.state().at(holdfast::detail::state_key<
                                 std::decay_t<decltype(other.state())>>(
                   parameter.unsafeGetTensorImpl())))
        .momentum_buffer();
  };
  CHECK(at::equal(momentum(fresh.encoder), at::ones({2, 3}) * 2));
  CHECK(at::equal(momentum(fresh.decoder), at::ones({2, 3})));
}

TEST_CASE("optimizer: learning rates are multiplied") {
  for (const Configuration& configuration : configurations()) {
    CAPTURE(configuration.name);
    OptimizerRun run(configuration.make, 0.5, 1);
    const auto part = make_part(*run.optimizer);
    const auto rate = [&] {
      return run.optimizer->param_groups()[0].options().get_lr();
    };
    CHECK(part->scale_learning_rates(1));
    CHECK(rate() == 0.5);
    CHECK(part->scale_learning_rates(0.25));
    CHECK(rate() == 0.125);
  }
  CHECK_FALSE(make_default_generators()->scale_learning_rates(0.5));

  // Every group of its own; among other members and behind a pointer too.
  Network network;
  std::vector<std::shared_ptr<optim::SGD>> members{std::make_shared<optim::SGD>(
      std::vector<optim::OptimizerParamGroup>{
          optim::OptimizerParamGroup(
              {network->parameters()[0]},
              std::make_unique<optim::SGDOptions>(0.5)),
          optim::OptimizerParamGroup(
              {network->parameters()[1]},
              std::make_unique<optim::SGDOptions>(0.25))},
      optim::SGDOptions(1))};
  CHECK(make_part(members)->scale_learning_rates(0.5));
  CHECK(members[0]->param_groups()[0].options().get_lr() == 0.25);
  CHECK(members[0]->param_groups()[1].options().get_lr() == 0.125);

  // Options that tell none.
  struct MuteOptions : optim::OptimizerCloneableOptions<MuteOptions> {};
  struct Mute : optim::Optimizer {
    explicit Mute(std::vector<at::Tensor> parameters)
        : Optimizer(
              {optim::OptimizerParamGroup(std::move(parameters))},
              std::make_unique<MuteOptions>()) {}
    at::Tensor step(LossClosure) override {
      return {};
    }
  };
  Mute mute(network->parameters());
  CHECK(code_of([&] {
          make_part(static_cast<optim::Optimizer&>(mute))
              ->scale_learning_rates(1);
        }) == "not_capturable");
}

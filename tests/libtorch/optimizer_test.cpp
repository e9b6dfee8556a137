#include "libtorch/network.hpp"

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace optim = torch::optim;

namespace {

using Make = std::function<std::unique_ptr<optim::Optimizer>(
    std::vector<at::Tensor>,
    double lr)>;

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
      {"SGD momentum",
       maker<optim::SGD>(optim::SGDOptions(0.1).momentum(0.9))},
      {"SGD nesterov",
       maker<optim::SGD>(
           optim::SGDOptions(0.1).momentum(0.9).nesterov(true))},
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
       maker<optim::LBFGS>(optim::LBFGSOptions()
                               .max_iter(3)
                               .history_size(4)
                               .line_search_fn("strong_wolfe"))},
  };
  return all;
}

/// The objects of one run.
struct Run {
  Run(const Make& make, double lr, std::uint64_t seed) {
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
  for (const Configuration& configuration : configurations()) {
    for (const int before : {0, 1, 2, 5}) {
      for (const int lived : {0, 3}) {
        CAPTURE(configuration.name, before, lived);
        Run first(configuration.make, 0.05, 1);
        first.train(0, before);
        // A scheduler moved the learning rate to a value that no constructor
        // was given.
        first.optimizer->param_groups()[0].options().set_lr(0.1 / 3);
        const Snapshot saved = capture(first.parts);
        first.train(before, before + 4);
        const Snapshot uninterrupted = capture(first.parts);

        Run second(configuration.make, 0.2, 2);
        second.train(0, lived);
        REQUIRE(text_of(restore(saved, second.parts)) == "");
        CHECK(difference(saved, capture(second.parts)) == "");
        second.train(before, before + 4);
        CHECK(difference(uninterrupted, capture(second.parts)) == "");
      }
    }
  }
}

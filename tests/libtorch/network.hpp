#pragma once

#include <holdfast/libtorch/adapters.hpp>

#include "support/catch.hpp"
#include "support/state_round_trip.hpp"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/optimizer.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <memory>
#include <string>
#include <utility>

namespace holdfast::test {

/// A network with everything that makes resuming hard: running statistics,
/// dropout, a frozen layer, and a layer that is only used every other step.
struct NetworkImpl : torch::nn::Module {
  explicit NetworkImpl(at::ScalarType type = at::kFloat) {
    input = register_module("input", torch::nn::Linear(4, 8));
    norm = register_module("norm", torch::nn::BatchNorm1d(8));
    dropout = register_module("dropout", torch::nn::Dropout(0.25));
    frozen = register_module("frozen", torch::nn::Linear(8, 8));
    sometimes = register_module("sometimes", torch::nn::Linear(8, 8));
    output = register_module("output", torch::nn::Linear(8, 2));
    for (at::Tensor& parameter : frozen->parameters()) {
      parameter.set_requires_grad(false);
    }
    to(type);
  }
  at::Tensor forward(at::Tensor x, bool use_sometimes) {
    x = norm->forward(input->forward(std::move(x)));
    x = frozen->forward(dropout->forward(x));
    if (use_sometimes) {
      x = sometimes->forward(x);
    }
    return output->forward(x.tanh());
  }
  torch::nn::Linear input{nullptr}, frozen{nullptr}, sometimes{nullptr},
      output{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  torch::nn::Dropout dropout{nullptr};
};
TORCH_MODULE(Network);

/// Trains from step `from` to before `to`; inputs come from the default
/// generator. Gradients are zeroed, not dropped, as LibTorch 1.13 does.
inline void train(
    Network& network,
    torch::optim::Optimizer& optimizer,
    int from,
    int to) {
  for (int step = from; step < to; ++step) {
    const at::Tensor x = at::randn(
        {6, 4}, network->input->weight.options().requires_grad(false));
    optimizer.step([&] {
      for (at::Tensor& parameter : network->parameters()) {
        if (parameter.grad().defined()) {
          parameter.mutable_grad().zero_();
        }
      }
      at::Tensor loss = network->forward(x, step % 2 == 0).square().mean();
      loss.backward();
      return loss;
    });
  }
}

/// Adds an object under a name.
template <class T>
void add(Parts& parts, std::string name, T& object) {
  parts.emplace_back(std::move(name), make_part(object));
}

/// Small operations need no threads, which only wait for each other where other
/// programs run too.
class OneThread {
 public:
  OneThread() {
    at::set_num_threads(1);
  }
  ~OneThread() {
    at::set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

inline void seed_everything(std::uint64_t seed) {
  at::manual_seed(seed);
}

} // namespace holdfast::test

#include <holdfast/holdfast.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <iostream>

int main() {
  at::Tensor trained = at::zeros({2, 2});
  holdfast::CheckpointManager checkpoints{
      "run",
      holdfast::Options().save_every(holdfast::steps(2)),
      holdfast::named("trained", trained)};
  checkpoints.resume();
  while (checkpoints.running(holdfast::steps(4))) {
    // A kernel, not only a symbol: LibTorch's operators must be registered.
    trained += at::ones({2, 2});
    checkpoints.step();
  }

  at::Tensor loaded = at::zeros({2, 2});
  holdfast::load("run", holdfast::named("trained", loaded));
  std::cout << "holdfast " << HOLDFAST_VERSION_STRING << ": trained "
            << loaded.sum().item<double>() / 4 << " steps\n";
}

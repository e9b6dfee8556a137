#include <holdfast/holdfast.hpp>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/serialize.h>

#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

// interop_writer DIRECTORY: one module, saved by a manager into DIRECTORY/run
// and by LibTorch itself into DIRECTORY/model.pt. Tells the checkpoint's path.

namespace {

/// Every bit pattern may occur: infinities, NaN with a payload, minus zero.
at::Tensor any_bits(const std::vector<std::int64_t>& sizes, at::ScalarType as) {
  return at::randint(-0x8000, 0x8000, sizes, at::kLong).to(at::kShort).view(as);
}

struct EveryKindImpl : torch::nn::Module {
  EveryKindImpl() {
    register_module("conv", conv);
    register_module("norm", norm);
    // Comes before "conv.weight", so the file has the elements under this name.
    register_parameter("tied", conv->weight);
    register_parameter("half", any_bits({3, 50}, at::kHalf), false);
    register_parameter("transposed", at::randn({3, 4}).t());
    register_parameter("number", at::randn({}));
    register_parameter("empty", at::randn({0, 3}));
    register_buffer("brain", any_bits({2, 50}, at::kBFloat16));
    register_buffer(
        "counts", at::randint(INT64_MIN / 2, INT64_MAX / 2, {7}, at::kLong));
    register_buffer("mask", at::randint(0, 2, {3, 5}, at::kBool));
    register_buffer("every_other", at::randn({4, 6}).slice(1, 0, 6, 2));
  }
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(2, 3, 3)};
  torch::nn::BatchNorm2d norm{3};
};
TORCH_MODULE(EveryKind);

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: interop_writer DIRECTORY\n";
    return 2;
  }
  const std::string directory = argv[1];
  at::manual_seed(3);
  EveryKind model;
  // So that the running statistics are no round numbers.
  (void)model->norm->forward(model->conv->forward(at::randn({4, 2, 8, 8})));
  torch::save(model, directory + "/model.pt");
  holdfast::CheckpointManager checkpoints{
      directory + "/run", holdfast::Options().on_event({}), model};
  checkpoints.resume();
  checkpoints.save().wait();
  std::cout << checkpoints.latest()->path << '\n';
  return 0;
}

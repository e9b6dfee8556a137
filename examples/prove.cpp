// How to prove a loop of your own: that a run which was killed, left by an
// exception or stopped, and then resumed, is bit for bit the one that nobody
// interrupted. Exit status 1, and what differs, if it is not.
//
//     prove            the loop as it should be
//     prove forgetful  the same without its scheduler in the manager

#include <torch/torch.h>

#include <holdfast/holdfast.hpp>
#include <holdfast/testing/resume_check.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace {

// Points in the plane, and whether both coordinates have the same sign.
struct Points {
  torch::Tensor data = torch::rand({96, 2}) * 2 - 1;
  torch::Tensor target = data.prod(1, true).gt(0).to(torch::kFloat32);

  torch::data::Example<> get_batch(const std::vector<size_t>& indices) const {
    const auto rows = torch::tensor(
        std::vector<int64_t>(indices.begin(), indices.end()), torch::kInt64);
    return {data.index_select(0, rows), target.index_select(0, rows)};
  }
  std::optional<size_t> size() const {
    return static_cast<size_t>(data.size(0));
  }
};

// The program's own loop. It takes the directory and the options from whoever
// calls it: main() its real ones, the check those of each of its runs.
void train(
    const std::string& directory,
    const holdfast::Options& options,
    bool forgetful) {
  torch::manual_seed(0);
  auto batches = holdfast::make_data_loader(Points(), 32);
  torch::nn::Sequential model(
      torch::nn::Linear(2, 8),
      torch::nn::Dropout(0.2),
      torch::nn::Tanh(),
      torch::nn::Linear(8, 1));
  torch::optim::Adam optimizer(model->parameters(), 0.01);
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/1, /*gamma=*/0.5);

  holdfast::CheckpointManager checkpoints{
      directory, options, model, optimizer, batches};
  if (!forgetful) {
    checkpoints.add("scheduler", scheduler);
  }
  checkpoints.resume();

  while (checkpoints.running(holdfast::epochs(3))) {
    for (auto& batch : batches) {
      optimizer.zero_grad();
      auto loss = torch::binary_cross_entropy_with_logits(
          model->forward(batch.data), batch.target);
      loss.backward();
      optimizer.step();
      checkpoints.step({{"loss", loss}});
    }
    if (checkpoints.epoch_done()) {
      scheduler.step();
      checkpoints.end_epoch();
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  const bool forgetful = argc > 1 && std::string(argv[1]) == "forgetful";
  try {
    // Nothing has been computed in this process yet, so it may be forked.
    const auto result = holdfast::testing::resume_equals_uninterrupted(
        [&](holdfast::testing::Run& run) {
          train(run.directory(), run.options(), forgetful);
        });
    std::cout << result << '\n';
    return result.equal() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "prove: " << error.what() << '\n';
    return 2;
  }
}

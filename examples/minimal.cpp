// The README's example as a program: run it, kill it, run it again.
#include <torch/torch.h>

#include <holdfast/holdfast.hpp>

#include <iostream>

// Points in the plane, and whether both coordinates have the same sign.
struct Points {
  torch::Tensor data = torch::rand({4096, 2}) * 2 - 1;
  torch::Tensor target = data.prod(1, true).gt(0).to(torch::kFloat32);

  torch::data::Example<> get_batch(const std::vector<size_t>& indices) const {
    const std::vector<int64_t> rows(indices.begin(), indices.end());
    return {
        data.index({torch::tensor(rows)}), target.index({torch::tensor(rows)})};
  }
  std::optional<size_t> size() const {
    return static_cast<size_t>(data.size(0));
  }
};

int main() {
  torch::manual_seed(0);
  auto batches = holdfast::make_data_loader(Points(), 64);
  torch::nn::Sequential model(
      torch::nn::Linear(2, 32), torch::nn::Tanh(), torch::nn::Linear(32, 1));
  torch::optim::Adam optimizer(model->parameters(), 0.01);
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/5, /*gamma=*/0.5);

  // readme-begin
  auto options =
      holdfast::Options().save_every(holdfast::steps(50)).keep_last(3);
  holdfast::CheckpointManager checkpoints{
      "runs/minimal", options, model, optimizer, scheduler, batches};
  std::cout << checkpoints.resume() << '\n'; // where was I?

  while (checkpoints.running(holdfast::epochs(10))) {
    for (auto& batch : batches) { // goes on where the killed run stopped
      optimizer.zero_grad();
      auto loss = torch::binary_cross_entropy_with_logits(
          model->forward(batch.data), batch.target);
      loss.backward();
      optimizer.step();
      checkpoints.step({{"loss", loss}}); // saves when due
    }
    std::cout << "loss " << checkpoints.epoch_mean("loss") << '\n';
    scheduler.step();
    checkpoints.end_epoch();
  }
  // readme-end
}

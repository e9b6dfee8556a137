// A job on a machine that is taken away: by a signal of the batch system, at
// the end of its time, or by notice of the cloud. It saves, says by its exit
// status "start me again", and goes on where it was. preemption.sbatch is a job
// script for Slurm.

#include <torch/torch.h>

#include <holdfast/holdfast.hpp>
#include <holdfast/run/preemption.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <vector>

namespace {

struct Sums {
  torch::Tensor inputs = torch::rand({2048, 4});
  torch::Tensor sums = inputs.sum(1, /*keepdim=*/true);

  torch::data::Example<> get_batch(const std::vector<size_t>& indices) const {
    const auto rows = torch::tensor(
        std::vector<int64_t>(indices.begin(), indices.end()), torch::kInt64);
    return {inputs.index_select(0, rows), sums.index_select(0, rows)};
  }
  std::optional<size_t> size() const {
    return static_cast<size_t>(inputs.size(0));
  }
};

int train() {
  using namespace std::chrono_literals;
  torch::manual_seed(0);
  auto batches = holdfast::make_data_loader(Sums(), 32);
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), /*lr=*/0.1);
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/1, /*gamma=*/0.8);

  holdfast::CheckpointManager checkpoints{
      "runs/preemption",
      holdfast::Options().save_every(10min).keep_last(2),
      model,
      optimizer,
      scheduler,
      batches};
  // SIGTERM, SIGUSR1 and SIGINT are watched without a word.
  holdfast::Preemption preemption{
      checkpoints,
      holdfast::PreemptionOptions()
          .grace(90s) // what the system waits between its signal and SIGKILL
          .slurm_end_time(3min) // be saved 3 minutes before the limit
          .notice_file("preempted") // where an agent on the node says so
          .then(holdfast::AfterPreemption::stop)}; // or exit, or raise
  std::cout << checkpoints.resume() << std::endl;

  // Should something throw, what was trained until then is saved first.
  checkpoints.run([&] {
    while (checkpoints.running(holdfast::epochs(50))) {
      for (auto& batch : batches) { // ends early when the run is preempted
        optimizer.zero_grad();
        auto loss = torch::mse_loss(model->forward(batch.data), batch.target);
        loss.backward();
        optimizer.step();
        checkpoints.step({{"loss", loss}});
      }
      if (!checkpoints.epoch_done()) {
        break; // half an epoch: nothing of what follows applies
      }
      scheduler.step();
      checkpoints.end_epoch();
    }
  });
  if (preemption.exit_code() == 0) {
    std::cout << "trained " << checkpoints.epoch() << " epochs, loss "
              << checkpoints.epoch_mean("loss") << std::endl;
  }
  return preemption.exit_code(); // 75 if there is more to do, else 0
}

} // namespace

int main() {
  try {
    return train();
  } catch (const std::exception& error) {
    std::cerr << "preemption: " << error.what() << '\n';
    return 1;
  }
}

/// The check of testing/ on a loop with everything in it: batch norm, dropout,
/// an optimizer with moments, a scheduler and a loader.
#include "libtorch/network.hpp"

#include <holdfast/holdfast.hpp>
#include <holdfast/testing/resume_check.hpp>

#include <torch/optim/adam.h>
#include <torch/optim/schedulers/step_lr.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/rand_like.h>
#include <ATen/ops/stack.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::resume_equals_uninterrupted;
using holdfast::testing::ResumeCheckOptions;
using holdfast::testing::ResumeCheckResult;
using Finding = ResumeCheckResult::Finding;

namespace {

struct Samples {
  [[nodiscard]] at::Tensor get_batch(
      const std::vector<std::size_t>& indices) const {
    std::vector<at::Tensor> rows;
    for (const std::size_t index : indices) {
      rows.push_back(
          (at::arange(4, at::kFloat) + static_cast<double>(index)).sin());
    }
    const at::Tensor batch = at::stack(rows);
    return batch + 0.1 * at::rand_like(batch);
  }
  [[nodiscard]] std::optional<std::size_t> size() const {
    return 14;
  }
};

/// Two epochs of three batches.
testing::MakeRun loop(bool with_scheduler, bool seeded = true) {
  return [with_scheduler, seeded](testing::Run& run) {
    const OneThread one_thread;
    if (seeded) {
      seed_everything(7);
    }
    Network network;
    torch::optim::Adam optimizer(network->parameters(), 0.01);
    torch::optim::StepLR scheduler(optimizer, 1, 0.5);
    auto batches = make_data_loader(Samples(), DataLoaderOptions(5).seed(3));
    CheckpointManager checkpoints{
        run.directory(),
        run.options(Options().on_event({})),
        network,
        optimizer,
        batches};
    if (with_scheduler) {
      checkpoints.add("scheduler", scheduler);
    }
    checkpoints.resume();
    while (checkpoints.running(epochs(2))) {
      for (const at::Tensor& batch : batches) {
        optimizer.zero_grad();
        const at::Tensor loss =
            network->forward(batch, checkpoints.progress().step % 2 == 0)
                .square()
                .mean();
        loss.backward();
        optimizer.step();
        checkpoints.step({{"loss", loss}});
      }
      if (checkpoints.epoch_done()) {
        scheduler.step();
        checkpoints.end_epoch();
      }
    }
  };
}

} // namespace

TEST_CASE("resume check: a real loop, interrupted everywhere") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      loop(true),
      ResumeCheckOptions().in_this_process().interrupt_everywhere());
  INFO(result);
  CHECK(result.finding == Finding::equal);
  CHECK(result.safe_points == 8);
  CHECK(result.interruptions >= 10);
}

TEST_CASE("resume check: a real loop in new processes") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      loop(true),
      ResumeCheckOptions()
          .interrupt_at({4})
          .interrupt_by({testing::Interruption::kill})
          .in_new_processes({"resume check: a real loop in new processes"}));
  INFO(result);
  CHECK(result.finding == Finding::equal);
  CHECK(result.interruptions == 1);
}

TEST_CASE("resume check: a scheduler that was left out") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      loop(false), ResumeCheckOptions().in_this_process().interrupt_at({4}));
  INFO(result);
  CHECK(result.finding == Finding::differs);
  CHECK(result.at.epoch == 2); // where it is used again
  CHECK(result.at.step == 6);
  REQUIRE(result.differences.size() == 1);
  CHECK(result.differences[0].part == "optimizer");
  CHECK(result.differences[0].what.find("lr") != std::string::npos);
}

TEST_CASE("resume check: weights without a seed") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      loop(true, false), ResumeCheckOptions().in_this_process());
  INFO(result);
  CHECK(result.finding == Finding::not_deterministic);
  CHECK(result.at.step == 0);
  REQUIRE_FALSE(result.differences.empty());
  CHECK(result.differences[0].part == "rng");
}

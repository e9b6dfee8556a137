// A loader of your own, made resumable: the lines marked with [n] are all it
// takes. The program proves it: a run that is ended in mid-epoch and gone on
// with in new objects has the weights of one that was not, bit for bit.

#include <torch/torch.h>

#include <holdfast/holdfast.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr size_t kPoints = 600;
constexpr size_t kRare = 60; // the first ones
constexpr size_t kBatch = 20; // half of them rare ones

/// Batches with as many rare as common points, which no sampler of LibTorch
/// makes. What comes at a place follows from the epoch and the place alone.
class BalancedLoader {
 public:
  template <class V>
  void state(V& v) {
    v("place", place_); // [1] what is saved
  }

  void begin() {
    range_ = place_.begin_range(); // [2] an epoch begins, or goes on
    const auto epoch = static_cast<uint64_t>(place_.epoch()); // [3]
    common_ = holdfast::shuffled_order(kPoints - kRare, /*seed=*/1, epoch);
    rare_ = holdfast::shuffled_order(kRare, /*seed=*/2, epoch);
  }

  bool next(std::vector<int64_t>& rows) {
    if (!place_.fetches(range_)) { // [4] the end, or a stop
      return false;
    }
    rows.clear();
    for (size_t i = place_.handed_out() / 2; rows.size() < kBatch; ++i) { // [5]
      rows.push_back(static_cast<int64_t>(rare_[i % kRare]));
      rows.push_back(static_cast<int64_t>(kRare + common_[i]));
    }
    place_.hand_out(range_, kBatch); // [6]
    return true;
  }

 private:
  holdfast::EpochCursor place_{
      2 * (kPoints - kRare)}; // [7] samples in an epoch
  uint64_t range_ = 0; // [8]
  std::vector<size_t> common_;
  std::vector<size_t> rare_;
};

/// Trains for two epochs and returns the weights; ends early after `steps`
/// steps, as if killed.
torch::Tensor train(const std::string& directory, int64_t steps) {
  torch::manual_seed(0);
  const torch::Tensor points = torch::randn({kPoints, 2});
  const torch::Tensor labels = torch::arange(static_cast<int64_t>(kPoints))
                                   .lt(static_cast<int64_t>(kRare))
                                   .to(torch::kFloat32);

  BalancedLoader loader;
  torch::nn::Sequential model(
      torch::nn::Linear(2, 16),
      torch::nn::Dropout(0.2),
      torch::nn::Linear(16, 1));
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  holdfast::CheckpointManager checkpoints{
      directory,
      holdfast::Options().save_every(holdfast::steps(5)),
      model,
      optimizer,
      holdfast::named("data", loader)};
  std::cout << checkpoints.resume() << '\n';

  while (checkpoints.running(holdfast::epochs(2))) {
    std::vector<int64_t> rows;
    for (loader.begin(); loader.next(rows);) {
      const torch::Tensor chosen = torch::tensor(rows, torch::kInt64);
      optimizer.zero_grad();
      torch::binary_cross_entropy_with_logits(
          model->forward(points.index_select(0, chosen)).squeeze(1),
          labels.index_select(0, chosen))
          .backward();
      optimizer.step();
      checkpoints.step();
      if (checkpoints.progress().step == steps) {
        return {};
      }
    }
    checkpoints.end_epoch();
  }
  return torch::nn::utils::parameters_to_vector(model->parameters());
}

} // namespace

int main() {
  try {
    const torch::Tensor whole = train("runs/own_loader/whole", -1);
    (void)train("runs/own_loader/killed", 73); // in the second epoch
    const torch::Tensor resumed = train("runs/own_loader/killed", -1);
    const bool same = torch::equal(whole, resumed);
    std::cout << (same ? "the same weights\n" : "OTHER WEIGHTS\n");
    return same ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "own_loader: " << error.what() << '\n';
    return 1;
  }
}

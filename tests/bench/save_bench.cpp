// A blocking, durable save of a model and its Adam state, against torch::save
// of the same to two files with fsync of both and of their directory. The two
// take turns in one process on one file system.
//
//     save_bench DIRECTORY [REPETITIONS=7] [MEGABYTES=1000]

#include <torch/torch.h>

#include <holdfast/holdfast.hpp>

#include <bench/timing.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace {

namespace fs = std::filesystem;
using holdfast::bench::Series;

void sync_path(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || ::fsync(descriptor) != 0 || ::close(descriptor) != 0) {
    throw std::runtime_error("cannot sync " + path.string());
  }
}

double tensor_megabytes(
    const torch::nn::Sequential& model,
    torch::optim::Adam& optimizer) {
  double bytes = 0;
  for (const auto& parameter : model->parameters()) {
    bytes += static_cast<double>(parameter.nbytes());
  }
  // Two moments of the size of each parameter.
  return optimizer.state().empty() ? bytes / 1e6 : 3 * bytes / 1e6;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(
        stderr, "usage: save_bench DIRECTORY [REPETITIONS] [MEGABYTES]\n");
    return 2;
  }
  const fs::path directory = argv[1];
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 7;
  const int megabytes = argc > 3 ? std::atoi(argv[3]) : 1000;
  fs::create_directories(directory);

  // Square layers of 5.3 MB each; with both moments 16 MB.
  torch::manual_seed(1);
  torch::nn::Sequential model;
  const int width = 1152;
  for (int i = 0; i < (megabytes + 15) / 16; ++i) {
    model->push_back(torch::nn::Linear(width, width));
  }
  torch::optim::Adam optimizer(model->parameters());
  for (auto& parameter : model->parameters()) {
    parameter.mutable_grad() = torch::rand_like(parameter);
  }
  optimizer.step();
  optimizer.zero_grad();
  const double bytes = tensor_megabytes(model, optimizer) * 1e6;
  std::printf(
      "%zu layers, %.0f MB of weights and moments, %d threads\n",
      model->size(),
      bytes / 1e6,
      torch::get_num_threads());

  fs::remove_all(directory / "holdfast");
  holdfast::CheckpointManager checkpoints{
      (directory / "holdfast").string(),
      holdfast::Options().keep_last(1),
      model,
      optimizer};
  checkpoints.resume();

  const fs::path plain = directory / "torch";
  const auto torch_save = [&] {
    torch::save(model, (plain / "model.pt").string());
    torch::save(optimizer, (plain / "optimizer.pt").string());
    sync_path(plain / "model.pt");
    sync_path(plain / "optimizer.pt");
    sync_path(plain);
  };
  const auto holdfast_save = [&] {
    checkpoints.save().wait();
  };

  Series ours("holdfast, hashed and durable");
  Series theirs("torch::save and fsync");
  for (int i = -1; i < repetitions; ++i) { // one warm-up
    fs::remove_all(plain);
    fs::create_directories(plain);
    ::sync();
    const double theirs_seconds = holdfast::bench::seconds(torch_save);
    fs::remove_all(plain);
    ::sync();
    const double ours_seconds = holdfast::bench::seconds(holdfast_save);
    if (i >= 0) {
      theirs.add(theirs_seconds);
      ours.add(ours_seconds);
    }
  }
  theirs.print(bytes);
  ours.print(bytes);
  std::printf("ratio of the medians %.2f\n", theirs.median() / ours.median());
  fs::remove_all(plain);
}

// What capturing and restoring costs for each tensor: many small parameters,
// their gradients' presence and Adam's state, without any file. The loop waits
// for the capture; a restore happens once a resume.
//
//     capture_bench [PARAMETERS=20000] [REPETITIONS=7]

#include <torch/torch.h>

#include <holdfast/holdfast.hpp>

#include <bench/timing.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

using holdfast::bench::Series;

struct Many : torch::nn::Module {
  explicit Many(int count) {
    for (int i = 0; i < count; ++i) {
      register_parameter("p" + std::to_string(i), torch::rand({8}));
    }
  }
};

/// What was captured, as a checkpoint tells it.
holdfast::Saved saved_of(const holdfast::State& state) {
  holdfast::Saved saved;
  saved.values = state.values;
  for (const holdfast::TensorOut& tensor : state.tensors) {
    saved.tensors.push_back(tensor.info);
  }
  return saved;
}

std::vector<const std::byte*> bytes_of(const holdfast::State& state) {
  std::vector<const std::byte*> bytes;
  for (const holdfast::TensorOut& tensor : state.tensors) {
    bytes.push_back(tensor.source->data());
  }
  return bytes;
}

} // namespace

int main(int argc, char** argv) {
  const int parameters = argc > 1 ? std::atoi(argv[1]) : 20'000;
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 7;
  torch::manual_seed(1);
  auto model = std::make_shared<Many>(parameters);
  auto other = std::make_shared<Many>(parameters);
  torch::optim::Adam optimizer(model->parameters());
  torch::optim::Adam other_optimizer(other->parameters());
  for (auto& parameter : model->parameters()) {
    parameter.mutable_grad() = torch::rand_like(parameter);
  }
  optimizer.step();

  const auto measure = [&](const char* name, auto& from, auto& into) {
    holdfast::PartSet live;
    live.add("model", holdfast::make_part(model));
    holdfast::PartSet fresh;
    fresh.add("model", holdfast::make_part(other));
    const auto part = holdfast::make_part(from);
    const auto target = holdfast::make_part(into);
    const holdfast::Names names = live.publish();
    const holdfast::Names fresh_names = fresh.publish();
    Series captures(std::string(name) + ": capture");
    Series restores(std::string(name) + ": prepare and apply");
    std::size_t tensors = 0;
    for (int i = -1; i < repetitions; ++i) { // one warm-up
      holdfast::State state;
      const double capture =
          holdfast::bench::seconds([&] { state = part->capture(names); });
      tensors = state.tensors.size();
      const holdfast::Saved saved = saved_of(state);
      const std::vector<const std::byte*> bytes = bytes_of(state);
      holdfast::Mismatches mismatches;
      const double restore = holdfast::bench::seconds([&] {
        const auto prepared = target->prepare(saved, fresh_names, mismatches);
        prepared->apply(bytes);
      });
      if (!mismatches.empty()) {
        std::fprintf(stderr, "%s does not match itself\n", name);
        std::exit(1);
      }
      if (i >= 0) {
        captures.add(capture);
        restores.add(restore);
      }
    }
    captures.print();
    restores.print();
    std::printf(
        "%s: %zu tensors, %.2f us a tensor captured, %.2f us restored\n",
        name,
        tensors,
        1e6 * captures.median() / static_cast<double>(tensors),
        1e6 * restores.median() / static_cast<double>(tensors));
  };
  measure("module", model, other);
  measure("Adam", optimizer, other_optimizer);
}

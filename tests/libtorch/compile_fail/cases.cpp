// Code that must not compile. Each `// error:` is one error of the compiler, in
// whatever order, and there is no other: so every wrong argument gets exactly
// one message, and it is the one that helps. Each stands in a statement of its
// own and has a type of its own: some compilers tell only the first of several
// in one call. One file, because reading LibTorch's headers costs more than all
// the cases.
#include <torch/nn/module.h>
#include <torch/optim/schedulers/step_lr.h>
#include <torch/optim/sgd.h>

#include <holdfast/checkpoint_manager.hpp>
#include <holdfast/state/data_loader.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Model : torch::nn::Module {};
struct OtherModel : torch::nn::Module {};
struct Opaque {
  int number = 0;
};
struct Samples {
  int get_batch(const std::vector<std::size_t>& indices) const;
  std::size_t* size() const;
};

/// Without serialize(): LibTorch's own saving would throw.
struct SilentState : torch::optim::OptimizerCloneableParamState<SilentState> {};
struct Silent : torch::optim::SGD {
  using SGD::SGD;
};

} // namespace

template <>
struct holdfast::OptimizerStateType<Silent> {
  using type = SilentState;
};

namespace {

using holdfast::CheckpointManager;
using holdfast::named;
using holdfast::Options;

// error: two parts of one kind need names
void two_models(Model& generator, OtherModel& discriminator) {
  CheckpointManager checkpoints{"run", Options(), generator, discriminator};
}

// error: two parts of one kind need names
void two_optimizers(
    Model& model,
    torch::optim::SGD& first,
    torch::optim::Optimizer& second) {
  CheckpointManager checkpoints{"run", Options(), model, first, second};
}

// error: a part is held by reference, so it cannot be a temporary
void temporary_model() {
  CheckpointManager checkpoints{"run", Options(), Model()};
}

// error: a part is held by reference, so it cannot be a temporary
void temporary_loader() {
  CheckpointManager checkpoints{
      "run", Options(), holdfast::make_data_loader(Samples(), 4)};
}

// error: a part is restored in place, so it cannot be const
void const_model(const Model& model) {
  CheckpointManager checkpoints{"run", Options(), model};
}

// error: only a module, an optimizer, a scheduler and a data loader have a name
void unnamed_tensor(at::Tensor& mean) {
  CheckpointManager checkpoints{"run", Options(), mean};
}

// error: only a module, an optimizer, a scheduler and a data loader have a name
void unnamed_number(std::int64_t& samples) {
  CheckpointManager checkpoints{"run", Options(), samples};
}

// error: only a module, an optimizer, a scheduler and a data loader have a name
void unnamed_unknown(Opaque& object) {
  CheckpointManager checkpoints{"run", Options(), object};
}

// error: this type has no adapter: give it
void named_unknown(Opaque& object) {
  CheckpointManager checkpoints{"run", Options(), named("opaque", object)};
}

// error: pass what the unique_ptr owns (*pointer), not the pointer
void unique_model(std::unique_ptr<Model>& model) {
  CheckpointManager checkpoints{"run", Options(), model};
}

// error: give the object and not a pointer to it: `*pointer`
void pointer_to_model(Model* model) {
  CheckpointManager checkpoints{"run", Options(), model};
}

// error: give the object and not a pointer to it: `*pointer`
void address_of_model(OtherModel& model) {
  CheckpointManager checkpoints{"run", Options(), &model};
}

// error: a part is restored in place, so it cannot be const
// error: only a module, an optimizer, a scheduler and a data loader have a name
void two_wrong_ones(const OtherModel& model, std::string& phase) {
  CheckpointManager checkpoints{"run", Options(), model};
  CheckpointManager others{"run", Options(), phase};
}

// error: a part is held by reference, so it cannot be a temporary
// error: only a module, an optimizer, a scheduler and a data loader have a name
void load_wrong_ones(double& rate) {
  holdfast::load("run", torch::optim::SGD(std::vector<at::Tensor>(), 0.1));
  holdfast::load("run", rate);
}

// error: a part is restored in place, so it cannot be const
void shared_const_model(std::shared_ptr<const Model>& model) {
  CheckpointManager checkpoints{"run", Options(), model};
}

// error: the type that OptimizerStateType tells must override both serialize()
void silent_state(Model& model, Silent& optimizer) {
  CheckpointManager checkpoints{"run", Options(), model, optimizer};
}

} // namespace

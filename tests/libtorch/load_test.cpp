#include "libtorch/network.hpp"

#include <holdfast/holdfast.hpp>

#include "support/state_round_trip.hpp"
#include "support/temporary_directory.hpp"

#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace nn = torch::nn;
namespace optim = torch::optim;

namespace {

/// Layers of chosen names and sizes; the names may have points.
struct Layers : nn::Module {
  explicit Layers(
      const std::vector<std::pair<std::string, std::int64_t>>& layers) {
    for (const auto& [name, size] : layers) {
      all.push_back(register_module(name, nn::Linear(3, size)));
    }
  }
  std::vector<nn::Linear> all;
};

template <class... Objects>
void save_to(const std::string& directory, Objects&... objects) {
  CheckpointManager checkpoints{directory, Options().on_event({}), objects...};
  checkpoints.resume();
  checkpoints.save().wait();
}

template <class Module>
Snapshot snapshot_of(Module& model) {
  Parts parts;
  parts.emplace_back("model", make_part(model));
  return test::capture(parts);
}

const TensorFate& fate_of(const LoadReport& report, const std::string& name) {
  for (const TensorFate& tensor : report.tensors) {
    if (tensor.name == name) {
      return tensor;
    }
  }
  throw std::logic_error("no tensor " + name);
}

/// One step with gradients that are told by their sizes.
void step(nn::Module& module, optim::Optimizer& optimizer) {
  for (at::Tensor& parameter : module.parameters()) {
    parameter.mutable_grad() = at::full(parameter.sizes(), 0.25);
  }
  optimizer.step();
}

} // namespace

TEST_CASE("load: another head, for fine-tuning") {
  const TemporaryDirectory directory;
  Layers saved({{"backbone", 4}, {"head", 10}, {"old", 2}});
  save_to(directory.path(), saved);

  Layers model({{"encoder", 4}, {"head", 5}, {"fresh", 6}});
  const at::Tensor head = model.all[1]->weight.detach().clone();
  const at::Tensor fresh = model.all[2]->weight.detach().clone();
  const LoadOptions options = LoadOptions()
                                  .rename("backbone.*", "encoder.*")
                                  .skip_shape_mismatch("head.*")
                                  .allow_missing("fresh.*")
                                  .allow_unexpected("old.*");
  const LoadReport report = load(directory.path(), options, model);
  CHECK(at::equal(model.all[0]->weight, saved.all[0]->weight));
  CHECK(at::equal(model.all[0]->bias, saved.all[0]->bias));
  CHECK(at::equal(model.all[1]->weight, head));
  CHECK(at::equal(model.all[2]->weight, fresh));
  CHECK(
      report.to_string() ==
      "loaded ckpt-000001-step-0 (epoch 0, step 0) in '" + directory.path() +
          "': 1 part, 256 bytes\n"
          "  tensors: 2 loaded, 2 missing, 2 of another shape, 2 not used, 2 "
          "renamed\n"
          "  model: 'encoder.bias' (renamed from 'backbone.bias'): loaded, F32 "
          "[4]\n"
          "  model: 'encoder.weight' (renamed from 'backbone.weight'): loaded, "
          "F32 [4, 3]\n"
          "  model: 'head.bias': left as it was, [10] in the checkpoint, [5] "
          "here\n"
          "  model: 'head.weight': left as it was, [10, 3] in the checkpoint, "
          "[5, 3] here\n"
          "  model: 'old.bias': not used: F32 [2]\n"
          "  model: 'old.weight': not used: F32 [2, 3]\n"
          "  model: 'fresh.weight': left as it was, not in the checkpoint: F32 "
          "[6, 3]\n"
          "  model: 'fresh.bias': left as it was, not in the checkpoint: F32 "
          "[6]");

  // Without any one of them nothing changes at all.
  const LoadOptions without[] = {
      LoadOptions()
          .skip_shape_mismatch("head.*")
          .allow_missing("fresh.*")
          .allow_unexpected("old.*"),
      LoadOptions()
          .rename("backbone.*", "encoder.*")
          .allow_missing("fresh.*")
          .allow_unexpected("old.*"),
      LoadOptions()
          .rename("backbone.*", "encoder.*")
          .skip_shape_mismatch("head.*")
          .allow_unexpected("old.*"),
      LoadOptions()
          .rename("backbone.*", "encoder.*")
          .skip_shape_mismatch("head.*")
          .allow_missing("fresh.*")};
  for (const LoadOptions& incomplete : without) {
    Layers untouched({{"encoder", 4}, {"head", 5}, {"fresh", 6}});
    const Snapshot before = snapshot_of(untouched);
    CHECK(code_of([&] {
            load(directory.path(), incomplete, untouched);
          }) != "no error");
    CHECK(difference(before, snapshot_of(untouched)) == "");
  }
}

TEST_CASE("load: an optimizer follows renamed parameters, or is refused") {
  const TemporaryDirectory directory;
  const auto options = optim::AdamOptions(0.05);
  Layers saved({{"a", 2}, {"b", 3}});
  optim::Adam saved_optimizer(saved.parameters(), options);
  step(saved, saved_optimizer);
  save_to(directory.path(), saved, saved_optimizer);
  step(saved, saved_optimizer);

  // Other names, and in another order.
  Layers model({{"y", 3}, {"x", 2}});
  optim::Adam optimizer(model.parameters(), optim::AdamOptions(0.01));
  const LoadReport report = load(
      directory.path(),
      LoadOptions().rename("a.*", "x.*").rename("b.*", "y.*"),
      model,
      optimizer);
  CHECK(
      fate_of(report, "model.x.weight.exp_avg").renamed_from ==
      "model.a.weight.exp_avg");
  step(model, optimizer);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(at::equal(model.all[i]->weight, saved.all[1 - i]->weight));
    CHECK(at::equal(model.all[i]->bias, saved.all[1 - i]->bias));
  }

  // Parameters that are missing are no matter of leniency.
  Layers more({{"a", 2}, {"b", 3}, {"c", 4}});
  optim::Adam more_optimizer(more.parameters(), options);
  const Snapshot before = snapshot_of(more);
  const auto error = error_of([&] {
    load(
        directory.path(),
        LoadOptions().allow_missing("*"),
        more,
        more_optimizer);
  });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::name_missing);
  CHECK_THAT(
      error->what(),
      contains("'optimizer: model.c.weight': found nothing, expected a "
               "parameter in group 0"));
  CHECK(difference(before, snapshot_of(more)) == "");
}

namespace {

/// A module with state of its own and an undefined parameter.
struct Counter : nn::Module, ExtraState {
  Counter() {
    register_parameter("bias", at::Tensor(), false);
    weight = register_parameter("weight", at::randn({2}));
  }
  Values save_state() const override {
    return {{"count", count}};
  }
  void load_state(const Values& values) override {
    count = holdfast::at(values, "count").as<int>("count");
  }
  at::Tensor weight;
  int count = 0;
};

struct Outer : nn::Module {
  explicit Outer(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      counters.push_back(register_module(name, std::make_shared<Counter>()));
    }
  }
  std::vector<std::shared_ptr<Counter>> counters;
};

struct Trainer {
  explicit Trainer(const std::string& name) : net({name}) {}
  Outer net;
  optim::Adam optimizer{net.parameters(), optim::AdamOptions(0.05)};
  template <class V>
  void state(V& v) {
    v("net", net);
    v("optimizer", optimizer);
  }
};

} // namespace

TEST_CASE("load: state of modules that is not in tensors has names, too") {
  const TemporaryDirectory directory;
  Outer saved({"one", "two"});
  saved.counters[0]->count = 5;
  save_to(directory.path(), saved);

  // One rule is about all of a module: tensors, undefined ones, extra state.
  Outer model({"first", "new"});
  model.counters[1]->count = 7;
  const auto renames = [] {
    return LoadOptions().rename("one.*", "first.*");
  };
  CHECK(code_of([&] {
          load(directory.path(), renames().allow_missing("new.*"), model);
        }) == "name_unexpected");
  CHECK(code_of([&] {
          load(
              directory.path(),
              renames()
                  .allow_missing("new.weight")
                  .allow_missing("new.bias")
                  .allow_unexpected("two.*"),
              model);
        }) == "name_missing");
  CHECK(model.counters[0]->count == 0);
  const LoadReport report = load(
      directory.path(),
      renames().allow_missing("new.*").allow_unexpected("two.*"),
      model);
  CHECK(report.notes.empty());
  CHECK(model.counters[0]->count == 5);
  CHECK(model.counters[1]->count == 7);
  CHECK(at::equal(model.counters[0]->weight, saved.counters[0]->weight));
  CHECK(
      fate_of(report, "new").to_string() ==
      "model: 'new': left as it was, not in the checkpoint: the module's own "
      "state");
  CHECK(fate_of(report, "new.bias").fate == Fate::missing);
  CHECK(fate_of(report, "two.bias").fate == Fate::unused);

  // By the module's own name, too, where its tensors are named apart.
  Outer apart({"first", "two"});
  load(
      directory.path(),
      LoadOptions()
          .rename("one.weight", "first.weight")
          .rename("one.bias", "first.bias")
          .rename("one", "first"),
      apart);
  CHECK(apart.counters[0]->count == 5);
}

TEST_CASE("load: a module becomes the whole one, and the whole one a module") {
  const TemporaryDirectory wrapped;
  Outer outer({"backbone"});
  outer.counters[0]->count = 5;
  save_to(wrapped.path(), outer);
  Counter bare;
  load(wrapped.path(), LoadOptions().rename("backbone.*", "*"), bare);
  CHECK(bare.count == 5);
  CHECK(at::equal(bare.weight, outer.counters[0]->weight));

  const TemporaryDirectory whole;
  bare.count = 6;
  save_to(whole.path(), bare);
  load(whole.path(), LoadOptions().rename("*", "backbone.*"), outer);
  CHECK(outer.counters[0]->count == 6);
}

TEST_CASE("load: modules and optimizers in an object follow renames, too") {
  const TemporaryDirectory directory;
  Trainer saved("one");
  step(saved.net, saved.optimizer);
  saved.net.counters[0]->count = 5;
  auto part = named("trainer", saved);
  save_to(directory.path(), part);
  step(saved.net, saved.optimizer);

  Trainer other("first");
  const LoadReport report = load(
      directory.path(),
      LoadOptions().rename("net.one.*", "net.first.*"),
      named("trainer", other));
  CHECK(other.net.counters[0]->count == 5);
  CHECK(
      fate_of(report, "optimizer.trainer.net.first.weight.exp_avg")
          .renamed_from == "optimizer.trainer.net.one.weight.exp_avg");
  step(other.net, other.optimizer);
  CHECK(
      at::equal(other.net.counters[0]->weight, saved.net.counters[0]->weight));
}

TEST_CASE("load: two of a module's names may not become one") {
  const TemporaryDirectory directory;
  Outer saved({"one", "two"});
  saved.counters[0]->count = 5;
  save_to(directory.path(), saved);
  Outer model({"both"});
  const auto error_with = [&](const LoadOptions& options) {
    const auto error =
        error_of([&] { load(directory.path(), options, model); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::duplicate_name);
    CHECK(model.counters[0]->count == 0);
    return error->name() + ": " + error->details().message;
  };
  CHECK(
      error_with(LoadOptions().rename("one", "both").rename("two", "both")) ==
      "both: the extra states of two modules have this name after renaming");
  CHECK(
      error_with(LoadOptions().rename("one.bias", "two.bias")) ==
      "two.bias: two tensors have this name after renaming");
  CHECK(
      error_with(LoadOptions().rename("one.bias", "two.weight")) ==
      "two.weight: two tensors have this name after renaming");
}

TEST_CASE("load: gradients are told to be left out") {
  const TemporaryDirectory directory;
  Layers saved({{"a", 2}});
  saved.all[0]->weight.mutable_grad() = at::ones({2, 3});
  auto accumulating = with_gradients(saved);
  save_to(directory.path(), accumulating);
  Layers model({{"a", 2}});
  auto loading = with_gradients(model);
  const LoadReport report = load(directory.path(), loading);
  CHECK(fate_of(report, "a.weight").fate == Fate::loaded);
  CHECK(
      fate_of(report, "a.weight.grad").to_string() ==
      "model: 'a.weight.grad': not used: F32 [2, 3]");
  CHECK_FALSE(model.all[0]->weight.grad().defined());
}

TEST_CASE("load: dtypes are converted where asked, in place") {
  const TemporaryDirectory directory;
  struct Saved : nn::Module {
    Saved() {
      plain = register_parameter("plain", at::arange(6).to(at::kFloat) / 7);
      image = register_buffer(
          "image",
          at::arange(24)
              .to(at::kFloat)
              .reshape({1, 2, 3, 4})
              .contiguous(at::MemoryFormat::ChannelsLast));
      count = register_buffer("count", at::arange(3).to(at::kInt));
      half = register_buffer("half", at::ones({2}).to(at::kHalf));
      tied = register_parameter("tied", at::arange(4).to(at::kFloat) / 3);
      register_parameter("again", tied);
    }
    at::Tensor plain, image, count, half, tied;
  } saved;
  save_to(directory.path(), saved);

  struct Loaded : nn::Module {
    Loaded() {
      plain = register_parameter("plain", at::zeros({6}, at::kDouble));
      // Every second column: not contiguous.
      image = register_buffer(
          "image", at::zeros({1, 2, 3, 8}, at::kDouble).slice(3, 0, 8, 2));
      count = register_buffer("count", at::zeros({3}, at::kLong));
      half = register_buffer("half", at::zeros({2}, at::kBFloat16));
      tied = register_parameter("tied", at::zeros({4}, at::kHalf));
      register_parameter("again", tied);
    }
    at::Tensor plain, image, count, half, tied;
  } model;
  const void* memory = model.plain.data_ptr();
  const Snapshot before = snapshot_of(model);
  for (const char* other : {"plain", "p*", "[", "tied"}) {
    const std::string code = code_of([&] {
      load(directory.path(), LoadOptions().convert_dtype(other), model);
    });
    CHECK(code == (other[0] == '[' ? "invalid_argument" : "dtype_mismatch"));
    CHECK(difference(before, snapshot_of(model)) == "");
  }
  const LoadReport report =
      load(directory.path(), LoadOptions().convert_dtype("*"), model);
  CHECK(report.count(Fate::converted) == 6);
  CHECK(report.count(Fate::loaded) == 0);
  CHECK(
      fate_of(report, "count").to_string() ==
      "model: 'count': converted from I32 to I64");
  CHECK(
      fate_of(report, "again").to_string() ==
      "model: 'again': converted from F32 to F16");
  CHECK(model.plain.data_ptr() == memory);
  CHECK(at::equal(model.plain, saved.plain.to(at::kDouble)));
  CHECK(at::equal(model.image, saved.image.to(at::kDouble)));
  CHECK_FALSE(model.image.is_contiguous());
  CHECK(at::equal(model.count, saved.count.to(at::kLong)));
  CHECK(at::equal(model.half, saved.half.to(at::kBFloat16)));
  CHECK(at::equal(model.tied, saved.tied.to(at::kHalf)));
}

TEST_CASE("load: a tie of which the checkpoint has one name") {
  const TemporaryDirectory directory;
  struct Tied : nn::Module {
    explicit Tied(const std::vector<std::string>& names) {
      for (const std::string& name : names) {
        register_parameter(name, weight);
      }
    }
    at::Tensor weight = at::randn({3});
  };
  Tied saved({"first"});
  save_to(directory.path(), saved);
  Tied model({"second", "first"});
  CHECK(code_of([&] { load(directory.path(), model); }) == "name_missing");
  const LoadReport report =
      load(directory.path(), LoadOptions().allow_missing("second"), model);
  CHECK(at::equal(model.weight, saved.weight));
  CHECK(report.count(Fate::loaded) == 1);
  CHECK(report.count(Fate::missing) == 0);
  REQUIRE(report.notes.size() >= 1);
  CHECK(
      report.notes[0] ==
      "model: 'second' is not in the checkpoint, but is tied to a tensor that "
      "is");

  // And a tie of which the object has one.
  const TemporaryDirectory both;
  save_to(both.path(), model);
  Tied single({"first"});
  CHECK(code_of([&] { load(both.path(), single); }) == "name_unexpected");
  const LoadReport other =
      load(both.path(), LoadOptions().allow_unexpected("second"), single);
  CHECK(at::equal(single.weight, model.weight));
  CHECK(fate_of(other, "first").fate == Fate::loaded);
  CHECK(fate_of(other, "second").fate == Fate::unused);
}

TEST_CASE("load: tensors by themselves, and where new ones go") {
  const TemporaryDirectory directory;
  at::Tensor scale = at::arange(3);
  auto scale_part = named("scale", scale);
  save_to(directory.path(), scale_part);

  at::Tensor other = at::zeros({2}, at::kLong);
  CHECK(code_of([&] {
          load(directory.path(), named("scale", other));
        }) == "shape_mismatch");
  const LoadReport skipped = load(
      directory.path(),
      LoadOptions().skip_shape_mismatch("scale:tensor"),
      named("scale", other));
  CHECK(skipped.count(Fate::other_shape) == 1);
  CHECK(at::equal(other, at::zeros({2}, at::kLong)));

  // An integer is never cut down, nor made a floating-point number.
  for (const at::ScalarType type : {at::kInt, at::kDouble}) {
    at::Tensor narrow = at::zeros({3}, type);
    CHECK(code_of([&] {
            load(
                directory.path(),
                LoadOptions().convert_dtype("*"),
                named("scale", narrow));
          }) == "dtype_mismatch");
  }

  at::Tensor fresh;
  load(directory.path(), LoadOptions().device("cpu"), named("scale", fresh));
  CHECK(at::equal(fresh, scale));
  for (const char* device : {"cdua:0", "cuda:99"}) {
    at::Tensor nowhere;
    const auto error = error_of([&] {
      load(
          directory.path(),
          LoadOptions().device(device),
          named("scale", nowhere));
    });
    REQUIRE(error);
    CHECK(
        std::string(error->what()) ==
        std::string("'device': this machine has no such device: found '") +
            device + "' (invalid_argument)");
    CHECK_FALSE(nowhere.defined());
    // Told at once where nothing has to be put anywhere, too.
    CHECK(code_of([&] {
            load(
                directory.path(),
                LoadOptions().device(device),
                named("scale", scale));
          }) == "invalid_argument");
  }
}

TEST_CASE("load: new tensors go where they are told", "[cuda]") {
  const TemporaryDirectory directory;
  at::Tensor scale = at::arange(3);
  auto scale_part = named("scale", scale);
  save_to(directory.path(), scale_part);
  at::Tensor fresh;
  load(directory.path(), LoadOptions().device("cuda:0"), named("scale", fresh));
  CHECK(fresh.device() == at::Device("cuda:0"));
  CHECK(at::equal(fresh.cpu(), scale));
}

TEST_CASE("load: the weights of a checkpoint whose optimizer is damaged") {
  const TemporaryDirectory directory;
  Layers saved({{"a", 2}, {"b", 3}});
  optim::Adam saved_optimizer(saved.parameters());
  step(saved, saved_optimizer);
  save_to(directory.path(), saved, saved_optimizer);
  const std::string checkpoint = directory.path("ckpt-000001-step-0");
  std::filesystem::resize_file(
      checkpoint + "/optimizer/state.safetensors", 100);

  Layers model({{"a", 2}, {"b", 3}});
  const Snapshot before = snapshot_of(model);
  CHECK(code_of([&] {
          load(directory.path(), model);
        }) == "no_usable_checkpoint");
  CHECK(difference(before, snapshot_of(model)) == "");
  const LoadReport report =
      load(directory.path(), LoadOptions().salvage(true), model);
  CHECK(report.salvaged());
  CHECK(at::equal(model.all[1]->weight, saved.all[1]->weight));
  optim::Adam optimizer(model.parameters());
  CHECK(code_of([&] {
          load(directory.path(), LoadOptions().salvage(true), model, optimizer);
        }) == "no_usable_checkpoint");

  // Even with nothing left but its weights.
  std::filesystem::resize_file(checkpoint + "/state.json", 10);
  Layers last({{"a", 2}, {"b", 3}});
  last.eval();
  const LoadReport without_state =
      load(directory.path(), LoadOptions().salvage(true), last);
  CHECK(without_state.damaged.size() == 2);
  CHECK(at::equal(last.all[1]->weight, saved.all[1]->weight));
  CHECK_FALSE(last.is_training());
}

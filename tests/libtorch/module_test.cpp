#include "libtorch/network.hpp"

#include <holdfast/base/text.hpp>
#include <holdfast/state/extra_state.hpp>

#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/functional.h>
#include <torch/nn/modules/container/parameterdict.h>
#include <torch/nn/modules/container/parameterlist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/optim/sgd.h>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace nn = torch::nn;

namespace {

/// The memory of a dense tensor as hexadecimal digits.
std::string memory_of(const at::Tensor& tensor) {
  return to_hex(
      {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()});
}

template <class T>
Parts part_of(T& object) {
  Parts parts;
  parts.emplace_back("model", make_part(object));
  return parts;
}

template <class T>
Snapshot module_snapshot(T& object) {
  Parts parts = part_of(object);
  return capture(parts);
}

/// A module of given parameters and buffers.
struct Plain : nn::Module {
  Plain& parameter(const std::string& name, at::Tensor tensor) {
    const bool requires_grad = tensor.defined() && tensor.requires_grad();
    register_parameter(name, std::move(tensor), requires_grad);
    return *this;
  }
  Plain& buffer(const std::string& name, at::Tensor tensor) {
    register_buffer(name, std::move(tensor));
    return *this;
  }
};

at::Tensor leaf(std::vector<std::int64_t> sizes) {
  return at::randn(sizes).set_requires_grad(true);
}

struct Usage : nn::Module, ExtraState {
  Values save_state() const override {
    return {{"count", count}};
  }
  void load_state(const Values& values) override {
    const auto loaded = holdfast::at(values, "count").as<int>("count");
    if (refuses) {
      throw std::runtime_error("refused");
    }
    count = loaded;
    if (count == refused) {
      throw std::runtime_error("refused halfway");
    }
  }
  int count = 0;
  bool refuses = false;
  int refused = -1;
};

struct Nest : nn::Module {
  Nest() {
    inner = register_module("inner", std::make_shared<Usage>());
    weight = register_parameter("weight", at::randn({3}));
  }
  std::shared_ptr<Usage> inner;
  at::Tensor weight;
};

} // namespace

TEST_CASE("module: stored under dotted names, buffers and all") {
  Network network;
  const Snapshot saved = module_snapshot(network);
  std::vector<std::string> names;
  for (const TensorInfo& info : stored_in(saved, "model").saved.tensors) {
    names.push_back(info.name);
  }
  CHECK(
      names ==
      std::vector<std::string>{
          "input.weight",
          "input.bias",
          "norm.weight",
          "norm.bias",
          "norm.running_mean",
          "norm.running_var",
          "norm.num_batches_tracked",
          "frozen.weight",
          "frozen.bias",
          "sometimes.weight",
          "sometimes.bias",
          "output.weight",
          "output.bias"});
}

TEST_CASE("module: is captured however it is held") {
  Network holder;
  std::shared_ptr<NetworkImpl> shared = holder.ptr();
  std::shared_ptr<nn::Module> base = shared;
  NetworkImpl& reference = *shared;
  nn::Module& base_reference = *shared;
  nn::AnyModule any(nn::Linear(2, 2));
  const Snapshot expected = module_snapshot(holder);
  CHECK(difference(expected, module_snapshot(shared)) == "");
  CHECK(difference(expected, module_snapshot(base)) == "");
  CHECK(difference(expected, module_snapshot(reference)) == "");
  CHECK(difference(expected, module_snapshot(base_reference)) == "");
  CHECK(stored_in(module_snapshot(any), "model").saved.tensors.size() == 2);
  CHECK(std::string(StateAdapter<Network>::default_name) == "model");
  CHECK(std::string(StateAdapter<nn::AnyModule>::default_name) == "model");
}

TEST_CASE("module: a holder is read again at each use") {
  nn::Linear holder(2, 3);
  Parts parts = part_of(holder);
  (void)capture(parts);
  holder = nn::Linear(5, 7);
  const Snapshot saved = capture(parts);
  CHECK(
      stored_in(saved, "model").saved.tensors[0].shape ==
      std::vector<std::int64_t>{7, 5});
  holder = nullptr;
  CHECK(code_of([&] { (void)capture(parts); }) == "not_capturable");
}

TEST_CASE("module: restored in place, so pointers, views and ties hold") {
  Network network;
  Parts parts = part_of(network);
  const Snapshot saved = capture(parts);
  const at::Tensor view = network->input->weight.detach()[1];
  const void* memory = network->input->weight.data_ptr();
  const void* identity = network->input->weight.unsafeGetTensorImpl();
  const std::string before = memory_of(network->input->weight);
  {
    const c10::NoGradGuard no_grad;
    for (at::Tensor& parameter : network->parameters()) {
      parameter.zero_();
    }
  }
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(network->input->weight.data_ptr() == memory);
  CHECK(network->input->weight.unsafeGetTensorImpl() == identity);
  CHECK(memory_of(network->input->weight) == before);
  CHECK(memory_of(view) == before.substr(32, 32));
  CHECK(network->input->weight.is_leaf());
}

TEST_CASE("module: every mismatch is listed and nothing changes") {
  Plain saved_module;
  saved_module.parameter("same", leaf({2}))
      .parameter("shape", leaf({2, 3}))
      .parameter("dtype", at::zeros({2}, at::kDouble))
      .parameter("gone", leaf({1}))
      .buffer("both", at::zeros({3}, at::kInt));
  const Snapshot saved = module_snapshot(saved_module);
  Plain live;
  live.parameter("same", leaf({2}))
      .parameter("shape", leaf({3, 2}))
      .parameter("dtype", at::zeros({2}))
      .parameter("fresh", leaf({4}))
      .buffer("both", at::zeros({4}, at::kLong));
  Parts parts = part_of(live);
  const Snapshot before = capture(parts);
  CHECK(
      text_of(restore(saved, parts)) ==
      "both dtype_mismatch: expected I64, found I32\n"
      "both shape_mismatch: expected [4], found [3]\n"
      "dtype dtype_mismatch: expected F32, found F64\n"
      "fresh name_missing: expected F32 [4], found nothing\n"
      "gone name_unexpected: expected nothing, found F32 [1]\n"
      "shape shape_mismatch: expected [3, 2], found [2, 3]\n");
  CHECK(difference(before, capture(parts)) == "");
}

TEST_CASE("module: tied tensors are stored once under both names") {
  for (const bool same_tensor : {true, false}) {
    CAPTURE(same_tensor);
    const auto make = [&](std::vector<std::int64_t> sizes) {
      auto module = std::make_unique<Plain>();
      at::Tensor weight = leaf(std::move(sizes));
      module->parameter("encoder", weight);
      if (same_tensor) {
        module->parameter("decoder", weight);
      } else {
        module->buffer("decoder", weight.detach());
      }
      module->buffer("part_of_it", weight.detach()[0]);
      return module;
    };
    auto source = make({2, 3});
    const Snapshot saved = module_snapshot(*source);
    const Stored& stored = stored_in(saved, "model");
    REQUIRE(stored.saved.tensors.size() == 2);
    CHECK(stored.saved.tensors[0].name == "encoder");
    CHECK(
        stored.saved.tensors[0].aliases == std::vector<std::string>{"decoder"});
    CHECK(stored.saved.tensors[1].name == "part_of_it");

    auto target = make({2, 3});
    Parts parts = part_of(*target);
    REQUIRE(text_of(restore(saved, parts)) == "");
    CHECK(difference(saved, capture(parts)) == "");

    // One tensor cannot take two values.
    Plain untied;
    untied.parameter("encoder", leaf({2, 3}))
        .parameter("decoder", leaf({2, 3}))
        .buffer("part_of_it", at::zeros({3}));
    CHECK(
        text_of(restore(module_snapshot(untied), parts)) ==
        "decoder type_mismatch: expected tied to 'encoder', found a tensor of "
        "its own\n");

    // Two tensors can take one value, but it is said.
    Parts into_untied = part_of(untied);
    REQUIRE(text_of(restore(saved, into_untied)) == "");
    CHECK(
        memory_of(untied.named_parameters()["decoder"]) ==
        memory_of(source->named_parameters()["encoder"]));
    REQUIRE(into_untied[0].second->notes().size() == 1);
    CHECK_THAT(
        into_untied[0].second->notes()[0],
        contains("'decoder' was tied to 'encoder'"));
  }
}

TEST_CASE("module: modes and requires_grad come back") {
  Network network;
  network->dropout->eval();
  network->sometimes->eval();
  network->output->bias.set_requires_grad(false);
  const Snapshot saved = module_snapshot(network);
  Network fresh;
  fresh->eval();
  fresh->frozen->weight.set_requires_grad(true);
  Parts parts = part_of(fresh);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(fresh->is_training());
  CHECK(fresh->norm->is_training());
  CHECK_FALSE(fresh->dropout->is_training());
  CHECK_FALSE(fresh->sometimes->is_training());
  CHECK_FALSE(fresh->output->bias.requires_grad());
  CHECK_FALSE(fresh->frozen->weight.requires_grad());
  CHECK(fresh->input->weight.requires_grad());
  CHECK(difference(saved, capture(parts)) == "");
}

TEST_CASE("module: which parameters have a gradient is state") {
  Network network;
  network->forward(at::randn({4, 4}), false).sum().backward();
  REQUIRE(network->input->weight.grad().defined());
  REQUIRE_FALSE(network->sometimes->weight.grad().defined());
  const Snapshot saved = module_snapshot(network);
  CHECK(stored_in(saved, "model").saved.tensors.size() == 13);

  Network fresh;
  fresh->forward(at::randn({4, 4}), true).sum().backward();
  Parts parts = part_of(fresh);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK_FALSE(fresh->sometimes->weight.grad().defined());
  REQUIRE(fresh->input->weight.grad().defined());
  CHECK(fresh->input->weight.grad().count_nonzero().item<std::int64_t>() == 0);
  CHECK(difference(saved, capture(parts)) == "");

  Network without;
  REQUIRE(text_of(restore(module_snapshot(without), parts)) == "");
  CHECK_FALSE(fresh->input->weight.grad().defined());
}

TEST_CASE("module: an accumulation goes on with the values of gradients") {
  const at::Tensor first = at::randn({4, 4});
  const at::Tensor second = at::randn({4, 4});
  Network network;
  network->dropout->eval();
  network->forward(first, true).square().sum().backward();
  auto accumulating = with_gradients(network);
  Parts parts = part_of(accumulating);
  const Snapshot saved = capture(parts);
  network->forward(second, true).square().sum().backward();
  const Snapshot uninterrupted = capture(parts);

  Network fresh;
  auto also = with_gradients(fresh);
  Parts into = part_of(also);
  REQUIRE(text_of(restore(saved, into)) == "");
  CHECK(difference(saved, capture(into)) == "");
  fresh->forward(second, true).square().sum().backward();
  CHECK(difference(uninterrupted, capture(into)) == "");
}

TEST_CASE("module: layouts stay, and another one is remarked on") {
  Plain saved_module;
  saved_module.parameter(
      "kernel",
      at::randn({2, 3, 4, 5})
          .contiguous(at::MemoryFormat::ChannelsLast)
          .set_requires_grad(true));
  saved_module.buffer("turned", at::randn({4, 6}).t());
  const Snapshot saved = module_snapshot(saved_module);
  CHECK(
      stored_in(saved, "model").saved.tensors[0].strides ==
      std::vector<std::int64_t>{60, 1, 15, 3});

  Plain live;
  live.parameter(
      "kernel",
      at::randn({2, 3, 4, 5})
          .contiguous(at::MemoryFormat::ChannelsLast)
          .set_requires_grad(true));
  live.buffer("turned", at::randn({6, 4}));
  Parts parts = part_of(live);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(
      memory_of(live.named_parameters()["kernel"]) ==
      memory_of(saved_module.named_parameters()["kernel"]));
  CHECK(
      to_hex(stored_in(capture(parts), "model").bytes[1]) ==
      to_hex(stored_in(saved, "model").bytes[1]));
  REQUIRE(parts[0].second->notes().size() == 1);
  CHECK_THAT(
      parts[0].second->notes()[0], contains("'turned' had other strides"));
  CHECK_FALSE(parts[0].second->exact());
}

TEST_CASE("module: undefined tensors must be undefined on both sides") {
  Plain with_hole;
  with_hole.parameter("weight", leaf({2})).buffer("cache", at::Tensor());
  const Snapshot saved = module_snapshot(with_hole);
  Parts same = part_of(with_hole);
  CHECK(text_of(restore(saved, same)) == "");

  Plain filled;
  filled.parameter("weight", leaf({2})).buffer("cache", at::zeros({3}));
  Parts parts = part_of(filled);
  CHECK(
      text_of(restore(saved, parts)) ==
      "cache name_missing: expected F32 [3], found nothing\n");
  CHECK(
      text_of(restore(module_snapshot(filled), same)) ==
      "cache name_unexpected: expected nothing, found F32 [3]\n");
}

TEST_CASE("module: a parameter and a buffer of one name are an error") {
  Plain module;
  module.parameter("twin", leaf({1})).buffer("twin", at::zeros({1}));
  CHECK(code_of([&] { (void)module_snapshot(module); }) == "duplicate_name");
}

TEST_CASE("module: extra state of submodules is saved under their names") {
  Nest nest;
  nest.inner->count = 7;
  const Snapshot saved = module_snapshot(nest);
  Nest fresh;
  Parts parts = part_of(fresh);
  CHECK(parts[0].second->stage() == Stage::user);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(fresh.inner->count == 7);
  CHECK(memory_of(fresh.weight) == memory_of(nest.weight));
}

TEST_CASE("module: a refused extra state leaves every module untouched") {
  Nest a;
  Nest b;
  a.inner->count = 1;
  b.inner->count = 2;
  Parts source;
  add(source, "a", a);
  add(source, "b", b);
  const Snapshot saved = capture(source);

  Nest live_a;
  Nest live_b;
  live_a.inner->count = 30;
  live_a.inner->eval();
  live_b.inner->refuses = true;
  Parts target;
  add(target, "a", live_a);
  add(target, "b", live_b);
  const Snapshot before = capture(target);
  CHECK_THROWS_AS(restore(saved, target), std::runtime_error);
  CHECK(difference(before, capture(target)) == "");
}

TEST_CASE("module: an extra state refused halfway is taken back") {
  Nest nest;
  nest.inner->count = 1;
  const Snapshot saved = module_snapshot(nest);
  Nest live;
  live.inner->count = 30;
  live.inner->refused = 1;
  Parts parts = part_of(live);
  const Snapshot before = capture(parts);
  CHECK_THROWS_WITH(restore(saved, parts), "refused halfway");
  CHECK(live.inner->count == 30);
  CHECK(difference(before, capture(parts)) == "");
}

TEST_CASE("module: the modules of a network it lacks are named") {
  Nest nest;
  const Snapshot saved = module_snapshot(nest);
  Plain plain;
  plain.parameter("weight", at::randn({3}));
  Parts parts = part_of(plain);
  CHECK(
      text_of(restore(saved, parts)) ==
      "inner name_unexpected: expected nothing, found a module's own state\n");
}

TEST_CASE("module: every dtype and layout as parameter and as buffer") {
  const auto make = [](std::uint64_t seed) {
    at::manual_seed(seed);
    auto module = std::make_unique<Plain>();
    for (int i = 0; i < static_cast<int>(at::ScalarType::NumOptions); ++i) {
      const auto type = static_cast<at::ScalarType>(i);
      if (!dtype_of(type)) {
        continue;
      }
      const auto filled = [&](std::vector<std::int64_t> sizes) {
        at::Tensor tensor = at::zeros(sizes, type);
        auto* bytes = static_cast<std::uint8_t*>(tensor.data_ptr());
        for (std::size_t n = 0; n < tensor.nbytes(); ++n) {
          bytes[n] = static_cast<std::uint8_t>(
              type == at::kBool ? (n + seed) % 2 : 31 * n + seed);
        }
        return tensor;
      };
      const std::string name = c10::toString(type);
      module->parameter(name + "_number", filled({}))
          .parameter(name + "_matrix", filled({3, 4}))
          .parameter(name + "_transposed", filled({3, 4}).t())
          .buffer(name + "_empty", filled({2, 0}))
          .buffer(
              name + "_channels_last",
              filled({2, 4, 5, 3}).permute({0, 3, 1, 2}))
          .buffer(name + "_expanded", filled({3, 1}).expand({3, 4}))
          .buffer(name + "_strided", filled({4, 6}).slice(1, 0, 6, 2));
    }
    return module;
  };
  auto source = make(1);
  const Snapshot saved = module_snapshot(*source);
  REQUIRE(stored_in(saved, "model").bytes.size() >= 13 * 7);
  auto target = make(2);
  Parts parts = part_of(*target);
  std::vector<const void*> before;
  for (const at::Tensor& tensor : target->buffers()) {
    before.push_back(tensor.data_ptr());
  }
  REQUIRE(difference(saved, capture(parts)) != "");
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(difference(saved, capture(parts)) == "");
  std::size_t next = 0;
  for (const at::Tensor& tensor : target->buffers()) {
    CHECK(tensor.data_ptr() == before[next++]);
  }
}

TEST_CASE("module: lists and dictionaries of parameters, and sequences") {
  struct Lists : nn::Module {
    Lists() {
      list = register_module("list", nn::ParameterList());
      list->append(leaf({2}));
      list->append(leaf({}));
      dict = register_module("dict", nn::ParameterDict());
      dict->insert("key", leaf({3}));
      sequence = register_module(
          "sequence",
          nn::Sequential(
              nn::Linear(2, 2), nn::Functional(at::relu), nn::Linear(2, 1)));
    }
    nn::ParameterList list{nullptr};
    nn::ParameterDict dict{nullptr};
    nn::Sequential sequence{nullptr};
  };
  Lists lists;
  const Snapshot saved = module_snapshot(lists);
  std::string names;
  for (const TensorInfo& info : stored_in(saved, "model").saved.tensors) {
    names += info.name + " ";
  }
  CHECK(
      names ==
      "list.0 list.1 dict.key sequence.0.weight sequence.0.bias "
      "sequence.2.weight sequence.2.bias ");
  Lists fresh;
  Parts parts = part_of(fresh);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(difference(saved, capture(parts)) == "");
}

TEST_CASE("module: an average, a scaler and a hidden state beside it") {
  // What AMP, averaging of weights and truncated backpropagation keep.
  struct Loop {
    Network network;
    Network average;
    at::Tensor scale = at::full({1}, 65536.0F);
    at::Tensor growth = at::zeros({1}, at::kInt);
    at::Tensor hidden;
    Parts parts;
    Loop() {
      add(parts, "model", network);
      add(parts, "average", average);
      add(parts, "scale", scale);
      add(parts, "growth", growth);
      add(parts, "hidden", hidden);
    }
    void step() {
      const c10::NoGradGuard no_grad;
      hidden = hidden.defined() ? hidden * 0.5 + 1 : at::ones({2, 3});
      scale.mul_(0.5);
      growth.add_(1);
      for (std::size_t i = 0; i < average->parameters().size(); ++i) {
        network->parameters()[i].add_(hidden.sum() * 1e-3);
        average->parameters()[i].lerp_(network->parameters()[i], 0.1);
      }
    }
  };
  for (const int before : {0, 2}) {
    CAPTURE(before);
    Loop first;
    for (int i = 0; i < before; ++i) {
      first.step();
    }
    const Snapshot saved = capture(first.parts);
    first.step();
    Loop second;
    second.step();
    REQUIRE(text_of(restore(saved, second.parts)) == "");
    CHECK(difference(saved, capture(second.parts)) == "");
    second.step();
    CHECK(difference(capture(first.parts), capture(second.parts)) == "");
  }
}

TEST_CASE("module: modes that the program changed are remarked on") {
  Network network;
  const Snapshot training = module_snapshot(network);
  network->eval();
  const Snapshot evaluating = module_snapshot(network);
  const auto notes_of = [](const Snapshot& saved, bool mode) {
    Network fresh;
    fresh->train(mode);
    Parts parts = part_of(fresh);
    REQUIRE(text_of(restore(saved, parts)) == "");
    return parts[0].second->notes();
  };
  CHECK(notes_of(training, true).empty());
  CHECK(notes_of(evaluating, false).empty());
  CHECK(
      notes_of(evaluating, true) ==
      std::vector<std::string>{
          "the saved mode is used, evaluation, and not that of the program: "
          "the module itself, 'input', 'norm', 'dropout', 'frozen' and 2 "
          "more"});
}

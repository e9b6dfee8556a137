#include <torch/csrc/utils/variadic.h> // LibTorch 1.13's map.h lacks it.
#include <torch/data/datasets/base.h>
#include <torch/data/datasets/map.h>
#include <torch/data/datasets/stateful.h>
#include <torch/data/transforms/lambda.h>
#include <torch/data/transforms/stack.h>
#include <torch/types.h>

#include <state/part_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/data_loader.hpp>
#include <holdfast/state/sample_order.hpp>

#include <ATen/CPUGeneratorImpl.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Sample i is i, with noise from the default generator if asked for.
class Numbers : public torch::data::datasets::Dataset<Numbers> {
 public:
  Numbers(std::size_t size, bool noisy) : size_(size), noisy_(noisy) {}

  torch::data::Example<> get(std::size_t index) override {
    ++fetched();
    const auto number = static_cast<double>(index);
    return {
        noisy_ ? torch::rand({2}) + number : torch::full({2}, number),
        torch::tensor(static_cast<std::int64_t>(index))};
  }
  c10::optional<std::size_t> size() const override {
    return size_;
  }
  static int& fetched() {
    static int count = 0;
    return count;
  }

 private:
  std::size_t size_;
  bool noisy_;
};

auto stacked(std::size_t size, bool noisy) {
  return Numbers(size, noisy).map(torch::data::transforms::Stack<>());
}

at::Generator generator() {
  return at::detail::getDefaultCPUGenerator();
}

/// Puts the default generator's state back at the first range after a restore.
struct Control final : LoopControl {
  bool stop = false;
  at::Tensor random;
  bool stopping() const noexcept override {
    return stop;
  }
  void range_begins() override {
    if (random.defined()) {
      generator().set_state(random);
      random = at::Tensor();
    }
  }
};

void append(std::string& bytes, const at::Tensor& tensor) {
  const at::Tensor row_major = tensor.contiguous();
  bytes.append(
      static_cast<const char*>(row_major.data_ptr()), row_major.nbytes());
}

struct Checkpoint {
  Captured loader;
  at::Tensor random;
};

/// One process: a loop over 3 epochs whose body and whose end of epoch draw
/// random numbers too. It is killed after batch `kill`, with a checkpoint.
Checkpoint train(
    const DataLoaderOptions& options,
    const Checkpoint* from,
    int kill,
    std::string& trace) {
  torch::manual_seed(from == nullptr ? 5 : 6);
  auto batches = holdfast::make_data_loader(stacked(11, true), options);
  const auto part = make_part(batches);
  Control control;
  part->cursor()->attach(&control);
  if (from != nullptr) {
    restore(*part, from->loader);
    control.random = from->random;
  }
  const auto checkpoint = [&] {
    return Checkpoint{capture(*part), generator().get_state().clone()};
  };
  int count = 0;
  while (batches.epoch() < 3) {
    (void)torch::rand({3}); // Drawn before the range in every process.
    for (auto& batch : batches) {
      append(trace, batch.data);
      append(trace, batch.target);
      append(trace, torch::rand({1}));
      (void)part->cursor()->commit();
      if (++count == kill) {
        return checkpoint();
      }
    }
    append(trace, torch::rand({1}));
    part->cursor()->start_epoch(batches.epoch() + 1);
  }
  return checkpoint();
}

std::vector<std::int64_t> targets(const at::Tensor& target) {
  const auto* const data = target.data_ptr<std::int64_t>();
  return {data, data + target.numel()};
}

/// The samples of one range.
template <class Loader>
std::vector<std::size_t> samples(Loader& loader) {
  std::vector<std::size_t> seen;
  for (auto& batch : loader) {
    for (const std::int64_t index : targets(batch.target)) {
      seen.push_back(static_cast<std::size_t>(index));
    }
  }
  return seen;
}

} // namespace

TEST_CASE(
    "data loader: exact with random transforms, wherever it is killed",
    "[libtorch]") {
  const bool shuffle = GENERATE(false, true);
  const bool drop_last = GENERATE(false, true);
  const DataLoaderOptions options =
      DataLoaderOptions(3).shuffle(shuffle).drop_last(drop_last).seed(3);
  std::string uninterrupted;
  (void)train(options, nullptr, -1, uninterrupted);
  const int batches = 3 * (drop_last ? 3 : 4);
  for (int kill = 1; kill <= batches; ++kill) {
    CAPTURE(shuffle, drop_last, kill);
    std::string trace;
    const Checkpoint checkpoint = train(options, nullptr, kill, trace);
    (void)train(options, &checkpoint, -1, trace);
    CHECK((trace == uninterrupted));
  }
}

TEST_CASE("data loader: batches hold the samples of the order", "[libtorch]") {
  auto batches = holdfast::make_data_loader(
      stacked(10, false), DataLoaderOptions(4).seed(8));
  CHECK(batches.batches_per_epoch() == 3);
  std::vector<std::int64_t> sizes;
  for (auto& batch : batches) {
    sizes.push_back(batch.data.size(0));
    CHECK(batch.data[0][0].item<double>() == batch.target[0].item<double>());
  }
  CHECK(sizes == std::vector<std::int64_t>{4, 4, 2});
  // Each range of a free loader is the next epoch.
  CHECK(samples(batches) == shuffled_order(10, 8, 1));
  CHECK(samples(batches) == shuffled_order(10, 8, 2));
}

TEST_CASE(
    "data loader: draws nothing from the default generator",
    "[libtorch]") {
  torch::manual_seed(1);
  const at::Tensor before = generator().get_state().clone();
  auto batches = holdfast::make_data_loader(stacked(10, false), 4);
  (void)samples(batches);
  CHECK(torch::equal(before, generator().get_state()));
}

TEST_CASE("data loader: fetches when the loop asks, not ahead", "[libtorch]") {
  auto batches = holdfast::make_data_loader(
      stacked(10, false), DataLoaderOptions(3).shuffle(false));
  const auto part = make_part(batches);
  Control control;
  part->cursor()->attach(&control);
  Numbers::fetched() = 0;
  auto batch = batches.begin();
  CHECK(Numbers::fetched() == 3);
  CHECK(part->cursor()->ahead());
  CHECK(part->cursor()->commit() == 3);
  CHECK(Numbers::fetched() == 3);
  ++batch;
  CHECK(Numbers::fetched() == 6);
  CHECK(targets(batch->target) == std::vector<std::int64_t>{3, 4, 5});
  control.stop = true;
  ++batch;
  CHECK(batch == batches.end());
  CHECK(Numbers::fetched() == 6);
  CHECK(batches.position() == 3);
  control.stop = false;
  CHECK(samples(batches) == std::vector<std::size_t>{3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("data loader: an older range leaves the batch alone", "[libtorch]") {
  auto batches = holdfast::make_data_loader(
      stacked(10, false), DataLoaderOptions(3).shuffle(false));
  auto older = batches.begin();
  auto newer = batches.begin();
  CHECK(older != newer);
  ++older;
  CHECK(older == batches.end());
  CHECK(targets(newer->target) == std::vector<std::int64_t>{0, 1, 2});
}

TEST_CASE("data loader: a fetch that throws loses no sample", "[libtorch]") {
  bool fails = true;
  const auto transform = [&fails](
                             std::vector<torch::data::Example<>> examples) {
    if (fails) {
      throw std::runtime_error("no such file");
    }
    return torch::data::transforms::Stack<>().apply_batch(std::move(examples));
  };
  using Batch = torch::data::Example<>;
  auto batches = holdfast::make_data_loader(
      Numbers(4, false).map(
          torch::data::transforms::BatchLambda<std::vector<Batch>, Batch>(
              transform)),
      DataLoaderOptions(2).shuffle(false));
  const auto part = make_part(batches);
  Control control;
  part->cursor()->attach(&control);
  CHECK_THROWS_AS(batches.begin(), std::runtime_error);
  CHECK_FALSE(part->cursor()->ahead());
  fails = false;
  CHECK(samples(batches) == std::vector<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("data loader: takes data sets without transform", "[libtorch]") {
  auto batches = holdfast::make_data_loader(Numbers(5, false), 2);
  std::size_t count = 0;
  for (const std::vector<torch::data::Example<>>& batch : batches) {
    count += batch.size();
  }
  CHECK(count == 5);
  CHECK(batches.dataset().size().value() == 5);
  CHECK(code_of([] {
          (void)holdfast::make_data_loader(Numbers(0, false), 2);
        }) == "invalid_argument");
}

TEST_CASE("data loader: is a part with a default name", "[libtorch]") {
  auto batches = holdfast::make_data_loader(Numbers(5, false), 2);
  using Loader = decltype(batches);
  CHECK(StateAdapter<Loader>::default_name == std::string("data"));
  CHECK(
      StateAdapter<std::shared_ptr<Loader>>::default_name ==
      std::string("data"));
  CHECK(make_part(batches)->kind() == "data");
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<Loader>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<Loader>);
}

namespace {

/// Collates by itself: its noise comes from the engine of the batch.
class Transformed : public torch::data::datasets::Dataset<Transformed> {
 public:
  torch::data::Example<> get(std::size_t index) override {
    return {torch::full({2}, static_cast<double>(index)), {}};
  }
  using torch::data::datasets::Dataset<Transformed>::get_batch;
  torch::Tensor get_batch(
      const std::vector<std::size_t>& indices,
      std::mt19937_64& engine) {
    std::vector<torch::Tensor> rows;
    for (const std::size_t index : indices) {
      const auto noise = static_cast<double>(engine() % 1000);
      rows.push_back(get(index).data + noise / 1000);
    }
    return torch::stack(rows);
  }
  c10::optional<std::size_t> size() const override {
    return 11;
  }
};

/// A stream of LibTorch's kind.
class Stream : public torch::data::datasets::StatefulDataset<Stream> {
 public:
  c10::optional<std::vector<torch::data::Example<>>> get_batch(
      std::size_t size) override {
    std::vector<torch::data::Example<>> batch;
    for (; batch.size() < size && next_ < 7; ++next_) {
      batch.emplace_back(torch::full({2}, next_), torch::tensor(next_));
    }
    if (batch.empty()) {
      return c10::nullopt;
    }
    return batch;
  }
  c10::optional<std::size_t> size() const override {
    return 7;
  }
  void reset() override {
    next_ = 0;
  }
  void save(torch::serialize::OutputArchive&) const override {}
  void load(torch::serialize::InputArchive&) override {}

 private:
  std::int64_t next_ = 0;
};

} // namespace

TEST_CASE("data loader: workers bring the same tensors", "[libtorch]") {
  const auto bytes = [](std::size_t workers) {
    auto batches = holdfast::make_data_loader(
        Transformed(), DataLoaderOptions(3).seed(2).workers(workers));
    std::string trace;
    for (int epoch = 0; epoch < 3; ++epoch) {
      for (const at::Tensor& batch : batches) {
        append(trace, batch);
      }
    }
    return trace;
  };
  const std::string alone = bytes(0);
  CHECK(alone.size() == 3 * 11 * 2 * sizeof(float));
  CHECK((bytes(1) == alone));
  CHECK((bytes(3) == alone));
}

TEST_CASE("data loader: workers collate by a map's transform", "[libtorch]") {
  torch::manual_seed(1);
  const at::Tensor before = generator().get_state().clone();
  auto batches = holdfast::make_data_loader(
      stacked(10, false), DataLoaderOptions(4).seed(8).workers(2));
  const auto part = make_part(batches);
  Control control;
  part->cursor()->attach(&control);
  auto batch = batches.begin();
  CHECK(batch->data.size(0) == 4);
  (void)part->cursor()->commit();
  std::vector<std::size_t> order = shuffled_order(10, 8, 0);
  CHECK(
      batches.consumed_ids() ==
      std::vector<std::size_t>(order.begin(), order.begin() + 4));
  CHECK(
      samples(batches) ==
      std::vector<std::size_t>(order.begin() + 4, order.end()));
  CHECK(torch::equal(before, generator().get_state()));
}

TEST_CASE("data loader: streams, collated or not", "[libtorch]") {
  auto stacks = holdfast::make_data_loader(
      Stream().map(torch::data::transforms::Stack<>()), 3);
  const auto part = make_part(stacks);
  Control control;
  part->cursor()->attach(&control);
  std::int64_t counted = 0;
  std::vector<std::int64_t> sizes;
  for (auto& batch : stacks) {
    sizes.push_back(batch.data.size(0));
    counted += part->cursor()->commit();
  }
  CHECK(sizes == std::vector<std::int64_t>{3, 3, 1});
  CHECK(counted == 7);
  CHECK(part->cursor()->at_end());
  part->cursor()->start_epoch(1);
  CHECK(samples(stacks).size() == 7);

  auto examples = holdfast::make_data_loader(Stream(), 4);
  std::size_t count = 0;
  for (const std::vector<torch::data::Example<>>& batch : examples) {
    count += batch.size();
  }
  CHECK(count == 7);
}

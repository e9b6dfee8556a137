#pragma once

#include <holdfast/core.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/checksum.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

/// A training run without LibTorch: weights that depend on every sample, its
/// order, and a random engine that is drawn from in every step.
namespace holdfast::test {

/// Weights as one f32 tensor.
struct ToyModel {
  std::vector<float> weight = std::vector<float>(16, 0.5F);
  std::vector<float> moment = std::vector<float>(16, 0.0F);
};

/// Samples 0 to size-1 in an order that depends on the epoch.
class ToyLoader final : public Cursor {
 public:
  explicit ToyLoader(std::int64_t size, std::int64_t batch_size = 1)
      : size_(size), batch_size_(batch_size) {}

  /// Begins or goes on with the epoch's range.
  void begin() {
    handed_out_ = control_ == nullptr ? 0 : position_;
    if (control_ != nullptr) {
      control_->range_begins();
    }
  }
  /// The next batch; empty at the end of the range.
  std::vector<std::int64_t> next() {
    std::vector<std::int64_t> batch;
    if (control_ != nullptr && control_->stopping()) {
      return batch;
    }
    while (handed_out_ < size_ &&
           static_cast<std::int64_t>(batch.size()) < batch_size_) {
      batch.push_back((handed_out_ * 7 + epoch_ * 3) % size_);
      ++handed_out_;
    }
    return batch;
  }

  void attach(LoopControl* control) override {
    if (control != nullptr && control_ == nullptr) {
      start_epoch(0);
    }
    control_ = control;
  }
  std::int64_t commit() override {
    const std::int64_t moved = handed_out_ - position_;
    position_ = handed_out_;
    return moved;
  }
  [[nodiscard]] bool ahead() const noexcept override {
    return handed_out_ != position_;
  }
  [[nodiscard]] bool at_end() const noexcept override {
    return position_ == size_;
  }
  void start_epoch(std::int64_t epoch) override {
    epoch_ = epoch;
    position_ = 0;
    handed_out_ = 0;
  }

  [[nodiscard]] Values save() const {
    Values values;
    values["epoch"] = epoch_;
    values["position"] = position_;
    return values;
  }
  void load(std::int64_t epoch, std::int64_t position) {
    epoch_ = epoch;
    position_ = position;
    handed_out_ = position;
  }

 private:
  std::int64_t size_;
  std::int64_t batch_size_;
  std::int64_t epoch_ = 0;
  std::int64_t position_ = 0;
  std::int64_t handed_out_ = 0;
  LoopControl* control_ = nullptr;
};

class ToyTensor final : public TensorSource {
 public:
  explicit ToyTensor(const std::vector<float>& values) : values_(values) {}
  [[nodiscard]] const std::byte* data() const noexcept override {
    return reinterpret_cast<const std::byte*>(values_.data());
  }
  void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
      const override {
    std::memcpy(into, data() + offset, count);
  }

 private:
  const std::vector<float>& values_;
};

class ToyModelPart final : public Part {
 public:
  explicit ToyModelPart(ToyModel& model) : model_(model) {}
  [[nodiscard]] std::string kind() const override {
    return "module";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::module;
  }
  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.tensors.push_back(out("weight", model_.weight));
    state.tensors.push_back(out("moment", model_.moment));
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    auto restore = std::make_unique<ToyRestore>(model_);
    for (const TensorInfo& info : saved.tensors) {
      std::vector<float>* target = info.name == "weight" ? &model_.weight
          : info.name == "moment"                        ? &model_.moment
                                                         : nullptr;
      if (target == nullptr) {
        mismatches.push_back(
            {ErrorCode::name_unexpected, info.name, "", "a tensor"});
      } else if (
          info.shape !=
          std::vector<std::int64_t>{
              static_cast<std::int64_t>(target->size())}) {
        mismatches.push_back(
            {ErrorCode::shape_mismatch, info.name, "another", "one"});
      } else {
        restore->targets.push_back(target);
        restore->buffers.emplace_back(target->size());
      }
    }
    if (saved.tensors.size() != 2) {
      mismatches.push_back({ErrorCode::name_missing, "", "two tensors", ""});
    }
    return restore;
  }

 private:
  struct ToyRestore final : Restore {
    explicit ToyRestore(ToyModel&) {}
    std::byte* buffer(std::size_t index) noexcept override {
      return reinterpret_cast<std::byte*>(buffers[index].data());
    }
    void apply(const std::vector<const std::byte*>&) override {
      for (std::size_t i = 0; i < targets.size(); ++i) {
        targets[i]->swap(buffers[i]);
      }
    }
    std::vector<std::vector<float>*> targets;
    std::vector<std::vector<float>> buffers;
  };

  static TensorOut out(const char* name, const std::vector<float>& values) {
    TensorOut tensor;
    tensor.info.name = name;
    tensor.info.shape = {static_cast<std::int64_t>(values.size())};
    tensor.source = std::make_shared<ToyTensor>(values);
    return tensor;
  }

  ToyModel& model_;
};

class ToyLoaderPart final : public Part {
 public:
  explicit ToyLoaderPart(ToyLoader& loader) : loader_(loader) {}
  [[nodiscard]] std::string kind() const override {
    return "data";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::data;
  }
  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.values = loader_.save();
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches&) override {
    struct Load final : Restore {
      void apply(const std::vector<const std::byte*>&) override {
        loader->load(epoch, position);
      }
      ToyLoader* loader = nullptr;
      std::int64_t epoch = 0;
      std::int64_t position = 0;
    };
    auto load = std::make_unique<Load>();
    load->loader = &loader_;
    load->epoch = at(saved.values, "epoch").as<std::int64_t>();
    load->position = at(saved.values, "position").as<std::int64_t>();
    return load;
  }
  [[nodiscard]] Cursor* cursor() noexcept override {
    return &loader_;
  }

 private:
  ToyLoader& loader_;
};

} // namespace holdfast::test

namespace holdfast {

template <>
struct StateAdapter<test::ToyModel> {
  static std::unique_ptr<Part> make(test::ToyModel& model) {
    return std::make_unique<test::ToyModelPart>(model);
  }
};
template <>
struct StateAdapter<test::ToyLoader> {
  static std::unique_ptr<Part> make(test::ToyLoader& loader) {
    return std::make_unique<test::ToyLoaderPart>(loader);
  }
};

} // namespace holdfast

namespace holdfast::test {

/// The objects of one process's life, and its loop.
struct ToyRun {
  static constexpr std::int64_t kSamples = 5;

  explicit ToyRun(std::string directory, Options options)
      : manager(std::move(directory), std::move(options)) {
    manager.add("model", model);
    manager.add("data", loader);
    manager.add("engine-state", engine);
    manager.add("schedule", rate);
  }

  void train_batch(const std::vector<std::int64_t>& batch) {
    for (std::size_t i = 0; i < model.weight.size(); ++i) {
      const auto noise = static_cast<float>(engine() % 1000) / 1000.0F;
      for (const std::int64_t sample : batch) {
        model.moment[i] =
            0.9F * model.moment[i] + noise * static_cast<float>(sample + 1);
        model.weight[i] -= static_cast<float>(rate) * model.moment[i];
      }
    }
  }

  /// Trains up to `goal` epochs, but throws `Killed` before step
  /// `kill_before_step` is counted.
  struct Killed {};
  void train(std::int64_t goal, std::int64_t kill_before_step = -1) {
    while (manager.running(epochs(goal))) {
      loader.begin();
      for (;;) {
        const auto batch = loader.next();
        if (batch.empty()) {
          break;
        }
        train_batch(batch);
        if (manager.progress().step + 1 == kill_before_step) {
          throw Killed();
        }
        manager.step({{"loss", loss()}});
      }
      if (!manager.epoch_done()) {
        break;
      }
      rate *= 0.9;
      manager.end_epoch({{"val_loss", loss() + 1}});
    }
  }

  [[nodiscard]] double loss() const {
    double sum = 0;
    for (const float w : model.weight) {
      sum += static_cast<double>(w) * static_cast<double>(w);
    }
    return sum;
  }

  /// All state, bit by bit.
  [[nodiscard]] std::string fingerprint() const {
    Hasher hasher;
    const auto add = [&](const void* data, std::size_t size) {
      hasher.update(ByteView(static_cast<const std::byte*>(data), size));
    };
    add(model.weight.data(), model.weight.size() * sizeof(float));
    add(model.moment.data(), model.moment.size() * sizeof(float));
    add(&rate, sizeof rate);
    std::mt19937 copy = engine;
    for (int i = 0; i < 4; ++i) {
      const auto draw = copy();
      add(&draw, sizeof draw);
    }
    const std::string data = to_json(loader.save());
    add(data.data(), data.size());
    const std::int64_t step = manager.progress().step;
    add(&step, sizeof step);
    return hasher.digest().hex();
  }

  ToyModel model;
  ToyLoader loader{kSamples};
  std::mt19937 engine{42};
  double rate = 0.01;
  Manager manager;
};

} // namespace holdfast::test

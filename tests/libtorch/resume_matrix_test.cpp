/// Runs that are killed and go on in another process, against runs that nobody
/// interrupted and no manager has seen.
#include "libtorch/network.hpp"

#include <holdfast/format/json.hpp>
#include <holdfast/holdfast.hpp>
#include <holdfast/io/checksum.hpp>

#include "support/temporary_directory.hpp"

#include <torch/nn/modules/dropout.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/schedulers/step_lr.h>
#include <torch/optim/sgd.h>
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#define HOLDFAST_TEST_PLATEAU 1
#endif

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <sys/wait.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
namespace optim = torch::optim;

namespace {

// --- what is trained ---------------------------------------------------------

constexpr std::int64_t kEpochs = 3;
constexpr std::int64_t kBatches = 4; // in an epoch, the last one smaller

/// Noise on every batch, from the default generator.
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
    return 22;
  }
};

/// A module that both kinds of networks are.
struct Model : torch::nn::Module {
  virtual at::Tensor forward(const at::Tensor& x, std::int64_t step) = 0;
};

struct NormedImpl final : Model {
  NormedImpl() {
    network = register_module("network", Network());
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t step) override {
    return network->forward(x, step % 2 == 0);
  }
  Network network{nullptr};
};

/// Encoder and decoder share a weight; the optimizer gets it twice, as
/// `parameters()` lists it under both names.
struct TiedImpl final : Model {
  TiedImpl() {
    weight = register_parameter("encoder", 0.5 * at::randn({6, 4}));
    register_parameter("decoder", weight);
    bias = register_parameter("bias", at::zeros({4}));
    dropout = register_module("dropout", torch::nn::Dropout(0.2));
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t) override {
    const at::Tensor code = dropout->forward(x.matmul(weight.t()).tanh());
    return code.matmul(weight) + bias - x;
  }
  at::Tensor weight;
  at::Tensor bias;
  torch::nn::Dropout dropout{nullptr};
};

// --- the matrix --------------------------------------------------------------

enum class Schedule { none, step_lr, plateau };
enum class Kill { in_mid_epoch, at_the_epochs_end, at_the_last_batch };

struct OptimizerKind {
  const char* name;
  std::function<std::unique_ptr<optim::Optimizer>(std::vector<at::Tensor>)>
      make;
};

template <class Optimizer, class OptimizerOptions>
OptimizerKind kind(const char* name, const OptimizerOptions& options) {
  return {name, [options](std::vector<at::Tensor> parameters) {
            return std::make_unique<Optimizer>(std::move(parameters), options);
          }};
}

const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> kinds{
      kind<optim::Adam>("Adam amsgrad", optim::AdamOptions(0.02).amsgrad(true)),
      kind<optim::AdamW>("AdamW", optim::AdamWOptions(0.02)),
      kind<optim::SGD>(
          "SGD nesterov", optim::SGDOptions(0.05).momentum(0.9).nesterov(true)),
      kind<optim::RMSprop>(
          "RMSprop", optim::RMSpropOptions(0.01).centered(true).momentum(0.5)),
      kind<optim::Adagrad>("Adagrad", optim::AdagradOptions(0.05)),
      kind<optim::LBFGS>(
          "LBFGS", optim::LBFGSOptions(0.1).max_iter(3).history_size(3)),
  };
  return kinds;
}

struct Cell {
  const OptimizerKind* optimizer = nullptr;
  Schedule schedule = Schedule::none;
  bool tied = false;
  Kill kill = Kill::in_mid_epoch;
  std::string name;

  /// The step after which the first process stops, and the one it had saved.
  [[nodiscard]] std::int64_t killed_after() const {
    return kill == Kill::in_mid_epoch     ? 7
        : kill == Kill::at_the_last_batch ? 8
                                          : 10;
  }
  [[nodiscard]] std::int64_t saved_at() const {
    return kill == Kill::in_mid_epoch ? 6 : 8;
  }
  [[nodiscard]] Options options() const {
    Options options = Options().on_event({}).keep_last(2);
    if (kill == Kill::in_mid_epoch) {
      options.save_every(steps(3));
    } else if (kill == Kill::at_the_last_batch) {
      options.save_every(steps(kBatches));
    } else {
      options.save_every(epochs(1));
    }
    return options;
  }
};

std::vector<Cell> all_cells() {
  std::vector<std::pair<Schedule, const char*>> schedules{
      {Schedule::none, "no schedule"}, {Schedule::step_lr, "StepLR"}};
#ifdef HOLDFAST_TEST_PLATEAU
  schedules.emplace_back(Schedule::plateau, "plateau");
#endif
  std::vector<Cell> cells;
  for (const OptimizerKind& optimizer : optimizer_kinds()) {
    for (const auto& [schedule, schedule_name] : schedules) {
      for (const bool tied : {false, true}) {
        for (const auto& [kill, kill_name] :
             {std::make_pair(Kill::in_mid_epoch, "in mid-epoch"),
              std::make_pair(Kill::at_the_epochs_end, "at the epoch's end"),
              std::make_pair(Kill::at_the_last_batch, "at the last batch")}) {
          cells.push_back(
              {&optimizer,
               schedule,
               tied,
               kill,
               std::string(optimizer.name) + ", " + schedule_name + ", " +
                   (tied ? "tied weights" : "batch norm") + ", killed " +
                   kill_name});
        }
      }
    }
  }
  return cells;
}

// --- one run -----------------------------------------------------------------

std::string bits_of(double number) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &number, sizeof bits);
  return std::to_string(bits);
}

/// Everything a run consists of.
class Run {
 public:
  explicit Run(const Cell& cell)
      : cell_(cell),
        batches_(holdfast::make_data_loader(
            Samples(),
            DataLoaderOptions(6).seed(3))) {
    if (cell.tied) {
      model_ = std::make_shared<TiedImpl>();
    } else {
      model_ = std::make_shared<NormedImpl>();
    }
    optimizer_ = cell.optimizer->make(model_->parameters());
    if (cell.schedule == Schedule::step_lr) {
      step_lr_ = std::make_unique<optim::StepLR>(*optimizer_, 1, 0.7);
    }
#ifdef HOLDFAST_TEST_PLATEAU
    if (cell.schedule == Schedule::plateau) {
      // Patience 0: any epoch that is not better lowers the rate.
      plateau_ = std::make_unique<optim::ReduceLROnPlateauScheduler>(
          *optimizer_,
          optim::ReduceLROnPlateauScheduler::max,
          0.5F,
          0,
          1e-4,
          optim::ReduceLROnPlateauScheduler::rel);
    }
#endif
  }

  template <class Use>
  void manage(const std::string& directory, Use use) {
    // Never given back: whoever is killed runs no destructors.
    auto* checkpoints = new CheckpointManager(
        directory, cell_.options(), model_, *optimizer_, batches_);
    if (step_lr_) {
      checkpoints->add("scheduler", *step_lr_);
    }
#ifdef HOLDFAST_TEST_PLATEAU
    if (plateau_) {
      checkpoints->add("scheduler", *plateau_);
    }
#endif
    use(*checkpoints);
  }

  /// Trains to the end, or until `last_step` is done. Without a manager nothing
  /// of Holdfast but the order of samples takes part.
  void train(Manager* checkpoints, std::int64_t last_step) {
    std::int64_t epoch = 0;
    std::int64_t step = checkpoints ? checkpoints->progress().step : 0;
    const auto running = [&] {
      return checkpoints ? checkpoints->running(epochs(kEpochs))
                         : epoch < kEpochs;
    };
    while (running()) {
      for (const at::Tensor& batch : batches_) {
        const at::Tensor loss = optimizer_->step([&] {
          optimizer_->zero_grad();
          at::Tensor error = model_->forward(batch, step).square().mean();
          error.backward();
          return error;
        });
        ++step;
        log_[std::to_string(step)] = bits_of(loss.item<double>()) + " " +
            bits_of(optimizer_->param_groups()[0].options().get_lr());
        if (checkpoints) {
          checkpoints->step({{"loss", loss}});
        }
        if (step == last_step) {
          return;
        }
      }
      const double score = evaluate();
      log_["after " + std::to_string(step)] = bits_of(score);
      if (step_lr_) {
        step_lr_->step();
      }
#ifdef HOLDFAST_TEST_PLATEAU
      if (plateau_) {
        plateau_->step(static_cast<float>(score));
      }
#endif
      if (checkpoints) {
        checkpoints->end_epoch({{"score", score}});
      }
      ++epoch;
    }
    log_["end"] = digest();
  }

  /// What happened at each step, in bits, and a digest of all state at the end.
  [[nodiscard]] const std::map<std::string, std::string>& log() const {
    return log_;
  }

 private:
  double evaluate() {
    const c10::NoGradGuard no_grad;
    model_->eval();
    const double score =
        model_->forward(at::ones({3, 4}), 0).sum().item<double>();
    model_->train();
    return score;
  }

  std::string digest() {
    Parts parts;
    add(parts, "model", model_);
    add(parts, "optimizer", *optimizer_);
    if (step_lr_) {
      add(parts, "scheduler", *step_lr_);
    }
#ifdef HOLDFAST_TEST_PLATEAU
    if (plateau_) {
      add(parts, "scheduler", *plateau_);
    }
#endif
    parts.emplace_back("rng", make_default_generators());
    Hasher hasher;
    for (const auto& [name, stored] : test::capture(parts)) {
      const std::string values = to_json(Value(stored.saved.values));
      hasher.update(ByteView(std::string_view(values)));
      for (std::size_t i = 0; i < stored.bytes.size(); ++i) {
        hasher.update(ByteView(std::string_view(stored.saved.tensors[i].name)));
        hasher.update(ByteView(stored.bytes[i].data(), stored.bytes[i].size()));
      }
    }
    return hasher.digest().hex();
  }

  const Cell& cell_;
  std::shared_ptr<Model> model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<optim::StepLR> step_lr_;
#ifdef HOLDFAST_TEST_PLATEAU
  std::unique_ptr<optim::ReduceLROnPlateauScheduler> plateau_;
#endif
  DataLoader<Samples> batches_;
  std::map<std::string, std::string> log_;
};

// --- processes ---------------------------------------------------------------

constexpr const char* kChildRole = "HOLDFAST_TEST_CHILD_ROLE";
constexpr const char* kChildDirectory = "HOLDFAST_TEST_CHILD_DIRECTORY";

using Logs = std::vector<std::map<std::string, std::string>>;

void write_logs(const std::string& path, const Logs& logs) {
  std::ofstream file(path);
  for (std::size_t i = 0; i < logs.size(); ++i) {
    for (const auto& [where, what] : logs[i]) {
      file << i << '\t' << where << '\t' << what << '\n';
    }
  }
}

Logs read_logs(const std::string& path, std::size_t cells) {
  Logs logs(cells);
  std::ifstream file(path);
  std::size_t cell = 0;
  std::string where;
  std::string what;
  while (file >> cell && file.ignore() && std::getline(file, where, '\t') &&
         std::getline(file, what)) {
    logs.at(cell)[where] = what;
  }
  return logs;
}

/// Runs this program again, in a role. Returns how it ended.
int run_child(const std::string& role, const std::string& directory) {
  const std::string program =
      std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "exec env " + std::string(kChildRole) + "=" +
      role + " " + kChildDirectory + "='" + directory + "' '" + program +
      "' 'resume matrix: as a process of its own' > '" + directory + "/" +
      role + ".out' 2>&1";
  return std::system(command.c_str());
}

std::string text_in(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace

// Not a test by itself: what the other processes of the test below run.
TEST_CASE("resume matrix: as a process of its own", "[.]") {
  const char* role = std::getenv(kChildRole);
  if (role == nullptr) {
    return;
  }
  const std::string directory = std::getenv(kChildDirectory);
  const bool first = std::string(role) == "first";
  const OneThread one_thread;
  const std::vector<Cell> cells = all_cells();
  Logs logs;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    INFO(cells[i].name);
    seed_everything(first ? 100 + i : 999);
    auto* run = new Run(cells[i]); // as the manager: never destroyed
    run->manage(
        directory + "/run-" + std::to_string(i), [&](Manager& checkpoints) {
          const ResumeReport report = checkpoints.resume();
          INFO(report.to_string());
          REQUIRE(report.exact());
          REQUIRE(
              checkpoints.progress().step == (first ? 0 : cells[i].saved_at()));
          run->train(&checkpoints, first ? cells[i].killed_after() : -1);
        });
    logs.push_back(run->log());
  }
  write_logs(directory + "/" + role + ".log", logs);
  if (first) {
    std::raise(SIGKILL);
  }
}

TEST_CASE("resume matrix: a new process goes on bit for bit") {
  const TemporaryDirectory directory;
  const std::vector<Cell> cells = all_cells();
  const int first = run_child("first", directory.path());
  INFO(text_in(directory.path("first.out")));
  REQUIRE(WIFSIGNALED(first));
  REQUIRE(WTERMSIG(first) == SIGKILL);
  const int second = run_child("second", directory.path());
  INFO(text_in(directory.path("second.out")));
  REQUIRE(second == 0);

  const Logs before = read_logs(directory.path("first.log"), cells.size());
  const Logs after = read_logs(directory.path("second.log"), cells.size());
  const OneThread one_thread;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    INFO(cells[i].name);
    seed_everything(100 + i);
    Run uninterrupted(cells[i]);
    uninterrupted.train(nullptr, -1);
    const std::map<std::string, std::string>& expected = uninterrupted.log();
    REQUIRE(expected.size() == kEpochs * kBatches + kEpochs + 1);

    std::map<std::string, std::string> wanted_before;
    std::map<std::string, std::string> wanted_after;
    for (const auto& [where, what] : expected) {
      if (where == "end") {
        wanted_after[where] = what;
        continue;
      }
      const bool ends_epoch = where.rfind("after ", 0) == 0;
      const std::int64_t step = std::stoll(where.substr(ends_epoch ? 6 : 0));
      if (ends_epoch ? step < cells[i].killed_after()
                     : step <= cells[i].killed_after()) {
        wanted_before[where] = what;
      }
      // What ends an epoch comes again if only its last batch was saved.
      const bool again = ends_epoch &&
          cells[i].kill == Kill::at_the_last_batch &&
          step == cells[i].saved_at();
      if (step > cells[i].saved_at() || again) {
        wanted_after[where] = what;
      }
    }
    CHECK(before[i] == wanted_before);
    CHECK(after[i] == wanted_after);
  }
  std::cout << "resume matrix: " << cells.size() << " cells\n";
}

// Trains a small convolutional network on handwritten digits. Kill it at any
// moment and start it again with the same command line: it goes on where it
// was, and ends with the same weights as if nothing had happened.

#include <torch/torch.h>

#include <holdfast/holdfast.hpp>
#include <holdfast/run/preemption.hpp>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr int64_t kSide = 8; // of an image, in pixels
constexpr int64_t kPixels = kSide * kSide;
constexpr int64_t kDigits = 10;

// --- command line -----------------------------------------------------------

struct Flags {
  std::string dir = "runs/digits";
  std::string data = "examples/data/digits.csv";
  int64_t epochs = 12;
  int64_t save_every = 50;
  int64_t keep = 3;
  int64_t seed = 1;
  int64_t threads = 1;
  bool compress = false;
  int64_t poison = -1; ///< The batch that is spoiled; -1: none.
  bool recover = false;
};

constexpr const char* kUsage =
    R"(usage: digits [flags]

Trains a small network on handwritten digits; started again with the same
flags, it goes on where it was. SIGTERM, SIGUSR1 and SIGINT (Ctrl-C) save first;
exit status 75 then says that it wants to be started again.

  --dir <path>        run directory with the checkpoints (runs/digits)
  --data <file>       the images (examples/data/digits.csv)
  --epochs <n>        epochs to train in all (12)
  --save-every <n>    save a checkpoint every n steps (50)
  --keep <n>          keep the newest n, besides the best one (3)
  --seed <n>          of initial weights, order of samples and noise (1)
  --threads <n>       threads within an operation; equal weights need equal
                      threads (1)
  --compress          compress checkpoints with zstd
  --poison <n>        spoil the n-th batch of all epochs, counted from 0, so that
                      the run diverges there (none)
  --recover           go back by itself when the loss diverges
  --help              this text
)";

/// What the command line says is wrong.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int64_t parse_number(
    const std::string& flag,
    const std::string& text,
    int64_t least) {
  constexpr int64_t kMost = 1'000'000'000;
  if (!text.empty() && text.size() <= 10 &&
      text.find_first_not_of("0123456789") == std::string::npos) {
    const int64_t number = std::stoll(text);
    if (number >= least && number <= kMost) {
      return number;
    }
  }
  throw UsageError(
      flag + " needs a whole number from " + std::to_string(least) + " to " +
      std::to_string(kMost) + ", not '" + text + "'");
}

/// Nothing if help was asked for.
std::optional<Flags> parse_flags(const std::vector<std::string>& arguments) {
  Flags flags;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& flag = arguments[i];
    const auto text = [&] {
      if (i + 1 == arguments.size() || arguments[i + 1].empty()) {
        throw UsageError(flag + " needs a value");
      }
      return arguments[++i];
    };
    const auto number = [&](int64_t least) {
      return parse_number(flag, text(), least);
    };
    if (flag == "--help") {
      return std::nullopt;
    } else if (flag == "--dir") {
      flags.dir = text();
    } else if (flag == "--data") {
      flags.data = text();
    } else if (flag == "--epochs") {
      flags.epochs = number(1);
    } else if (flag == "--save-every") {
      flags.save_every = number(1);
    } else if (flag == "--keep") {
      flags.keep = number(1);
    } else if (flag == "--seed") {
      flags.seed = number(0);
    } else if (flag == "--threads") {
      flags.threads = number(1);
    } else if (flag == "--compress") {
      flags.compress = true;
    } else if (flag == "--poison") {
      flags.poison = number(0);
    } else if (flag == "--recover") {
      flags.recover = true;
    } else {
      throw UsageError("unknown flag '" + flag + "'");
    }
  }
  return flags;
}

// --- data -------------------------------------------------------------------

/// Images and their digits as a data set: all that a holdfast loader asks for
/// is `get_batch` and `size`. Any torch::data data set does as well.
struct Digits {
  torch::Tensor images; ///< [N, 1, 8, 8], from 0 to 1.
  torch::Tensor labels; ///< [N]
  double noise = 0; ///< Added to the pixels of every batch anew.

  torch::data::Example<> get_batch(const std::vector<size_t>& indices) const {
    const torch::Tensor rows = torch::tensor(
        std::vector<int64_t>(indices.begin(), indices.end()), torch::kInt64);
    torch::Tensor pixels = images.index_select(0, rows);
    if (noise > 0) {
      pixels += noise * torch::randn_like(pixels);
    }
    return {pixels, labels.index_select(0, rows)};
  }
  std::optional<size_t> size() const {
    return static_cast<size_t>(labels.size(0));
  }

  Digits rows(const std::vector<int64_t>& numbers) const {
    const torch::Tensor rows = torch::tensor(numbers, torch::kInt64);
    return {images.index_select(0, rows), labels.index_select(0, rows), noise};
  }
};

Digits read_digits(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw std::runtime_error(
        "cannot read '" + path + "' (--data names the file)");
  }
  std::vector<float> pixels;
  std::vector<int64_t> labels;
  std::string line;
  while (std::getline(file, line)) {
    const char* at = line.c_str();
    std::vector<int64_t> numbers;
    for (char* end = nullptr;; at = end + 1) {
      numbers.push_back(std::strtol(at, &end, 10));
      if (end == at || (*end != ',' && *end != '\0' && *end != '\r')) {
        numbers.clear();
      }
      if (numbers.empty() || *end != ',') {
        break;
      }
    }
    bool good = numbers.size() == kPixels + 1 && numbers.back() < kDigits;
    for (const int64_t number : numbers) {
      good = good && number >= 0 && number <= 16;
    }
    if (!good) {
      throw std::runtime_error(
          path + ":" + std::to_string(labels.size() + 1) +
          ": expected 64 pixels from 0 to 16 and a digit");
    }
    labels.push_back(numbers.back());
    numbers.pop_back();
    for (const int64_t number : numbers) {
      pixels.push_back(static_cast<float>(number) / 16);
    }
  }
  const auto count = static_cast<int64_t>(labels.size());
  if (file.bad() || count < 100) {
    throw std::runtime_error("'" + path + "' is not a whole data set");
  }
  return {
      torch::tensor(pixels).view({count, 1, kSide, kSide}),
      torch::tensor(labels, torch::kInt64)};
}

/// Every fifth image is for validation, the others for training.
std::pair<Digits, Digits> split(const Digits& all) {
  std::vector<int64_t> training;
  std::vector<int64_t> validation;
  for (int64_t i = 0; i < all.labels.size(0); ++i) {
    (i % 5 == 4 ? validation : training).push_back(i);
  }
  return {all.rows(training), all.rows(validation)};
}

// --- network ----------------------------------------------------------------

struct NetworkImpl : torch::nn::Module {
  NetworkImpl() {
    using namespace torch::nn;
    features = register_module(
        "features",
        Sequential(
            Conv2d(Conv2dOptions(1, 16, 3).padding(1).bias(false)),
            BatchNorm2d(16),
            ReLU(),
            Conv2d(Conv2dOptions(16, 32, 3).padding(1).bias(false)),
            BatchNorm2d(32),
            ReLU(),
            MaxPool2d(2),
            Dropout2d(0.2)));
    classifier = register_module(
        "classifier",
        Sequential(
            Linear(32 * kPixels / 4, 64),
            ReLU(),
            Dropout(0.5),
            Linear(64, kDigits)));
  }

  torch::Tensor forward(const torch::Tensor& images) {
    return classifier->forward(features->forward(images).flatten(1));
  }

  torch::nn::Sequential features{nullptr};
  torch::nn::Sequential classifier{nullptr};
};
TORCH_MODULE(Network);

/// The share of images whose digit is recognised.
double accuracy(Network& model, const Digits& data) {
  const torch::NoGradGuard no_grad;
  model->eval();
  const torch::Tensor guesses = model->forward(data.images).argmax(1);
  model->train();
  return guesses.eq(data.labels).to(torch::kFloat64).mean().item<double>();
}

/// A digest of names and bytes of all parameters and buffers.
std::string weights_digest(const Network& model) {
  holdfast::Hasher hasher;
  const auto add = [&hasher](const auto& tensors) {
    for (const auto& item : tensors) {
      const torch::Tensor tensor = item.value().detach().contiguous();
      hasher.update(holdfast::ByteView(std::string_view(item.key())));
      hasher.update(holdfast::ByteView(std::string_view(
          static_cast<const char*>(tensor.data_ptr()), tensor.nbytes())));
    }
  };
  add(model->named_parameters());
  add(model->named_buffers());
  return hasher.digest().hex();
}

// --- training ---------------------------------------------------------------

/// Of the batch at hand, over all epochs.
template <class Loader>
int64_t number_of_batch(const Loader& batches) {
  const size_t in_epoch = batches.position() / batches.options().batch_size();
  return batches.epoch() * static_cast<int64_t>(batches.batches_per_epoch()) +
      static_cast<int64_t>(in_epoch);
}

void train(const Flags& flags) {
  torch::set_num_threads(static_cast<int>(flags.threads));
  // For the initial weights. A resume puts the generators back to where the
  // killed run had them.
  torch::manual_seed(static_cast<uint64_t>(flags.seed));

  auto [training, validation] = split(read_digits(flags.data));
  training.noise = 0.05;
  auto batches = holdfast::make_data_loader(
      training,
      holdfast::DataLoaderOptions(32).seed(static_cast<uint64_t>(flags.seed)));

  Network model;
  torch::optim::Adam optimizer(
      model->parameters(), torch::optim::AdamOptions(2e-3).weight_decay(1e-4));
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/1, /*gamma=*/0.8);

  auto options =
      holdfast::Options()
          .save_every(holdfast::steps(flags.save_every))
          .keep_last(static_cast<size_t>(flags.keep))
          .keep_best("val_accuracy", holdfast::Best::highest)
          .compression(
              flags.compress ? holdfast::zstd() : holdfast::uncompressed());
  if (flags.recover) {
    options.rollback_on_divergence(
        holdfast::DivergenceOptions("loss").patience(3));
  }
  holdfast::CheckpointManager checkpoints{
      flags.dir, options, model, optimizer, scheduler, batches};
  holdfast::Preemption preemption{checkpoints};
  std::cout << checkpoints.resume() << std::endl;

  while (checkpoints.running(holdfast::epochs(flags.epochs))) {
    for (auto& batch : batches) {
      if (number_of_batch(batches) == flags.poison) {
        batch.data.fill_(std::numeric_limits<float>::quiet_NaN());
      }
      optimizer.zero_grad();
      const torch::Tensor loss = torch::nn::functional::cross_entropy(
          model->forward(batch.data), batch.target);
      loss.backward();
      optimizer.step();
      checkpoints.step({{"loss", loss}});
    }
    if (!checkpoints.epoch_done()) {
      continue; // it goes back, into this epoch or an earlier one
    }
    const double rate = optimizer.param_groups().at(0).options().get_lr();
    const double val_accuracy = accuracy(model, validation);
    std::cout << "epoch " << checkpoints.epoch() + 1 << '/' << flags.epochs
              << std::fixed << std::setprecision(4) << "  loss "
              << checkpoints.epoch_mean("loss") << "  val_accuracy "
              << val_accuracy << std::defaultfloat << "  lr " << rate
              << std::endl;
    scheduler.step();
    checkpoints.end_epoch({{"val_accuracy", val_accuracy}});
  }

  if (const auto best = checkpoints.best("val_accuracy")) {
    std::cout << "best " << best->name << " (val_accuracy " << std::fixed
              << std::setprecision(4)
              << best->metrics.values().at("val_accuracy") << ")\n";
  }
  std::cout << "val_accuracy " << std::fixed << std::setprecision(4)
            << accuracy(model, validation) << '\n'
            << "weights " << weights_digest(model) << std::endl;
}

} // namespace

int main(int argc, char** argv) {
  try {
    const std::optional<Flags> flags =
        parse_flags(std::vector<std::string>(argv + 1, argv + argc));
    if (!flags) {
      std::cout << kUsage;
      return 0;
    }
    train(*flags);
  } catch (const UsageError& error) {
    std::cerr << "digits: " << error.what() << "\n\n" << kUsage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "digits: " << error.what() << '\n';
    return 1;
  }
  return 0;
}

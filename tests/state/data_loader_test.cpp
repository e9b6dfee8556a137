#include <state/cursor_support.hpp>
#include <support/catch.hpp>
#include <support/forked_child.hpp>

#include <holdfast/state/data_loader.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// What all copies of a data set see.
struct Shared {
  std::atomic<int> fetched{0};
  std::atomic<int> copies{0};
  std::atomic<bool> held{false}; // Fetches wait while this is set.
  std::atomic<std::size_t> fails_at{1000}; // Index, once.
};

struct Sample {
  std::size_t index = 0;
  std::uint64_t noise = 0;
  friend bool operator==(const Sample& a, const Sample& b) {
    return a.index == b.index && a.noise == b.noise;
  }
};
using Samples = std::vector<Sample>;

/// Samples with noise from the engine of their batch.
class Noisy {
 public:
  explicit Noisy(std::size_t size, std::shared_ptr<Shared> shared = nullptr)
      : size_(size),
        shared_(shared ? std::move(shared) : std::make_shared<Shared>()) {}
  Noisy(const Noisy& other) : size_(other.size_), shared_(other.shared_) {
    ++shared_->copies;
  }
  Noisy(Noisy&&) = default;

  Samples get_batch(const Indices& indices, std::mt19937_64& engine) {
    ++shared_->fetched;
    while (shared_->held) {
      std::this_thread::yield();
    }
    Samples samples;
    for (const std::size_t index : indices) {
      std::size_t expected = index;
      if (shared_->fails_at.compare_exchange_strong(expected, 1000)) {
        throw std::runtime_error("sample " + std::to_string(index));
      }
      samples.push_back({index, engine()});
    }
    return samples;
  }
  std::optional<std::size_t> size() const {
    return size_;
  }

 private:
  std::size_t size_;
  std::shared_ptr<Shared> shared_;
};

/// One process: 3 epochs, and a checkpoint after batch `kill`, at which it
/// ends.
Captured train(
    const DataLoaderOptions& options,
    const Captured* from,
    int kill,
    Samples& seen) {
  auto batches = make_data_loader(Noisy(11), options);
  const auto part = make_part(batches);
  Control control;
  part->cursor()->attach(&control);
  if (from != nullptr) {
    restore(*part, *from);
  }
  int count = 0;
  while (batches.epoch() < 3) {
    for (const Samples& batch : batches) {
      seen.insert(seen.end(), batch.begin(), batch.end());
      (void)part->cursor()->commit();
      if (++count == kill) {
        return capture(*part);
      }
    }
    part->cursor()->start_epoch(batches.epoch() + 1);
  }
  return capture(*part);
}

Indices indices_of(const Samples& samples) {
  Indices indices;
  for (const Sample& sample : samples) {
    indices.push_back(sample.index);
  }
  return indices;
}

template <class Loader>
Indices run_epoch(Loader& loader) {
  Indices seen;
  for (const Samples& batch : loader) {
    const Indices indices = indices_of(batch);
    seen.insert(seen.end(), indices.begin(), indices.end());
  }
  return seen;
}

DataLoaderOptions in_order(std::size_t batch_size, std::size_t workers) {
  return DataLoaderOptions(batch_size).shuffle(false).workers(workers);
}

void wait_for(const std::atomic<int>& count, int least) {
  while (count.load() < least) {
    std::this_thread::yield();
  }
}

/// A loader, attached.
struct Attached {
  Attached(std::size_t size, const DataLoaderOptions& options)
      : loader(Noisy(size, shared), options), part(make_part(loader)) {
    part->cursor()->attach(&control);
  }
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  DataLoader<Noisy> loader;
  std::unique_ptr<Part> part;
  Control control;
};

} // namespace

TEST_CASE(
    "loader: exact with any number of workers, wherever it is killed",
    "[state]") {
  const bool shuffle = GENERATE(false, true);
  const bool drop_last = GENERATE(false, true);
  const auto options = [&](std::size_t workers) {
    return DataLoaderOptions(3)
        .shuffle(shuffle)
        .drop_last(drop_last)
        .seed(3)
        .workers(workers);
  };
  Samples uninterrupted;
  (void)train(options(0), nullptr, -1, uninterrupted);
  const int batches = 3 * (drop_last ? 3 : 4);
  CHECK(uninterrupted.size() == (drop_last ? 27U : 33U));
  for (const std::size_t workers : {0U, 1U, 3U}) {
    for (int kill = 1; kill <= batches; ++kill) {
      CAPTURE(shuffle, drop_last, workers, kill);
      Samples seen;
      const Captured saved = train(options(workers), nullptr, kill, seen);
      // Gone on with another number of workers.
      (void)train(options((workers + 2) % 4), &saved, -1, seen);
      CHECK(seen == uninterrupted);
    }
  }
}

TEST_CASE("loader: noise differs from batch to batch", "[state]") {
  Samples seen;
  (void)train(DataLoaderOptions(1).workers(1), nullptr, -1, seen);
  std::set<std::uint64_t> noise;
  for (const Sample& sample : seen) {
    noise.insert(sample.noise);
  }
  CHECK(noise.size() == seen.size());
  std::mt19937_64 engine = batch_engine(0, 2, 10);
  CHECK(seen.back().noise == engine());
}

TEST_CASE("loader: what was fetched ahead is not consumed", "[state]") {
  Attached a(20, in_order(2, 2).max_jobs(3));
  auto batch = a.loader.begin();
  wait_for(a.shared->fetched, 4); // the one at hand, and three more
  CHECK(a.loader.position() == 0);
  CHECK(a.part->cursor()->ahead());
  CHECK(a.part->cursor()->commit() == 2);
  CHECK(a.loader.position() == 2);
  CHECK(capture(*a.part).saved.values.at("position") == Value(2));
  CHECK(a.shared->fetched == 4); // max_jobs are the limit
  ++batch;
  CHECK(indices_of(*batch) == Indices{2, 3});
  wait_for(a.shared->fetched, 5);
}

TEST_CASE("loader: without workers it fetches when asked", "[state]") {
  Attached a(20, in_order(2, 0).max_jobs(3));
  auto batch = a.loader.begin();
  CHECK(a.shared->fetched == 1);
  ++batch;
  CHECK(a.shared->fetched == 2);
  CHECK(a.shared->copies == 0);
}

TEST_CASE("loader: each worker has its own copy", "[state]") {
  const auto shared = std::make_shared<Shared>();
  auto batches = make_data_loader(Noisy(20, shared), in_order(2, 3));
  CHECK(shared->copies == 3);
  CHECK(run_epoch(batches).size() == 20);
  CHECK(shared->copies == 3);
}

TEST_CASE("loader: options of workers that are refused", "[state]") {
  CHECK(DataLoaderOptions().workers(3).max_jobs() == 6);
  CHECK(code_of([] {
          (void)make_data_loader(Noisy(4), in_order(2, 1).max_jobs(0));
        }) == "invalid_argument");
  struct Unique {
    std::unique_ptr<int> file = std::make_unique<int>(0);
    Samples get_batch(const Indices&) {
      return {};
    }
    std::optional<std::size_t> size() const {
      return 4;
    }
  };
  CHECK(code_of([] {
          (void)make_data_loader(Unique(), in_order(2, 1));
        }) == "invalid_argument");
  CHECK(code_of([] {
          (void)make_data_loader(Unique(), in_order(2, 0));
        }) == "no error");
}

TEST_CASE("loader: a worker's exception comes at its batch", "[state]") {
  const std::size_t workers = GENERATE(0U, 1U, 3U);
  CAPTURE(workers);
  Attached a(12, in_order(2, workers));
  a.shared->fails_at = 5;
  Indices seen;
  std::string message;
  auto batch = a.loader.begin();
  const auto take = [&] {
    for (const std::size_t index : indices_of(*batch)) {
      seen.push_back(index);
    }
    (void)a.part->cursor()->commit();
  };
  take();
  try {
    ++batch;
    take();
    ++batch;
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  CHECK(message == "sample 5");
  CHECK(seen == Indices{0, 1, 2, 3});
  CHECK_FALSE(a.part->cursor()->ahead());
  SECTION("going on in the range loses nothing") {
    for (++batch; batch != a.loader.end(); ++batch) {
      take();
    }
    CHECK(seen == Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  }
  SECTION("beginning again loses nothing") {
    CHECK(run_epoch(a.loader) == Indices{4, 5, 6, 7, 8, 9, 10, 11});
  }
}

TEST_CASE("loader: ranges that are left hand out nothing later", "[state]") {
  const std::size_t workers = GENERATE(0U, 1U, 3U);
  CAPTURE(workers);
  Attached a(12, in_order(2, workers));
  auto first = a.loader.begin();
  (void)a.part->cursor()->commit();
  SECTION("begun again") {
    auto second = a.loader.begin();
    CHECK(indices_of(*second) == Indices{2, 3});
    ++first;
    CHECK(first == a.loader.end());
    CHECK(indices_of(*second) == Indices{2, 3});
    ++second;
    CHECK(indices_of(*second) == Indices{4, 5});
  }
  SECTION("another epoch begun") {
    a.part->cursor()->start_epoch(1);
    ++first;
    CHECK(first == a.loader.end());
    CHECK(run_epoch(a.loader).size() == 12);
    CHECK(a.loader.epoch() == 1);
  }
  SECTION("restored within the epoch") {
    const Captured saved = capture(*a.part);
    ++first;
    ++first;
    (void)a.part->cursor()->commit();
    restore(*a.part, saved);
    ++first;
    CHECK(first == a.loader.end());
    CHECK(run_epoch(a.loader) == Indices{2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  }
  SECTION("stopped") {
    a.control.stop = true;
    ++first;
    CHECK(first == a.loader.end());
    CHECK(a.loader.position() == 2);
    a.control.stop = false;
    CHECK(run_epoch(a.loader) == Indices{2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  }
}

TEST_CASE("loader: an old range's fetch still runs", "[state]") {
  Attached a(12, in_order(2, 2));
  CHECK(a.loader.begin() != a.loader.end());
  a.shared->held = true; // from here on the workers hang
  (void)a.part->cursor()->commit();
  std::thread opener;
  SECTION("while the next range begins") {
    opener = std::thread([&] { a.shared->held = false; });
    CHECK(run_epoch(a.loader) == Indices{2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  }
  SECTION("while the loader is destroyed") {
    auto batches = std::make_unique<DataLoader<Noisy>>(
        Noisy(100, a.shared), in_order(1, 3).max_jobs(50));
    a.shared->held = false;
    (void)batches->begin();
    a.shared->held = true;
    opener = std::thread([&] { a.shared->held = false; });
    batches.reset();
  }
  opener.join();
  CHECK_FALSE(a.shared->held.load());
}

namespace {

/// In order of their ids, which are words.
struct Words {
  Samples get_batch(const Indices& indices) {
    Samples samples;
    for (const std::size_t index : indices) {
      samples.push_back({index, 0});
    }
    return samples;
  }
  std::optional<std::size_t> size() const {
    return 5;
  }
  std::string sample_id(std::size_t index) const {
    return "word " + std::to_string(index);
  }
  std::uint32_t fingerprint() const {
    return 77;
  }
};

/// 0, 1, 2, ... from each reset on.
class NumberStream {
 public:
  static constexpr bool is_stateful = true;

  explicit NumberStream(std::size_t samples) : samples_(samples) {}

  void reset() {
    ++resets_;
    next_ = 0;
  }
  std::optional<Samples> get_batch(std::size_t size) {
    Samples samples;
    while (samples.size() < size && next_ < samples_) {
      samples.push_back({next_++, 0});
    }
    return samples.empty() ? std::nullopt : std::make_optional(samples);
  }
  std::optional<std::size_t> size() const {
    return samples_;
  }
  int resets() const {
    return resets_;
  }

 private:
  std::size_t samples_;
  std::size_t next_ = 0;
  int resets_ = 0;
};

} // namespace

TEST_CASE("loader: workers do not fetch what is skipped", "[state]") {
  for (const std::size_t workers : {0U, 1U, 3U}) {
    Attached a(20, in_order(2, workers));
    CHECK(a.part->cursor()->skip({0, 4}, {0, 10}));
    CHECK(a.part->cursor()->skip({0, 16}, {1, 2}));
    CHECK(run_epoch(a.loader) == Indices{0, 1, 2, 3, 10, 11, 12, 13, 14, 15});
    (void)a.part->cursor()->commit();
    CHECK(a.part->cursor()->at_end());
    a.part->cursor()->start_epoch(1);
    CHECK(run_epoch(a.loader).front() == 2);
  }
}

TEST_CASE("loader: says which samples are consumed", "[state]") {
  Attached a(10, DataLoaderOptions(4).seed(6).workers(2));
  CHECK(a.loader.consumed_ids().empty());
  CHECK(a.loader.begin() != a.loader.end());
  CHECK(a.loader.consumed_ids().empty()); // handed out, and not counted
  (void)a.part->cursor()->commit();
  Indices expected = shuffled_order(10, 6, 0);
  expected.resize(4);
  CHECK(a.loader.consumed_ids() == expected);

  auto words = make_data_loader(Words(), in_order(2, 0));
  const auto part = make_part(words);
  Control control;
  part->cursor()->attach(&control);
  CHECK(words.begin() != words.end());
  (void)part->cursor()->commit();
  CHECK(words.consumed_ids() == std::vector<std::string>{"word 0", "word 1"});
}

TEST_CASE("loader: asks the data set for its fingerprint", "[state]") {
  CHECK(
      make_data_loader(Words(), in_order(2, 0)).options().fingerprint() ==
      "77");
  CHECK(
      make_data_loader(Words(), in_order(2, 0).fingerprint("mine"))
          .options()
          .fingerprint() == "mine");
  CHECK(make_data_loader(Noisy(4), in_order(2, 0))
            .options()
            .fingerprint()
            .empty());
}

TEST_CASE("loader: ranks draw and fetch for themselves", "[state]") {
  Samples ranks[2];
  for (const std::size_t rank : {0U, 1U}) {
    auto batches =
        make_data_loader(Noisy(8), in_order(2, 1).rank(rank).world_size(2));
    CHECK(batches.batches_per_epoch() == 2);
    for (const Samples& batch : batches) {
      ranks[rank].insert(ranks[rank].end(), batch.begin(), batch.end());
    }
  }
  CHECK(indices_of(ranks[0]) == Indices{0, 2, 4, 6});
  CHECK(indices_of(ranks[1]) == Indices{1, 3, 5, 7});
  CHECK(ranks[0][0].noise != ranks[1][0].noise);
}

TEST_CASE("loader: a stream is reset when an epoch begins", "[state]") {
  auto batches = make_data_loader(NumberStream(5), 2);
  CHECK(run_epoch(batches) == Indices{0, 1, 2, 3, 4});
  CHECK(run_epoch(batches) == Indices{0, 1, 2, 3, 4});
  CHECK(batches.dataset().resets() == 2);
  CHECK(batches.epoch() == 1);
}

TEST_CASE("loader: a stream counts what the loop consumed", "[state]") {
  auto batches = make_data_loader(NumberStream(5), 2);
  const auto part = make_part(batches);
  CHECK(part->kind() == "stream");
  Control control;
  part->cursor()->attach(&control);
  auto batch = batches.begin();
  CHECK(part->cursor()->commit() == 2);
  CHECK(batches.position() == 2);
  SECTION("to its end") {
    ++batch;
    ++batch;
    CHECK(indices_of(*batch) == Indices{4});
    CHECK(part->cursor()->commit() == 3);
    CHECK_FALSE(part->cursor()->at_end()); // nobody knows yet
    ++batch;
    CHECK(batch == batches.end());
    CHECK(part->cursor()->at_end());
    part->cursor()->start_epoch(1);
    CHECK(run_epoch(batches) == Indices{0, 1, 2, 3, 4});
  }
  SECTION("a range that was left goes on behind it") {
    CHECK(run_epoch(batches) == Indices{2, 3, 4});
    CHECK(batches.dataset().resets() == 1);
  }
  SECTION("killed, the next process begins the next epoch") {
    const Captured saved = capture(*part);
    auto live = make_data_loader(NumberStream(5), 2);
    const auto live_part = make_part(live);
    Control live_control;
    live_part->cursor()->attach(&live_control);
    restore(*live_part, saved);
    CHECK(
        live_part->notes() ==
        std::vector<std::string>{
            "a stream cannot seek: what epoch 0 had left after 2 samples is "
            "given up (3 samples), and epoch 1 begins at its start"});
    CHECK_FALSE(live_part->exact());
    CHECK(run_epoch(live).empty());
    CHECK(live.dataset().resets() == 0);
    live_part->cursor()->start_epoch(1);
    CHECK(run_epoch(live) == Indices{0, 1, 2, 3, 4});
  }
}

TEST_CASE("loader: in a forked child its workers are gone", "[state][fork]") {
  using Loader = DataLoader<Noisy>;
  auto loader =
      std::make_unique<Loader>(Noisy(20), DataLoaderOptions(2).workers(2));
  auto batch = loader->begin();
  const auto child = [&] {
    const bool refused = code_of([&] { ++batch; }) == "forked" &&
        code_of([&] { (void)loader->begin(); }) == "forked";
    loader.reset();
    return refused ? 0 : 1;
  };
  CHECK(in_forked_child(child, 20) == 0);
  std::size_t batches = 0;
  for (; batch != loader->end(); ++batch) {
    ++batches;
  }
  CHECK(batches == 10);
}

TEST_CASE("loader: options that a stream refuses", "[state]") {
  const auto code = [](const DataLoaderOptions& options) {
    return code_of([&] { (void)make_data_loader(NumberStream(5), options); });
  };
  CHECK(code(DataLoaderOptions(0)) == "invalid_argument");
  CHECK(code(DataLoaderOptions(2).workers(1)) == "invalid_argument");
  CHECK(code(DataLoaderOptions(2).drop_last(true)) == "invalid_argument");
  CHECK(code(DataLoaderOptions(2).world_size(2)) == "invalid_argument");
  CHECK(code(DataLoaderOptions(2).fingerprint("x")) == "invalid_argument");
  CHECK(code(DataLoaderOptions(2).shuffle(false).seed(1)) == "no error");
}

TEST_CASE("loader: samples of a stream's batch", "[state]") {
  struct Tensor {
    long size(int) const {
      return 3;
    }
  };
  struct Example {
    Tensor data;
  };
  struct Odd {};
  CHECK(detail::samples_in(std::vector<int>{1, 2}, 8) == 2);
  CHECK(detail::samples_in(Example{}, 8) == 3);
  CHECK(detail::samples_in(Odd{}, 8) == 8);
}

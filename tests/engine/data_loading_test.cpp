#include "engine_support.hpp"

#include <holdfast/state/data_loader.hpp>

#include <optional>

using namespace holdfast;
using namespace holdfast::test;

// Managers and loads with our own data loaders, wherever a run is killed.

namespace {

using Indices = std::vector<std::size_t>;

struct Numbers {
  explicit Numbers(std::size_t samples) : count(samples) {}
  Indices get_batch(const Indices& indices) const {
    return indices;
  }
  std::optional<std::size_t> size() const {
    return count;
  }
  std::size_t count;
};

class Stream {
 public:
  static constexpr bool is_stateful = true;
  void reset() {
    next_ = 0;
  }
  std::optional<Indices> get_batch(std::size_t size) {
    Indices batch;
    while (batch.size() < size && next_ < 10) {
      batch.push_back(next_++);
    }
    return batch.empty() ? std::nullopt : std::make_optional(batch);
  }

 private:
  std::size_t next_ = 0;
};

/// A user's loader with state of its own beside the cursor.
struct Own {
  template <class V>
  void state(V& v) {
    v("place", place);
    v("rate", rate);
  }
  EpochCursor place{EpochCursor::kUnknown};
  double rate = 1;
};

/// A user's loader of 10 samples in batches of 4; the last one is smaller.
class Fours {
 public:
  struct Iterator {
    Fours* loader;
    const Indices& operator*() const {
      return loader->batch_;
    }
    void operator++() {
      loader->fetch();
    }
    bool operator!=(const Iterator&) const {
      return !loader->batch_.empty();
    }
  };

  template <class V>
  void state(V& v) {
    v("place", place_);
  }
  Iterator begin() {
    range_ = place_.begin_range();
    fetch();
    return {this};
  }
  Iterator end() {
    return {this};
  }

 private:
  void fetch() {
    batch_.clear();
    if (!place_.fetches(range_)) {
      return;
    }
    std::size_t next = place_.handed_out();
    while (batch_.size() < 4 && next < 10) {
      batch_.push_back(10 * static_cast<std::size_t>(place_.epoch()) + next++);
    }
    place_.hand_out(range_, 4);
  }

  EpochCursor place_{10};
  std::uint64_t range_ = 0;
  Indices batch_;
};

constexpr std::int64_t kEpochs = 3;

DataLoaderOptions options(std::size_t workers = 0) {
  return DataLoaderOptions(3).seed(4).workers(workers);
}

/// What one process saw: samples, and the epochs whose end it reached.
struct Seen {
  Indices samples;
  std::vector<std::int64_t> epochs_ended;
  ResumeReport report;
};

/// One process; killed after `kill` steps.
template <class Loader>
void train(const Disk& disk, Loader& loader, int kill, Seen& seen) {
  Manager manager(kRoot, keep_everything(disk));
  manager.add("data", loader);
  seen.report = manager.resume();
  int steps = 0;
  while (manager.running(epochs(kEpochs))) {
    for (const Indices& batch : loader) {
      seen.samples.insert(seen.samples.end(), batch.begin(), batch.end());
      manager.step();
      if (++steps == kill) {
        return;
      }
    }
    seen.epochs_ended.push_back(manager.epoch());
    manager.end_epoch();
  }
}

Seen train(
    const Disk& disk,
    std::size_t samples,
    const DataLoaderOptions& how,
    int kill = -1) {
  Seen seen;
  auto loader = make_data_loader(Numbers(samples), how);
  train(disk, loader, kill, seen);
  return seen;
}

} // namespace

TEST_CASE("data loading: killed runs with workers are exact", "[data][P1]") {
  const Seen whole = train(new_disk(), 10, options());
  CHECK(whole.samples.size() == 30);
  for (const std::size_t workers : {0U, 1U, 3U}) {
    for (int kill = 1; kill <= 12; ++kill) {
      CAPTURE(workers, kill);
      const Disk disk = new_disk();
      Seen first = train(disk, 10, options(workers), kill);
      const Seen second = train(disk, 10, options(workers));
      CHECK(second.report.exact());
      first.samples.insert(
          first.samples.end(), second.samples.begin(), second.samples.end());
      CHECK(first.samples == whole.samples);
      CHECK(second.epochs_ended.back() == kEpochs - 1);
    }
  }
}

TEST_CASE("data loading: a data set that has grown", "[data]") {
  const Disk disk = new_disk();
  (void)train(disk, 10, options(), 2);
  const std::string where = checkpoint_path(2);
  SECTION("is an error that tells the counts") {
    const auto error = error_of([&] { (void)train(disk, 11, options()); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::data_changed);
    CHECK(
        std::string(error->what()) ==
        "'" + where +
            "': 'data: data_size': the checkpoint does not match: found 10 "
            "samples, expected 11 samples (data_changed)");
    CHECK(train(disk, 10, options()).samples.size() == 24);
  }
  SECTION("or begins with the next epoch, where options say so") {
    const Seen seen =
        train(disk, 11, options().on_data_change(DataChange::next_epoch));
    CHECK(
        seen.report.notes ==
        std::vector<std::string>{
            "data: the data set has changed (11 samples, 10 samples when it "
            "was saved): the rest of epoch 0, 4 of 10 samples, is given up, "
            "and epoch 1 begins with the new one"});
    CHECK_FALSE(seen.report.parts_exact);
    CHECK_FALSE(seen.report.exact());
    CHECK(seen.epochs_ended == std::vector<std::int64_t>{0, 1, 2});
    Indices expected = shuffled_order(11, 4, 1);
    const Indices last = shuffled_order(11, 4, 2);
    expected.insert(expected.end(), last.begin(), last.end());
    CHECK(seen.samples == expected);
  }
}

TEST_CASE("data loading: another fingerprint tells was and is", "[data]") {
  const Disk disk = new_disk();
  (void)train(disk, 10, options().fingerprint("v1"), 2);
  const auto error =
      error_of([&] { (void)train(disk, 10, options().fingerprint("v2")); });
  REQUIRE(error);
  CHECK(
      std::string(error->what()) ==
      "'" + checkpoint_path(2) +
          "': 'data: fingerprint': the checkpoint does not match: found 'v1', "
          "expected 'v2' (data_changed)");
  CHECK(train(disk, 10, options().fingerprint("v1")).report.exact());
}

TEST_CASE("data loading: a stream goes on with the next epoch", "[data]") {
  const Disk disk = new_disk();
  const auto process = [&](int kill) {
    Seen seen;
    auto loader = make_data_loader(Stream(), 3);
    train(disk, loader, kill, seen);
    return seen;
  };
  const bool border = GENERATE(false, true);
  const Seen first = process(border ? 4 : 2);
  CHECK(first.samples.size() == (border ? 10U : 6U));
  const Seen second = process(-1);
  CHECK_FALSE(second.report.exact());
  CHECK(
      second.report.notes ==
      std::vector<std::string>{
          "data: a stream cannot seek: what epoch 0 had left after " +
          std::to_string(first.samples.size()) +
          " samples is given up, and epoch 1 begins at its start"});
  CHECK(second.samples.size() == 20);
  CHECK(second.epochs_ended == std::vector<std::int64_t>{0, 1, 2});
}

TEST_CASE("data loading: a load tells which samples were used", "[data]") {
  const Disk disk = new_disk();
  const Seen seen = train(disk, 10, options(2), 5); // the 1st of epoch 1
  auto loader = make_data_loader(Numbers(10), options());
  PartSet parts;
  parts.add("data", make_part(loader));
  ManualClock clock;
  (void)load(kRoot, parts, *disk, clock);
  CHECK(loader.epoch() == 1);
  CHECK(
      loader.consumed_ids() ==
      Indices(seen.samples.begin() + 10, seen.samples.end()));
  (void)load(checkpoint_path(3), parts, *disk, clock);
  CHECK(loader.epoch() == 0);
  CHECK(
      loader.consumed_ids() ==
      Indices(seen.samples.begin(), seen.samples.begin() + 9));
}

TEST_CASE("data loading: a load tells what a stream gives up", "[data]") {
  const Disk disk = new_disk();
  {
    Seen seen;
    auto loader = make_data_loader(Stream(), 3);
    train(disk, loader, 5, seen); // the 1st of epoch 1
  }
  auto loader = make_data_loader(Stream(), 3);
  PartSet parts;
  parts.add("data", make_part(loader));
  ManualClock clock;
  for (const int step : {2, 3}) {
    CHECK(
        load(checkpoint_path(step), parts, *disk, clock).notes ==
        std::vector<std::string>{
            "data: a stream cannot seek: what epoch 0 had left after " +
            std::to_string(3 * step) +
            " samples is given up, and epoch 1 begins at its start"});
  }
}

TEST_CASE("data loading: a cursor among a type's members", "[data]") {
  const Disk disk = new_disk();
  {
    Own own;
    Manager manager(kRoot, keep_everything(disk));
    manager.add("data", own);
    manager.resume();
    own.place.hand_out(own.place.begin_range(), 3);
    manager.step();
    CHECK(own.place.position() == 3);
  }
  Own own;
  Manager manager(kRoot, keep_everything(disk));
  manager.add("data", own);
  const ResumeReport report = manager.resume();
  CHECK_FALSE(report.exact());
  REQUIRE(report.notes.size() == 1);
  CHECK_THAT(report.notes[0], contains("data: place: a stream cannot seek"));
  CHECK(own.place.at_end());
}

TEST_CASE("data loading: a user's loader with a smaller last batch", "[data]") {
  const auto process = [](const Disk& disk, int kill) {
    Seen seen;
    Fours loader;
    train(disk, loader, kill, seen);
    return seen;
  };
  const Seen whole = process(new_disk(), -1);
  CHECK(whole.samples.size() == 30);
  for (int kill = 1; kill <= 9; ++kill) {
    CAPTURE(kill);
    const Disk disk = new_disk();
    Seen first = process(disk, kill);
    const Seen second = process(disk, -1);
    CHECK(second.report.exact());
    first.samples.insert(
        first.samples.end(), second.samples.begin(), second.samples.end());
    CHECK(first.samples == whole.samples);
    CHECK(second.epochs_ended.back() == kEpochs - 1);
  }
}

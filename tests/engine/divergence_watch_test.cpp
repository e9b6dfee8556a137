#include "engine_support.hpp"

#include <holdfast/engine/divergence_watch.hpp>

#include <limits>

using namespace holdfast;

namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

/// A source of ten samples and a loop of which every step consumes one.
struct WatchedLoop {
  struct Never final : LoopControl {
    bool stopping() const noexcept override {
      return false;
    }
    void range_begins() override {}
  };

  explicit WatchedLoop(const DivergenceOptions& options) : watch(options) {
    parts.add("data", make_part(cursor));
    sources.attach(parts, control);
  }
  ~WatchedLoop() {
    sources.detach();
  }
  void step(const Metrics& metrics) {
    if (cursor.at_end()) {
      sources.start_epoch(cursor.epoch() + 1);
    }
    const std::uint64_t range = cursor.begin_range();
    CHECK(cursor.fetches(range));
    cursor.hand_out(range, 1);
    watch.step_begins(sources);
    (void)sources.commit();
    watch.add(++steps, metrics);
  }
  [[nodiscard]] std::uint64_t good_position() const {
    return watch.good_places().at(0).place->position;
  }

  EpochCursor cursor{10};
  PartSet parts;
  Never control;
  DataSources sources;
  DivergenceWatch watch;
  std::int64_t steps = 0;
};

} // namespace

TEST_CASE(
    "divergence watch: a loss vouches for the step before",
    "[divergence]") {
  WatchedLoop loop(DivergenceOptions("loss").patience(2));
  CHECK(loop.watch.good_step() == -1);
  CHECK_FALSE(loop.watch.has_seen_any());
  loop.step({{"accuracy", kNotANumber}});
  CHECK(loop.watch.good_step() == -1);
  CHECK_FALSE(loop.watch.has_seen_any());
  loop.step({{"loss", 1}});
  CHECK(loop.watch.has_seen_any());
  CHECK(loop.watch.good_step() == 1);
  CHECK(loop.good_position() == 1);
  loop.step({}); // nothing is known of it
  loop.step({});
  CHECK(loop.watch.good_step() == 1);
  loop.step({{"loss", 1}});
  CHECK(loop.watch.good_step() == 4);
  CHECK(loop.good_position() == 4);
  loop.step({{"loss", kNotANumber}});
  CHECK(loop.watch.suspects());
  loop.step({});
  loop.step({{"loss", 3 * kNotANumber}});
  CHECK(loop.watch.has_diverged());
  CHECK(loop.watch.good_step() == 4);
  CHECK(loop.good_position() == 4);
  const DivergenceRecord record = loop.watch.record();
  CHECK(record.metric == "loss");
  CHECK(record.first_step == 6);
  CHECK(record.last_step == 8);
}

TEST_CASE(
    "divergence watch: written and read in mid-suspicion",
    "[divergence]") {
  WatchedLoop loop(DivergenceOptions("loss").patience(3));
  for (int i = 0; i < 45; ++i) {
    loop.step({{"loss", 1 + 0.01 * (i % 7)}});
  }
  loop.step({{"loss", 100}});
  loop.step({{"loss", 101}});
  const Value saved = loop.watch.to_value();
  DivergenceWatch other(loop.watch.options());
  other.load(saved);
  CHECK(other.to_value() == saved);
  CHECK(other.suspects());
  CHECK(other.good_step() == 44);
  CHECK(other.good_places().at(0).part == "data");
  CHECK(other.good_places().at(0).place->epoch == 4);
  CHECK(other.good_places().at(0).place->position == 4);
  other.add(48, {{"loss", 99}});
  CHECK(other.has_diverged());
  CHECK(other.record().first_step == 46);

  DivergenceWatch another(DivergenceOptions("val_loss"));
  another.load(saved); // another metric: begins anew
  CHECK_FALSE(another.suspects());
  CHECK(another.good_step() == -1);

  for (const auto& member : saved.object()) {
    Values less = saved.object();
    less.erase(member.first);
    CHECK_THROWS_AS(other.load(less), Error);
  }
  CHECK(other.has_diverged()); // as it was
}

#include "retention_support.hpp"

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/policy/trigger.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

// A year of training on a simulated clock: triggers decide when to save,
// crashes lose what came after the last save, retention removes after each.
// What must be left is told by the log of all saves and one line for each rule.

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr double kStart = 19'700 * kDay + 5 * kHour + 17;
constexpr double kStepSeconds = 60;
constexpr std::int64_t kStepsAnEpoch = 4000;
constexpr std::uint64_t kBytes = 1'000'000'000;

class Year {
 public:
  Year(
      std::vector<SaveEvery> triggers,
      std::optional<SaveOverhead> overhead,
      RetentionRules rules,
      std::uint64_t seed)
      : triggers_(std::move(triggers)),
        overhead_(overhead),
        rules_(std::move(rules)),
        random_(seed) {}

  void run() {
    double crash = next_crash();
    while (now_ < kStart + 365 * kDay) {
      now_ += kStepSeconds;
      elapsed_ += kStepSeconds;
      ++step_;
      const TriggerPoint point{step_, step_ / kStepsAnEpoch, elapsed_};
      const bool overhead_due =
          overhead_ && is_due(*overhead_, kSaveSeconds, last_save_, point);
      if (overhead_due || !due(triggers_, last_save_, point).empty()) {
        save(point);
      }
      if (now_ >= crash) {
        restart();
        crash = next_crash();
      }
    }
  }

  static constexpr double kSaveSeconds = 40;

  Entries log; ///< Of all saves, the last of them first to be forgotten.
  Entries on_disk;
  std::uint64_t resumed_from = 0;
  int crashes = 0;
  std::uint64_t most_bytes = 0;

  [[nodiscard]] double now() const {
    return now_;
  }

 private:
  double next_crash() {
    return now_ + kDay + static_cast<double>(random_() % 1'000'000);
  }

  void save(const TriggerPoint& point) {
    RetentionEntry made = entry(++sequence_, now_);
    made.step = point.step;
    made.epoch = point.epoch;
    made.bytes = kBytes;
    // Gets better all the time, with noise.
    made.metrics = {
        {"loss",
         1 / (1 + 1e-5 * static_cast<double>(point.step)) +
             0.05 * static_cast<double>(random_() % 1000) / 1000}};
    log.push_back(made);
    on_disk.push_back(made);
    last_save_ = point;
    now_ += kSaveSeconds;
    elapsed_ += kSaveSeconds;
    const auto plan = plan_retention(on_disk, now_, rules_);
    std::uint64_t bytes = 0;
    Entries left;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (plan[i].keep) {
        left.push_back(on_disk[i]);
        bytes += on_disk[i].bytes;
      }
    }
    on_disk = std::move(left);
    most_bytes = std::max(most_bytes, bytes);
  }

  /// Back to the newest checkpoint, half an hour later.
  void restart() {
    ++crashes;
    now_ += 0.5 * kHour;
    for (RetentionEntry& e : on_disk) {
      e.resumed_from = false;
      e.valid = false; // of a former process
    }
    if (on_disk.empty()) {
      step_ = 0;
      elapsed_ = 0;
      last_save_ = {};
      return;
    }
    RetentionEntry& newest = on_disk.back();
    newest.resumed_from = true;
    newest.valid = true;
    resumed_from = newest.sequence;
    step_ = last_save_.step;
    elapsed_ = last_save_.elapsed_seconds;
  }

  std::vector<SaveEvery> triggers_;
  std::optional<SaveOverhead> overhead_;
  RetentionRules rules_;
  std::mt19937_64 random_;
  double now_ = kStart;
  double elapsed_ = 0;
  std::int64_t step_ = 0;
  std::uint64_t sequence_ = 0;
  TriggerPoint last_save_;
};

Sequences numbers(const Entries& entries) {
  Sequences result;
  for (const RetentionEntry& e : entries) {
    result.push_back(e.sequence);
  }
  return result;
}

/// What one line for each rule of `rules` below says.
Sequences expected_survivors(const Year& year) {
  Sequences expected;
  const Entries& log = year.log;
  std::size_t best = 0;
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (log[i].metrics.values().at("loss") <
        log[best].metrics.values().at("loss")) {
      best = i;
    }
  }
  for (std::size_t i = 0; i < log.size(); ++i) {
    const auto day = [&](std::size_t k) {
      return std::floor(log[k].wall_time / kDay);
    };
    const auto ten_thousands = [&](std::size_t k) {
      return log[k].step / 10'000;
    };
    const bool last = i + 3 >= log.size();
    const bool first_of_day = i == 0 || day(i) != day(i - 1);
    const bool reaches =
        i == 0 ? ten_thousands(i) > 0 : ten_thousands(i) > ten_thousands(i - 1);
    const bool young = year.now() - log[i].wall_time < 2 * kDay;
    if (last || first_of_day || reaches || young || i == best ||
        log[i].sequence == year.resumed_from) {
      expected.push_back(log[i].sequence);
    }
  }
  return expected;
}

} // namespace

TEST_CASE("year: exactly what the rules say is left", "[policy][P7][slow]") {
  RetentionRules rules = keep_last(3);
  rules.best = {{"loss", Best::lowest, 1}};
  rules.every = {{KeepEvery::Unit::steps, 10'000}};
  rules.per = {{seconds(kDay)}};
  rules.younger = KeepYounger{seconds(2 * kDay), 1};
  Year year(
      {save_every(std::chrono::hours(6)), save_every(epochs(1))},
      std::nullopt,
      rules,
      seed());
  year.run();
  CAPTURE(year.log.size(), year.crashes);
  CHECK(year.crashes > 20);
  CHECK(year.log.size() > 1300);
  CHECK(numbers(year.on_disk) == expected_survivors(year));
}

TEST_CASE("year: a share of the time, and a total", "[policy][P7][slow]") {
  RetentionRules rules;
  rules.per = {{seconds(kDay)}};
  rules.last = 3;
  rules.total_bytes = 60 * kBytes;
  Year year({}, SaveOverhead{0.01, 10}, rules, seed() + 1);
  year.run();
  CAPTURE(year.log.size(), year.crashes);
  // 4000 seconds from one to the next, to a step, less what crashes cost.
  const double most = 365 * kDay / 4000;
  CHECK(static_cast<double>(year.log.size()) < most);
  CHECK(static_cast<double>(year.log.size()) > 0.95 * most);
  CHECK(year.most_bytes <= 61 * kBytes); // one that was resumed from, besides
  // The newest three, and of the first of each day the newest that fit.
  Sequences expected;
  const Entries& log = year.log;
  for (std::size_t i = log.size(); i-- > 0 && expected.size() < 60;) {
    if (i + 3 >= log.size() || i == 0 ||
        std::floor(log[i].wall_time / kDay) !=
            std::floor(log[i - 1].wall_time / kDay) ||
        log[i].sequence == year.resumed_from) {
      expected.push_back(log[i].sequence);
    }
  }
  std::reverse(expected.begin(), expected.end());
  CHECK(numbers(year.on_disk) == expected);
}

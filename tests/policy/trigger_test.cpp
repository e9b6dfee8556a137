#include "policy_support.hpp"

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/policy/trigger.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast;
using test::code_of;
using test::kInfinity;
using test::kNan;
using test::seconds;

namespace {

using Reasons = std::vector<std::string>;

TriggerPoint at_step(std::int64_t step) {
  TriggerPoint point;
  point.step = step;
  return point;
}

TriggerPoint at_epoch(std::int64_t epoch) {
  TriggerPoint point;
  point.epoch = epoch;
  return point;
}

TriggerPoint at_seconds(double seconds) {
  TriggerPoint point;
  point.elapsed_seconds = seconds;
  return point;
}

/// Property tests count time in quarters of a second, which doubles hold.
double in_seconds(std::int64_t quarters) {
  return static_cast<double>(quarters) / 4;
}
std::int64_t quarters_of(const SaveEvery& rule) {
  return static_cast<std::int64_t>(rule.interval * 4);
}

/// Numbers from 0 on, below what is asked.
class NumberDraw {
 public:
  explicit NumberDraw(std::uint64_t seed) : engine_(seed) {}
  std::int64_t operator()(std::int64_t below) {
    return static_cast<std::int64_t>(
        engine_() % static_cast<std::uint64_t>(below));
  }

 private:
  std::mt19937_64 engine_;
};

SaveEvery draw_rule(NumberDraw& number) {
  switch (number(4)) {
    case 0:
      return save_every(steps(1 + number(15)));
    case 1:
      return save_every(epochs(1 + number(3)));
    case 2:
      return save_every(std::chrono::minutes(1 + number(3)));
    default:
      return save_every(seconds(in_seconds(1 + number(200))));
  }
}

/// What trigger.hpp says of `due`, without arithmetic.
bool due_by_counting(
    const SaveEvery& rule,
    const TriggerPoint& last,
    const TriggerPoint& now) {
  if (rule.unit == SaveEvery::Unit::seconds) {
    // Only the interval after the last save is covered by it.
    for (std::int64_t i = 0; i < quarters_of(rule); ++i) {
      if (now.elapsed_seconds == last.elapsed_seconds + in_seconds(i)) {
        return false;
      }
    }
    return true;
  }
  const bool by_step = rule.unit == SaveEvery::Unit::steps;
  const std::int64_t to = by_step ? now.step : now.epoch;
  std::int64_t from = by_step ? last.step : last.epoch;
  from = from > to ? to - 1 : from; // the last save lies ahead
  for (std::int64_t k = from + 1; k <= to; ++k) {
    if (k % static_cast<std::int64_t>(rule.interval) == 0) {
      return true;
    }
  }
  return false;
}

} // namespace

TEST_CASE("trigger: steps are due at multiples", "[policy]") {
  const std::vector<SaveEvery> rules = {save_every(steps(500))};
  CHECK(due(rules, at_step(0), at_step(0)).empty());
  CHECK(due(rules, at_step(0), at_step(499)).empty());
  CHECK(due(rules, at_step(0), at_step(500)) == Reasons{"every 500 steps"});
  CHECK(due(rules, at_step(500), at_step(500)).empty());
  CHECK(due(rules, at_step(500), at_step(999)).empty());
  CHECK(due(rules, at_step(500), at_step(1000)).size() == 1);
  // A save in between does not move the multiples.
  CHECK(due(rules, at_step(777), at_step(999)).empty());
  CHECK(due(rules, at_step(777), at_step(1000)).size() == 1);
}

TEST_CASE("trigger: a multiple that was missed is caught up once", "[policy]") {
  const std::vector<SaveEvery> rules = {save_every(steps(500))};
  CHECK(due(rules, at_step(490), at_step(512)).size() == 1);
  CHECK(due(rules, at_step(490), at_step(5120)).size() == 1);
  CHECK(due(rules, at_step(512), at_step(513)).empty());
}

TEST_CASE("trigger: epochs are counted on their own", "[policy]") {
  const std::vector<SaveEvery> rules = {
      save_every(epochs(2)), save_every(epochs(1))};
  CHECK(due(rules, at_epoch(0), at_step(1000)).empty());
  CHECK(due(rules, at_epoch(0), at_epoch(1)) == Reasons{"every epoch"});
  CHECK(
      due(rules, at_epoch(1), at_epoch(2)) ==
      Reasons{"every 2 epochs", "every epoch"});
}

TEST_CASE("trigger: seconds are due once the interval has passed", "[policy]") {
  const std::vector<SaveEvery> rules = {save_every(std::chrono::minutes(10))};
  CHECK(due(rules, at_seconds(0), at_seconds(599.9)).empty());
  CHECK(due(rules, at_seconds(0), at_seconds(600)) == Reasons{"every 10 min"});
  CHECK(due(rules, at_seconds(599), at_seconds(1198)).empty());
  CHECK(due(rules, at_seconds(599), at_seconds(1199)).size() == 1);
  const std::vector<SaveEvery> fraction = {save_every(seconds(0.25))};
  CHECK(due(fraction, at_seconds(1), at_seconds(1.125)).empty());
  CHECK(
      due(fraction, at_seconds(1), at_seconds(1.25)) ==
      Reasons{"every 0.25 s"});
}

TEST_CASE("trigger: several rules give their reasons in order", "[policy]") {
  const std::vector<SaveEvery> rules = {
      save_every(std::chrono::hours(1)),
      save_every(steps(1)),
      save_every(steps(1234567)),
      save_every(epochs(3))};
  TriggerPoint now;
  now.step = 1234567;
  now.epoch = 3;
  now.elapsed_seconds = 3600;
  CHECK(
      due(rules, {}, now) ==
      Reasons{
          "every 1 h", "every step", "every 1234567 steps", "every 3 epochs"});
  CHECK(due({}, {}, now).empty());
}

TEST_CASE(
    "trigger: no rule is dead where the last save lies ahead",
    "[policy]") {
  const std::vector<SaveEvery> rules = {save_every(steps(500))};
  CHECK(due(rules, at_step(12'000), at_step(5'100)).empty());
  CHECK(due(rules, at_step(12'000), at_step(5'499)).empty());
  CHECK(due(rules, at_step(12'000), at_step(5'500)).size() == 1);
  const std::vector<SaveEvery> by_epoch = {save_every(epochs(5))};
  CHECK(due(by_epoch, at_epoch(24), at_epoch(14)).empty());
  CHECK(due(by_epoch, at_epoch(24), at_epoch(15)).size() == 1);
  const std::vector<SaveEvery> by_time = {save_every(seconds(100))};
  CHECK(due(by_time, at_seconds(9'000), at_seconds(4'000)).size() == 1);
  CHECK(due(by_time, at_seconds(4'000), at_seconds(4'099)).empty());
}

TEST_CASE("trigger: a time that is not finite does no harm", "[policy]") {
  const std::vector<SaveEvery> rules = {save_every(seconds(100))};
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    CAPTURE(bad);
    CHECK(due(rules, at_seconds(5), at_seconds(bad)).empty());
    CHECK(due(rules, at_seconds(bad), at_seconds(5)).size() == 1);
  }
}

TEST_CASE("trigger: intervals that make no sense are refused", "[policy]") {
  const std::string refused = "invalid_argument";
  const std::int64_t large = (std::int64_t{1} << 53) + 1;
  for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, large}) {
    CAPTURE(bad);
    CHECK(code_of([&] { (void)save_every(steps(bad)); }) == refused);
    CHECK(code_of([&] { (void)save_every(epochs(bad)); }) == refused);
  }
  CHECK(save_every(steps(large - 1)).interval == 9007199254740992.0);
  for (const double bad : {0.0, -1.0, kNan, kInfinity, -kInfinity}) {
    CAPTURE(bad);
    CHECK(code_of([&] { (void)save_every(seconds(bad)); }) == refused);
    for (const auto unit :
         {SaveEvery::Unit::steps,
          SaveEvery::Unit::epochs,
          SaveEvery::Unit::seconds}) {
      CHECK(code_of([&] {
              (void)due({{unit, bad}}, {}, at_step(7));
            }) == refused);
    }
  }
  for (const double bad : {0.5, 1.5, 1e300}) {
    CAPTURE(bad);
    CHECK(code_of([&] { validate({SaveEvery::Unit::steps, bad}); }) == refused);
    CHECK(code_of([&] {
            validate({SaveEvery::Unit::epochs, bad});
          }) == refused);
    validate({SaveEvery::Unit::seconds, bad});
  }
  const auto error = test::error_of([] {
    validate({SaveEvery::Unit::steps, 2.5});
  });
  REQUIRE(error);
  CHECK(error->name() == "save_every");
  CHECK(error->found() == "2.5");
}

TEST_CASE(
    "trigger: due exactly when a multiple was passed",
    "[policy][property]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  NumberDraw number(seed);
  for (int round = 0; round < 50'000; ++round) {
    const std::int64_t interval = 1 + number(12);
    const std::int64_t last = number(60) - 10;
    const std::int64_t now = last + number(30);
    bool expected = false;
    for (std::int64_t k = last + 1; k <= now; ++k) {
      expected = expected || k % interval == 0;
    }
    const bool by_step =
        !due({save_every(steps(interval))}, at_step(last), at_step(now))
             .empty();
    const bool by_epoch =
        !due({save_every(epochs(interval))}, at_epoch(last), at_epoch(now))
             .empty();
    if (by_step != expected || by_epoch != expected) {
      CAPTURE(round, interval, last, now, by_step, by_epoch);
      CHECK(by_step == expected);
      CHECK(by_epoch == expected);
      return;
    }
  }
  SUCCEED();
}

TEST_CASE(
    "trigger: a run that is killed and resumed saves at the same steps",
    "[policy][property]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  NumberDraw number(seed);
  using Position = std::pair<std::int64_t, std::int64_t>; // Step, epoch.
  for (int round = 0; round < 20'000; ++round) {
    std::vector<SaveEvery> rules;
    for (std::int64_t i = 0; i <= number(3); ++i) {
      rules.push_back(
          number(2) == 0 ? save_every(steps(1 + number(15)))
                         : save_every(epochs(1 + number(3))));
    }
    const std::int64_t batches = 1 + number(9);
    const std::int64_t goal = 10 + number(60);
    // One call of step() or end_epoch().
    const auto advance = [&](TriggerPoint point) {
      if (point.step >= (point.epoch + 1) * batches) {
        ++point.epoch;
      } else {
        ++point.step;
      }
      return point;
    };
    std::set<Position> expected;
    TriggerPoint last;
    for (TriggerPoint now; now.step < goal;) {
      now = advance(now);
      if (!due(rules, last, now).empty()) {
        expected.insert({now.step, now.epoch});
        last = now;
      }
    }
    // Killed anywhere; goes on from a committed checkpoint, the newest or, on
    // purpose, an older one. Saves that no rule asked for come in between.
    std::set<Position> seen;
    std::vector<TriggerPoint> committed{TriggerPoint{}};
    TriggerPoint now;
    last = TriggerPoint{};
    std::int64_t kills = number(8);
    // One that goes back and keeps `last` may save once more, never less.
    const bool forgetful = number(4) == 0;
    while (now.step < goal) {
      if (kills > 0 && number(12) == 0) {
        --kills;
        const bool back = number(3) == 0;
        if (back) {
          committed.resize(
              1 +
              static_cast<std::size_t>(
                  number(static_cast<std::int64_t>(committed.size()))));
        }
        now = committed.back();
        if (!back || !forgetful) {
          last = now; // as the checkpoint tells it
        }
      }
      now = advance(now);
      const bool scheduled = !due(rules, last, now).empty();
      if (scheduled) {
        seen.insert({now.step, now.epoch});
      }
      if (scheduled || number(10) == 0) {
        committed.push_back(now);
        last = now;
      }
    }
    const bool all_seen = std::includes(
        seen.begin(), seen.end(), expected.begin(), expected.end());
    if (!all_seen || (!forgetful && seen != expected)) {
      CAPTURE(round, batches, goal, forgetful);
      CHECK(all_seen);
      CHECK(seen.size() == expected.size());
      return;
    }
  }
  SUCCEED();
}

TEST_CASE(
    "trigger: any of several rules, counted one by one",
    "[policy][property]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  NumberDraw number(seed);
  // Of each kind of rule: how often it was due and not.
  std::map<SaveEvery::Unit, std::pair<int, int>> seen;
  int jumps = 0;
  for (int round = 0; round < 10'000; ++round) {
    std::vector<SaveEvery> rules;
    const std::int64_t count = 1 + number(3);
    for (std::int64_t i = 0; i < count; ++i) {
      rules.push_back(draw_rule(number));
    }
    TriggerPoint last;
    last.step = number(60);
    last.epoch = number(20);
    last.elapsed_seconds = in_seconds(number(40'000));
    TriggerPoint now;
    now.step = last.step + number(40) - 8;
    now.epoch = last.epoch + number(8) - 2;
    // Anything, or as close to the interval of a rule as can be.
    const std::int64_t quarters = number(2) == 0
        ? number(1'200) - 300
        : quarters_of(rules.front()) + number(3) - 1;
    now.elapsed_seconds = last.elapsed_seconds + in_seconds(quarters);
    jumps += quarters < 0 ? 1 : 0;
    Reasons expected;
    for (const SaveEvery& rule : rules) {
      const bool is_due = due_by_counting(rule, last, now);
      ++(is_due ? seen[rule.unit].first : seen[rule.unit].second);
      if (is_due) {
        expected.push_back(to_string(rule));
      }
    }
    if (due(rules, last, now) != expected) {
      CAPTURE(round, last.step, last.epoch, last.elapsed_seconds);
      CAPTURE(now.step, now.epoch, now.elapsed_seconds);
      CHECK(due(rules, last, now) == expected);
      return;
    }
  }
  CHECK(jumps > 500);
  CHECK(seen.size() == 3);
  for (const auto& kind : seen) {
    CHECK(kind.second.first > 500);
    CHECK(kind.second.second > 500);
  }
}

TEST_CASE(
    "trigger: a run with a clock that jumps saves when a naive one does",
    "[policy][property]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  NumberDraw number(seed);
  int alone = 0;
  int saves_after_jumps = 0;
  int times_due = 0;
  for (int round = 0; round < 2'000; ++round) {
    // Minutes, alone or with others; those with 0 left are due.
    std::vector<SaveEvery> rules = {
        save_every(std::chrono::minutes(1 + number(5)))};
    for (std::int64_t more = number(3); more > 0; --more) {
      rules.push_back(draw_rule(number));
    }
    alone += rules.size() == 1 ? 1 : 0;
    std::vector<std::int64_t> left(rules.size());
    const auto saved = [&] {
      for (std::size_t i = 0; i < rules.size(); ++i) {
        left[i] = quarters_of(rules[i]);
      }
    };
    saved();
    const std::int64_t batches = 1 + number(9);
    std::int64_t clock = number(1'000); // in quarters of a second
    TriggerPoint now;
    now.elapsed_seconds = in_seconds(clock);
    TriggerPoint last = now;
    std::vector<TriggerPoint> committed{now};
    for (int calls = 0; calls < 80; ++calls) {
      if (number(20) == 0) { // killed; the checkpoint tells the time
        now = committed[static_cast<std::size_t>(
            number(static_cast<std::int64_t>(committed.size())))];
        last = now;
        clock = static_cast<std::int64_t>(now.elapsed_seconds * 4);
        saved();
      }
      const bool ends_epoch = now.step >= (now.epoch + 1) * batches;
      ++(ends_epoch ? now.epoch : now.step);
      const std::int64_t passed =
          number(15) == 0 ? -number(1'500) : number(200);
      clock += passed;
      now.elapsed_seconds = in_seconds(clock);
      Reasons expected;
      for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::int64_t interval =
            static_cast<std::int64_t>(rules[i].interval);
        switch (rules[i].unit) {
          case SaveEvery::Unit::seconds:
            left[i] -= passed;
            if (left[i] > quarters_of(rules[i])) { // from before the last save
              left[i] = 0;
              ++saves_after_jumps;
            }
            times_due += left[i] <= 0 ? 1 : 0;
            break;
          case SaveEvery::Unit::steps:
            left[i] = !ends_epoch && now.step % interval == 0 ? 0 : 1;
            break;
          case SaveEvery::Unit::epochs:
            left[i] = ends_epoch && now.epoch % interval == 0 ? 0 : 1;
            break;
        }
        if (left[i] <= 0) {
          expected.push_back(to_string(rules[i]));
        }
      }
      if (due(rules, last, now) != expected) {
        CAPTURE(round, calls, last.elapsed_seconds, now.elapsed_seconds);
        CHECK(due(rules, last, now) == expected);
        return;
      }
      if (!expected.empty() || number(25) == 0) { // or one that was asked for
        last = now;
        committed.push_back(now);
        saved();
      }
    }
  }
  CHECK(alone > 300);
  CHECK(saves_after_jumps > 300);
  CHECK(times_due > 3'000);
}

TEST_CASE("trigger: saving takes no more than its share", "[policy]") {
  const SaveOverhead rule{0.02, 10};
  const auto due_after = [&](double save_seconds, double elapsed) {
    return is_due(
        rule, save_seconds, TriggerPoint{0, 0, 1000}, {0, 0, 1000 + elapsed});
  };
  CHECK_FALSE(due_after(4, 199));
  CHECK(due_after(4, 200));
  CHECK_FALSE(due_after(0.001, 9.9)); // not more often than that
  CHECK(due_after(0.001, 10));
  CHECK_FALSE(due_after(0, 9.9)); // unknown: measured by the first
  CHECK(due_after(0, 10));
  CHECK(due_after(kNan, 10));
  CHECK(due_after(kInfinity, 10));
  CHECK(due_after(4, -1)); // the last one lies ahead
  CHECK_FALSE(due_after(4, kNan));
  CHECK(to_string(rule) == "2 % of the time");
  CHECK(to_string(SaveOverhead{0.005, 10}) == "0.5 % of the time");

  // Over a run in which saves get dearer, and steps take their time.
  for (const double step_seconds : {0.1, 7.0, 900.0}) {
    double now = 0;
    double saving = 0;
    double last = 0;
    double known = 0;
    int saves = 0;
    while (now < 1e6) {
      now += step_seconds;
      if (is_due(rule, known, TriggerPoint{0, 0, last}, {0, 0, now})) {
        const double cost = 1 + 3e-6 * now;
        last = now;
        now += cost;
        saving += cost;
        known = known > 0 ? (known + cost) / 2 : cost;
        ++saves;
      }
    }
    CAPTURE(step_seconds, saves, saving / now);
    CHECK(saving / now <= 0.0201);
    // And as often as that allows, up to a step.
    CHECK(saving / now >= 0.02 * 50 / (50 + step_seconds) * 0.7);
  }
}

TEST_CASE("trigger: a share that makes no sense is refused", "[policy]") {
  for (const double bad : {0.0, -0.1, 1.0, 2.0, kNan}) {
    CHECK(code_of([&] {
            validate(SaveOverhead{bad, 10});
          }) == "invalid_argument");
  }
  for (const double bad : {-1.0, kNan, kInfinity}) {
    CHECK(code_of([&] {
            validate(SaveOverhead{0.5, bad});
          }) == "invalid_argument");
  }
  validate(SaveOverhead{0.99, 0});
}

#include "policy_support.hpp"

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/policy/retention.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast;
using test::code_of;
using test::kInfinity;
using test::kNan;
using test::seconds;

namespace {

constexpr double kMinute = 60;
constexpr double kHour = 3600;
constexpr double kDay = 86400;

using Entries = std::vector<RetentionEntry>;
using Sequences = std::vector<std::uint64_t>;

RetentionEntry entry(
    std::uint64_t sequence,
    double wall_time = 0,
    const Metrics& metrics = {}) {
  RetentionEntry made;
  made.sequence = sequence;
  made.wall_time = wall_time;
  made.metrics = metrics;
  made.valid = true;
  return made;
}

/// Sequences 1 to `count`, one a second.
Entries history(std::uint64_t count) {
  Entries entries;
  for (std::uint64_t i = 1; i <= count; ++i) {
    entries.push_back(entry(i, static_cast<double>(i)));
  }
  return entries;
}

RetentionRules keep_last(std::size_t count) {
  RetentionRules rules;
  rules.last = count;
  return rules;
}

Sequences kept(
    const Entries& entries,
    double now,
    const RetentionRules& rules) {
  Sequences sequences;
  for (const RetentionDecision& d : plan_retention(entries, now, rules)) {
    if (d.keep) {
      sequences.push_back(d.sequence);
    }
  }
  return sequences;
}

std::vector<std::string> reasons(
    const Entries& entries,
    double now,
    const RetentionRules& rules,
    std::uint64_t sequence) {
  for (const RetentionDecision& d : plan_retention(entries, now, rules)) {
    if (d.sequence == sequence) {
      return d.reasons;
    }
  }
  return {"not there"};
}

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("retention: without rules everything is kept", "[policy][P7]") {
  CHECK(kept(history(5), 100, {}) == Sequences{1, 2, 3, 4, 5});
  CHECK(plan_retention({}, 0, {}).empty());
  CHECK(plan_retention({}, 0, keep_last(3)).empty());
  CHECK(reasons(history(5), 100, {}, 1) == Texts{"no rule drops any"});
}

TEST_CASE("retention: the last so many, and why", "[policy][P7]") {
  const RetentionRules rules = keep_last(3);
  CHECK(kept(history(5), 100, rules) == Sequences{3, 4, 5});
  CHECK(kept(history(3), 100, rules) == Sequences{1, 2, 3});
  CHECK(reasons(history(5), 100, rules, 3) == Texts{"last 3"});
  CHECK(
      reasons(history(5), 100, rules, 5) ==
      Texts{"last 3", "newest two valid"});
  CHECK(
      reasons(history(5), 100, rules, 1) ==
      Texts{"older than the last 3 (from 000003)"});
}

TEST_CASE("retention: numbers decide, not the order of the list", "[policy]") {
  Entries entries = history(12);
  std::reverse(entries.begin(), entries.end());
  std::swap(entries[2], entries[9]);
  CHECK(kept(entries, 100, keep_last(3)) == Sequences{10, 11, 12});
}

TEST_CASE("retention: the newest two valid are protected", "[policy][P7]") {
  Entries entries = history(7);
  for (const std::size_t i : {1u, 3u, 5u, 6u}) {
    entries[i].valid = false;
  }
  CHECK(kept(entries, 100, keep_last(1)) == Sequences{3, 5, 7 /* last */});
  CHECK(reasons(entries, 100, keep_last(1), 3) == Texts{"newest two valid"});
  CHECK(reasons(entries, 100, keep_last(1), 7) == Texts{"last 1"});
}

TEST_CASE(
    "retention: with fewer than two valid nothing is dropped",
    "[policy][P7]") {
  Entries entries = history(4);
  for (RetentionEntry& e : entries) {
    e.valid = false;
  }
  CHECK(kept(entries, 100, keep_last(1)) == Sequences{1, 2, 3, 4});
  entries[2].valid = true;
  CHECK(kept(entries, 100, keep_last(1)) == Sequences{1, 2, 3, 4});
  CHECK(
      reasons(entries, 100, keep_last(1), 1) ==
      Texts{"fewer than two are valid"});
  entries[0].valid = true;
  CHECK(kept(entries, 100, keep_last(1)) == Sequences{1, 3, 4});
}

TEST_CASE(
    "retention: resumed from, a line's origin, pinned and being read are "
    "protected",
    "[policy][P7]") {
  Entries entries = history(8);
  entries[0].resumed_from = true;
  entries[1].pinned = true;
  entries[3].being_read = true;
  entries[4].line_origin = true;
  const RetentionRules rules = keep_last(1);
  CHECK(kept(entries, 100, rules) == Sequences{1, 2, 4, 5, 7, 8});
  CHECK(reasons(entries, 100, rules, 5) == Texts{"a line began there"});
  CHECK(reasons(entries, 100, rules, 1) == Texts{"resumed from"});
  CHECK(reasons(entries, 100, rules, 2) == Texts{"pinned"});
  CHECK(reasons(entries, 100, rules, 4) == Texts{"being read"});
}

TEST_CASE("retention: the best of several metrics", "[policy][P7]") {
  Entries entries = {
      entry(1, 1, {{"val_loss", 0.9}, {"accuracy", 0.1}}),
      entry(2, 2, {{"val_loss", 0.3}, {"accuracy", 0.5}}),
      entry(3, 3, {{"val_loss", 0.2}, {"accuracy", 0.4}}),
      entry(4, 4, {{"val_loss", 0.4}, {"accuracy", 0.9}}),
      entry(5, 5, {{"val_loss", 0.5}, {"accuracy", 0.2}}),
      entry(6, 6),
      entry(7, 7, {{"val_loss", 0.8}}),
      entry(8, 8),
  };
  RetentionRules rules;
  rules.best = {{"val_loss", Best::lowest, 2}};
  CHECK(kept(entries, 100, rules) == Sequences{2, 3, 7, 8});
  CHECK(reasons(entries, 100, rules, 3) == Texts{"best val_loss (0.2)"});
  CHECK(
      reasons(entries, 100, rules, 2) ==
      Texts{"rank 2 of the best 2 val_loss (0.3)"});
  CHECK(
      reasons(entries, 100, rules, 5) ==
      Texts{"val_loss 0.5: 000002 is better (0.3)"});
  CHECK(reasons(entries, 100, rules, 6) == Texts{"it has no val_loss"});
  rules.best.push_back({"accuracy", Best::highest, 1});
  CHECK(kept(entries, 100, rules) == Sequences{2, 3, 4, 7, 8});
  CHECK(
      reasons(entries, 100, rules, 1) ==
      Texts{
          "val_loss 0.9: 000002 is better (0.3)",
          "accuracy 0.1: 000004 is better (0.9)"});
}

TEST_CASE("retention: of equal values the older one ranks", "[policy]") {
  Entries entries;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    entries.push_back(entry(i, 0, {{"loss", i % 2 == 0 ? 0.0 : -0.0}}));
  }
  RetentionRules rules;
  rules.best = {{"loss", Best::lowest, 2}};
  CHECK(kept(entries, 0, rules) == Sequences{1, 2, 5, 6});
  CHECK(
      reasons(entries, 0, rules, 3) ==
      Texts{"loss -0: 000002 is as good and older (0)"});
}

TEST_CASE("retention: what diverged never ranks", "[policy][P7]") {
  Entries entries = {
      entry(1, 1, {{"loss", kNan}}),
      entry(2, 2, {{"loss", kInfinity}}),
      entry(3, 3, {{"loss", 5}}),
      entry(4, 4, {{"loss", kNan}}),
      entry(5, 5),
      entry(6, 6),
  };
  RetentionRules rules;
  rules.best = {{"loss", Best::lowest, 3}};
  CHECK(kept(entries, 100, rules) == Sequences{3, 5, 6});
  CHECK(reasons(entries, 100, rules, 1) == Texts{"loss is nan"});
  CHECK(reasons(entries, 100, rules, 2) == Texts{"loss is inf"});
  entries[3].metrics = {{"loss", -kInfinity}};
  CHECK(kept(entries, 100, rules) == Sequences{3, 4, 5, 6});
}

TEST_CASE(
    "retention: a better one that is not valid does not displace the best",
    "[policy][P7]") {
  Entries entries = {
      entry(1, 1, {{"loss", 3}}),
      entry(2, 2, {{"loss", 2}}),
      entry(3, 3, {{"loss", 1}}),
      entry(4, 4),
      entry(5, 5),
  };
  entries[2].valid = false;
  RetentionRules rules;
  rules.best = {{"loss", Best::lowest, 1}};
  CHECK(kept(entries, 100, rules) == Sequences{2, 3, 4, 5});
  CHECK(reasons(entries, 100, rules, 2) == Texts{"best valid loss (2)"});
}

TEST_CASE("retention: the first of each hour and day", "[policy]") {
  const double midnight = 20'000 * kDay;
  Entries entries = {
      entry(1, midnight - 1),
      entry(2, midnight),
      entry(3, midnight + kHour - 1),
      entry(4, midnight + kHour),
      entry(5, midnight + 5 * kHour),
      entry(6, midnight + 5 * kHour + 1),
      entry(7, midnight + kDay),
      entry(8, midnight + kDay + 2),
      entry(9, midnight + kDay + 3),
  };
  RetentionRules rules;
  rules.per = {{std::chrono::hours(24)}};
  CHECK(kept(entries, 0, rules) == Sequences{1, 2, 7, 8, 9});
  CHECK(reasons(entries, 0, rules, 7) == Texts{"one per 1 d"});
  CHECK(
      reasons(entries, 0, rules, 6) ==
      Texts{"one per 1 d: 000002 is the first"});
  rules.per = {{std::chrono::hours(1)}};
  CHECK(kept(entries, 0, rules) == Sequences{1, 2, 4, 5, 7, 8, 9});
}

TEST_CASE("retention: times before 1970 fall into buckets too", "[policy]") {
  const Entries entries = {
      entry(1, -2 * kHour),
      entry(2, -1),
      entry(3, 0),
      entry(4, 1),
      entry(5, 2)};
  RetentionRules rules;
  rules.per = {{seconds(kHour)}};
  CHECK(kept(entries, 0, rules) == Sequences{1, 2, 3, 4, 5});
  rules.per = {{seconds(2 * kHour)}};
  CHECK(kept(entries, 0, rules) == Sequences{1, 3, 4, 5});
}

TEST_CASE(
    "retention: a wrong clock takes no bucket from an earlier checkpoint",
    "[policy][P7]") {
  Entries entries;
  for (std::uint64_t day = 0; day < 300; ++day) {
    entries.push_back(entry(day + 1, 1.7e9 + static_cast<double>(day) * kDay));
  }
  entries.push_back(entry(301, 0)); // A board that lost its clock.
  entries.push_back(entry(302, 1));
  entries.push_back(entry(303, 2));
  RetentionRules rules;
  rules.per = {{seconds(kDay)}};
  CHECK(kept(entries, 3, rules).size() == 303);
  entries.push_back(entry(304, 3)); // 302 is not protected any more.
  Sequences expected;
  for (std::uint64_t i = 1; i <= 304; ++i) {
    if (i != 302) {
      expected.push_back(i);
    }
  }
  CHECK(kept(entries, 3, rules) == expected);
  // An unknown time is kept, and is not the first of anything.
  entries[100].wall_time = kNan;
  entries[101].wall_time = entries[99].wall_time + 1;
  const Sequences now_kept = kept(entries, 3, rules);
  CHECK(std::count(now_kept.begin(), now_kept.end(), 101) == 1);
  CHECK(std::count(now_kept.begin(), now_kept.end(), 102) == 0);
}

TEST_CASE("retention: younger than an age, with a floor", "[policy]") {
  Entries entries = history(10);
  RetentionRules rules;
  rules.younger = KeepYounger{seconds(4), 1};
  CHECK(kept(entries, 11, rules) == Sequences{8, 9, 10});
  CHECK(kept(entries, 11.5, rules) == Sequences{8, 9, 10});
  CHECK(kept(entries, 1000, rules) == Sequences{9, 10});
  CHECK(
      reasons(entries, 1000, rules, 10) ==
      Texts{"newest 1", "newest two valid"});
  CHECK(reasons(entries, 1000, rules, 1) == Texts{"older than 4 s"});
  CHECK(reasons(entries, 11, rules, 8) == Texts{"younger than 4 s"});
  rules.younger->floor = 5;
  CHECK(kept(entries, 11, rules) == Sequences{6, 7, 8, 9, 10});
  CHECK(kept(entries, 1000, rules) == Sequences{6, 7, 8, 9, 10});
  rules.younger->floor = 50;
  CHECK(kept(entries, 1000, rules).size() == 10);
  rules.younger = KeepYounger{seconds(0), 0};
  CHECK(kept(entries, 10, rules) == Sequences{9, 10});
}

TEST_CASE("retention: a clock that was wrong once", "[policy][P7]") {
  RetentionRules rules;
  rules.younger = KeepYounger{seconds(5), 1};
  Entries entries = history(10);
  SECTION("ahead, beyond now: as old as what came after it") {
    entries[2].wall_time = 1e9;
    CHECK(kept(entries, 11, rules) == Sequences{7, 8, 9, 10});
    CHECK(kept(entries, 8.5 + 5, rules) == Sequences{9, 10});
    entries[7].wall_time = 1e9;
    CHECK(kept(entries, 11, rules) == Sequences{7, 8, 9, 10});
  }
  SECTION("ahead, before now: delays by as much as it was ahead") {
    entries[2].wall_time = 6; // 3 s ahead.
    CHECK(kept(entries, 10.5, rules) == Sequences{3, 4, 5, 6, 7, 8, 9, 10});
    CHECK(kept(entries, 11, rules) == Sequences{7, 8, 9, 10});
  }
  SECTION("behind: no older than the one before it") {
    entries[7].wall_time = -1e9;
    CHECK(kept(entries, 11, rules) == Sequences{7, 8, 9, 10});
    CHECK(kept(entries, 12, rules) == Sequences{9, 10});
    CHECK(kept(entries, 10.5, rules) == Sequences{6, 7, 8, 9, 10});
  }
  SECTION("now is behind the newest: the age rule keeps all") {
    CHECK(kept(entries, 9, rules).size() == 10);
    CHECK(kept(entries, -1e9, rules).size() == 10);
    CHECK(
        reasons(entries, 9, rules, 1) ==
        Texts{"younger than 5 s: unknown, the clock is behind"});
    for (const double unknown : {kNan, kInfinity, -kInfinity}) {
      CAPTURE(unknown);
      CHECK(kept(entries, unknown, rules).size() == 10);
      Entries broken = entries;
      broken[9].wall_time = unknown;
      CHECK(kept(broken, 1000, rules).size() == 10);
      broken = entries;
      broken[4].wall_time = unknown;
      CHECK(kept(broken, 11, rules) == Sequences{7, 8, 9, 10});
    }
    // Rules that do not look at the clock still decide.
    CHECK(kept(entries, 9, keep_last(2)) == Sequences{9, 10});
  }
}

TEST_CASE("retention: rules form a union", "[policy]") {
  Entries entries;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    entries.push_back(
        entry(i, static_cast<double>(i) * kMinute, {{"loss", i == 4 ? 0 : 1}}));
  }
  RetentionRules rules = keep_last(3);
  rules.best = {{"loss", Best::lowest, 1}};
  rules.per = {{seconds(10 * kMinute)}};
  rules.younger = KeepYounger{seconds(3 * kMinute), 1};
  CHECK(kept(entries, 20 * kMinute, rules) == Sequences{1, 4, 10, 18, 19, 20});
  CHECK(
      reasons(entries, 20 * kMinute, rules, 20) ==
      Texts{
          "last 3",
          "one per 10 min",
          "younger than 3 min",
          "newest two valid"});
  CHECK(
      reasons(entries, 20 * kMinute, rules, 2) ==
      Texts{
          "older than the last 3 (from 000018)",
          "loss 1: 000004 is better (0)",
          "one per 10 min: 000001 is the first",
          "older than 3 min"});
}

TEST_CASE("retention: two with one number are left alone", "[policy][P7]") {
  Entries entries = history(6);
  entries.push_back(entry(2, 7));
  entries.push_back(entry(6, 7));
  CHECK(kept(entries, 100, keep_last(1)) == Sequences{2, 2, 4, 5, 6, 6});
  CHECK(
      reasons(entries, 100, keep_last(1), 2) ==
      Texts{"its number is used twice"});
}

TEST_CASE("retention: rules that make no sense are refused", "[policy]") {
  const auto code = [](const RetentionRules& rules) {
    const std::string of_plan =
        code_of([&] { (void)plan_retention(history(5), 9, rules); });
    CHECK(code_of([&] { validate(rules); }) == of_plan);
    return of_plan;
  };
  const std::string refused = "invalid_argument";
  CHECK(code(keep_last(0)) == refused);
  RetentionRules rules;
  rules.best = {{"", Best::lowest, 1}};
  CHECK(code(rules) == refused);
  rules.best = {{"loss", Best::lowest, 0}};
  CHECK(code(rules) == refused);
  for (const double bad : {0.0, -1.0, kNan, kInfinity}) {
    rules = {};
    rules.per = {{seconds(kDay)}, {seconds(bad)}};
    CHECK(code(rules) == refused);
  }
  for (const double bad : {-1.0, kNan, kInfinity}) {
    rules = {};
    rules.younger = KeepYounger{seconds(bad), 1};
    CHECK(code(rules) == refused);
  }
  rules = keep_last(1);
  rules.best = {{"loss", Best::lowest, 1}};
  rules.per = {{seconds(0.5)}};
  rules.younger = KeepYounger{seconds(0), 0};
  CHECK(code(rules) == "no error");
}

TEST_CASE("retention: a year of saves, thinned after each", "[policy]") {
  RetentionRules rules = keep_last(4);
  rules.per = {{seconds(kDay)}};
  const double start = 19'700 * kDay + 7 * kHour;
  Entries entries;
  Sequences expected;
  for (std::uint64_t i = 1; i <= 365 * 4; ++i) { // Every six hours.
    const double now = start + static_cast<double>(i - 1) * 6 * kHour;
    entries.push_back(entry(i, now));
    const Sequences left = kept(entries, now + 1, rules);
    entries.erase(
        std::remove_if(
            entries.begin(),
            entries.end(),
            [&](const RetentionEntry& e) {
              return !std::binary_search(left.begin(), left.end(), e.sequence);
            }),
        entries.end());
  }
  // Saves at 7, 13, 19 and 1 o'clock: the first at 7, from then on at 1.
  expected.push_back(1);
  for (std::uint64_t i = 4; i <= 365 * 4; i += 4) {
    expected.push_back(i);
  }
  for (const std::uint64_t i : {1457u, 1458u, 1459u}) {
    expected.push_back(i);
  }
  std::sort(expected.begin(), expected.end());
  Sequences survivors;
  for (const RetentionEntry& e : entries) {
    survivors.push_back(e.sequence);
  }
  CHECK(survivors == expected);
}

TEST_CASE("retention: a year of hourly and daily ones at once", "[policy]") {
  Entries entries;
  const double start = 19'700 * kDay;
  for (std::uint64_t i = 0; i < 365 * 24 * 3; ++i) { // Every 20 minutes.
    entries.push_back(entry(i + 1, start + static_cast<double>(i) * 1200));
  }
  RetentionRules rules;
  rules.per = {{seconds(kDay)}, {seconds(kHour)}};
  Sequences expected;
  for (std::uint64_t i = 1; i <= entries.size(); i += 3) {
    expected.push_back(i);
  }
  expected.push_back(entries.size() - 1);
  expected.push_back(entries.size());
  CHECK(kept(entries, start + 366 * kDay, rules) == expected);
}

namespace {

/// The same contract once more, entry by entry and in quadratic time.
class Oracle {
 public:
  Oracle(const Entries& all, double now, const RetentionRules& rules)
      : all_(all), now_(now), rules_(rules) {}

  bool keeps(const RetentionEntry& e) const {
    return is_double(e) || protects(e) || rules_keep(e);
  }

  bool protects(const RetentionEntry& e) const {
    int valid = 0;
    int newer_valid = 0;
    for (const RetentionEntry& f : all_) {
      if (f.valid && !is_double(f)) {
        ++valid;
        newer_valid += f.sequence > e.sequence ? 1 : 0;
      }
    }
    if (valid < 2 || e.resumed_from || e.line_origin || e.pinned ||
        e.being_read || (e.valid && newer_valid < 2)) {
      return true;
    }
    for (const KeepBest& rule : rules_.best) {
      if (outranked(e, rule, false) == 0 ||
          (e.valid && outranked(e, rule, true) == 0)) {
        return true;
      }
    }
    return false;
  }

 private:
  bool is_double(const RetentionEntry& e) const {
    int count = 0;
    for (const RetentionEntry& f : all_) {
      count += f.sequence == e.sequence ? 1 : 0;
    }
    return count > 1;
  }

  static std::optional<double> score(
      const RetentionEntry& e,
      const KeepBest& rule) {
    const auto found = e.metrics.values().find(rule.metric);
    if (found == e.metrics.values().end() || std::isnan(found->second)) {
      return std::nullopt;
    }
    const double high =
        rule.best == Best::highest ? found->second : -found->second;
    return high == -kInfinity ? std::nullopt : std::optional<double>(high);
  }

  /// How many (valid) ones come before `e`; very many if it does not rank.
  std::size_t outranked(
      const RetentionEntry& e,
      const KeepBest& rule,
      bool only_valid) const {
    const auto own = score(e, rule);
    if (!own) {
      return 1'000'000;
    }
    std::size_t count = 0;
    for (const RetentionEntry& f : all_) {
      const auto other = score(f, rule);
      if (other && !is_double(f) && (f.valid || !only_valid) &&
          (*other > *own || (*other == *own && f.sequence < e.sequence))) {
        ++count;
      }
    }
    return count;
  }

  std::size_t newer(const RetentionEntry& e) const {
    std::size_t count = 0;
    for (const RetentionEntry& f : all_) {
      count += !is_double(f) && f.sequence > e.sequence ? 1 : 0;
    }
    return count;
  }

  double corrected_time(const RetentionEntry& e) const {
    if (std::isfinite(e.wall_time) && e.wall_time <= now_) {
      return e.wall_time;
    }
    double least = kInfinity;
    for (const RetentionEntry& f : all_) {
      if (!is_double(f) && f.sequence >= e.sequence &&
          std::isfinite(f.wall_time)) {
        least = std::min(least, f.wall_time);
      }
    }
    return least;
  }

  bool rules_keep(const RetentionEntry& e) const {
    if (!rules_.last && rules_.best.empty() && rules_.per.empty() &&
        !rules_.younger) {
      return true;
    }
    if (rules_.last && newer(e) < *rules_.last) {
      return true;
    }
    for (const KeepBest& rule : rules_.best) {
      if (outranked(e, rule, false) < rule.count) {
        return true;
      }
    }
    for (const KeepPer& rule : rules_.per) {
      const RetentionEntry* before = nullptr;
      for (const RetentionEntry& f : all_) {
        if (!is_double(f) && f.sequence < e.sequence &&
            std::isfinite(f.wall_time) &&
            (before == nullptr || f.sequence > before->sequence)) {
          before = &f;
        }
      }
      const auto bucket = [&](const RetentionEntry& f) {
        return std::floor(f.wall_time / rule.bucket.count());
      };
      if (!std::isfinite(e.wall_time) || before == nullptr ||
          bucket(*before) != bucket(e)) {
        return true;
      }
    }
    if (rules_.younger) {
      if (newer(e) < rules_.younger->floor || !std::isfinite(now_)) {
        return true;
      }
      for (const RetentionEntry& f : all_) {
        if (is_double(f)) {
          continue;
        }
        if (corrected_time(f) > now_ ||
            (f.sequence <= e.sequence &&
             now_ - corrected_time(f) < rules_.younger->age.count())) {
          return true;
        }
      }
    }
    return false;
  }

  const Entries& all_;
  double now_;
  const RetentionRules& rules_;
};

struct Case {
  Entries entries;
  double now = 0;
  RetentionRules rules;
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t number(std::uint64_t below) {
    return engine_() % below;
  }
  bool one_in(std::uint64_t count) {
    return number(count) == 0;
  }
  std::mt19937_64& engine() {
    return engine_;
  }

  Case make() {
    Case made;
    const std::uint64_t count = one_in(20) ? number(40) : number(11);
    const bool steady = one_in(2);
    const bool finite = !one_in(4);
    double time = static_cast<double>(number(50));
    std::uint64_t sequence = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      sequence += one_in(150) ? 0 : 1 + number(3);
      time += static_cast<double>(number(9));
      RetentionEntry e = entry(sequence, time);
      if (!steady && one_in(5)) {
        e.wall_time += static_cast<double>(number(80)) - 40;
      }
      if (!steady && one_in(8)) { // Set for good.
        time = static_cast<double>(number(100)) - 20;
      }
      if (!finite && one_in(6)) {
        e.wall_time = special();
      }
      for (const char* name : {"a", "b"}) {
        if (!one_in(4)) {
          e.metrics.set(
              name, one_in(6) ? special() : static_cast<double>(number(5)) - 2);
        }
      }
      e.valid = !one_in(4);
      e.resumed_from = one_in(15);
      e.line_origin = one_in(15);
      e.pinned = one_in(15);
      e.being_read = one_in(15);
      made.entries.push_back(e);
    }
    std::shuffle(made.entries.begin(), made.entries.end(), engine_);
    made.now =
        one_in(40) ? special() : time + static_cast<double>(number(60)) - 8;
    for (std::uint64_t i = number(5); i > 0; --i) {
      add_rule(made.rules);
    }
    return made;
  }

  void add_rule(RetentionRules& rules) {
    switch (number(4)) {
      case 0:
        // Only more, or it would be another rule and not one more.
        rules.last = std::max<std::size_t>(
            rules.last.value_or(0), 1 + static_cast<std::size_t>(number(5)));
        break;
      case 1:
        rules.best.push_back(
            {one_in(2) ? "a" : "b",
             one_in(2) ? Best::lowest : Best::highest,
             1 + static_cast<std::size_t>(number(4))});
        break;
      case 2:
        rules.per.push_back({seconds(static_cast<double>(1 + number(20)))});
        break;
      default: {
        KeepYounger younger{
            seconds(static_cast<double>(number(40))),
            static_cast<std::size_t>(number(4))};
        if (rules.younger) {
          younger.age = std::max(younger.age, rules.younger->age);
          younger.floor = std::max(younger.floor, rules.younger->floor);
        }
        rules.younger = younger;
      }
    }
  }

 private:
  double special() {
    const std::array<double, 5> palette = {
        kNan, kInfinity, -kInfinity, -0.0, 1e300};
    return palette[number(palette.size())];
  }

  std::mt19937_64 engine_;
};

std::string describe(const Case& made) {
  std::ostringstream text;
  Entries sorted = made.entries;
  std::sort(
      sorted.begin(),
      sorted.end(),
      [](const RetentionEntry& a, const RetentionEntry& b) {
        return a.sequence < b.sequence;
      });
  for (const RetentionEntry& e : sorted) {
    text << e.sequence << " at " << e.wall_time << (e.valid ? " valid" : "")
         << (e.resumed_from ? " resumed" : "")
         << (e.line_origin ? " origin" : "") << (e.pinned ? " pinned" : "")
         << (e.being_read ? " read" : "");
    for (const auto& metric : e.metrics.values()) {
      text << ' ' << metric.first << '=' << metric.second;
    }
    text << '\n';
  }
  text << "now " << made.now << '\n';
  if (made.rules.last) {
    text << "last " << *made.rules.last << '\n';
  }
  for (const KeepBest& rule : made.rules.best) {
    text << (rule.best == Best::lowest ? "lowest " : "highest ") << rule.count
         << ' ' << rule.metric << '\n';
  }
  for (const KeepPer& rule : made.rules.per) {
    text << "per " << rule.bucket.count() << '\n';
  }
  if (made.rules.younger) {
    text << "younger " << made.rules.younger->age.count() << " floor "
         << made.rules.younger->floor << '\n';
  }
  return text.str();
}

bool is_subset(const Sequences& part, const Sequences& whole) {
  return std::includes(whole.begin(), whole.end(), part.begin(), part.end());
}

bool has_rule(const RetentionRules& rules) {
  return rules.last || !rules.best.empty() || !rules.per.empty() ||
      rules.younger;
}

/// Each rule on its own.
std::vector<RetentionRules> single_rules(const RetentionRules& rules) {
  std::vector<RetentionRules> singles;
  if (rules.last) {
    singles.push_back(keep_last(*rules.last));
  }
  for (const KeepBest& rule : rules.best) {
    singles.emplace_back().best = {rule};
  }
  for (const KeepPer& rule : rules.per) {
    singles.emplace_back().per = {rule};
  }
  if (rules.younger) {
    singles.emplace_back().younger = rules.younger;
  }
  return singles;
}

/// The first property that does not hold, or nothing.
std::string broken_property(const Case& made, Generator& generator) {
  const auto plan = plan_retention(made.entries, made.now, made.rules);
  const Sequences left = kept(made.entries, made.now, made.rules);
  if (plan.size() != made.entries.size()) {
    return "one decision for each";
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].reasons.empty()) {
      return "every decision has a reason";
    }
    if (i > 0 && plan[i - 1].sequence > plan[i].sequence) {
      return "in order of sequence";
    }
  }
  const Oracle oracle(made.entries, made.now, made.rules);
  for (const RetentionEntry& e : made.entries) {
    const bool is_kept =
        std::binary_search(left.begin(), left.end(), e.sequence);
    if (!is_kept && oracle.protects(e)) {
      return "a protected one is never dropped";
    }
    if (is_kept != oracle.keeps(e)) {
      return "kept exactly as the rules and protections demand";
    }
  }
  Entries shuffled = made.entries;
  std::shuffle(shuffled.begin(), shuffled.end(), generator.engine());
  const auto again = plan_retention(shuffled, made.now, made.rules);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (again[i].sequence != plan[i].sequence ||
        again[i].keep != plan[i].keep || again[i].reasons != plan[i].reasons) {
      return "independent of the order of the entries";
    }
  }
  Sequences any;
  for (const RetentionRules& single : single_rules(made.rules)) {
    const Sequences alone = kept(made.entries, made.now, single);
    if (!is_subset(alone, left)) {
      return "what one rule keeps the union keeps";
    }
    Sequences merged;
    std::set_union(
        any.begin(),
        any.end(),
        alone.begin(),
        alone.end(),
        std::back_inserter(merged));
    any = std::move(merged);
  }
  if (has_rule(made.rules) && any != left) {
    return "the union keeps no more than its rules";
  }
  if (has_rule(made.rules)) {
    RetentionRules more = made.rules;
    generator.add_rule(more);
    if (!is_subset(left, kept(made.entries, made.now, more))) {
      return "one more rule never drops more";
    }
  }
  Entries survivors;
  for (const RetentionEntry& e : made.entries) {
    if (std::binary_search(left.begin(), left.end(), e.sequence)) {
      survivors.push_back(e);
    }
  }
  if (kept(survivors, made.now, made.rules) != left) {
    return "planning again drops nothing";
  }
  return {};
}

} // namespace

TEST_CASE(
    "retention: random histories and rules keep every promise",
    "[policy][P7][property]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  Generator generator(seed);
  std::size_t dropped = 0;
  std::size_t seen = 0;
  for (int round = 0; round < 25'000; ++round) {
    const Case made = generator.make();
    const std::string broken = broken_property(made, generator);
    if (!broken.empty()) {
      UNSCOPED_INFO(describe(made));
      CAPTURE(round);
      FAIL(broken);
    }
    seen += made.entries.size();
    dropped +=
        made.entries.size() - kept(made.entries, made.now, made.rules).size();
  }
  // Histories in which nothing is ever dropped would prove nothing.
  CAPTURE(seen, dropped);
  CHECK(dropped > seen / 10);
}

#include "retention_support.hpp"

#include <support/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;

namespace {

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
    "retention: resumed from, a line's origin, the last good one, pinned and "
    "being read are protected",
    "[policy][P7]") {
  Entries entries = history(8);
  entries[0].resumed_from = true;
  entries[1].pinned = true;
  entries[3].being_read = true;
  entries[4].line_origin = true;
  entries[5].last_good = true;
  const RetentionRules rules = keep_last(1);
  CHECK(kept(entries, 100, rules) == Sequences{1, 2, 4, 5, 6, 7, 8});
  CHECK(reasons(entries, 100, rules, 5) == Texts{"a line began there"});
  CHECK(reasons(entries, 100, rules, 1) == Texts{"resumed from"});
  CHECK(reasons(entries, 100, rules, 6) == Texts{"the last good one"});
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

TEST_CASE("retention: or the newer one, where the rule says so", "[policy]") {
  Entries entries;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    entries.push_back(entry(i, static_cast<double>(i), {{"loss", 1.0}}));
  }
  RetentionRules rules;
  rules.best = {{"loss", Best::lowest, 3}};
  rules.best[0].tie = Tie::newer;
  CHECK(kept(entries, 100, rules) == Sequences{4, 5, 6});
  CHECK(
      reasons(entries, 100, rules, 6) ==
      Texts{"best loss (1)", "newest two valid"});
  CHECK(
      reasons(entries, 100, rules, 2) ==
      Texts{"loss 1: 000004 is as good and newer (1)"});
}

TEST_CASE("retention: what has no value ranks last, if told so", "[policy]") {
  const Entries entries = {
      entry(1, 1, {{"loss", kNan}}),
      entry(2, 2, {{"loss", 3.0}}),
      entry(3, 3),
      entry(4, 4, {{"loss", kInfinity}}),
      entry(5, 5, {{"loss", 2.0}}),
      entry(6, 6),
      entry(7, 7)};
  RetentionRules rules;
  rules.best = {{"loss", Best::lowest, 4}};
  CHECK(kept(entries, 100, rules) == Sequences{2, 5, 6, 7});
  rules.best[0].not_finite = Unranked::worst;
  CHECK(kept(entries, 100, rules) == Sequences{1, 2, 4, 5, 6, 7});
  CHECK(
      reasons(entries, 100, rules, 4) ==
      Texts{"rank 4 of the best 4 (loss is inf)"});
  rules.best[0].missing = Unranked::worst;
  CHECK(kept(entries, 100, rules) == Sequences{1, 2, 3, 5, 6, 7});
  CHECK(reasons(entries, 100, rules, 4) == Texts{"loss is inf"});
  rules.best[0].tie = Tie::newer;
  CHECK(kept(entries, 100, rules) == Sequences{2, 5, 6, 7});
  // Never the best, though there is no other.
  rules.best[0] = KeepBest{"accuracy", Best::highest, 1};
  rules.best[0].missing = Unranked::worst;
  rules.total_bytes = 1;
  CHECK(
      reasons(entries, 100, rules, 1).front() ==
      "rank 1 of the best 1 (it has no accuracy)");
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

TEST_CASE("retention: one for every so many steps, for ever", "[policy]") {
  Entries entries;
  std::uint64_t sequence = 0;
  for (const std::int64_t step :
       {300, 600, 900, 1200, 1500, 2000, 2300, 5100, 5400, 5700, 5999}) {
    entries.push_back(entry(++sequence));
    entries.back().step = step;
    entries.back().epoch = step / 2000;
  }
  RetentionRules rules;
  rules.every = {{KeepEvery::Unit::steps, 1000}};
  // 1200 stands for 1000, 5100 for 3000 to 5000.
  CHECK(kept(entries, 0, rules) == Sequences{4, 6, 8, 10, 11});
  CHECK(
      reasons(entries, 0, rules, 3) ==
      Texts{"every 1000 steps: before the first of them"});
  CHECK(reasons(entries, 0, rules, 4) == Texts{"every 1000 steps"});
  CHECK(
      reasons(entries, 0, rules, 5) ==
      Texts{"every 1000 steps: 000004 is the first"});
  rules.every.push_back({KeepEvery::Unit::epochs, 2});
  CHECK(kept(entries, 0, rules) == Sequences{4, 6, 8, 10, 11});
  rules.every = {{KeepEvery::Unit::epochs, 1}};
  CHECK(kept(entries, 0, rules) == Sequences{6, 8, 10, 11});
  CHECK(reasons(entries, 0, rules, 6) == Texts{"every 1 epochs"});
  rules.every = {{KeepEvery::Unit::steps, 10'000}};
  CHECK(kept(entries, 0, rules) == Sequences{10, 11});
}

TEST_CASE("retention: a total drops the lowest ranked", "[policy][P7]") {
  Entries entries = history(10);
  for (RetentionEntry& e : entries) {
    e.bytes = 100;
    e.step = static_cast<std::int64_t>(e.sequence);
  }
  RetentionRules rules;
  SECTION("without another rule, the oldest first") {
    rules.total_bytes = 400;
    CHECK(kept(entries, 0, rules) == Sequences{7, 8, 9, 10});
    rules.total_bytes = 499;
    CHECK(kept(entries, 0, rules) == Sequences{7, 8, 9, 10});
    CHECK(
        reasons(entries, 0, rules, 6) ==
        Texts{"beyond 499 bytes in all (no rule drops any)"});
    rules.total_bytes = 1000;
    CHECK(kept(entries, 0, rules).size() == 10);
  }
  SECTION("what no rule holds goes whatever the total") {
    rules = keep_last(3);
    rules.total_bytes = 1'000'000;
    CHECK(kept(entries, 0, rules) == Sequences{8, 9, 10});
  }
  SECTION("what only rules of time and position hold goes first") {
    rules = keep_last(4);
    rules.every = {{KeepEvery::Unit::steps, 2}};
    CHECK(kept(entries, 0, rules) == Sequences{2, 4, 6, 7, 8, 9, 10});
    rules.total_bytes = 500;
    CHECK(kept(entries, 0, rules) == Sequences{6, 7, 8, 9, 10});
    CHECK(
        reasons(entries, 0, rules, 4) ==
        Texts{
            "beyond 500 bytes in all (every 2 steps)",
            "older than the last 4 (from 000007)"});
    rules.total_bytes = 300;
    CHECK(kept(entries, 0, rules) == Sequences{8, 9, 10});
    CHECK(
        reasons(entries, 0, rules, 7).front() ==
        "beyond 300 bytes in all (last 4)");
  }
  SECTION("what is protected stays, and counts") {
    rules.total_bytes = 300;
    entries[0].pinned = true;
    entries[0].pin_label = "figure 3";
    CHECK(kept(entries, 0, rules) == Sequences{1, 9, 10});
    CHECK(
        reasons(entries, 0, rules, 1) ==
        Texts{"no rule drops any", "pinned: figure 3"});
    rules.total_bytes = 1;
    CHECK(kept(entries, 0, rules) == Sequences{1, 9, 10});
    rules.best = {{"loss", Best::lowest, 3}};
    entries[2].metrics = {{"loss", 1}};
    entries[3].metrics = {{"loss", 2}};
    CHECK(kept(entries, 0, rules) == Sequences{1, 3, 9, 10});
    CHECK(
        reasons(entries, 0, rules, 4) ==
        Texts{"beyond 1 byte in all (rank 2 of the best 3 loss (2))"});
  }
  SECTION("sizes that do not fit 64 bits") {
    rules.total_bytes = ~std::uint64_t{0};
    CHECK(kept(entries, 0, rules).size() == 10);
    entries[5].bytes = ~std::uint64_t{0};
    CHECK(kept(entries, 0, rules) == Sequences{7, 8, 9, 10});
  }
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
  for (const std::int64_t bad : {0, -1}) {
    rules = {};
    rules.every = {{KeepEvery::Unit::steps, 5}, {KeepEvery::Unit::epochs, bad}};
    CHECK(code(rules) == refused);
  }
  rules = {};
  rules.total_bytes = 0;
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
  rules.every = {{KeepEvery::Unit::steps, 1}};
  rules.per = {{seconds(0.5)}};
  rules.younger = KeepYounger{seconds(0), 0};
  rules.total_bytes = 1;
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

#include "retention_support.hpp"

#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/random.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;

namespace {

bool has_rule(const RetentionRules& rules) {
  return rules.last || !rules.best.empty() || !rules.every.empty() ||
      !rules.per.empty() || rules.younger;
}

/// The same contract once more, entry by entry and in quadratic time.
class Oracle {
 public:
  Oracle(const Entries& all, double now, const RetentionRules& rules)
      : all_(all), now_(now), rules_(rules) {}

  /// Those that stay, ascending: what the rules keep, and then one less, the
  /// lowest ranked, as long as it is too much.
  Sequences kept() const {
    Entries left;
    for (const RetentionEntry& e : all_) {
      if (holds(e) || rules_keep(e)) {
        left.push_back(e);
      }
    }
    const auto total = [&] {
      long double sum = 0; // 64 bits are not enough for some
      for (const RetentionEntry& e : left) {
        sum += static_cast<long double>(e.bytes);
      }
      return sum;
    };
    while (rules_.total_bytes &&
           total() > static_cast<long double>(*rules_.total_bytes)) {
      auto lowest = left.end();
      for (auto e = left.begin(); e != left.end(); ++e) {
        if (!holds(*e) &&
            (lowest == left.end() ||
             std::make_pair(is_ranked(*e), e->sequence) <
                 std::make_pair(is_ranked(*lowest), lowest->sequence))) {
          lowest = e;
        }
      }
      if (lowest == left.end()) {
        break;
      }
      left.erase(lowest);
    }
    Sequences sequences;
    for (const RetentionEntry& e : left) {
      sequences.push_back(e.sequence);
    }
    std::sort(sequences.begin(), sequences.end());
    return sequences;
  }

  /// Whatever rules and limits say.
  bool holds(const RetentionEntry& e) const {
    return is_double(e) || protects(e);
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
    if (valid < 2 || e.resumed_from || e.line_origin || e.last_good ||
        e.pinned || e.being_read || (e.valid && newer_valid < 2)) {
      return true;
    }
    for (const KeepBest& rule : rules_.best) {
      const auto own = score(e, rule);
      if (own && *own != -kInfinity &&
          (outranked(e, rule, false) == 0 ||
           (e.valid && outranked(e, rule, true) == 0))) {
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

  /// The higher the better; -infinity for one that ranks behind all others.
  static std::optional<double> score(
      const RetentionEntry& e,
      const KeepBest& rule) {
    const auto worst = [](Unranked what) {
      return what == Unranked::worst ? std::optional<double>(-kInfinity)
                                     : std::nullopt;
    };
    const auto found = e.metrics.values().find(rule.metric);
    if (found == e.metrics.values().end()) {
      return worst(rule.missing);
    }
    const double high =
        rule.best == Best::highest ? found->second : -found->second;
    return std::isnan(high) || high == -kInfinity ? worst(rule.not_finite)
                                                  : std::optional<double>(high);
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
          (*other > *own ||
           (*other == *own &&
            (rule.tie == Tie::older ? f.sequence < e.sequence
                                    : f.sequence > e.sequence)))) {
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

  bool is_ranked(const RetentionEntry& e) const {
    if (rules_.last && newer(e) < *rules_.last) {
      return true;
    }
    for (const KeepBest& rule : rules_.best) {
      if (outranked(e, rule, false) < rule.count) {
        return true;
      }
    }
    return false;
  }

  /// The newest one before `e` that `counts`.
  template <class Counts>
  const RetentionEntry* before(const RetentionEntry& e, Counts counts) const {
    const RetentionEntry* newest = nullptr;
    for (const RetentionEntry& f : all_) {
      if (!is_double(f) && f.sequence < e.sequence && counts(f) &&
          (newest == nullptr || f.sequence > newest->sequence)) {
        newest = &f;
      }
    }
    return newest;
  }

  bool rules_keep(const RetentionEntry& e) const {
    if (!has_rule(rules_) || is_ranked(e)) {
      return true;
    }
    for (const KeepEvery& rule : rules_.every) {
      const auto multiple = [&](const RetentionEntry* f) {
        const std::int64_t position = f == nullptr ? 0
            : rule.unit == KeepEvery::Unit::steps  ? f->step
                                                   : f->epoch;
        return std::floor(
            static_cast<double>(position) / static_cast<double>(rule.interval));
      };
      if (multiple(&e) !=
          multiple(before(e, [](const RetentionEntry&) { return true; }))) {
        return true;
      }
    }
    for (const KeepPer& rule : rules_.per) {
      const RetentionEntry* const former = before(
          e,
          [](const RetentionEntry& f) { return std::isfinite(f.wall_time); });
      const auto bucket = [&](const RetentionEntry& f) {
        return std::floor(f.wall_time / rule.bucket.count());
      };
      if (!std::isfinite(e.wall_time) || former == nullptr ||
          bucket(*former) != bucket(e)) {
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
  bool steady = false; ///< Time and steps only ever go on, and are known.
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
    std::int64_t step = 0;
    made.steady = steady && finite;
    for (std::uint64_t i = 0; i < count; ++i) {
      sequence += one_in(150) ? 0 : 1 + number(3);
      time += static_cast<double>(number(9));
      RetentionEntry e = entry(sequence, time);
      if (!steady && one_in(8)) { // Somebody went back.
        step -= static_cast<std::int64_t>(number(30));
      }
      step += static_cast<std::int64_t>(number(9));
      e.step = step;
      e.epoch = step / 7;
      e.bytes = !steady && one_in(30) ? ~std::uint64_t{0} - number(3)
                                      : 10 * number(5);
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
      e.last_good = one_in(15);
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
    if (one_in(3)) {
      made.rules.total_bytes =
          one_in(20) ? ~std::uint64_t{0} - number(3) : 1 + number(250);
    }
    return made;
  }

  void add_rule(RetentionRules& rules) {
    switch (number(5)) {
      case 0:
        // Only more, or it would be another rule and not one more.
        rules.last = std::max<std::size_t>(
            rules.last.value_or(0), 1 + static_cast<std::size_t>(number(5)));
        break;
      case 1:
        rules.best.push_back(
            {one_in(2) ? "a" : "b",
             one_in(2) ? Best::lowest : Best::highest,
             1 + static_cast<std::size_t>(number(4)),
             one_in(3) ? Unranked::worst : Unranked::ignore,
             one_in(3) ? Unranked::worst : Unranked::ignore,
             one_in(3) ? Tie::newer : Tie::older});
        break;
      case 2:
        rules.per.push_back({seconds(static_cast<double>(1 + number(20)))});
        break;
      case 3:
        rules.every.push_back(
            {one_in(2) ? KeepEvery::Unit::steps : KeepEvery::Unit::epochs,
             1 + static_cast<std::int64_t>(number(20))});
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
    text << e.sequence << " step " << e.step << " epoch " << e.epoch << " at "
         << e.wall_time << ' ' << e.bytes << " bytes"
         << (e.valid ? " valid" : "") << (e.resumed_from ? " resumed" : "")
         << (e.line_origin ? " origin" : "") << (e.last_good ? " good" : "")
         << (e.pinned ? " pinned" : "") << (e.being_read ? " read" : "");
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
         << ' ' << rule.metric
         << (rule.not_finite == Unranked::worst ? ", bad ones last" : "")
         << (rule.missing == Unranked::worst ? ", missing ones last" : "")
         << (rule.tie == Tie::newer ? ", the newer" : "") << '\n';
  }
  for (const KeepEvery& rule : made.rules.every) {
    text << "every " << rule.interval
         << (rule.unit == KeepEvery::Unit::steps ? " steps" : " epochs")
         << '\n';
  }
  if (made.rules.total_bytes) {
    text << "total " << *made.rules.total_bytes << '\n';
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

/// Each rule on its own.
std::vector<RetentionRules> single_rules(const RetentionRules& rules) {
  std::vector<RetentionRules> singles;
  if (rules.last) {
    singles.push_back(keep_last(*rules.last));
  }
  for (const KeepBest& rule : rules.best) {
    singles.emplace_back().best = {rule};
  }
  for (const KeepEvery& rule : rules.every) {
    singles.emplace_back().every = {rule};
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
    if (oracle.holds(e) &&
        !std::binary_search(left.begin(), left.end(), e.sequence)) {
      return "a protected one is never dropped";
    }
  }
  if (left != oracle.kept()) {
    return "kept exactly as rules, protections and the total demand";
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
  RetentionRules unlimited = made.rules;
  unlimited.total_bytes.reset();
  const Sequences whole = kept(made.entries, made.now, unlimited);
  if (!is_subset(left, whole)) {
    return "a total only drops";
  }
  Sequences any;
  for (const RetentionRules& single : single_rules(made.rules)) {
    const Sequences alone = kept(made.entries, made.now, single);
    if (!is_subset(alone, whole)) {
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
  if (has_rule(made.rules) && any != whole) {
    return "the union keeps no more than its rules";
  }
  if (has_rule(made.rules)) {
    RetentionRules more = unlimited;
    generator.add_rule(more);
    if (!is_subset(whole, kept(made.entries, made.now, more))) {
      return "one more rule never drops more";
    }
  }
  Entries survivors;
  for (const RetentionEntry& e : made.entries) {
    if (std::binary_search(left.begin(), left.end(), e.sequence)) {
      survivors.push_back(e);
    }
  }
  if ((made.steady || !made.rules.total_bytes) &&
      kept(survivors, made.now, made.rules) != left) {
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
  std::size_t limited = 0;
  std::size_t seen = 0;
  const std::uint64_t rounds = 100'000 / one_in(10);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const Case made = generator.make();
    const std::string broken = broken_property(made, generator);
    if (!broken.empty()) {
      UNSCOPED_INFO(describe(made));
      CAPTURE(round);
      FAIL(broken);
    }
    seen += made.entries.size();
    const std::size_t left = kept(made.entries, made.now, made.rules).size();
    dropped += made.entries.size() - left;
    RetentionRules unlimited = made.rules;
    unlimited.total_bytes.reset();
    limited += kept(made.entries, made.now, unlimited).size() - left;
  }
  std::cout << rounds << " histories, " << dropped << " of " << seen
            << " checkpoints dropped, " << limited << " of them by a total\n";
  // Histories in which nothing is ever dropped would prove nothing.
  CHECK(dropped > seen / 10);
  CHECK(limited > seen / 100);
}

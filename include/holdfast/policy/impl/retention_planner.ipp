#pragma once

#include <holdfast/policy/retention.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/sorting.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/policy/describe.hpp>
#include <holdfast/policy/multiple.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace holdfast {

namespace detail {

/// Collects for each entry what speaks for it and what against it; one reason
/// for it is enough.
class RetentionPlanner {
 public:
  explicit RetentionPlanner(std::vector<RetentionEntry> entries)
      : entries_(std::move(entries)) {
    sort_by(entries_, comes_first);
    for_.resize(entries_.size());
    against_.resize(entries_.size());
    standing_.resize(entries_.size(), Standing::common);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const bool twice =
          (i > 0 && entries_[i - 1].sequence == entries_[i].sequence) ||
          (i + 1 < entries_.size() &&
           entries_[i + 1].sequence == entries_[i].sequence);
      if (twice) {
        protect(i, "its number is used twice");
      } else {
        ranked_.push_back(i);
      }
    }
  }

  void apply(const RetentionRules& rules, double now) {
    if (!has_keep_rule(rules)) {
      for (const std::size_t i : ranked_) {
        keep(i, "no rule drops any");
      }
    }
    if (rules.last) {
      keep_last(*rules.last);
    }
    for (const KeepBest& rule : rules.best) {
      keep_best(rule);
    }
    for (const KeepEvery& rule : rules.every) {
      keep_every(rule);
    }
    for (const KeepPer& rule : rules.per) {
      keep_per(rule);
    }
    if (rules.younger) {
      keep_younger(*rules.younger, now);
    }
    protect();
    if (rules.total_bytes) {
      limit(*rules.total_bytes);
    }
  }

  [[nodiscard]] std::vector<RetentionDecision> take() {
    std::vector<RetentionDecision> decisions(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      decisions[i].sequence = entries_[i].sequence;
      decisions[i].keep = !for_[i].empty();
      decisions[i].reasons =
          std::move(decisions[i].keep ? for_[i] : against_[i]);
    }
    return decisions;
  }

 private:
  /// What a limit of the total has to respect.
  enum class Standing { common, ranked, is_protected };

  /// By number; two with one number by all that they can differ in, in the
  /// answer.
  static bool comes_first(const RetentionEntry& a, const RetentionEntry& b) {
    if (a.sequence != b.sequence) {
      return a.sequence < b.sequence;
    }
    const auto flags = [](const RetentionEntry& e) {
      return (e.last_good ? 16 : 0) + (e.resumed_from ? 8 : 0) +
          (e.line_origin ? 4 : 0) + (e.pinned ? 2 : 0) + (e.being_read ? 1 : 0);
    };
    if (flags(a) != flags(b)) {
      return flags(a) < flags(b);
    }
    return a.pin_label < b.pin_label;
  }

  void keep(
      std::size_t i,
      std::string reason,
      Standing standing = Standing::common) {
    for_[i].push_back(std::move(reason));
    standing_[i] = std::max(standing_[i], standing);
  }
  void protect(std::size_t i, std::string reason) {
    keep(i, std::move(reason), Standing::is_protected);
  }
  void drop(std::size_t i, std::string reason) {
    against_[i].push_back(std::move(reason));
  }
  [[nodiscard]] std::string number(std::size_t i) const {
    return zero_padded(entries_[i].sequence, 6);
  }

  void keep_last(std::size_t count) {
    const std::size_t dropped =
        ranked_.size() > count ? ranked_.size() - count : 0;
    const std::string rule = "last " + std::to_string(count);
    for (std::size_t r = 0; r < ranked_.size(); ++r) {
      if (r >= dropped) {
        keep(ranked_[r], rule, Standing::ranked);
      } else {
        drop(
            ranked_[r],
            "older than the " + rule + " (from " + number(ranked_[dropped]) +
                ")");
      }
    }
  }

  void keep_best(const KeepBest& rule) {
    std::vector<std::size_t> candidates; // Entries that have a value,
    std::vector<double> values; // and it.
    std::vector<std::size_t> worst; // Behind all of them.
    std::vector<std::string> flaws; // Why.
    std::vector<std::size_t> in_order = ranked_;
    if (rule.tie == Tie::newer) {
      std::reverse(in_order.begin(), in_order.end());
    }
    for (const std::size_t i : in_order) {
      const auto& metrics = entries_[i].metrics.values();
      const auto metric = metrics.find(rule.metric);
      const bool missing = metric == metrics.end();
      if (!missing && is_better(rule.best, metric->second, std::nullopt)) {
        candidates.push_back(i);
        values.push_back(metric->second);
        continue;
      }
      std::string flaw = missing
          ? "it has no " + rule.metric
          : rule.metric + " is " + describe_number(metric->second);
      if ((missing ? rule.missing : rule.not_finite) == Unranked::worst) {
        worst.push_back(i);
        flaws.push_back(std::move(flaw));
      } else {
        drop(i, std::move(flaw));
      }
    }
    for (std::size_t w = 0; w < worst.size(); ++w) {
      const std::size_t rank = candidates.size() + w;
      if (rank < rule.count) {
        keep(
            worst[w],
            rank_text(rank, rule) + " (" + flaws[w] + ")",
            Standing::ranked);
      } else {
        drop(worst[w], std::move(flaws[w]));
      }
    }
    // Stable: of equal values the one that comes first here ranks higher.
    const std::vector<std::size_t> ranks =
        sorted_indices(candidates.size(), [&](std::size_t a, std::size_t b) {
          return is_better(rule.best, values[a], values[b]);
        });
    bool found_valid = false;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      const std::size_t i = candidates[ranks[r]];
      const double own = values[ranks[r]];
      const std::string value = rule.metric + " (" + describe_number(own) + ")";
      if (r == 0) {
        protect(i, "best " + value);
      } else if (r < rule.count) {
        keep(i, rank_text(r, rule) + " " + value, Standing::ranked);
      } else {
        const std::size_t last = ranks[rule.count - 1];
        drop(
            i,
            rule.metric + " " + describe_number(own) + ": " +
                number(candidates[last]) +
                (values[last] != own          ? " is better ("
                     : rule.tie == Tie::older ? " is as good and older ("
                                              : " is as good and newer (") +
                describe_number(values[last]) + ")");
      }
      if (entries_[i].valid && !found_valid) {
        found_valid = true;
        if (r != 0) {
          protect(i, "best valid " + value);
        }
      }
    }
  }

  [[nodiscard]] static std::string rank_text(
      std::size_t rank,
      const KeepBest& rule) {
    return "rank " + std::to_string(rank + 1) + " of the best " +
        std::to_string(rule.count);
  }

  void keep_every(const KeepEvery& rule) {
    const bool steps = rule.unit == KeepEvery::Unit::steps;
    const std::string name = "every " + std::to_string(rule.interval) +
        (steps ? " steps" : " epochs");
    std::int64_t former = 0;
    std::size_t first = entries_.size();
    for (const std::size_t i : ranked_) {
      const RetentionEntry& entry = entries_[i];
      const std::int64_t multiple =
          multiple_reached(steps ? entry.step : entry.epoch, rule.interval);
      if (multiple != former) {
        former = multiple;
        first = i;
        keep(i, name);
      } else if (first == entries_.size()) {
        drop(i, name + ": before the first of them");
      } else {
        drop(i, name + ": " + number(first) + " is the first");
      }
    }
  }

  void keep_per(const KeepPer& rule) {
    const std::string name = describe_duration(rule.bucket);
    std::optional<double> former;
    std::size_t first = 0;
    for (const std::size_t i : ranked_) {
      const double bucket =
          std::floor(entries_[i].wall_time / rule.bucket.count());
      if (!std::isfinite(bucket)) {
        keep(i, "one per " + name + ": its time is unknown");
      } else if (!former || bucket != *former) {
        former = bucket;
        first = i;
        keep(i, "one per " + name);
      } else {
        drop(i, "one per " + name + ": " + number(first) + " is the first");
      }
    }
  }

  void keep_younger(const KeepYounger& rule, double now) {
    const std::string name = describe_duration(rule.age);
    const double infinity = std::numeric_limits<double>::infinity();
    const std::size_t count = ranked_.size();
    // From the newest down: what lies in the future is as old as the oldest of
    // all that came after it.
    std::vector<double> times(count);
    double least = infinity;
    for (std::size_t r = count; r-- > 0;) {
      const double own = entries_[ranked_[r]].wall_time;
      if (std::isfinite(own)) {
        least = std::min(least, own);
      }
      times[r] = std::isfinite(own) && own <= now ? own : least;
    }
    if (count == 0) {
      return;
    }
    if (!std::isfinite(now) || times.back() > now) {
      for (const std::size_t i : ranked_) {
        keep(i, "younger than " + name + ": unknown, the clock is behind");
      }
      return;
    }
    double youngest = -infinity;
    for (std::size_t r = 0; r < count; ++r) {
      youngest = std::max(youngest, times[r]);
      if (now - youngest < rule.age.count()) {
        keep(ranked_[r], "younger than " + name);
      } else if (count - r <= rule.floor) {
        keep(ranked_[r], "newest " + std::to_string(rule.floor));
      } else {
        drop(ranked_[r], "older than " + name);
      }
    }
  }

  void protect() {
    std::size_t valid = 0;
    for (std::size_t r = ranked_.size(); r-- > 0;) {
      if (entries_[ranked_[r]].valid && ++valid <= 2) {
        protect(ranked_[r], "newest two valid");
      }
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const RetentionEntry& entry = entries_[i];
      if (entry.resumed_from) {
        protect(i, "resumed from");
      }
      if (entry.line_origin) {
        protect(i, "a line began there");
      }
      if (entry.last_good) {
        protect(i, "the last good one");
      }
      if (entry.pinned) {
        protect(
            i,
            entry.pin_label.empty() ? "pinned" : "pinned: " + entry.pin_label);
      }
      if (entry.being_read) {
        protect(i, "being read");
      }
      if (valid < 2) {
        protect(i, "fewer than two are valid");
      }
    }
  }

  /// From the highest ranked down, what still fits.
  void limit(std::uint64_t total_bytes) {
    std::optional<std::uint64_t> held = 0; // Nothing: beyond every limit.
    const auto fits = [&](std::size_t i) {
      held = held ? checked_add(*held, entries_[i].bytes) : std::nullopt;
      return held && *held <= total_bytes;
    };
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (standing_[i] == Standing::is_protected) {
        static_cast<void>(fits(i));
      }
    }
    for (const Standing standing : {Standing::ranked, Standing::common}) {
      for (std::size_t r = ranked_.size(); r-- > 0;) {
        const std::size_t i = ranked_[r];
        if (for_[i].empty() || standing_[i] != standing || fits(i)) {
          continue;
        }
        // Before what other rules say, which alone would not drop it.
        against_[i].insert(
            against_[i].begin(),
            "beyond " + format_bytes(total_bytes) + " in all (" +
                for_[i].front() + ")");
        for_[i].clear();
      }
    }
  }

  std::vector<RetentionEntry> entries_; // By sequence.
  std::vector<std::size_t> ranked_; // Those that rules count, by sequence.
  std::vector<std::vector<std::string>> for_;
  std::vector<std::vector<std::string>> against_;
  std::vector<Standing> standing_;
};

} // namespace detail

} // namespace holdfast

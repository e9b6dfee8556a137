#pragma once

#include <holdfast/engine/options.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/posix_file_system.hpp>

namespace holdfast {

HOLDFAST_INLINE Options& Options::save_every(Steps interval) {
  settings_.triggers.push_back(holdfast::save_every(interval));
  return *this;
}

HOLDFAST_INLINE Options& Options::save_every(Epochs interval) {
  settings_.triggers.push_back(holdfast::save_every(interval));
  return *this;
}

HOLDFAST_INLINE Options& Options::save_every(
    std::chrono::duration<double> interval) {
  settings_.triggers.push_back(holdfast::save_every(interval));
  return *this;
}

HOLDFAST_INLINE Options& Options::save_overhead(
    double share,
    std::chrono::duration<double> least) {
  settings_.overhead = SaveOverhead{share, least.count()};
  validate(*settings_.overhead);
  return *this;
}

HOLDFAST_INLINE Options& Options::exception_overhead(
    double share,
    std::uint64_t memory) {
  if (!(share >= 0 && share <= 1)) {
    throw_invalid_argument(
        "exception_overhead",
        "the share must be from 0 to 1",
        format_number(share));
  }
  settings_.exception_share = share;
  settings_.exception_memory = memory;
  return *this;
}

HOLDFAST_INLINE Options& Options::save_when(
    std::string reason,
    std::function<bool(const TriggerPoint&)> is_due) {
  if (reason.empty() || !is_utf8(reason) || !is_due) {
    throw_invalid_argument(
        "save_when", "needs a reason and a function", reason);
  }
  settings_.save_when.push_back(SaveWhen{std::move(reason), std::move(is_due)});
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_last(std::size_t count) {
  settings_.retention.last = count;
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_best(
    std::string metric,
    Best best,
    std::size_t count) {
  KeepBest rule;
  rule.metric = std::move(metric);
  rule.best = best;
  rule.count = count;
  return keep_best(std::move(rule));
}

HOLDFAST_INLINE Options& Options::keep_best(KeepBest rule) {
  settings_.retention.best.push_back(std::move(rule));
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_every(Steps interval) {
  settings_.retention.every.push_back(
      KeepEvery{KeepEvery::Unit::steps, interval.count});
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_every(Epochs interval) {
  settings_.retention.every.push_back(
      KeepEvery{KeepEvery::Unit::epochs, interval.count});
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_at_most(std::uint64_t total_bytes) {
  settings_.retention.total_bytes = total_bytes;
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_one_per(
    std::chrono::duration<double> bucket) {
  settings_.retention.per.push_back(KeepPer{bucket});
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_younger_than(
    std::chrono::duration<double> age,
    std::size_t floor) {
  settings_.retention.younger = KeepYounger{age, floor};
  return *this;
}

HOLDFAST_INLINE Options& Options::keep_all() {
  keep_all_ = true;
  return *this;
}

HOLDFAST_INLINE Options& Options::compression(Compression compression) {
  settings_.compression = compression;
  return *this;
}

HOLDFAST_INLINE Options& Options::deletion(Deletion deletion) {
  settings_.deletion = deletion;
  deletion_set_ = true;
  return *this;
}

HOLDFAST_INLINE Options& Options::on_transfer(
    TransferHandler handler,
    std::chrono::duration<double> interval) {
  settings_.transfers = transfer_listener(std::move(handler), interval.count());
  return *this;
}

HOLDFAST_INLINE Options& Options::lock_wait(
    std::chrono::duration<double> time) {
  settings_.lock_wait_seconds = time.count();
  lock_wait_set_ = true;
  return *this;
}

HOLDFAST_INLINE Options& Options::max_save_failures(int count) {
  settings_.max_save_failures = count;
  max_failures_set_ = true;
  return *this;
}

HOLDFAST_INLINE Options& Options::on_no_space(
    NoSpace action,
    std::chrono::duration<double> longest_wait) {
  settings_.no_space = action;
  settings_.no_space_seconds = longest_wait.count();
  return *this;
}

HOLDFAST_INLINE Options& Options::rollback_on_divergence(
    DivergenceOptions options) {
  validate(options);
  settings_.divergence = std::move(options);
  return *this;
}

HOLDFAST_INLINE Options& Options::run_name(std::string name, OtherRun other) {
  if (name.empty() || !is_utf8(name)) {
    throw_invalid_argument("run_name", "must be UTF-8 and not empty", name);
  }
  settings_.run_name = std::move(name);
  settings_.other_run = other;
  return *this;
}

HOLDFAST_INLINE Options& Options::tag(std::string name, std::string value) {
  settings_.tags.emplace_back(std::move(name), std::move(value));
  return *this;
}

HOLDFAST_INLINE Options& Options::on_event(EventHandler handler) {
  settings_.on_event = std::move(handler);
  handler_set_ = true;
  return *this;
}

HOLDFAST_INLINE Options& Options::event_log(bool keep) {
  settings_.event_log = keep;
  return *this;
}

HOLDFAST_INLINE Options& Options::heartbeat(
    std::chrono::duration<double> interval) {
  settings_.heartbeat_seconds = interval.count();
  return *this;
}

HOLDFAST_INLINE Options& Options::on_safe_point(SafePointHandler handler) {
  if (!handler) {
    throw_invalid_argument("on_safe_point", "must not be empty");
  }
  settings_.on_safe_point.push_back(std::move(handler));
  return *this;
}

HOLDFAST_INLINE Options& Options::file_system(
    std::shared_ptr<FileSystem> file_system) {
  settings_.file_system = std::move(file_system);
  return *this;
}

HOLDFAST_INLINE Options& Options::clock(Clock& clock) {
  settings_.clock = &clock;
  return *this;
}

HOLDFAST_INLINE Settings Options::resolve() const {
  Settings settings = settings_;
  if (settings.triggers.empty() && !settings.overhead &&
      settings.save_when.empty()) {
    settings.triggers.push_back(holdfast::save_every(epochs(1)));
    settings.triggers.push_back(holdfast::save_every(std::chrono::minutes(30)));
  }
  RetentionRules& rules = settings.retention;
  const bool any_rule = has_keep_rule(rules);
  if (keep_all_ && any_rule) {
    throw_invalid_argument("keep_all", "excludes every other keep rule");
  }
  if (!keep_all_ && !any_rule && !rules.total_bytes) {
    rules.last = 3;
  }
  validate(rules);
  for (const KeepBest& rule : rules.best) {
    if (settings.divergence && rule.metric == settings.divergence->metric() &&
        rule.not_finite == Unranked::raise) {
      throw_invalid_argument(
          "rollback_on_divergence",
          "a keep_best rule refuses the values that it goes back for",
          rule.metric);
    }
  }
  const auto level = settings.compression.zstd_level;
  if (level && (*level < 1 || *level > 19)) {
    throw_invalid_argument(
        "compression", "zstd levels are 1 to 19", std::to_string(*level));
  }
  if (!lock_wait_set_) {
    settings.lock_wait_seconds = 10;
  }
  require_seconds("lock_wait", settings.lock_wait_seconds);
  require_seconds("on_no_space", settings.no_space_seconds);
  require_seconds("heartbeat", settings.heartbeat_seconds);
  if (!max_failures_set_) {
    settings.max_save_failures = 3;
  }
  if (settings.max_save_failures < 0) {
    throw_invalid_argument("max_save_failures", "must not be negative");
  }
  for (const auto& tag : settings.tags) {
    if (!is_name(tag.first)) {
      throw_invalid_argument(
          "tag", "names match [a-z0-9_-]{1,64}", "'" + tag.first + "'");
    }
  }
  if (!handler_set_) {
    settings.on_event = print_warnings;
  }
  if (!deletion_set_ && settings.file_system) {
    settings.deletion = Deletion::at_once;
  }
  if (!settings.file_system) {
    settings.file_system = default_file_system();
  }
  if (settings.clock == nullptr) {
    settings.clock = &system_clock();
  }
  return settings;
}

} // namespace holdfast

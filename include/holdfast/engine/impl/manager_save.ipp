#pragma once

#include <holdfast/engine/impl/manager.ipp>

#include <holdfast/base/scope_exit.hpp>
#include <holdfast/base/text.hpp>

#include <cmath>

namespace holdfast {

HOLDFAST_INLINE Values Manager::State::engine_values(Value probed) const {
  Values trigger;
  trigger["step"] = last_save.step;
  trigger["epoch"] = last_save.epoch;
  trigger["elapsed"] = last_save.elapsed_seconds;
  Values values;
  values["last_save"] = std::move(trigger);
  values["means"] = means.to_value();
  values["history"] = watch.to_value();
  values["save_seconds"] = save_seconds;
  if (divergence) {
    values["divergence"] = divergence->to_value();
  }
  Value::Array recovered;
  for (const detail::Recovery& recovery : recoveries) {
    Values places;
    places["from"] = to_value(recovery.from);
    places["to"] = to_value(recovery.to);
    recovered.emplace_back(std::move(places));
  }
  if (!recovered.empty()) {
    values["recoveries"] = std::move(recovered);
  }
  if (probed.kind() != Value::Kind::null) {
    values["probe"] = std::move(probed);
  }
  return values;
}

HOLDFAST_INLINE Manifest Manager::State::manifest(
    const Metrics& metrics,
    std::vector<std::string> reasons,
    bool exact) const {
  Manifest manifest;
  manifest.id = random_id();
  manifest.run_id = run_id;
  manifest.run_name = run_name;
  manifest.line = line;
  manifest.attempt = attempt;
  manifest.step = progress.step;
  manifest.wall_time = settings.clock->wall_seconds();
  manifest.progress = progress;
  manifest.progress.elapsed_seconds = elapsed();
  manifest.metrics = metrics;
  manifest.reasons = std::move(reasons);
  manifest.exact = exact;
  manifest.suspect = divergence && divergence->suspects();
  for (const detail::Recovery& recovery : recoveries) {
    manifest.divergences.push_back(recovery.record);
  }
  manifest.environment = record_environment();
  manifest.resumed_from = resumed_from;
  return manifest;
}

/// "step 500: every 500 steps, best val_loss"
HOLDFAST_INLINE std::string Manager::State::save_text(
    const std::vector<std::string>& reasons) const {
  std::string text = "step " + std::to_string(progress.step);
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    text += (i == 0 ? ": " : ", ") + reasons[i];
  }
  return text;
}

HOLDFAST_INLINE SaveHandle
Manager::State::save(const Metrics& metrics, std::vector<std::string> reasons) {
  const double began = settings.clock->monotonic_seconds();
  // Between a resume and the loop, what the loop goes on with is saved, not
  // what was drawn before it.
  std::optional<RandomSnapshot> drawn;
  if (random_at_begin) {
    drawn.emplace(parts);
    random_at_begin->put_back();
  }
  const ScopeExit put_back_drawn([&] {
    try {
      if (drawn) {
        drawn->put_back();
      }
    } catch (...) { // random_at_begin puts back what counts
    }
  });
  Value probed = probe_at_save();
  return write(
      capture(parts),
      std::move(probed),
      metrics,
      std::move(reasons),
      !sources.ahead(),
      began);
}

/// Saves what was captured. `began`: the save, on the monotonic clock.
HOLDFAST_INLINE SaveHandle Manager::State::write(
    const std::vector<CapturedPart>& captured,
    Value probed,
    const Metrics& metrics,
    std::vector<std::string> reasons,
    bool exact,
    double began) {
  const CheckpointPlan plan = plan_checkpoint(captured);
  // Counts from the attempt on: a full disk is not met again at every step.
  last_save = now();
  last_attempt = began;
  const Heartbeat::State state_before =
      heartbeat ? heartbeat->state() : Heartbeat::State::running;
  beat(Heartbeat::State::saving, elapsed());
  const ScopeExit saving_ends([&] { beat(state_before, elapsed()); });
  emit(Event::Kind::save_started, "", save_text(reasons));
  auto result = std::make_shared<SaveHandle::Result>();
  std::uint64_t sequence = 0;
  std::string name;
  try {
    const bool was_interrupted = !interruption.empty();
    const double waits_from = settings.clock->monotonic_seconds();
    wait_for_deletions(plan.bytes);
    began += settings.clock->monotonic_seconds() - waits_from;
    if (!was_interrupted) {
      left_out = too_late_to_save();
      if (!left_out.empty()) {
        throw Error(ErrorCode::preempted, left_out);
      }
    }
    // What compression leaves is not known before; only the margin is asked
    // for.
    Transaction transaction(
        *writer, settings.compression.zstd_level ? 0 : plan.bytes);
    sequence = transaction.sequence();
    name = checkpoint_name(sequence, progress.step);
    {
      // A save that takes long is no hung process.
      TransferMeter meter(
          settings.transfers,
          *settings.clock,
          TransferProgress::Kind::saving,
          name,
          [this] { beat(Heartbeat::State::saving, elapsed()); });
      write_parts(
          transaction,
          captured,
          plan,
          engine_values(std::move(probed)),
          settings.compression,
          meter);
    }
    Manifest staged = manifest(metrics, std::move(reasons), exact);
    emit(Event::Kind::save_staged, name, "staged " + name);
    name = transaction.commit(std::move(staged)).name;
    result->path = root->path() + "/" + name;
  } catch (...) {
    result->error = std::current_exception();
    last_error = result->error;
    if (sequence != 0) {
      history->exclude(sequence); // if it is there, it is unconfirmed
    }
    emit(Event::Kind::save_failed, "", note_failure());
  }
  if (!result->error) {
    failures = 0;
    space_failures = 0;
    unsaved_metrics = {};
    last_saved = progress;
    last_saved_exact = exact;
    last_path = result->path;
    history->mark_valid(sequence);
    if (!best_values.empty()) { // else this one is found with the others
      for_new_bests(metrics, [&](std::size_t rule, double value) {
        best_values[rule] = value;
      });
    }
    emit(Event::Kind::saved, name, "saved " + result->path);
    retain();
  }
  const double took = settings.clock->monotonic_seconds() - began;
  // One that failed may have been cut short, and tells only what it took.
  save_seconds = result->error || save_seconds == 0
      ? std::max(save_seconds, took)
      : (save_seconds + took) / 2;
  return SaveHandle(std::move(result));
}

/// Calls `use(index of the rule, value)` for each rule that `metrics` have a
/// new best for.
template <class Use>
void Manager::State::for_new_bests(const Metrics& metrics, const Use& use) {
  const std::vector<KeepBest>& rules = settings.retention.best;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto metric = metrics.values().find(rules[i].metric);
    if (metric == metrics.values().end()) {
      continue;
    }
    if (best_values.empty()) { // re-derived once, from what is on the disk
      std::vector<std::optional<double>> found;
      for (const KeepBest& rule : rules) {
        const auto best = history->best(rule);
        found.push_back(
            best ? std::make_optional(best->metrics.values().at(rule.metric))
                 : std::nullopt);
      }
      best_values = std::move(found);
    }
    if (is_better(
            rules[i].best, metric->second, best_values[i], rules[i].tie)) {
      use(i, metric->second);
    }
  }
}

/// What the rules for the best refuse is refused before anything is counted.
HOLDFAST_INLINE void Manager::State::require_ranked(
    const Metrics& metrics,
    bool epoch_ends) const {
  for (const KeepBest& rule : settings.retention.best) {
    const auto metric = metrics.values().find(rule.metric);
    const bool missing = metric == metrics.values().end();
    const bool refused = missing
        ? epoch_ends && rule.missing == Unranked::raise
        : rule.not_finite == Unranked::raise && !std::isfinite(metric->second);
    if (refused) {
      ErrorDetails details;
      details.name = rule.metric;
      details.message = "a metric that no checkpoint can be the best by";
      details.found = missing ? "none" : format_number(metric->second);
      throw Error(ErrorCode::bad_metric, std::move(details));
    }
  }
}

HOLDFAST_INLINE std::vector<std::string> Manager::State::new_bests(
    const Metrics& metrics) {
  std::vector<std::string> reasons;
  for_new_bests(metrics, [&](std::size_t rule, double) {
    std::string reason = "best " + settings.retention.best[rule].metric;
    if (reasons.empty() || reasons.back() != reason) { // lowest and highest
      reasons.push_back(std::move(reason));
    }
  });
  return reasons;
}

/// What triggers say: steps, epochs, time, overhead, and the user.
HOLDFAST_INLINE std::vector<std::string> Manager::State::due_at(
    const TriggerPoint& point) {
  std::vector<std::string> reasons = due(settings.triggers, last_save, point);
  if (settings.overhead &&
      is_due(*settings.overhead, save_seconds, last_save, point)) {
    reasons.push_back(to_string(*settings.overhead));
  }
  for (std::size_t i = 0; i < complained.size(); ++i) {
    const SaveWhen& when = settings.save_when[i];
    try {
      if (when.is_due(point)) {
        reasons.push_back(when.reason);
      }
    } catch (...) { // not to know must not end the run, and is said once
      if (!complained[i]) {
        complained[i] = true;
        emit(
            Event::Kind::warning,
            "",
            when.reason + ": " + current_exception_text());
      }
    }
  }
  return reasons;
}

HOLDFAST_INLINE void Manager::State::save_if_due(
    const Metrics& metrics,
    bool goal_reached) {
  const TriggerPoint point = now();
  beat(Heartbeat::State::running, point.elapsed_seconds);
  if (diverged) {
    left_out = "it has diverged";
    return;
  }
  // What may have diverged is not saved, and what is due stays due. But a new
  // best speaks for itself, and would be gone.
  const bool suspects = divergence && divergence->suspects() && !goal_reached;
  const TriggerPoint due_since = last_save;
  std::vector<std::string> reasons;
  if (!suspects) {
    reasons = due_at(point);
  }
  for (std::string& reason : new_bests(metrics)) {
    reasons.push_back(std::move(reason));
  }
  if (goal_reached) {
    reasons.emplace_back(
        !interruption.empty() ? "preempted: " + interruption
            : stop_requested.load(std::memory_order_relaxed) ? "stop requested"
                                                             : "goal reached");
  }
  if (reasons.empty()) {
    return;
  }
  unsaved_metrics = metrics;
  left_out = too_late_to_save();
  if (!left_out.empty() || (!goal_reached && is_pausing())) {
    return;
  }
  is_saving_what_is_due = true;
  const ScopeExit saved([this] { is_saving_what_is_due = false; });
  SaveHandle handle = save(metrics, reasons);
  if (space_failures > 0 && settings.no_space == NoSpace::wait) {
    handle = wait_for_space(handle, metrics, reasons);
  }
  if (suspects) {
    last_save = due_since;
  }
  stop_saved = stop_saved || (goal_reached && handle.saved());
  // Whoever preempts the run is told of a failure, and acts.
  const auto are_enough = [this] {
    ++failures;
    return settings.max_save_failures > 0 &&
        failures >= settings.max_save_failures && interruption.empty();
  };
  try {
    handle.wait();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::lost_lock) {
      throw; // somebody else trains this run now; going on only wastes both
    }
    if (error.code() == ErrorCode::no_space
            ? settings.no_space == NoSpace::raise && interruption.empty()
            : are_enough()) {
      throw;
    }
  } catch (...) {
    if (are_enough()) {
      throw;
    }
  }
}

/// What running() answers. Before it says that the run is over, what was
/// trained last is on the disk, or that it is not is thrown: no later save will
/// tell.
HOLDFAST_INLINE bool Manager::State::ask_running() {
  if (diverged) {
    go_back();
  }
  rolled_back = false;
  if (!sources.ahead()) {
    // A life makes one step at least, or a job that is always preempted would
    // never get anywhere; and one that has nothing left to do ends well.
    const bool may_be_interrupted =
        stepped && !(goal_is_reached() && is_saved());
    see_stop_request(may_be_interrupted);
    sources.refresh(*this, progress.epoch);
  }
  // After a resume at an epoch's last batch its end is still owed, whatever the
  // goal in steps.
  const bool owes_end = std::exchange(may_owe_end, false) &&
      progress.batch > 0 && !sources.empty() && sources.at_end() && !stopped &&
      !epoch_goal;
  const bool over = !owes_end && (stopped || goal_is_reached());
  // In mid-epoch the range is where the loop goes on, if there is to be one.
  if (over || progress.batch == 0 || sources.empty()) {
    put_back_random();
  }
  if (!over) {
    stop_saved = false;
    return true;
  }
  // In an epoch that was cut, per-epoch code may have run: not to be saved.
  if (!is_saved() && !sources.ahead() && !epoch_cut) {
    save_if_due(Metrics(unsaved_metrics), true);
  }
  beat(state_at_end(), elapsed());
  // Whoever preempts the run is told, and acts.
  if (!is_saved() && failures + space_failures > 0 &&
      settings.max_save_failures > 0 && interruption.empty()) {
    std::rethrow_exception(last_error);
  }
  tell_interruption();
  if (!told_to_stop) {
    warn_of_suspicion();
  }
  if (interrupter != nullptr && interruption.empty() && is_saved()) {
    interrupter->run_is_over();
  }
  told_to_stop = true;
  return false;
}

} // namespace holdfast

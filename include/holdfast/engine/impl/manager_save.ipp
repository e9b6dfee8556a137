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
  const Heartbeat::State state_before =
      heartbeat ? heartbeat->state() : Heartbeat::State::running;
  beat(Heartbeat::State::saving, elapsed());
  const ScopeExit saving_ends([&] { beat(state_before, elapsed()); });
  emit(Event::Kind::save_started, "", save_text(reasons));
  auto result = std::make_shared<SaveHandle::Result>();
  std::uint64_t sequence = 0;
  std::string name;
  try {
    // What compression leaves is not known before; only the margin is asked
    // for. Who is preempted waits for no deletion, if there is room without.
    Transaction transaction(
        *writer,
        settings.compression.zstd_level ? 0 : plan.bytes,
        interruption.empty() ? std::nullopt : std::make_optional(plan.bytes));
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
    last_saved = progress;
    last_saved_exact = exact;
    last_path = result->path;
    history->mark_valid(sequence);
    for (const KeepBest& rule : settings.retention.best) {
      const auto metric = metrics.values().find(rule.metric);
      if (metric != metrics.values().end() &&
          is_better(
              rule.best, metric->second, best_value(rule.metric), rule.tie)) {
        best_values[rule.metric] = metric->second;
      }
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

HOLDFAST_INLINE std::optional<double> Manager::State::best_value(
    const std::string& metric) const {
  const auto found = best_values.find(metric);
  return found == best_values.end() ? std::nullopt
                                    : std::make_optional(found->second);
}

HOLDFAST_INLINE void Manager::State::learn_bests() {
  if (best_known) {
    return;
  }
  for (const KeepBest& rule : settings.retention.best) {
    const auto best = history->best(rule);
    if (best) {
      best_values[rule.metric] = best->metrics.values().at(rule.metric);
    }
  }
  best_known = true;
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
  for (const KeepBest& rule : settings.retention.best) {
    const auto metric = metrics.values().find(rule.metric);
    if (metric == metrics.values().end()) {
      continue;
    }
    learn_bests();
    if (is_better(
            rule.best, metric->second, best_value(rule.metric), rule.tie)) {
      reasons.push_back("best " + rule.metric);
    }
  }
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
  if (divergence && divergence->suspects() && !goal_reached) {
    return; // what is due stays due
  }
  std::vector<std::string> reasons = due_at(point);
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
  left_out = too_late_to_save();
  if (!left_out.empty() || (!goal_reached && is_pausing(point))) {
    return;
  }
  SaveHandle handle = save(metrics, reasons);
  if (space_failures > 0 && settings.no_space == NoSpace::wait) {
    handle = wait_for_space(handle, metrics, reasons);
  }
  stop_saved = stop_saved || (goal_reached && handle.saved());
  if (handle.saved()) {
    return;
  }
  // Whoever preempts the run is told of the failure, and acts.
  const bool enough = settings.max_save_failures > 0 &&
      failures >= settings.max_save_failures && interruption.empty();
  try {
    handle.wait();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::lost_lock) {
      throw; // somebody else trains this run now; going on only wastes both
    }
    if (error.code() == ErrorCode::no_space
            ? settings.no_space == NoSpace::raise && interruption.empty()
            : enough) {
      throw;
    }
  } catch (...) {
    if (enough) {
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
    save_if_due({}, true);
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

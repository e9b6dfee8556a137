#pragma once

#include <holdfast/engine/impl/manager.ipp>

namespace holdfast {

HOLDFAST_INLINE Values Manager::State::engine_values() const {
  Values trigger;
  trigger["step"] = last_save.step;
  trigger["epoch"] = last_save.epoch;
  trigger["elapsed"] = last_save.elapsed_seconds;
  Values values;
  values["last_save"] = std::move(trigger);
  values["means"] = means.to_value();
  return values;
}

HOLDFAST_INLINE Manifest Manager::State::manifest(
    const Metrics& metrics,
    std::vector<std::string> reasons) const {
  Manifest manifest;
  manifest.id = random_id();
  manifest.run_id = run_id;
  manifest.line = line;
  manifest.attempt = attempt;
  manifest.step = progress.step;
  manifest.wall_time = settings.clock->wall_seconds();
  manifest.progress = progress;
  manifest.progress.elapsed_seconds = elapsed();
  manifest.metrics = metrics;
  manifest.reasons = std::move(reasons);
  manifest.exact = std::none_of(
      cursors.begin(), cursors.end(), [](const Cursor* cursor) {
        return cursor->ahead();
      });
  manifest.environment = record_environment();
  manifest.resumed_from = resumed_from;
  return manifest;
}

HOLDFAST_INLINE SaveHandle Manager::State::save(
    const Metrics& metrics,
    std::vector<std::string> reasons) {
  const std::vector<CapturedPart> captured = capture(parts);
  const CheckpointPlan plan = plan_checkpoint(captured);
  // Counts from the attempt on: a full disk is not met again at every step.
  last_save = now();
  auto result = std::make_shared<SaveHandle::Result>();
  std::uint64_t sequence = 0;
  std::string name;
  const auto fail = [&](const char* what) {
    ++failures;
    result->error = std::current_exception();
    if (sequence != 0) {
      history->exclude(sequence); // if it is there, it is unconfirmed
    }
    emit(Event::Kind::save_failed, "", what);
  };
  try {
    Transaction transaction(*writer, plan.bytes);
    sequence = transaction.sequence();
    const Committed committed = write_checkpoint(
        transaction,
        captured,
        plan,
        engine_values(),
        manifest(metrics, std::move(reasons)),
        settings.compression);
    name = committed.name;
    result->path = root->path() + "/" + name;
  } catch (const std::exception& error) {
    fail(error.what());
  } catch (...) {
    fail("an exception that is no std::exception");
  }
  if (!result->error) {
    failures = 0;
    last_saved = progress;
    history->mark_valid(sequence);
    for (const KeepBest& rule : settings.retention.best) {
      const auto metric = metrics.values().find(rule.metric);
      std::optional<double>& value = best_values[rule.metric];
      if (metric != metrics.values().end() &&
          is_better(rule.best, metric->second, value)) {
        value = metric->second;
      }
    }
    emit(Event::Kind::saved, name, "saved " + result->path);
    retain();
  }
  return SaveHandle(std::move(result));
}

HOLDFAST_INLINE void Manager::State::learn_bests() {
  if (best_known) {
    return;
  }
  for (const KeepBest& rule : settings.retention.best) {
    const auto best = history->best(rule.metric, rule.best);
    if (best) {
      best_values[rule.metric] = best->metrics.values().at(rule.metric);
    }
  }
  best_known = true;
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
    if (is_better(rule.best, metric->second, best_values[rule.metric])) {
      reasons.push_back("best " + rule.metric);
    }
  }
  return reasons;
}

HOLDFAST_INLINE void Manager::State::save_if_due(
    const Metrics& metrics,
    bool goal_reached) {
  std::vector<std::string> reasons = due(settings.triggers, last_save, now());
  for (std::string& reason : new_bests(metrics)) {
    reasons.push_back(std::move(reason));
  }
  if (goal_reached) {
    reasons.emplace_back(
        stop_requested.load(std::memory_order_relaxed) ? "stop requested"
                                                       : "goal reached");
  }
  if (reasons.empty()) {
    return;
  }
  const SaveHandle handle = save(metrics, std::move(reasons));
  stop_saved = stop_saved || (goal_reached && failures == 0);
  if (settings.max_save_failures > 0 &&
      failures >= settings.max_save_failures) {
    handle.wait();
  }
}

/// A stop that was requested after the last safe point must not lose what was
/// trained since the last save.
HOLDFAST_INLINE void Manager::State::save_where_stopped() {
  const bool ahead = std::any_of(
      cursors.begin(), cursors.end(), [](const Cursor* cursor) {
        return cursor->ahead();
      });
  const bool saved = progress.step == last_saved.step &&
      progress.epoch == last_saved.epoch;
  if (stopping() && !saved && !ahead && failures == 0) {
    save_if_due({}, true);
  }
}

/// Step 9. Nothing that goes wrong here concerns the save that was committed.
HOLDFAST_INLINE void Manager::State::retain() {
  try {
    std::map<std::uint64_t, CheckpointInfo> infos;
    for (CheckpointInfo& info : history->list()) {
      infos.emplace(info.sequence, std::move(info));
    }
    const std::vector<RetentionDecision> decisions = plan_retention(
        history->entries(),
        settings.clock->wall_seconds(),
        settings.retention);
    for (const RetentionDecision& decision : decisions) {
      if (decision.keep) {
        continue;
      }
      const CheckpointInfo& info = infos.at(decision.sequence);
      const CheckpointName name{info.sequence, info.step, info.name};
      if (writer->is_being_read(name)) {
        continue; // for as long as somebody reads it
      }
      try {
        writer->remove(name);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::lost_lock) {
          throw;
        }
        // One that cannot be removed must not keep all others.
        emit(Event::Kind::warning, name.name, error.what());
        continue;
      }
      emit(
          Event::Kind::removed,
          name.name,
          name.name + ": " + decision.reasons.front());
    }
  } catch (const std::exception& error) {
    emit(Event::Kind::warning, "", error.what());
  }
}

} // namespace holdfast

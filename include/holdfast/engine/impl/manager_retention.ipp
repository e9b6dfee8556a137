#pragma once

#include <holdfast/engine/impl/manager.ipp>

// Step 9 of the commit protocol, its dry run, and what people add to it.

namespace holdfast {

namespace detail {

/// One that cannot be looked at stays, and must not keep all others.
HOLDFAST_INLINE Hold hold_on(Writer& writer, const CheckpointName& name) {
  try {
    return writer.hold_on(name);
  } catch (const Error& error) {
    Hold hold;
    hold.pin = std::string("it cannot be looked at: ") + error.what();
    return hold;
  }
}

HOLDFAST_INLINE void set_hold(RetentionEntry& entry, Hold hold) {
  entry.being_read = hold.being_read;
  entry.pinned = hold.pin.has_value();
  entry.pin_label = std::move(hold.pin).value_or(std::string());
}

} // namespace detail

/// What retention does now. What a checkpoint is held by is asked only of those
/// that would go, because it takes a look at each; what stays for it may push
/// another one out.
HOLDFAST_INLINE std::vector<RetentionDecision> Manager::State::decide(
    const std::vector<CheckpointInfo>& infos) {
  std::vector<RetentionEntry> entries = history->entries(infos);
  mark_last_good(entries);
  const double now_seconds = settings.clock->wall_seconds();
  std::vector<bool> asked(entries.size(), false);
  for (;;) {
    std::vector<RetentionDecision> decisions =
        plan_retention(entries, now_seconds, settings.retention);
    bool any_held = false;
    for (std::size_t i = 0; i < decisions.size(); ++i) {
      if (decisions[i].keep || asked[i]) {
        continue;
      }
      asked[i] = true;
      Hold hold = detail::hold_on(*writer, detail::name_of(infos[i]));
      any_held = any_held || hold.any();
      detail::set_hold(entries[i], std::move(hold));
    }
    if (!any_held) {
      return decisions;
    }
  }
}

/// Step 9. Nothing that goes wrong here concerns the save that was committed.
HOLDFAST_INLINE void Manager::State::retain() {
  try {
    const std::vector<CheckpointInfo> infos = history->list();
    const std::vector<RetentionDecision> decisions = decide(infos);
    for (std::size_t i = 0; i < decisions.size(); ++i) {
      if (!decisions[i].keep) {
        static_cast<void>(discard(
            detail::name_of(infos[i]), decisions[i].reasons.front(), false));
      }
    }
  } catch (const Error& error) {
    see_lost_lock(error);
    emit(Event::Kind::warning, "", error.what());
  } catch (const std::exception& error) {
    emit(Event::Kind::warning, "", error.what());
  }
  tell_deletion_failures();
}

/// What is deleted in the background fails some time after its removal.
HOLDFAST_INLINE void Manager::State::tell_deletion_failures(
    Tell whom) noexcept {
  try {
    for (std::string& text : writer->trash().take_failures()) {
      emit(Event::Kind::warning, "", std::move(text), whom);
    }
  } catch (...) { // no memory to tell it with
  }
}

/// True if it is gone. One that cannot be removed must not keep all others.
HOLDFAST_INLINE bool Manager::State::discard(
    const CheckpointName& name,
    const std::string& reason,
    bool tell_if_held) {
  try {
    writer->remove(name);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::lost_lock) {
      throw;
    }
    if (tell_if_held || error.code() != ErrorCode::locked) {
      emit(Event::Kind::warning, name.name, error.what());
    }
    return false;
  }
  emit(Event::Kind::removed, name.name, name.name + ": " + reason);
  return true;
}

HOLDFAST_INLINE RetentionPlan Manager::State::plan() {
  RetentionPlan plan;
  plan.directory = root->path();
  plan.total_bytes = settings.retention.total_bytes;
  std::vector<CheckpointInfo> infos = history->list();
  std::vector<RetentionEntry> entries = history->entries(infos);
  mark_last_good(entries);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    detail::set_hold(
        entries[i], detail::hold_on(*writer, detail::name_of(infos[i])));
  }
  const double now_seconds = settings.clock->wall_seconds();
  std::vector<RetentionDecision> decisions =
      plan_retention(entries, now_seconds, settings.retention);
  RetentionEntry next;
  next.sequence = writer->mark().highest + 1;
  next.step = progress.step;
  next.epoch = progress.epoch;
  next.wall_time = now_seconds;
  next.bytes = entries.empty() ? 0 : entries.back().bytes;
  next.valid = !(divergence && divergence->suspects());
  entries.push_back(std::move(next));
  std::vector<RetentionDecision> after =
      plan_retention(entries, now_seconds, settings.retention);
  for (std::size_t i = 0; i < infos.size(); ++i) {
    plan.checkpoints.push_back(PlannedCheckpoint{
        std::move(infos[i]),
        decisions[i].keep,
        std::move(decisions[i].reasons),
        after[i].keep,
        std::move(after[i].reasons)});
  }
  for (const AbandonedCheckpoint& left : history->abandoned()) {
    if (plan.abandoned.empty() || plan.abandoned.back().line != left.line) {
      plan.abandoned.push_back(AbandonedLine{left.line, 0, 0});
    }
    ++plan.abandoned.back().checkpoints;
    plan.abandoned.back().bytes += left.info ? left.info->bytes : 0;
  }
  return plan;
}

HOLDFAST_INLINE std::vector<CheckpointInfo> Manager::State::prune() {
  std::vector<CheckpointInfo> removed;
  std::size_t valid = 0;
  for (const RetentionEntry& entry : history->entries(history->list())) {
    valid += entry.valid ? 1 : 0;
  }
  if (valid < 2) {
    emit(
        Event::Kind::warning,
        "",
        "prune() removed nothing: this line has fewer than two checkpoints "
        "that were verified or saved by this process");
    return removed;
  }
  for (AbandonedCheckpoint& left : history->abandoned()) {
    if (!left.info) {
      emit(
          Event::Kind::warning,
          left.name.name,
          left.name.name + " was left alone: its manifest cannot be read");
    } else if (discard(
                   left.name,
                   "pruned with line " + std::to_string(left.line),
                   true)) {
      removed.push_back(std::move(*left.info));
    }
  }
  tell_deletion_failures();
  return removed;
}

HOLDFAST_INLINE RetentionPlan Manager::plan() const {
  state_->require_resumed();
  return state_->plan();
}

HOLDFAST_INLINE std::vector<CheckpointInfo> Manager::prune() {
  state_->require_resumed();
  return state_->prune();
}

HOLDFAST_INLINE void Manager::pin(
    const std::string& checkpoint,
    const std::string& label) {
  state_->require_resumed();
  state_->writer->pin(state_->named_checkpoint(checkpoint), label);
}

HOLDFAST_INLINE void Manager::unpin(const std::string& checkpoint) {
  state_->require_resumed();
  state_->writer->unpin(state_->named_checkpoint(checkpoint));
}

} // namespace holdfast

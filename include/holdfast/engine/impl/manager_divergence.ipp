#pragma once

#include <holdfast/engine/impl/manager_lines.ipp>

#include <holdfast/base/text.hpp>

// A run that goes back by itself.

namespace holdfast {

namespace detail {

[[noreturn]] HOLDFAST_INLINE void throw_diverged(
    const std::string& directory,
    const DivergenceRecord& record,
    const char* message) {
  ErrorDetails details;
  details.path = directory;
  details.name = record.metric;
  details.message = message;
  details.found = describe_divergence(record);
  throw Error(ErrorCode::diverged, std::move(details));
}

} // namespace detail

/// What cannot be done later is said before the run begins.
HOLDFAST_INLINE void Manager::State::require_learning_rates() {
  if (!settings.divergence ||
      settings.divergence->learning_rate_factor() == 1) {
    return;
  }
  bool any = false;
  for (const NamedPart& named_part : parts.all()) {
    any = named_part.part->scale_learning_rates(1) || any;
  }
  if (!any) {
    throw_invalid_argument(
        "learning_rate_factor", "no part has a learning rate");
  }
}

/// `step()` counted one. Throws where the run may not go back again.
HOLDFAST_INLINE void Manager::State::see_divergence(const Metrics& metrics) {
  divergence->add(progress.step, metrics);
  if (!divergence->has_diverged()) {
    return;
  }
  const DivergenceRecord record = divergence->record();
  if (recoveries.size() >= divergence->options().max_rollbacks()) {
    emit(Event::Kind::diverged, "", describe_divergence(record));
    detail::throw_diverged(
        directory,
        record,
        "the run has diverged, and has gone back as often as it may");
  }
  set_diverged();
}

/// From here on running() goes back.
HOLDFAST_INLINE void Manager::State::set_diverged() {
  const DivergenceOptions& options = divergence->options();
  diverged.emplace();
  diverged->record = divergence->record();
  diverged->record.skipped_batches = options.skip_batches();
  diverged->record.learning_rate_factor = options.learning_rate_factor();
  diverged->from = divergence->good_places();
  sources.places(diverged->to);
  emit(
      Event::Kind::diverged,
      "",
      describe_divergence(diverged->record) + ", goes back");
}

/// A checkpoint that was saved between the step that showed it and running().
HOLDFAST_INLINE void Manager::State::see_saved_divergence() {
  if (divergence && divergence->has_diverged() &&
      recoveries.size() < divergence->options().max_rollbacks()) {
    set_diverged();
  }
}

/// The goal may come before it is known.
HOLDFAST_INLINE void Manager::State::warn_of_suspicion() {
  if (!divergence || !divergence->suspects()) {
    return;
  }
  emit(
      Event::Kind::warning,
      "",
      describe_divergence(divergence->record()) +
          ": the run ends before it is known whether it has diverged");
}

HOLDFAST_INLINE void Manager::State::warn_of_no_metric() {
  if (!divergence || divergence->has_seen_any() || !stepped || told_no_metric) {
    return;
  }
  told_no_metric = true;
  emit(
      Event::Kind::warning,
      "",
      "rollback_on_divergence() follows '" + divergence->options().metric() +
          "', and no step() of this epoch has reported it");
}

/// Retention keeps one to go back to.
HOLDFAST_INLINE void Manager::State::mark_last_good(
    std::vector<RetentionEntry>& entries) const {
  if (!divergence) {
    return;
  }
  for (std::size_t i = entries.size(); i-- > 0;) {
    if (entries[i].valid && entries[i].exact &&
        entries[i].step <= divergence->good_step()) {
      entries[i].last_good = true;
      return;
    }
  }
}

/// Called by running(). All that was done to the parts since the step that
/// showed the divergence is undone as well.
HOLDFAST_INLINE void Manager::State::go_back() {
  std::vector<CheckpointName> candidates; // the newest first
  const std::vector<CheckpointInfo> infos = history->list();
  for (std::size_t i = infos.size(); i-- > 0;) {
    if (!infos[i].suspect && infos[i].exact &&
        infos[i].step <= divergence->good_step()) {
      candidates.push_back(detail::name_of(infos[i]));
    }
  }
  if (candidates.empty()) {
    detail::throw_diverged(
        directory,
        diverged->record,
        "the run has diverged, and no checkpoint is known to be from before");
  }
  // What the checkpoint does not know of yet has to be done again: it may be
  // older than what followed a former time.
  std::vector<detail::Recovery> all = recoveries;
  all.push_back(*diverged);
  const auto newest_usable = [&](const Catalog&) {
    SearchResult result = search(
        *root, candidates, parts, nullptr, settings.transfers, *settings.clock);
    if (!result.found) {
      detail::throw_diverged(
          directory,
          diverged->record,
          "the run has diverged, and no checkpoint from before can be used");
    }
    return result;
  };
  // It takes a file, and nothing is left to train before there is room for it.
  const double end =
      settings.clock->monotonic_seconds() + settings.no_space_seconds;
  double pause = 1;
  for (bool is_back = false; !is_back;) {
    try {
      roll_back(newest_usable);
      is_back = true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::no_space || !writer ||
          settings.no_space == NoSpace::raise) {
        throw;
      }
      if (pause == 1) {
        emit(
            Event::Kind::warning,
            "",
            std::string("going back waits for space: ") + error.what());
      }
      if (!pause_for_space(pause, end)) {
        if (stopped) {
          return; // as it is, and not to be saved
        }
        throw;
      }
    }
  }
  beat(Heartbeat::State::running, elapsed());
  rolled_back = false;
  all.back().record.back_to = progress.step;
  divergence->goes_on_from(progress.step, sources);
  for (std::size_t i = recoveries.size(); i < all.size(); ++i) {
    DivergenceRecord& record = all[i].record;
    record.skipped_batches =
        record.skipped_batches && sources.skip(all[i].from, all[i].to);
    if (record.learning_rate_factor != 1) {
      for (const NamedPart& named_part : parts.all()) {
        named_part.part->scale_learning_rates(record.learning_rate_factor);
      }
    }
  }
  recoveries = std::move(all);
  const DivergenceRecord& record = recoveries.back().record;
  emit(
      Event::Kind::rolled_back,
      split_path(last_path).name,
      record.to_string() + " (" + std::to_string(recoveries.size()) + " of " +
          std::to_string(divergence->options().max_rollbacks()) + ")");
  // So that no crash forgets it. Where it fails, the next one will tell.
  static_cast<void>(save({}, {"went back: " + describe_divergence(record)}));
  tell(SafePoint::Kind::resumed, {});
}

} // namespace holdfast

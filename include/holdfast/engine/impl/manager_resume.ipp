#pragma once

#include <holdfast/engine/impl/manager.ipp>

namespace holdfast {

namespace detail {

/// The engine's own values, parsed before anything live changes.
struct EngineState {
  RunningMeans means;
  MetricWatch watch;
  Value probe; ///< Null where it was saved without one.
  TriggerPoint last_save;
  double save_seconds = 0;
  std::optional<DivergenceWatch> divergence;
  std::vector<Recovery> recoveries;

  EngineState(
      const Values& values,
      const std::vector<DivergenceRecord>& divergences,
      const std::optional<DivergenceOptions>& watched) {
    means.load(at(values, "means"));
    const Values& point = at(values, "last_save").object("last_save");
    last_save.step = at(point, "step").as<std::int64_t>("step");
    last_save.epoch = at(point, "epoch").as<std::int64_t>("epoch");
    last_save.elapsed_seconds = at(point, "elapsed").as<double>("elapsed");
    // Checkpoints of older versions have none of these.
    const auto seconds = values.find("save_seconds");
    if (seconds != values.end()) {
      save_seconds = seconds->second.as<double>("save_seconds");
    }
    const auto history = values.find("history");
    if (history != values.end()) {
      watch.load(history->second);
    }
    if (watched) {
      divergence.emplace(*watched);
      const auto saved = values.find("divergence");
      if (saved != values.end()) {
        divergence->load(saved->second);
      }
    }
    for (const DivergenceRecord& record : divergences) {
      recoveries.push_back(Recovery{record, {}, {}});
    }
    const auto recovered = values.find("recoveries");
    if (recovered != values.end()) {
      const Value::Array& all = recovered->second.array("recoveries");
      for (std::size_t i = 0; i < std::min(all.size(), recoveries.size());
           ++i) {
        const Values& places = all[i].object("recoveries");
        recoveries[i].from = source_places_from(at(places, "from"));
        recoveries[i].to = source_places_from(at(places, "to"));
      }
    }
    const auto probed = values.find("probe");
    if (probed != values.end()) {
      probe = probed->second;
    }
  }
};

HOLDFAST_INLINE EngineState engine_state(
    const Directory& root,
    const Found& found,
    const Settings& settings) {
  try {
    return EngineState(
        found.restore.engine(),
        found.manifest.divergences,
        settings.divergence);
  } catch (const Error& error) {
    throw error.at(root.path() + "/" + found.name.name);
  }
}

} // namespace detail

/// Takes the directory and lets `begin` begin the run. If that fails, nothing
/// is left open, and random state and loaders are as they were.
HOLDFAST_INLINE ResumeReport Manager::State::take(
    Create create,
    const std::function<ResumeReport()>& begin) {
  require_not_resumed();
  for (const NamedPart& named_part : parts.all()) {
    named_part.part->forget_restore();
  }
  RandomSnapshot before(parts, RandomSnapshot::Positions::taken);
  ResumeReport report;
  try {
    // Said before the disk is touched: what cannot be saved.
    std::uint64_t bytes = 0;
    {
      const std::vector<CapturedPart> captured = capture(parts);
      bytes = plan_checkpoint(captured).bytes + state_bytes(captured);
    }
    static_cast<void>(run_probe());
    require_learning_rates();
    root = settings.file_system->open_root(directory, create);
    writer = detail::Owned<Writer>(new Writer(
        root, *settings.clock, settings.lock_wait_seconds, settings.deletion));
    history = detail::Owned<History>(new History(*root));
    if (settings.event_log) {
      event_log = detail::Owned<EventLog>(new EventLog(root));
    }
    heartbeat = detail::Owned<Heartbeat>(
        new Heartbeat(root, *settings.clock, settings.heartbeat_seconds));
    started_at = settings.clock->monotonic_seconds();
    beat(Heartbeat::State::resuming, 0);
    // Before a restore, because attaching puts them at the start; and before
    // a line is begun, because it may fail.
    sources.attach(parts, *this);
    report = begin();
    warn_of_a_full_disk(
        settings.compression.zstd_level && report.checkpoint
            ? report.checkpoint->bytes
            : bytes);
    spoiled = false;
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    close();
    before.put_back();
    std::rethrow_exception(error);
  }
  beat(Heartbeat::State::running, elapsed());
  tell(
      report.resumed() ? SafePoint::Kind::resumed
                       : SafePoint::Kind::fresh_start,
      {});
  return report;
}

HOLDFAST_INLINE void Manager::State::close() noexcept {
  end_heartbeat();
  if (writer && fork_generation() == fork) {
    if (interruption.empty()) {
      writer->trash().wait();
    } else {
      writer->trash().leave();
    }
    tell_deletion_failures(Tell::log_only); // a handler may be gone by now
  }
  sources.detach();
  heartbeat.reset();
  event_log.reset();
  history.reset();
  writer.reset();
  root.reset();
}

HOLDFAST_INLINE ResumeReport Manager::State::new_report() const {
  ResumeReport report;
  report.directory = directory;
  report.line = line;
  for (const NamedPart& named_part : parts.all()) {
    append_notes(named_part, report.notes);
    report.parts_exact = report.parts_exact && named_part.part->exact();
  }
  return report;
}

/// The newest valid checkpoint of the current line, or a fresh start where that
/// is allowed.
HOLDFAST_INLINE ResumeReport Manager::State::go_on() {
  const Catalog catalog = scan(*root);
  line = catalog.current_line();
  SearchResult result = search(
      *root,
      catalog.search_order(),
      parts,
      nullptr,
      settings.transfers,
      *settings.clock);
  if (result.found) {
    return begin_at(std::move(result), catalog);
  }
  require_fresh(*root, catalog, writer->mark(), result.passed_over);
  require_unspoiled();
  return begin_fresh();
}

/// What a former life or line of this manager has left.
HOLDFAST_INLINE void Manager::State::forget_line() {
  diverged.reset();
  left_out.clear();
  stamped.state.forget();
  best_values.clear();
  unsaved_metrics = {};
  stepped = false;
  stop_saved = false;
  told_to_stop = false;
  epoch_cut = false;
}

/// Nothing has been trained.
HOLDFAST_INLINE void Manager::State::forget_run() {
  forget_line();
  means = RunningMeans();
  watch.clear();
  divergence.reset();
  recoveries.clear();
  last_save = {};
  save_seconds = 0;
  progress = {};
  last_saved = {};
  last_saved_exact = true;
  last_path.clear();
  elapsed_before = 0;
  attempt = 0;
  resumed_from.reset();
  may_owe_end = false;
  random_at_begin.reset();
}

HOLDFAST_INLINE ResumeReport Manager::State::begin_fresh() {
  run_id = random_id();
  run_name = settings.run_name;
  forget_run();
  if (settings.divergence) {
    divergence.emplace(*settings.divergence);
  }
  history->set_run(run_id);
  ResumeReport report = new_report();
  emit(Event::Kind::fresh_start, "", report.to_string());
  return report;
}

/// `other_run` for a checkpoint that belongs to another one.
HOLDFAST_INLINE void Manager::State::require_same_run(
    const Found& found) const {
  const std::string& name = found.manifest.run_name;
  if (settings.run_name.empty() || name.empty() || name == settings.run_name ||
      settings.other_run == OtherRun::adopt ||
      found.manifest.run_id == run_id) { // it was adopted before
    return;
  }
  ErrorDetails details;
  details.path = root->path() + "/" + found.name.name;
  details.name = "run_name";
  details.message = "this checkpoint belongs to another run";
  details.found = "'" + name + "'";
  details.expected = "'" + settings.run_name + "'";
  throw Error(ErrorCode::other_run, std::move(details));
}

/// Applies what a search found.
HOLDFAST_INLINE ResumeReport
Manager::State::begin_at(SearchResult result, const Catalog& catalog) {
  Found& found = *result.found;
  const Manifest& manifest = found.manifest;
  require_same_run(found);
  detail::EngineState engine = detail::engine_state(*root, found, settings);
  const Environment environment_now = record_environment();

  try {
    found.restore.apply();
  } catch (...) {
    spoiled = spoiled || found.restore.is_applied();
    throw;
  }
  spoiled = true; // until the call is through

  forget_line();
  means = std::move(engine.means);
  watch = std::move(engine.watch);
  divergence = std::move(engine.divergence);
  recoveries = std::move(engine.recoveries);
  last_save = engine.last_save;
  // A rollback does not forget what was measured since.
  save_seconds = rolling_back ? std::max(save_seconds, engine.save_seconds)
                              : engine.save_seconds;
  progress = manifest.progress;
  last_saved = manifest.progress;
  last_saved_exact = manifest.exact;
  last_path = root->path() + "/" + found.name.name;
  elapsed_before = manifest.progress.elapsed_seconds;
  started_at = settings.clock->monotonic_seconds();
  if (!rolling_back || run_id != manifest.run_id) {
    attempt = manifest.attempt + 1; // else the process is the same
  }
  run_id = manifest.run_id;
  run_name = settings.run_name.empty() ? manifest.run_name : settings.run_name;
  may_owe_end = true;
  resumed_from = CheckpointIdentity{manifest.sequence, manifest.id};
  history->set_run(run_id);
  history->mark_valid(manifest.sequence);
  history->set_resumed_from(manifest.sequence);
  quarantine(result);
  see_saved_divergence();

  ResumeReport report = new_report();
  random_at_begin.emplace(parts);
  report.checkpoint = describe(root->path(), found.name.name, manifest);
  report.passed_over = std::move(result.passed_over);
  for (const PassedOver& other : report.passed_over) {
    report.steps_lost = std::max(report.steps_lost, other.step - manifest.step);
    history->exclude(parse_name(other.name).sequence);
    emit(Event::Kind::passed_over, other.name, to_string(other));
  }
  report.differences = compare(manifest.environment, environment_now);
  report.parts = found.restore.restored();
  report.probe = check_probe(engine.probe);
  if (progress.batch > 0 && sources.empty()) {
    report.position_known = false;
    report.notes.push_back(
        "saved in mid-epoch, and no data loader is attached: the epoch goes on "
        "wherever your own loader begins");
  }
  if (manifest.line != catalog.line_of(manifest.sequence)) {
    report.notes.push_back(
        "it was saved on line " + std::to_string(manifest.line) +
        ", whose file is gone: lines that were left may be mixed in");
  }
  const std::uint64_t committed = writer->mark().committed;
  if (!catalog.checkpoints.empty() &&
      committed > std::max(
                      catalog.checkpoints.back().sequence,
                      catalog.highest_quarantined)) {
    report.notes.push_back(
        "checkpoint number " + std::to_string(committed) +
        " was committed here once and is gone");
  }
  for (const std::string& name : catalog.foreign) {
    report.notes.push_back(
        name +
        " is foreign (another one has its number, or it is a link): it is "
        "neither used nor touched");
  }
  for (const DivergenceRecord& record : manifest.divergences) {
    report.notes.push_back(record.to_string());
  }
  if (probe && !report.probe) {
    report.notes.push_back("it was saved without a probe: nothing to compare");
  }
  if (report.probe &&
      report.probe->outcome == ProbeResult::Outcome::different) {
    emit(
        Event::Kind::warning,
        found.name.name,
        "the probe " + report.probe->text);
  }
  if (!rolling_back) {
    emit(Event::Kind::resumed, found.name.name, report.to_string());
  }
  return report;
}

/// Moves damaged checkpoints of our own run aside, now that another one has
/// been applied. One whose manifest is damaged no longer tells its run, and
/// stays where it is.
HOLDFAST_INLINE void Manager::State::quarantine(SearchResult& result) {
  for (const Manifest& manifest : result.damaged) {
    if (manifest.run_id != run_id) {
      continue;
    }
    auto passed = result.passed_over.begin(); // every damaged one is there
    while (parse_name(passed->name).sequence != manifest.sequence) {
      ++passed;
    }
    try {
      writer->quarantine(
          CheckpointName{manifest.sequence, manifest.step, passed->name},
          passed->reason);
      if (root->exists(passed->name)) {
        continue; // the name could not be changed
      }
      passed->quarantined = true;
      emit(
          Event::Kind::quarantined,
          passed->name,
          passed->name + " was moved aside: " + passed->reason);
    } catch (const Error& error) {
      emit(Event::Kind::warning, passed->name, error.what());
    }
  }
}

HOLDFAST_INLINE ResumeReport Manager::resume() {
  return state_->take(Create::yes, [this] { return state_->go_on(); });
}

} // namespace holdfast

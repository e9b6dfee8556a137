#pragma once

#include <holdfast/engine/impl/manager.ipp>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE void require_tag(const std::string& tag) {
  if (!is_name(tag)) {
    throw_invalid_argument(
        "tag", "tags match [a-z0-9_-]{1,64}", "'" + tag + "'");
  }
}

/// The engine's own values, parsed before anything live changes.
struct EngineState {
  RunningMeans means;
  TriggerPoint last_save;

  explicit EngineState(const Values& values) {
    means.load(at(values, "means"));
    const Values& point = at(values, "last_save").object("last_save");
    last_save.step = at(point, "step").as<std::int64_t>("step");
    last_save.epoch = at(point, "epoch").as<std::int64_t>("epoch");
    last_save.elapsed_seconds = at(point, "elapsed").as<double>("elapsed");
  }
};

HOLDFAST_INLINE EngineState
engine_state(const Directory& root, const Found& found) {
  try {
    return EngineState(found.restore.engine());
  } catch (const Error& error) {
    throw error.at(root.path() + "/" + found.name.name);
  }
}

} // namespace detail

/// Takes the directory and lets `begin` begin the run. If that fails, nothing
/// is left open, and random state and loaders are as they were.
HOLDFAST_INLINE ResumeReport
Manager::State::take(const std::function<ResumeReport()>& begin) {
  require_not_resumed();
  RandomSnapshot before(parts, RandomSnapshot::Positions::taken);
  try {
    // Said before the disk is touched: what cannot be saved.
    static_cast<void>(plan_checkpoint(capture(parts)));
    root = settings.file_system->open_root(directory, Create::yes);
    writer = std::make_unique<Writer>(
        root, *settings.clock, settings.lock_wait_seconds);
    history = std::make_unique<History>(*root);
    started_at = settings.clock->monotonic_seconds();
    return begin();
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    close();
    before.put_back();
    std::rethrow_exception(error);
  }
}

HOLDFAST_INLINE void Manager::State::close() noexcept {
  for (Cursor* cursor : cursors) {
    cursor->attach(nullptr);
  }
  cursors.clear();
  history.reset();
  writer.reset();
  root.reset();
}

HOLDFAST_INLINE void Manager::State::attach_loaders() {
  for (const NamedPart& named_part : parts.all()) {
    if (Cursor* cursor = named_part.part->cursor()) {
      cursor->attach(this);
      cursors.push_back(cursor);
    }
  }
}

HOLDFAST_INLINE ResumeReport Manager::State::new_report() const {
  ResumeReport report;
  report.directory = directory;
  report.line = line;
  for (const NamedPart& named_part : parts.all()) {
    for (const std::string& note : named_part.part->notes()) {
      report.notes.push_back(named_part.name + ": " + note);
    }
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
      Unregistered::refused,
      *settings.clock);
  if (result.found) {
    return begin_at(std::move(result), catalog);
  }
  require_fresh(*root, catalog, writer->mark(), result.passed_over);
  return begin_fresh();
}

HOLDFAST_INLINE ResumeReport Manager::State::begin_fresh() {
  run_id = random_id();
  history->set_run(run_id);
  attach_loaders();
  ResumeReport report = new_report();
  emit(Event::Kind::fresh_start, "", report.to_string());
  return report;
}

/// Applies what a search found.
HOLDFAST_INLINE ResumeReport
Manager::State::begin_at(SearchResult result, const Catalog& catalog) {
  Found& found = *result.found;
  const Manifest& manifest = found.manifest;
  detail::EngineState engine = detail::engine_state(*root, found);
  const Environment environment_now = record_environment();

  attach_loaders(); // before the restore: attaching puts them at the start
  found.restore.apply();

  means = std::move(engine.means);
  last_save = engine.last_save;
  progress = manifest.progress;
  last_saved = manifest.progress;
  elapsed_before = manifest.progress.elapsed_seconds;
  run_id = manifest.run_id;
  attempt = manifest.attempt + 1;
  resumed_from = CheckpointIdentity{manifest.sequence, manifest.id};
  if (progress.batch > 0) {
    random_at_begin.emplace(parts);
  }
  history->set_run(run_id);
  history->mark_valid(manifest.sequence);
  history->set_resumed_from(manifest.sequence);
  quarantine(result);

  ResumeReport report = new_report();
  report.checkpoint = describe(root->path(), found.name.name, manifest);
  report.passed_over = std::move(result.passed_over);
  for (const PassedOver& other : report.passed_over) {
    report.steps_lost =
        std::max(report.steps_lost, other.step - manifest.step);
    history->exclude(parse_name(other.name).sequence);
    emit(
        Event::Kind::passed_over,
        other.name,
        other.name + ": " + to_string(other.verdict) + ": " + other.reason);
  }
  report.differences = compare(manifest.environment, environment_now);
  report.parts = found.restore.restored();
  for (const std::string& name : catalog.foreign) {
    report.notes.push_back(
        name + " is foreign: it is neither used nor touched");
  }
  emit(Event::Kind::resumed, found.name.name, report.to_string());
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
    const auto passed = std::find_if(
        result.passed_over.begin(),
        result.passed_over.end(),
        [&](const PassedOver& other) {
          return parse_name(other.name).sequence == manifest.sequence;
        });
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
  return state_->take([this] { return state_->go_on(); });
}

HOLDFAST_INLINE ResumeReport Manager::start_fresh(const std::string& tag) {
  detail::require_tag(tag);
  State& state = *state_;
  return state.take([&] {
    const std::optional<Line> current = state.writer->current_line();
    if (current && current->tag == tag) {
      return state.go_on();
    }
    state.line = state.writer->begin_line(0, tag).sequence;
    return state.begin_fresh();
  });
}

HOLDFAST_INLINE ResumeReport Manager::resume_from(
    const std::string& checkpoint,
    const std::string& tag) {
  if (!tag.empty()) {
    detail::require_tag(tag);
  }
  const SplitPath split = split_path(checkpoint);
  const std::string& name = split.name;
  const ParsedName parsed = parse_name(name);
  if (parsed.kind != NameKind::checkpoint) {
    throw_invalid_argument(
        "checkpoint", "is no checkpoint's name or path", "'" + checkpoint + "'");
  }
  State& state = *state_;
  return state.take([&] {
    if (!split.parent.empty() &&
        state.settings.file_system->open_root(split.parent, Create::no)
                ->identity() != state.root->identity()) {
      throw_invalid_argument(
          "checkpoint",
          "belongs to another directory; holdfast::load() reads from there",
          "'" + checkpoint + "'");
    }
    const std::optional<Line> current = state.writer->current_line();
    if (!tag.empty() && current && current->tag == tag) {
      return state.go_on();
    }
    const Catalog catalog = scan(*state.root);
    if (std::count(catalog.foreign.begin(), catalog.foreign.end(), name) != 0) {
      ErrorDetails details;
      details.path = state.root->path() + "/" + name;
      details.message = "its number is not its own, so no later resume finds it";
      throw Error(ErrorCode::foreign, std::move(details));
    }
    const CheckpointName wanted{parsed.sequence, parsed.step, name};
    SearchResult result = search(
        *state.root,
        {wanted},
        state.parts,
        Unregistered::refused,
        *state.settings.clock);
    if (!result.found) {
      const PassedOver& other = result.passed_over.front();
      ErrorDetails details;
      details.path = checkpoint;
      details.message = other.reason;
      throw Error(code_of(other.verdict), std::move(details));
    }
    static_cast<void>(detail::engine_state(*state.root, *result.found));
    // Durable before anything changes: a crash right after must not fall back
    // into the line that was left.
    state.line = state.writer->begin_line(parsed.sequence, tag).sequence;
    return state.begin_at(std::move(result), catalog);
  });
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/manager.hpp>

#include <holdfast/base/posix_fork.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/engine/data_sources.hpp>
#include <holdfast/engine/divergence_watch.hpp>
#include <holdfast/engine/event_log.hpp>
#include <holdfast/engine/heartbeat.hpp>
#include <holdfast/engine/history.hpp>
#include <holdfast/engine/metric_watch.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/program_environment.hpp>
#include <holdfast/engine/running_means.hpp>
#include <holdfast/engine/search.hpp>
#include <holdfast/engine/space_report.hpp>
#include <holdfast/engine/state_stamp.hpp>
#include <holdfast/engine/write.hpp>
#include <holdfast/policy/best.hpp>
#include <holdfast/policy/trigger.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/names.hpp>
#include <holdfast/store/trash.hpp>
#include <holdfast/store/writer.hpp>

#include <algorithm>
#include <atomic>
#include <utility>

namespace holdfast {

namespace detail {

/// Said at the call that brings it, and not by every save from then on.
HOLDFAST_INLINE void require_names(const Metrics& metrics) {
  for (const auto& metric : metrics.values()) {
    if (metric.first.empty() || !is_utf8(metric.first)) {
      throw_invalid_argument(
          "metrics", "a name must be UTF-8 and not empty", metric.first);
    }
  }
}

HOLDFAST_INLINE CheckpointName name_of(const CheckpointInfo& info) {
  return CheckpointName{info.sequence, info.step, info.name};
}

/// The parts at a safe point, in case an exception leaves the loop before the
/// next one. The manager's own state does not move until then.
struct StampedSafePoint {
  StateStamp state; ///< Not taken: it cannot be had.
  Metrics metrics;
  bool exact = true;
};

/// One time that a run went back by itself, and the data that did it.
struct Recovery {
  DivergenceRecord record;
  std::vector<SourcePlace> from;
  std::vector<SourcePlace> to;
};

} // namespace detail

/// The manager's insides. Attached loaders hold a reference to it.
struct Manager::State final : LoopControl {
  State(Manager& its_manager, std::string path, const Options& options)
      : manager(its_manager),
        directory(std::move(path)),
        settings(options.resolve()),
        fork(fork_generation()) {}

  // What was given.
  Manager& manager;
  std::string directory;
  Settings settings;
  PartSet parts;
  std::function<Environment()> environment;
  std::function<Value()> probe;
  double probe_tolerance = 0;
  std::uint64_t fork;

  // What a resume sets up.
  std::shared_ptr<Directory> root;
  detail::Owned<Writer> writer;
  detail::Owned<History> history;
  detail::Owned<EventLog> event_log;
  detail::Owned<Heartbeat> heartbeat;
  DataSources sources;
  std::string run_id;
  std::string run_name; ///< Of the run that goes on; may be empty.
  std::int64_t attempt = 0;
  std::uint64_t line = 0;
  std::optional<CheckpointIdentity> resumed_from;
  double elapsed_before = 0;
  double started_at = 0;

  // Where the run stands.
  Progress progress;
  RunningMeans means;
  MetricWatch watch;
  std::optional<DivergenceWatch> divergence;
  std::optional<detail::Recovery> diverged; ///< And running() not asked since.
  std::vector<detail::Recovery> recoveries; ///< All of this run, in order.
  bool told_no_metric = false; ///< That the one that is followed never comes.
  TriggerPoint last_save;
  double last_attempt = 0; ///< At a save; on the monotonic clock.
  /// What comes amid such a save is told right after it.
  bool is_saving_what_is_due = false;
  Progress last_saved; ///< Where the newest checkpoint stands.
  bool last_saved_exact = true;
  std::string last_path; ///< Of the newest checkpoint; empty: none.
  double save_seconds = 0; ///< What a save takes, as measured; 0: unknown.
  int failures = 0; ///< Of saves that were due, in a row; not for space.
  int space_failures = 0; ///< In a row.
  std::exception_ptr last_error; ///< Of the newest failed save.
  std::vector<std::optional<double>> best_values; ///< By rule; empty: unknown.
  /// Of the safe point at which the run stands, if it was due and is not saved.
  Metrics unsaved_metrics;
  std::optional<Steps> step_goal;
  std::optional<Epochs> epoch_goal;
  std::atomic<bool> stop_requested{false};
  bool stopped = false; ///< The request, seen at a safe point.
  Interrupter* interrupter = nullptr;
  std::string interruption; ///< Its reason; empty: none.
  bool told_interruption = false;
  std::string left_out; ///< Why an interrupted run was not saved.
  bool stepped = false; ///< In this life, or since it went back.
  bool may_owe_end = false; ///< A resume, and running() not asked since.
  bool rolling_back = false;
  std::vector<bool> complained = ///< Of `settings.save_when`.
      std::vector<bool>(settings.save_when.size(), false);
  bool stop_saved = false; ///< A step has been saved because the run ends.
  bool told_to_stop = false; ///< running() said false, and no step followed.
  bool epoch_cut = false; ///< end_epoch() was ignored: its epoch is not over.
  bool rolled_back = false; ///< And running() has not been asked since.
  bool range_left = false; ///< By a rollback, and no other has begun since.
  bool spoiled = false; ///< Restored by a resume that failed all the same.
  bool in_run = false; ///< The loop runs inside of run().
  detail::StampedSafePoint stamped; ///< The last one.
  const char* unstamped = ""; ///< Why that cannot be had.
  TriggerPoint last_stamp;
  double stamp_seconds = 0; ///< What the last one took; 0: unknown.
  /// After a resume, until the loop goes on: what it goes on with, whatever is
  /// drawn before.
  std::optional<RandomSnapshot> random_at_begin;

  /// A request counts from the next safe point on: a loader must not end its
  /// range inside a step that takes several batches.
  [[nodiscard]] bool goal_is_reached() const noexcept {
    return (step_goal && progress.step >= step_goal->count) ||
        (epoch_goal && progress.epoch >= epoch_goal->count);
  }
  /// And nobody has been told of it yet.
  [[nodiscard]] bool is_interrupted() const noexcept {
    return !interruption.empty() && !told_interruption;
  }
  [[nodiscard]] bool stopping() const noexcept override {
    return stopped || diverged ||
        (step_goal && progress.step >= step_goal->count);
  }
  void see_stop_request(bool may_be_interrupted = true) {
    if (interrupter != nullptr && interruption.empty() && may_be_interrupted) {
      see_interruption();
    }
    stopped = stopped || stop_requested.load(std::memory_order_relaxed) ||
        !interruption.empty();
  }
  void range_begins() override {
    range_left = false;
    // At a border it is running() that begins the epoch: what is drawn between
    // it and the range belongs to the epoch. A loop that does not ask it may
    // draw there, too.
    if (progress.batch > 0) {
      put_back_random();
    }
    random_at_begin.reset();
  }
  void put_back_random() {
    if (random_at_begin) {
      random_at_begin->put_back();
      random_at_begin.reset();
    }
  }

  // engine/impl/manager_telling.ipp
  enum class Tell { everybody, log_only };
  void emit(
      Event::Kind kind,
      std::string checkpoint,
      std::string text,
      Tell whom = Tell::everybody);
  void beat(Heartbeat::State state, double elapsed_seconds) noexcept;
  [[nodiscard]] Heartbeat::State state_at_end() const noexcept;
  void end_heartbeat() noexcept;

  void tell(SafePoint::Kind kind, const Metrics& metrics) {
    for (const SafePointHandler& handler : settings.on_safe_point) {
      handler(SafePoint{kind, manager, parts, metrics});
    }
  }

  void require_owner() const {
    if (fork_generation() != fork) {
      throw Error(
          ErrorCode::forked,
          "this process is a forked child; the manager belongs to its parent");
    }
  }
  void require_resumed() const {
    require_owner();
    if (!writer) {
      throw Error(
          ErrorCode::not_resumed, "call resume() or start_fresh() first");
    }
  }
  void require_not_resumed() const {
    require_owner();
    if (writer) {
      throw Error(
          ErrorCode::already_resumed,
          "parts are added, and a run is resumed, only once and in this order");
    }
  }
  /// A run that begins from nothing must not begin with restored objects.
  void require_unspoiled() const {
    if (spoiled) {
      throw Error(
          ErrorCode::already_resumed,
          "an earlier resume failed after the objects had been restored: begin "
          "again with new objects and a new manager");
    }
  }

  [[nodiscard]] double elapsed() const {
    return elapsed_before + settings.clock->monotonic_seconds() - started_at;
  }
  [[nodiscard]] TriggerPoint now() const {
    return TriggerPoint{progress.step, progress.epoch, elapsed()};
  }
  [[nodiscard]] Environment record_environment() const {
    Environment record = environment ? environment() : Environment();
    const Environment program = program_environment();
    for (const auto& entry : program.entries) {
      record.entries.insert(entry);
    }
    for (const auto& tag : settings.tags) {
      record.set("tag." + tag.first, tag.second, Severity::breaks_bit_equality);
    }
    return record;
  }

  // engine/impl/manager_resume.ipp
  ResumeReport take(Create create, const std::function<ResumeReport()>& begin);
  void close() noexcept;
  ResumeReport go_on();
  ResumeReport begin_fresh();
  void forget_line();
  void forget_run();
  ResumeReport begin_at(SearchResult result, const Catalog& catalog);
  void require_same_run(const Found& found) const;
  void quarantine(SearchResult& result);
  [[nodiscard]] ResumeReport new_report() const;

  // engine/impl/manager_lines.ipp
  [[nodiscard]] bool continues(
      const std::optional<Line>& asked,
      std::uint64_t origin,
      const std::string& tag) const;
  [[nodiscard]] CheckpointName named_checkpoint(const std::string& text) const;
  SearchResult find_named(const CheckpointName& named, const Catalog& catalog);
  ResumeReport branch_at(
      SearchResult result,
      const Catalog& catalog,
      const std::string& tag,
      bool rollback);
  ResumeReport roll_back(
      const std::function<SearchResult(const Catalog&)>& find);
  ResumeReport tell_rollback(ResumeReport report);
  void return_to(const Catalog& former);

  // engine/impl/manager_divergence.ipp
  void require_learning_rates();
  void see_divergence(const Metrics& metrics);
  void mark_last_good(std::vector<RetentionEntry>& entries) const;
  void set_diverged();
  void see_saved_divergence();
  void warn_of_suspicion();
  void go_back();
  void warn_of_no_metric();

  // engine/impl/manager_space.ipp
  [[nodiscard]] std::string note_failure();
  void see_lost_lock(const Error& error) noexcept;
  [[nodiscard]] bool is_pausing() const;
  [[nodiscard]] bool pause_for_space(double& pause, double end);
  void wait_for_deletions(std::uint64_t bytes);
  [[nodiscard]] SaveHandle wait_for_space(
      SaveHandle failed,
      const Metrics& metrics,
      const std::vector<std::string>& reasons);
  void warn_of_a_full_disk(std::uint64_t bytes);

  // engine/impl/manager_exception.ipp
  void leave_safe_point() noexcept;
  void stamp_safe_point(const Metrics& metrics);
  [[nodiscard]] std::optional<std::vector<CapturedPart>> recover_safe_point(
      std::string& why_not);
  void save_safe_point(const char* exception);

  // engine/impl/manager_probe.ipp
  [[nodiscard]] Value run_probe();
  [[nodiscard]] Value probe_at_save();
  [[nodiscard]] std::optional<ProbeResult> check_probe(const Value& was);

  // engine/impl/manager_interruption.ipp
  void see_interruption();
  [[nodiscard]] std::string too_late_to_save() const;
  void tell_interruption();

  // engine/impl/manager_save.ipp
  [[nodiscard]] Values engine_values(Value probed) const;
  [[nodiscard]] Manifest manifest(
      const Metrics& metrics,
      std::vector<std::string> reasons,
      bool exact) const;
  [[nodiscard]] std::string save_text(
      const std::vector<std::string>& reasons) const;
  SaveHandle save(const Metrics& metrics, std::vector<std::string> reasons);
  SaveHandle write(
      const std::vector<CapturedPart>& captured,
      Value probed,
      const Metrics& metrics,
      std::vector<std::string> reasons,
      bool exact,
      double began);
  [[nodiscard]] std::vector<std::string> due_at(const TriggerPoint& point);
  void save_if_due(const Metrics& metrics, bool goal_reached);
  /// Where the run stands is what the newest checkpoint holds.
  [[nodiscard]] bool is_saved() const noexcept {
    return progress.step == last_saved.step &&
        progress.epoch == last_saved.epoch;
  }
  [[nodiscard]] bool ask_running();
  void require_ranked(const Metrics& metrics, bool epoch_ends) const;
  template <class Use>
  void for_new_bests(const Metrics& metrics, const Use& use);
  [[nodiscard]] std::vector<std::string> new_bests(const Metrics& metrics);

  // engine/impl/manager_retention.ipp
  [[nodiscard]] std::vector<RetentionDecision> decide(
      const std::vector<CheckpointInfo>& infos);
  void retain();
  void tell_deletion_failures(Tell whom = Tell::everybody) noexcept;
  [[nodiscard]] bool discard(
      const CheckpointName& name,
      const std::string& reason,
      bool tell_if_held);
  [[nodiscard]] RetentionPlan plan();
  [[nodiscard]] std::vector<CheckpointInfo> prune();
};

HOLDFAST_INLINE Manager::Manager(std::string directory, Options options)
    : state_(new State(*this, std::move(directory), options)) {
  if (state_->directory.empty()) {
    throw_invalid_argument("directory", "must not be empty");
  }
}

HOLDFAST_INLINE Manager::~Manager() {
  state_->close(); // what is on disk is left to its owner by the lock itself
}

HOLDFAST_INLINE void Manager::add_part(
    std::string name,
    std::unique_ptr<Part> part) {
  state_->require_not_resumed();
  state_->parts.add(std::move(name), std::move(part));
}

HOLDFAST_INLINE void Manager::add_reserved_part(
    std::string name,
    std::unique_ptr<Part> part) {
  state_->require_not_resumed();
  state_->parts.add_reserved(std::move(name), std::move(part));
}

HOLDFAST_INLINE void Manager::set_probe(
    std::function<Value()> record,
    double tolerance) {
  state_->require_not_resumed();
  if (state_->probe) {
    throw_invalid_argument("probe", "there is one already");
  }
  if (!(tolerance >= 0)) {
    throw_invalid_argument(
        "tolerance", "must be 0 or more", format_number(tolerance));
  }
  state_->probe = std::move(record);
  state_->probe_tolerance = tolerance;
}

HOLDFAST_INLINE void Manager::set_environment(
    std::function<Environment()> environment) {
  state_->environment = std::move(environment);
}

HOLDFAST_INLINE void Manager::step(const Metrics& metrics) {
  State& state = *state_;
  state.require_resumed();
  detail::require_names(metrics);
  if (state.range_left) {
    throw Error(
        ErrorCode::rolled_back,
        "the batch at hand belongs to what was rolled back: leave the body of "
        "the loop, and ask running()");
  }
  if (state.diverged) {
    // What it trained is undone; but whoever wants it to end is heard.
    state.see_stop_request();
    state.tell_interruption();
    return;
  }
  state.require_ranked(metrics, false);
  state.leave_safe_point();
  state.rolled_back = false;
  state.stepped = true;
  if (state.divergence) {
    state.divergence->step_begins(state.sources);
  }
  state.progress.samples += state.sources.commit();
  ++state.progress.step;
  ++state.progress.batch;
  state.means.add(metrics);
  for (std::string& text :
       state.watch.add(metrics, state.settings.retention.best)) {
    state.emit(Event::Kind::warning, "", std::move(text));
  }
  state.random_at_begin.reset();
  state.told_to_stop = false;
  state.epoch_cut = false;
  if (state.divergence) {
    state.see_divergence(metrics);
  }
  state.see_stop_request();
  // A loop that goes on regardless is not saved at each of its steps.
  state.save_if_due(
      metrics,
      state.stopping() && (!state.stop_saved || state.is_interrupted()));
  state.stamp_safe_point(metrics);
  state.tell(SafePoint::Kind::step, metrics);
  state.tell_interruption();
}

HOLDFAST_INLINE void Manager::end_epoch(const Metrics& metrics) {
  State& state = *state_;
  state.require_resumed();
  detail::require_names(metrics);
  if (state.diverged) {
    return; // running() goes back, and that has been said
  }
  if (!epoch_done()) {
    state.emit(
        Event::Kind::warning,
        "",
        "end_epoch() was ignored: a stop or a rollback ended the epoch early; "
        "guard per-epoch code with epoch_done()");
    state.epoch_cut = true;
    return;
  }
  state.require_ranked(metrics, true);
  state.warn_of_no_metric();
  state.leave_safe_point();
  state.told_to_stop = false;
  state.epoch_cut = false;
  ++state.progress.epoch;
  state.progress.batch = 0;
  state.means.end_epoch();
  state.random_at_begin.reset();
  state.sources.start_epoch(state.progress.epoch);
  state.see_stop_request();
  state.save_if_due(metrics, state.goal_is_reached() || state.stopping());
  state.stamp_safe_point(metrics);
  state.tell(SafePoint::Kind::epoch, metrics);
  state.tell_interruption();
}

HOLDFAST_INLINE SaveHandle Manager::save(const Metrics& metrics) {
  state_->require_resumed();
  detail::require_names(metrics);
  state_->require_ranked(metrics, false);
  return state_->save(metrics, {"asked for"});
}

HOLDFAST_INLINE bool Manager::running(Epochs goal) {
  state_->require_resumed();
  state_->epoch_goal = goal;
  state_->step_goal.reset();
  return state_->ask_running();
}

HOLDFAST_INLINE bool Manager::running(Steps goal) {
  state_->require_resumed();
  state_->step_goal = goal;
  state_->epoch_goal.reset();
  return state_->ask_running();
}

HOLDFAST_INLINE bool Manager::epoch_done() const {
  state_->require_resumed();
  if (state_->rolled_back || state_->range_left || state_->diverged) {
    return false;
  }
  if (!state_->stopping()) {
    return true;
  }
  // Nothing cuts the range of a loader that is not attached, except a loop that
  // asks running() in its body.
  return state_->sources.empty() ? !state_->told_to_stop
                                 : state_->sources.at_end();
}

HOLDFAST_INLINE void Manager::request_stop() noexcept {
  state_->stop_requested.store(true, std::memory_order_relaxed);
}

HOLDFAST_INLINE Progress Manager::progress() const {
  state_->require_owner();
  Progress progress = state_->progress;
  if (state_->writer) {
    progress.elapsed_seconds = state_->elapsed();
  }
  return progress;
}

HOLDFAST_INLINE std::int64_t Manager::epoch() const {
  state_->require_owner();
  return state_->progress.epoch;
}

HOLDFAST_INLINE double Manager::epoch_mean(const std::string& metric) const {
  state_->require_owner();
  return state_->means.mean(metric);
}

HOLDFAST_INLINE std::vector<DivergenceRecord> Manager::divergences() const {
  state_->require_resumed();
  std::vector<DivergenceRecord> records;
  for (const detail::Recovery& recovery : state_->recoveries) {
    records.push_back(recovery.record);
  }
  return records;
}

HOLDFAST_INLINE std::vector<CheckpointInfo> Manager::list() const {
  state_->require_resumed();
  return state_->history->list();
}

HOLDFAST_INLINE std::optional<CheckpointInfo> Manager::latest() const {
  const std::vector<CheckpointInfo> all = list();
  return all.empty() ? std::nullopt : std::make_optional(all.back());
}

HOLDFAST_INLINE std::optional<CheckpointInfo> Manager::best(
    const std::string& metric) const {
  state_->require_resumed();
  return state_->history->best(
      rule_of(state_->settings.retention.best, metric));
}

HOLDFAST_INLINE const std::string& Manager::directory() const noexcept {
  return state_->directory;
}

} // namespace holdfast

#include <holdfast/engine/impl/manager_divergence.ipp>
#include <holdfast/engine/impl/manager_exception.ipp>
#include <holdfast/engine/impl/manager_interruption.ipp>
#include <holdfast/engine/impl/manager_lines.ipp>
#include <holdfast/engine/impl/manager_probe.ipp>
#include <holdfast/engine/impl/manager_resume.ipp>
#include <holdfast/engine/impl/manager_retention.ipp>
#include <holdfast/engine/impl/manager_save.ipp>
#include <holdfast/engine/impl/manager_space.ipp>
#include <holdfast/engine/impl/manager_telling.ipp>

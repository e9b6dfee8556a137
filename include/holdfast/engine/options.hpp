#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/event.hpp>
#include <holdfast/engine/safe_point.hpp>
#include <holdfast/engine/transfer.hpp>
#include <holdfast/format/environment.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>
#include <holdfast/policy/divergence.hpp>
#include <holdfast/policy/no_space.hpp>
#include <holdfast/policy/retention.hpp>
#include <holdfast/policy/trigger.hpp>
#include <holdfast/store/deletion.hpp>
#include <holdfast/store/transaction.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

/// No compression: the default. Tensor files open in any safetensors reader.
[[nodiscard]] inline Compression uncompressed() {
  return {};
}
/// zstd at `level`, 1 to 19. `zstd -d` gives the plain file back.
[[nodiscard]] inline Compression zstd(int level = 3) {
  Compression compression;
  compression.zstd_level = level;
  return compression;
}

/// A reason to save that the user decides.
struct SaveWhen {
  std::string reason;
  std::function<bool(const TriggerPoint&)> is_due;
};

/// What happens at a resume from a checkpoint of a run with another name.
enum class OtherRun { refuse, adopt };

/// Options as a manager uses them: complete and checked.
struct Settings {
  std::vector<SaveEvery> triggers;
  std::optional<SaveOverhead> overhead;
  std::vector<SaveWhen> save_when;
  RetentionRules retention;
  Deletion deletion = Deletion::in_background;
  Compression compression;
  double lock_wait_seconds = 0;
  int max_save_failures = 0;
  NoSpace no_space = NoSpace::retry;
  double no_space_seconds = 600;
  double exception_share = 0.02;
  std::uint64_t exception_memory = std::uint64_t{16} << 20;
  std::optional<DivergenceOptions> divergence;
  std::string run_name; ///< Empty: none.
  OtherRun other_run = OtherRun::refuse;
  std::vector<std::pair<std::string, std::string>> tags;
  EventHandler on_event;
  TransferListener transfers;
  bool event_log = true;
  double heartbeat_seconds = 5;
  std::vector<SafePointHandler> on_safe_point;
  std::shared_ptr<FileSystem> file_system;
  Clock* clock = nullptr;
};

/// How a manager saves and what it keeps. Every setter returns the options, so
/// calls chain; a setter that adds a rule may be called more than once.
class Options {
 public:
  Options() = default;

  /// Saves every so many steps, epochs, or so much time; any of them when
  /// several are given, this and the next two. Default: at the end of every
  /// epoch, and every half hour, so that a loop without epochs is saved too.
  Options& save_every(Steps interval);
  Options& save_every(Epochs interval);
  Options& save_every(std::chrono::duration<double> interval);

  /// Saves as often as saving takes no more than this share of the time, such
  /// as 0.02: the interval follows what a save is measured to take. Never more
  /// often than every `least`.
  Options& save_overhead(
      double share,
      std::chrono::duration<double> least = std::chrono::seconds(10));
  /// Saves when `is_due`, which is asked at each `step()` and `end_epoch()`, so
  /// it has to be quick; `reason` is recorded. What it throws counts as false,
  /// with a warning. One more each time.
  Options& save_when(
      std::string reason,
      std::function<bool(const TriggerPoint&)> is_due);

  /// Keeps the newest `count`. Default 3 where no other rule is given.
  Options& keep_last(std::size_t count);
  /// Keeps the `count` best by `metric`, and saves whenever there is a new best
  /// one, in `step()` too: choose a metric that is reported once an epoch. NaN
  /// is never best; among equals the oldest is.
  Options& keep_best(
      std::string metric,
      Best best = Best::lowest,
      std::size_t count = 1);
  /// The same, with what is done about values that are not finite, missing or
  /// equal.
  Options& keep_best(KeepBest rule);
  /// Keeps one for every so many steps or epochs, for ever: the first at or
  /// beyond each multiple.
  Options& keep_every(Steps interval);
  Options& keep_every(Epochs interval);
  /// Keeps one per hour, day or whatever: the first of each.
  Options& keep_one_per(std::chrono::duration<double> bucket);
  /// Keeps what is younger than `age`, and at least `floor` of all.
  Options& keep_younger_than(
      std::chrono::duration<double> age,
      std::size_t floor = 1);
  /// Keeps everything. Excludes every other keep rule.
  Options& keep_all();
  /// Limits what the rules keep to so many bytes in all; without a rule,
  /// everything that fits is kept. What only rules of time and position hold
  /// goes first, the oldest first, and what is protected stays, whatever it
  /// takes (docs/policies.md). One more checkpoint than this has to fit on the
  /// disk, because nothing is removed before the next one is durable.
  Options& keep_at_most(std::uint64_t total_bytes);

  /// Where the files of what retention and `prune()` remove are deleted.
  /// Default: in the background. The name goes at once either way, a save waits
  /// for what the one before it has removed, and the end of the manager for the
  /// rest; a preempted run leaves it to the next. Directories of the file
  /// system are then used by two threads.
  Options& deletion(Deletion deletion);

  /// Default: none.
  Options& compression(Compression compression);

  /// How long to wait for another process to let go of the directory: a job
  /// that is restarted elsewhere may overlap with the end of its former life.
  /// Default 10 s.
  Options& lock_wait(std::chrono::duration<double> time);

  /// After so many saves in a row that were due failed to be written, `step()`
  /// and `end_epoch()` throw the error; until then it only goes to the events.
  /// Default 3; 0: never. A lost lock is thrown at once; those for want of
  /// space are not counted (`on_no_space`).
  Options& max_save_failures(int count);

  /// What a scheduled save does that finds no space. Default: `NoSpace::retry`.
  /// `longest_wait` is for `NoSpace::wait`. A save that is asked for, and the
  /// last one of a run, tell by themselves.
  Options& on_no_space(
      NoSpace action,
      std::chrono::duration<double> longest_wait = std::chrono::minutes(10));

  /// What `Manager::run()` may take to be able to save when an exception leaves
  /// the loop. It reads all parts once at a safe point, and not at the next
  /// ones until that is within `share` of the time: where steps are long for
  /// the size of the state, all are covered. Default 0.02; 1: every safe point,
  /// 0: none.
  ///
  /// Of the smallest tensors, running statistics among them, it keeps copies,
  /// up to `memory` bytes in all (default 16 MiB); these may change. With room
  /// for the whole state the safe point can be saved whatever happens after it.
  Options& exception_overhead(
      double share,
      std::uint64_t memory = std::uint64_t{16} << 20);

  /// Goes back by itself when the loss diverges: to the newest checkpoint from
  /// before, on a new line. What was consumed since the last good step is then
  /// skipped, and learning rates are lowered, as `options` say; the checkpoint
  /// that follows at once, and all later ones, record it.
  ///
  /// At the step that shows it, ranges of attached loaders end, `epoch_done()`
  /// is false, and the next `running()` goes back: all that code between the
  /// two did to the parts is undone, too. `diverged` is thrown by `step()`
  /// where the run may not go back again, and by `running()` where no
  /// checkpoint is known to be good: one is when a later step gave a normal
  /// loss.
  ///
  /// From the first bad step on nothing that is due is saved but a new best;
  /// that, and what is saved for other reasons, is marked as suspect, is never
  /// gone back to, and does not count as valid for retention. Where there is no
  /// space for going back, `running()` waits for it (`on_no_space`) before it
  /// throws. Default: not done.
  Options& rollback_on_divergence(
      DivergenceOptions options = DivergenceOptions());

  /// Names the run, which every checkpoint records: two experiments that were
  /// given one directory by mistake do not go on from each other's checkpoints.
  /// Going on from, or back to, one of another name throws `other_run` before
  /// anything changes; with `OtherRun::adopt` it becomes this one's.
  /// Checkpoints without a name belong to anybody, and no name asks for none.
  Options& run_name(std::string name, OtherRun other = OtherRun::refuse);

  /// A fact of the user's own that belongs to the run, such as a data set's
  /// fingerprint: recorded, and a difference is reported as breaking equality.
  Options& tag(std::string name, std::string value);

  /// Receives every event instead of the default, which prints warnings and
  /// failures to stderr, a line each. An empty function silences them.
  Options& on_event(EventHandler handler);

  /// Is told how far a save or a resume is, each time another `interval` has
  /// passed, and at the end if it was told before; instead of the default,
  /// which draws a bar where stderr is a terminal. An empty function draws
  /// none.
  Options& on_transfer(
      TransferHandler handler,
      std::chrono::duration<double> interval = std::chrono::seconds(1));

  /// Whether events are written to history.jsonl in the run directory, too.
  /// Default: yes.
  Options& event_log(bool keep);
  /// How often HEARTBEAT in the run directory is brought up to date, for
  /// monitors (docs/operations.md). Default 5 s; 0: never.
  Options& heartbeat(std::chrono::duration<double> interval);

  /// Lets `handler` look at the run at every safe point; one more each time.
  Options& on_safe_point(SafePointHandler handler);

  /// For tests: where to write, and what time it is. `clock` must outlive the
  /// manager. Where a file system is given, deletion is at once by default, so
  /// that all happens in one order.
  Options& file_system(std::shared_ptr<FileSystem> file_system);
  Options& clock(Clock& clock);

  /// Fills in the defaults and checks everything: `invalid_argument` with the
  /// option's name.
  [[nodiscard]] Settings resolve() const;

 private:
  Settings settings_;
  bool keep_all_ = false;
  bool handler_set_ = false;
  bool lock_wait_set_ = false;
  bool max_failures_set_ = false;
  bool deletion_set_ = false;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/options.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/base/progress.hpp>
#include <holdfast/base/units.hpp>
#include <holdfast/engine/checkpoint_info.hpp>
#include <holdfast/engine/interrupter.hpp>
#include <holdfast/engine/options.hpp>
#include <holdfast/engine/probe.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/engine/retention_plan.hpp>
#include <holdfast/engine/save_handle.hpp>
#include <holdfast/state/adapter.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

/// Checkpoints a training run into one directory. This class needs no LibTorch:
/// any C++ trainer can `add()` its parts. LibTorch programs use the template
/// `CheckpointManager`, which derives from this one, and pass it to functions
/// and classes as `Manager&`.
///
/// Objects given to `add()` are held by reference, must outlive the manager and
/// are read anew at each save. Neither copies nor moves. One thread at a time,
/// `request_stop()` excepted. In a forked child every call throws `forked`, and
/// the destructor does nothing.
class Manager {
 public:
  /// `invalid_argument` for options that make no sense. Touches no disk.
  explicit Manager(std::string directory, Options options = {});
  /// Gives the directory back, when the files of removed checkpoints are gone.
  /// Never throws, never saves, calls no handler.
  HOLDFAST_INLINE virtual ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// Adds a part under `name` (`[a-z0-9_-]{1,64}`; "rng" is the LibTorch
  /// front's own), before `resume()`.
  template <class T>
  void add(std::string name, T& object) {
    add_part(std::move(name), make_part(object));
  }
  void add_part(std::string name, std::unique_ptr<Part> part);

  /// Tells after a restore whether the objects still do what they did: `output`
  /// is called at each save (but those that `run()` makes for an exception) and
  /// once more after a restore, and the report says whether the two outputs are
  /// equal, close or different (`ProbeResult`).
  ///
  ///     checkpoints.probe([&] {
  ///       torch::NoGradGuard no_grad;
  ///       model->eval();
  ///       auto output = model->forward(fixed_batch);
  ///       model->train();
  ///       return output;
  ///     });
  ///
  /// It returns anything that can be a part: a tensor, a number, a vector. It
  /// may draw from generators that are parts or members of parts; those are put
  /// back. All else it must leave as it was. `tolerance` says what is
  /// close, in parts of the output's largest number. One probe, given before
  /// `resume()`, which calls it on the objects as they are first and throws
  /// what it throws. Where it throws at a save later, the save goes on without
  /// it, with a warning.
  template <class Output>
  void probe(Output output, double tolerance = 1e-3) {
    set_probe(
        [output = std::move(output)]() mutable {
          auto result = output();
          return record_probe(*make_part(result));
        },
        tolerance);
  }
  void set_probe(std::function<Value()> record, double tolerance);

  /// Takes the directory, and puts the newest valid checkpoint of the current
  /// line into all parts; a fresh start where there is no trace of a former
  /// run. All or nothing: if it throws, no live object has changed - but for
  /// what an object's own `on_restored()` or an `Options::on_safe_point`
  /// handler throws, which are called when all have. Also runs a trial capture,
  /// so that what cannot be saved is said now. Random state is put back once
  /// more where the loop goes on (docs/data.md), so that drawing before it is
  /// harmless.
  ResumeReport resume();

  /// Goes back to `checkpoint`, a checkpoint of this directory (its path or
  /// its name), and begins a new line there: later ones are abandoned, not
  /// deleted. The line is durable before this returns. A call that finds that
  /// the newest line already began there with this `tag` (`[a-z0-9_-]{1,64}`)
  /// is a `resume()`, so that a job script may be run again verbatim after a
  /// preemption; to go back to the same checkpoint once more, give another tag.
  /// The newest line's tag with another checkpoint is `invalid_argument`; a
  /// checkpoint that is not there is `not_found`.
  ResumeReport resume_from(
      const std::string& checkpoint,
      const std::string& tag = {});

  /// Begins a new line from nothing, whatever the directory holds; a `resume()`
  /// if the newest line already began so with this tag.
  ResumeReport start_fresh(const std::string& tag);

  /// Goes back inside the running process to `checkpoint`, as for
  /// `resume_from()`, or to the `count`-th newest that `list()` tells, 1 being
  /// the newest; one of those that turns out to be damaged is passed over for
  /// the next older one. Restores all parts, random state and loaders included,
  /// and begins a new line, durable before anything changes: what came after is
  /// abandoned, and neither deleted nor counted by retention.
  ///
  /// All or nothing, as for `resume()`. Only where an object's `on_restored()`
  /// throws, or the disk refuses to take the line back, the manager lets go of
  /// the directory: from then on every call says `not_resumed`.
  ///
  /// Ranges of attached loaders end: leave the loop's body, and `running()`
  /// goes on from there; until then `epoch_done()` is false, and `step()`
  /// throws `rolled_back` until a range begins. Without an attached loader
  /// nothing tells the batch at hand from the next one: leave the body all the
  /// same.
  ///
  /// The same data and the same random numbers come again, so change something
  /// (a learning rate, the batches that are skipped) or it ends as before. The
  /// gradient of a bare tensor part is not reset. A later `resume()`,
  /// `start_fresh(tag)` or `resume_from(..., tag)` of the same job goes on from
  /// here.
  ResumeReport rollback(const std::string& checkpoint);
  ResumeReport rollback(std::size_t count = 1);

  /// One training step is done, and the position of attached loaders moves to
  /// here. Throws `diverged` where `Options::rollback_on_divergence` says so.
  /// Saves when due. A failure to write throws only after
  /// `Options::max_save_failures` of them in a row.
  void step(const Metrics& metrics = {});

  /// The epoch is complete: stands last in the epoch's code. Counts it, turns
  /// attached loaders to the next one, and saves when due. Does nothing, and
  /// reports it, if a stop ended the epoch early (see `epoch_done()`).
  void end_epoch(const Metrics& metrics = {});

  /// Saves now, whatever is due. What cannot be captured throws here; what
  /// cannot be written throws in `SaveHandle::wait()`. Called with a batch
  /// fetched but not stepped, it saves the last position and is not exact.
  SaveHandle save(const Metrics& metrics = {});

  /// Calls `loop`, which holds the whole training loop or a piece of it, and
  /// returns what it returns. What it throws goes on, but first the last safe
  /// point is saved, where its state can still be had: bit by bit as it was
  /// there, and never an update that was cut short. Values, random state and
  /// small tensors are remembered; large ones must not have changed since. So
  /// an exception from fetching data, a forward pass, a gradient or a
  /// validation costs no step where the state was read at the safe point.
  ///
  ///     checkpoints.run([&] {
  ///       while (checkpoints.running(holdfast::epochs(20))) { ... }
  ///     });
  ///
  /// For this all parts are read at safe points, as often as
  /// `Options::exception_overhead` allows; an event says whether it was saved,
  /// or why not. Parts must still be there when an exception leaves `loop`, so
  /// make them outside of it; what they do to be saved is done at safe points,
  /// too, and once more then. `invalid_argument` inside of another `run()`.
  template <class Loop>
  decltype(auto) run(Loop&& loop) {
    const RunScope scope(*this);
    try {
      return std::forward<Loop>(loop)();
    } catch (const std::exception& error) {
      scope.save_safe_point(error.what());
      throw;
    } catch (...) { // a thread that is cancelled comes by here, too
      scope.save_safe_point("no std::exception");
      throw;
    }
  }

  /// False when the goal is reached or a stop was requested. The goal also ends
  /// the ranges of attached loaders, and reaching it is a reason to save.
  /// Before it says false, what was trained last is saved; where that fails, it
  /// throws, because no later save would tell (not if
  /// `Options::max_save_failures` is 0). A run that has diverged goes back
  /// here.
  [[nodiscard]] bool running(Epochs goal);
  [[nodiscard]] bool running(Steps goal);

  /// True if the current epoch ran to its end, so that per-epoch code applies;
  /// false if a stop, a goal in steps or a rollback ended it early. Without an
  /// attached loader nothing but the loop itself ends it: false once
  /// `running()` said so.
  [[nodiscard]] bool epoch_done() const;

  /// From any thread or a signal handler: the next `step()` or `end_epoch()`
  /// saves, then `running()` is false and loaders' ranges end.
  void request_stop() noexcept;

  /// Lets `interrupter` end the run; null: nobody, which is how it begins. It
  /// must outlive the manager or be taken away before; `invalid_argument` while
  /// there is another one. See `Preemption`.
  void set_interrupter(Interrupter* interrupter);

  [[nodiscard]] Progress progress() const;
  [[nodiscard]] std::int64_t epoch() const;
  /// The mean of a metric over the steps of this epoch, resumed ones included.
  [[nodiscard]] double epoch_mean(const std::string& metric) const;

  /// How often the run diverged and went back by itself, in order: those that
  /// its newest checkpoint knows of, and later ones
  /// (`Options::rollback_on_divergence`).
  [[nodiscard]] std::vector<DivergenceRecord> divergences() const;

  /// Committed checkpoints of this run on the current line and its ancestors.
  [[nodiscard]] std::vector<CheckpointInfo> list() const;
  [[nodiscard]] std::optional<CheckpointInfo> latest() const;
  /// The best by a `keep_best` metric, where it has several rules by the last
  /// of them; by any other, the lowest.
  [[nodiscard]] std::optional<CheckpointInfo> best(
      const std::string& metric) const;
  /// What retention would keep and drop now, and why; what a save at this
  /// moment, without metrics and as large as the newest, would change; and what
  /// lies on lines that were left. Changes nothing.
  [[nodiscard]] RetentionPlan plan() const;

  /// Removes the checkpoints on lines that were left, those of former runs in
  /// this directory included, and tells which: nobody else ever does. What is
  /// pinned, being read or has no manifest that can be read stays, with a
  /// warning. Removes nothing, with a warning, while this line has fewer than
  /// two checkpoints that this process has saved or verified.
  std::vector<CheckpointInfo> prune();

  /// Keeps `checkpoint` (its path or name) whatever the rules say, until
  /// `unpin()`, and says in `plan()` what for: `label`, one line of text. The
  /// same as a file PIN in its directory, which a person may make or remove at
  /// any time. Durable on return. `not_found` where there is none of this name,
  /// `already_exists` where it is pinned with another label.
  void pin(const std::string& checkpoint, const std::string& label = {});
  /// Does nothing where it is not pinned.
  void unpin(const std::string& checkpoint);

  [[nodiscard]] const std::string& directory() const noexcept;

 protected:
  /// For the LibTorch front: its own parts and its record of the environment.
  void add_reserved_part(std::string name, std::unique_ptr<Part> part);
  void set_environment(std::function<Environment()> environment);

 private:
  /// From the begin to the end of a run().
  class RunScope {
   public:
    explicit RunScope(Manager& manager);
    ~RunScope();
    RunScope(const RunScope&) = delete;
    RunScope& operator=(const RunScope&) = delete;
    void save_safe_point(const char* exception) const noexcept;

   private:
    Manager& manager_;
  };

  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/manager.ipp>
#endif

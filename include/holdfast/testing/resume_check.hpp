#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/progress.hpp>
#include <holdfast/base/units.hpp>
#include <holdfast/engine/options.hpp>
#include <holdfast/format/value.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

/// Proves a training loop of the user's own: an interrupted and resumed run
/// must be bit for bit the one that nobody interrupted.
///
///     auto result = holdfast::testing::resume_equals_uninterrupted(
///         [](holdfast::testing::Run& run) {
///           Net model; // everything anew, in here
///           torch::optim::Adam optimizer(model->parameters());
///           holdfast::CheckpointManager checkpoints{
///               run.directory(), run.options(), model, optimizer, batches};
///           checkpoints.resume();
///           while (checkpoints.running(holdfast::epochs(2))) { ... }
///         });
///     if (!result.equal()) std::cerr << result << '\n';
namespace holdfast::testing {

namespace detail {
struct Observer;
} // namespace detail

/// What a loop under test gets instead of its own directory and options.
class Run {
 public:
  explicit Run(detail::Observer& observer) : observer_(observer) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Where this run's manager saves.
  [[nodiscard]] const std::string& directory() const noexcept;

  /// The loop's options, and what the check adds: it looks at each safe point,
  /// saves more often where a run is to be interrupted, and does not wait for
  /// the disk, since no power is cut. For the one manager of the run, which
  /// must not outlive it.
  [[nodiscard]] Options options(Options options = {});

  /// Something that no part holds is to be equal too: the samples of a batch, a
  /// loss. Compared at the next safe point.
  void compare(std::string name, Value value);
  template <class T>
  void compare(std::string name, const std::vector<T>& values) {
    Value::Array array;
    for (const T& value : values) {
      array.emplace_back(value);
    }
    compare(std::move(name), Value(std::move(array)));
  }

 private:
  detail::Observer& observer_;
};

/// Builds everything anew, resumes, and trains to the end.
using MakeRun = std::function<void(Run&)>;

enum class Interruption {
  kill, ///< SIGKILL; within one process an exception.
  exception, ///< Thrown by `step()` or `end_epoch()`: a `std::runtime_error`.
  stop, ///< `request_stop()`: the loop ends by itself, later than asked.
};

class ResumeCheckOptions {
 public:
  /// At every safe point with so many steps done, an epoch's end included. Each
  /// is interrupted in a run of its own, and all of them in one more run, one
  /// after the other. Default: six of all, spread evenly; two calls add up.
  ResumeCheckOptions& interrupt_at(const std::vector<std::int64_t>& steps);
  /// At every safe point but the last: as many runs as there are.
  ResumeCheckOptions& interrupt_everywhere();
  /// How; they take turns. Default: all three.
  ResumeCheckOptions& interrupt_by(std::vector<Interruption> kinds);
  /// Runs to be interrupted save every so many steps, and at each epoch's end.
  /// Default 1, so that a resume goes on where it was interrupted; with more,
  /// steps are done again.
  ResumeCheckOptions& save_every(Steps interval);

  /// Each attempt in a forked child: the default. Refused where this process
  /// has other threads already (LibTorch starts them when it first computes):
  /// a child could hang.
  ResumeCheckOptions& in_forked_processes();
  /// Each attempt in a new process: this program, started again with the same
  /// arguments or with these. It must come to the same call in the same way;
  /// there the loop is run and the process ends. Calls of the check that come
  /// before say that all is well, without a look; those with the same arguments
  /// are counted.
  ResumeCheckOptions& in_new_processes();
  ResumeCheckOptions& in_new_processes(std::vector<std::string> arguments);
  /// New objects in this process: cheap, but what lives outside of them
  /// survives an interruption.
  ResumeCheckOptions& in_this_process();

  /// A process that comes to no safe point for so long is taken for hung, and
  /// killed. Default 2 minutes. Nothing bounds a run within this process.
  ResumeCheckOptions& time_limit(std::chrono::duration<double> time);
  /// Where run directories are made, and removed. Default: $TMPDIR or /tmp.
  ResumeCheckOptions& scratch_directory(std::string path);
  /// Leaves them there unless all was equal, for a look at them.
  ResumeCheckOptions& keep_if_different();

 private:
  friend class ResumeChecker;
  enum class Isolation { forked, new_process, same_process };

  std::vector<std::int64_t> steps_;
  bool everywhere_ = false;
  std::vector<Interruption> kinds_{
      Interruption::kill,
      Interruption::exception,
      Interruption::stop};
  Steps save_every_{1};
  Isolation isolation_ = Isolation::forked;
  bool own_arguments_ = true;
  std::vector<std::string> arguments_;
  double time_limit_ = 120;
  std::string scratch_;
  bool keep_ = false;
};

/// One thing in which two runs differ.
struct Difference {
  std::string part; ///< Empty: no part, but a metric, a position, ...
  std::string what; ///< "tensor 'weight'", "value 'lr'", "metric 'loss'"
  std::string expected; ///< In the uninterrupted run; numbers in hex are bits.
  std::string found;
  std::int64_t element = -1; ///< The first that differs, where it is known.

  [[nodiscard]] std::string to_string() const;
};

struct ResumeCheckResult {
  enum class Finding {
    equal,
    differs, ///< An interrupted run is not the uninterrupted one.
    not_deterministic, ///< Two runs that nobody interrupted differ.
    nothing_checked, ///< No safe point was seen, or nothing was resumed.
    not_interrupted, ///< The loop went on, or never came to that step.
    threw, ///< The loop threw something.
    crashed, ///< Its process ended by itself.
    hung, ///< It came to no safe point within the time limit.
    elsewhere, ///< This process runs on behalf of another check.
  };
  Finding finding = Finding::equal;
  std::string run; ///< Which run: "killed at step 7".
  Progress at; ///< Where it was seen first.
  bool right_after_resume = false; ///< Before anything was trained.
  std::vector<Difference> differences; ///< There, the most telling one first.
  std::string explanation; ///< What it means, and what to do.
  std::string output; ///< The end of what that process printed.
  std::string directory; ///< Of all runs, where they were kept.
  std::size_t safe_points = 0; ///< Of an uninterrupted run.
  std::size_t interruptions = 0; ///< Made, and gone on from.

  /// True only if interruptions were made, and everything was equal.
  [[nodiscard]] bool equal() const noexcept {
    return finding == Finding::equal || finding == Finding::elsewhere;
  }
  [[nodiscard]] std::string to_string() const;
};

[[nodiscard]] const char* to_string(
    ResumeCheckResult::Finding finding) noexcept;
std::ostream& operator<<(std::ostream& stream, const ResumeCheckResult& result);

/// Runs `make_run` twice without and several times with interruptions, each
/// attempt with new objects in a process of its own, and compares all parts,
/// metrics and positions at each safe point: tensors and values by their bytes,
/// so NaN equals itself. What the loop does wrong is in the result; an `Error`
/// tells that the check could not be made (`invalid_argument` for options, a
/// system error).
[[nodiscard]] ResumeCheckResult resume_equals_uninterrupted(
    const MakeRun& make_run,
    const ResumeCheckOptions& options = {});

} // namespace holdfast::testing

#if HOLDFAST_BODIES
#include <holdfast/testing/impl/resume_check.ipp>
#endif

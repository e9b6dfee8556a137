#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/safe_point.hpp>
#include <holdfast/testing/resume_check.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

/// What a run under test leaves behind for whoever compares: a file with one
/// JSON value a line, for each safe point all state by names and digests.
namespace holdfast::testing::detail {

/// What one process is told to do. Travels to it as JSON.
struct Task {
  std::int64_t call = 0; ///< Which call of the check in the program.
  std::string directory; ///< Of the run.
  std::string trace; ///< The file.
  std::int64_t save_every = 0; ///< Steps; 0: only as the loop itself says.
  bool interrupts = false;
  bool may_kill = true;
  Interruption kind = Interruption::kill;
  /// Where to interrupt: a position as in `position_of()`.
  Value at;

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static Task from_text(const std::string& text);
};

/// [epoch, batch, step]: what safe points of several runs are matched by.
[[nodiscard]] Value position_of(const Progress& progress);

/// Looks at one run from inside, and interrupts it.
struct Observer {
  explicit Observer(Task its_task);
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  void see(const SafePoint& point);
  void write(const Values& record);

  Task task;
  std::vector<std::pair<std::string, Value>> compared; ///< Since the last.
  std::FILE* file = nullptr;
  bool struck = false;
};

/// Does the task in this process, and records how it ended.
void perform(const Task& task, const MakeRun& make_run);

/// A run's attempt as its file tells it.
struct Trace {
  std::vector<Values> points; ///< In order; the first is the beginning.
  std::size_t points_when_struck = 0; ///< 0: it was not interrupted.
  bool returned = false;
  bool threw = false;
  std::string what;
};

/// A last line that is not whole, and a file that is not there, are no errors.
[[nodiscard]] Trace read_trace(const std::string& path);

/// All of a file, and its size now; nothing where there is none.
[[nodiscard]] std::string read_text(const std::string& path);
[[nodiscard]] std::size_t file_size(const std::string& path);

/// In what two safe points differ; empty if in nothing. Data and random state
/// come first, because other differences follow from theirs, metrics last.
[[nodiscard]] std::vector<Difference> compare_points(
    const Values& expected,
    const Values& found);

} // namespace holdfast::testing::detail

#if HOLDFAST_HEADER_ONLY
#include <holdfast/testing/impl/resume_trace.ipp>
#endif

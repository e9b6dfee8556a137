#pragma once

#include <holdfast/testing/impl/resume_compare.ipp>
#include <holdfast/testing/impl/resume_record.ipp>
#include <holdfast/testing/resume_check.hpp>

#include <holdfast/io/posix_child.hpp>

#include <optional>

namespace holdfast::testing {

namespace detail {

/// Set in processes that were started to perform a task.
inline constexpr const char* kTaskVariable = "HOLDFAST_RESUME_CHECK";

} // namespace detail

/// One check: runs, their processes and what is found.
class ResumeChecker {
 public:
  using Finding = ResumeCheckResult::Finding;

  ResumeChecker(const MakeRun& make_run, const ResumeCheckOptions& options)
      : make_run_(make_run), options_(options) {}

  ResumeCheckResult check();

 private:
  using Isolation = ResumeCheckOptions::Isolation;

  /// Where and how to interrupt: after safe point `index` of the reference.
  struct Strike {
    std::size_t index;
    Interruption kind;
  };

  void validate() const;

  void run_all();

  [[nodiscard]] Interruption kind_of(std::size_t i) const;

  std::optional<detail::Trace> uninterrupted(const char* name);

  bool is_deterministic(const detail::Trace& again);

  /// In what point `i` of the reference and point `j` of `others` differ.
  [[nodiscard]] std::vector<Difference> differences_at(
      std::size_t i,
      const std::vector<Values>& others,
      std::size_t j) const;

  /// The safe points to interrupt at, in order. The last is none: nothing comes
  /// after it.
  std::vector<Strike> choose();

  /// One run: interrupted at each of `strikes` in turn, then left to its end.
  void interrupt(const std::vector<Strike>& strikes);

  /// The reference's point that the trace's first one corresponds to; all
  /// others follow in order. Known to be there once `compare()` was content.
  [[nodiscard]] std::size_t begin_of(const detail::Trace& trace) const;

  [[nodiscard]] std::size_t position_index(const Value& position) const;

  /// Compares an attempt with the reference, from where it began. `struck`: the
  /// point at which the attempt before it ended.
  bool compare(
      const detail::Trace& trace,
      const std::string& name,
      std::optional<std::size_t> struck);

  void explain(
      const detail::Trace& trace,
      const std::string& name,
      std::size_t begin,
      std::size_t i,
      std::vector<Difference> differences);

  /// Whether an attempt that was to be interrupted was, and ended then.
  bool is_interrupted(const detail::Trace& trace, const Strike& strike);

  // --- attempts --------------------------------------------------------------

  detail::Task new_run();

  /// Runs the loop once, and tells what it has left behind.
  detail::Trace attempt(const detail::Task& task, const std::string& name);

  [[nodiscard]] bool ends_in_time(ChildProcess& child, const std::string& trace)
      const;

  /// The end of what was printed, as much as fits a message.
  [[nodiscard]] static std::string last_of(const std::string& text);

  // --- findings --------------------------------------------------------------

  void stop_at(Finding finding, std::string run, std::string explanation);

  void found(
      Finding finding,
      std::string run,
      std::vector<Difference> differences,
      const Progress& where);

  void fail_of(const detail::Trace& trace, const std::string& name);

  [[nodiscard]] static Progress progress_of(const Values& point);
  /// At the last safe point that was seen.
  [[nodiscard]] static Progress last_progress(const detail::Trace& trace);
  [[nodiscard]] static Progress position_at(
      const std::vector<Values>& points,
      std::size_t i);

  [[nodiscard]] std::string describe(const Strike& strike) const;

  const MakeRun& make_run_;
  const ResumeCheckOptions& options_;
  std::int64_t call_ = 0;
  std::string directory_;
  std::vector<Values> reference_; ///< The beginning, then all safe points.
  std::size_t runs_ = 0;
  std::size_t traces_ = 0;
  bool done_ = false;
  ResumeCheckResult result_;
};

} // namespace holdfast::testing

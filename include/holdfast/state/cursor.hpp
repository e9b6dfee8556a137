#pragma once

#include <cstdint>
#include <optional>

namespace holdfast {

/// A place in the data: so many samples of an epoch lie before it.
struct DataPlace {
  std::int64_t epoch = 0;
  std::uint64_t position = 0;
};

/// What an attached data source asks of its manager.
class LoopControl {
 public:
  virtual ~LoopControl() = default;
  /// True when the goal is reached or a stop was requested: a range then ends
  /// before its next fetch.
  [[nodiscard]] virtual bool stopping() const noexcept = 0;
  /// A range begins: everything that draws random numbers at a begin has drawn,
  /// and nothing has been fetched yet. After a resume in mid-epoch this puts
  /// the random state back once more. Called for the empty range after a resume
  /// at the end of an epoch too; not called while `stopping()`.
  virtual void range_begins() = 0;
};

/// How a manager follows and moves the position of a data source. The source
/// counts what it handed out; the position moves only when the manager says so.
///
/// A source hands out batch by batch: the next one is fetched when the loop
/// asks for it, after the body of the last one, so that what a fetch draws lies
/// on the same side of a save in every run. One thread at a time.
///
/// Ranges of an attached source:
/// - `begin()` goes on after the last committed batch. What was handed out and
///   not committed, by a range that was left early, comes again.
/// - At the end of the epoch `begin()` throws `epoch_not_ended`. Once after a
///   restore that put it there it gives an empty range instead, so that the
///   code at the end of the epoch runs.
/// - `start_epoch()`, a restore and another `begin()` end the range under way:
///   its next increment reaches the end and fetches nothing.
class Cursor {
 public:
  virtual ~Cursor() = default;

  /// Attaches the source, at the start of epoch 0 until a restore or
  /// `start_epoch()` moves it. Null detaches: the next `begin()` starts an
  /// epoch from its beginning. `invalid_argument` if it is attached to another
  /// control.
  virtual void attach(LoopControl* control) = 0;

  /// All that was handed out is consumed: the position moves there. Returns the
  /// samples by which it moved.
  virtual std::int64_t commit() = 0;

  /// True if something was handed out after the last commit.
  [[nodiscard]] virtual bool ahead() const noexcept = 0;

  /// True if the position is at the end of the epoch.
  [[nodiscard]] virtual bool at_end() const noexcept = 0;

  /// Turns to the start of `epoch`; what was handed out and not committed is
  /// forgotten. `invalid_argument` for a negative epoch.
  virtual void start_epoch(std::int64_t epoch) = 0;

  /// The position, where it is a place that can be told again.
  [[nodiscard]] virtual std::optional<DataPlace> place() const {
    return std::nullopt;
  }
  /// From now on hands out nothing that lies between two of its places; a
  /// restore goes on to what the checkpoint skips. False, and nothing done,
  /// where it cannot.
  virtual bool skip(const DataPlace& from, const DataPlace& to) {
    (void)from;
    (void)to;
    return false;
  }
};

} // namespace holdfast

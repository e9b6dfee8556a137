#pragma once

#include <cstdint>

namespace holdfast {

/// What an attached data source asks of its manager.
class LoopControl {
 public:
  virtual ~LoopControl() = default;
  /// True when the goal is reached or a stop was requested: ranges end.
  [[nodiscard]] virtual bool stopping() const noexcept = 0;
  /// A range begins: everything that draws random numbers at a begin has drawn,
  /// and nothing has been fetched yet. After a resume in mid-epoch this puts
  /// the random state back once more.
  virtual void range_begins() = 0;
};

/// How a manager follows and moves the position of a data source. The source
/// counts what it handed out; the position moves only when the manager says so.
class Cursor {
 public:
  virtual ~Cursor() = default;

  /// From now on `begin()` goes on at the position instead of starting over.
  /// Null detaches.
  virtual void attach(LoopControl* control) = 0;

  /// All that was handed out is consumed: the position moves there. Returns the
  /// samples by which it moved.
  virtual std::int64_t commit() = 0;

  /// True if something was handed out after the last commit.
  [[nodiscard]] virtual bool ahead() const noexcept = 0;

  /// True if the position is at the end of the epoch.
  [[nodiscard]] virtual bool at_end() const noexcept = 0;

  /// Turns to the start of `epoch`.
  virtual void start_epoch(std::int64_t epoch) = 0;
};

} // namespace holdfast

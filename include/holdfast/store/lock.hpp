#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>

#include <cstdint>
#include <string>

namespace holdfast {

/// What LOCK remembers when names are gone. Two numbers, because a run that was
/// killed in its very first save has used a number and lost nothing, while one
/// whose checkpoints were all deleted has lost everything.
struct LockMark {
  /// The highest number ever used, for whatever: written before left-overs are
  /// swept, so that no number is used twice.
  std::uint64_t highest = 0;
  /// The highest number that a checkpoint ever had under its final name.
  std::uint64_t committed = 0;
};

/// LOCK: one writer. Three records of 512 bytes, each with its own digest: the
/// owner (text, and the token of the fence), and two marks that are written in
/// turn, so that a torn write leaves the other one. What is torn or damaged is
/// ignored. See docs/commit_protocol.md.
class WriterLock {
 public:
  /// How long a counter must stand still before a lock that the kernel does
  /// not keep may be taken from an owner on another host.
  static constexpr double kStaleSeconds = 600;

  /// Takes the lock, waiting up to `wait_seconds`, writes the owner with a new
  /// token and makes LOCK and its name durable. `locked`, with the owner's
  /// text, if somebody else has it. Where the kernel keeps no lock, an owner on
  /// this system has it as long as it lives, and one on another system until
  /// its counter stood still for `kStaleSeconds` of the wait. `root` and
  /// `clock` must outlive the lock.
  [[nodiscard]] static WriterLock acquire(
      Directory& root,
      Clock& clock,
      double wait_seconds);
  /// Gives the lock back; in a forked child it leaves it to the parent.
  ~WriterLock();
  WriterLock(WriterLock&&) noexcept;
  WriterLock& operator=(WriterLock&&) = delete;

  [[nodiscard]] const LockMark& mark() const noexcept;

  /// The fence: throws `lost_lock`, from then on always, unless LOCK is still
  /// the same file and holds our token. `forked` in a forked child.
  void check();

  /// Writes a mark, checks the token, and makes it durable (step 7 of the
  /// commit protocol). Numbers never go down. After an error `mark()` is the
  /// former one, and the disk has either.
  void record(LockMark mark);

 private:
  struct State;
  explicit WriterLock(detail::Owned<State> state);
  detail::Owned<State> state_;
};

/// The mark without taking the lock; zeros where there is no LOCK or nothing
/// intact in it.
[[nodiscard]] LockMark read_mark(Directory& root);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/lock.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace holdfast {

/// What LOCK remembers when names are gone.
struct LockMark {
  std::uint64_t highest = 0; ///< The highest number ever used, for whatever.
  std::uint64_t committed = 0; ///< The highest number ever committed.
};

/// LOCK: one writer. Three records of 512 bytes, each with its own digest: the
/// owner (text, and the token of the fence), and two marks that are written in
/// turn, so that a torn write leaves the other one. See docs/format.md.
class WriterLock {
 public:
  /// How long a counter must stand still before a lock that the kernel does
  /// not keep may be taken from an owner on another host.
  static constexpr double kStaleSeconds = 600;

  /// Takes the lock, waiting up to `wait_seconds`. `locked`, with the owner's
  /// text, if somebody else has it. `root` and `clock` must outlive the lock.
  [[nodiscard]] static std::unique_ptr<WriterLock> acquire(
      Directory& root,
      Clock& clock,
      double wait_seconds);
  ~WriterLock();

  [[nodiscard]] const LockMark& mark() const noexcept;

  /// The fence: throws `lost_lock`, from then on always, unless LOCK is still
  /// the same file and holds our token. `forked` in a forked child.
  void check();

  /// Writes a mark, checks the token, and makes it durable (step 7 of the
  /// commit protocol). Numbers never go down.
  void record(LockMark mark);

 private:
  WriterLock();
  struct State;
  std::unique_ptr<State> state_;
};

/// The mark without taking the lock; zeros where there is no LOCK or nothing
/// intact in it.
[[nodiscard]] LockMark read_mark(Directory& root);

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/store/impl/lock.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/io/file_system.hpp>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::testing {

/// One call of the seam in io/file_system.hpp.
enum class Operation {
  open_root,
  list,
  exists,
  create_file,
  open_file,
  open_lock_file,
  create_directory,
  open_directory,
  rename,
  remove_file,
  remove_directory,
  point_symlink,
  sync_directory,
  space,
  identity,
  reserve,
  write,
  sync_file,
  close,
  size,
  read,
  try_lock_shared,
  try_lock_exclusive,
  try_lock,
  unlock,
  read_lock,
  write_lock,
  sync_lock,
  is_still_named,
};

/// The enumerator's name.
[[nodiscard]] const char* to_string(Operation operation) noexcept;

/// A set of operations.
class Operations {
 public:
  Operations(std::initializer_list<Operation> members);

  [[nodiscard]] static Operations all();
  /// What changes bytes or names, syncs included, locks not.
  [[nodiscard]] static Operations changes();
  /// Bytes into files.
  [[nodiscard]] static Operations writes();
  /// Files, lock files and directories.
  [[nodiscard]] static Operations syncs();
  /// Bytes out of files.
  [[nodiscard]] static Operations reads();
  /// What makes, renames and removes names.
  [[nodiscard]] static Operations names();

  [[nodiscard]] bool contains(Operation operation) const noexcept;

 private:
  std::uint64_t bits_ = 0;
};

/// Thrown by every call after the power was cut. A copy of it as an `Error` is
/// an ordinary `io_error`; `FaultFileSystem::power_is_cut` still tells.
class PowerCut final : public Error {
 public:
  explicit PowerCut(const std::string& path);
};

/// What goes wrong, and when. Made by one of the named functions and refined:
///
///     Fault::error(ENOSPC).at(7).on(Operations::writes()).for_ever()
///
/// Unless refined: the first operation that matches, of any kind, once.
class Fault {
 public:
  /// The operation fails with this errno, its `ErrorCode` as for a real disk,
  /// and does not happen. What the contract does not report as an error comes
  /// back as it demands: ENOLCK, ENOSYS and EOPNOTSUPP as a file system without
  /// locks or reservations, EAGAIN as a lock that is held by others. EINTR
  /// never passes the seam and is `invalid_argument`.
  ///
  /// A failed sync of a file marks its bytes clean, as Linux does: further
  /// syncs report success and make nothing durable, until a lock file is
  /// written to again.
  [[nodiscard]] static Fault error(int system_error);
  /// A write (other operations do not match) writes half of its bytes, then
  /// fails.
  [[nodiscard]] static Fault short_write(int system_error = ENOSPC);
  /// Neither this operation nor any later one reaches the disk; all throw
  /// `PowerCut`, and destructors leave the disk alone.
  [[nodiscard]] static Fault power_cut();
  /// A read returns one flipped bit; which one differs from read to read, so
  /// that two reads of the same bytes differ too. A read that finds nothing (at
  /// the end of a file) is spared, and the fault waits for the next one.
  [[nodiscard]] static Fault flip_bit();
  /// A sync reports success and makes nothing durable.
  [[nodiscard]] static Fault lying_sync();

  /// The n-th operation that matches from now on, counted from 1.
  [[nodiscard]] Fault at(std::uint64_t n) const;
  [[nodiscard]] Fault on(Operations operations) const;
  /// Only operations whose text in the log contains `piece`.
  [[nodiscard]] Fault named(std::string piece) const;
  /// That operation and every later one that matches.
  [[nodiscard]] Fault for_ever() const;
  /// The operation happens all the same, then the error is reported.
  [[nodiscard]] Fault applied() const;

 private:
  friend class FaultFileSystem;
  friend struct FaultState;
  enum class Kind { error, short_write, power_cut, flip_bit, lying_sync };

  Fault(Kind kind, int system_error, Operations operations);

  Kind kind_;
  int system_error_;
  Operations operations_;
  std::uint64_t at_ = 1;
  std::string piece_;
  bool for_ever_ = false;
  bool applied_ = false;
};

struct FaultState;

/// A file system in front of another one that counts what passes, and breaks
/// it on demand. Without faults it changes nothing.
///
/// Every call of the seam is one operation, but for `path`, `border`,
/// `drop_cache` and destructors, which cannot fail.
///
///     auto disk = std::make_shared<MemoryFileSystem>();
///     auto faulty = std::make_shared<FaultFileSystem>(disk);
///     faulty->plan(Fault::power_cut().at(n));
///     run(faulty);
///     disk->cut_power(LossPattern::all_lost());
///     check(disk);
///
/// Safe to use from several threads; an operation that another thread has begun
/// when the power is cut still ends. Handles keep the inner file system alive.
class FaultFileSystem final : public FileSystem {
 public:
  /// Called before an operation with its number and text, the mutex not held.
  /// It may use either file system: its own operations are counted, but do not
  /// call it again. What it throws, the operation throws.
  using Hook = std::function<void(std::uint64_t n, const std::string& what)>;

  explicit FaultFileSystem(std::shared_ptr<FileSystem> inner);
  ~FaultFileSystem() override;
  FaultFileSystem(const FaultFileSystem&) = delete;
  FaultFileSystem& operator=(const FaultFileSystem&) = delete;

  [[nodiscard]] std::shared_ptr<Directory> open_root(
      const std::string& path,
      Create create) override;

  /// Adds a fault. Of several that match one operation the first one planned
  /// decides; all of them count it.
  void plan(Fault fault);
  /// Forgets all faults. A power that was cut stays cut.
  void clear_faults();
  void set_hook(Hook hook);
  /// Cuts the power now.
  void cut_power();
  [[nodiscard]] bool power_is_cut() const;

  /// Operations that reached, or would have reached, the inner file system
  /// since the beginning; none are counted after a power cut.
  [[nodiscard]] std::uint64_t operations() const;
  /// How often a fault struck; a test that waits for one must check it. A cut
  /// power counts once.
  [[nodiscard]] std::uint64_t faults() const;
  /// One line per operation: "rename runs/a/x -> y", with the fault that
  /// struck.
  [[nodiscard]] std::vector<std::string> log() const;
  void clear_log();

 private:
  std::shared_ptr<FaultState> state_;
};

} // namespace holdfast::testing

#if HOLDFAST_BODIES
#include <holdfast/testing/impl/fault_file_system.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/deletion.hpp>
#include <holdfast/store/line_file.hpp>
#include <holdfast/store/lock.hpp>
#include <holdfast/store/pin.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

class Trash;

/// What a checkpoint is held by, whatever the rules say.
struct Hold {
  bool being_read = false; ///< Somebody holds a shared lock on its manifest.
  std::optional<std::string> pin; ///< The pin's label; may be empty.

  [[nodiscard]] bool any() const noexcept {
    return being_read || pin.has_value();
  }
};

/// The one that may change a run directory: holds the lock, gives out numbers,
/// sweeps, begins lines, quarantines and removes. One thread at a time.
class Writer {
 public:
  /// Takes the lock (`WriterLock::acquire`), records every number in sight in
  /// LOCK, and then sweeps left-over staging and trash; staging is renamed to
  /// trash first, so that a writer that was only suspended gets ENOENT at its
  /// step 5. What cannot be swept stays for the next writer. `clock` must
  /// outlive this.
  Writer(
      std::shared_ptr<Directory> root,
      Clock& clock,
      double wait_seconds,
      Deletion deletion = Deletion::at_once);
  ~Writer();

  [[nodiscard]] Directory& root() noexcept;
  [[nodiscard]] Clock& clock() noexcept;
  [[nodiscard]] const LockMark& mark() const noexcept;

  /// The fence: the lock is ours, and no name in the directory that this writer
  /// did not make has a number above all it has seen or made, or is `claimed`,
  /// whose only name is still a staging one. `lost_lock`, for good.
  void check_fence(std::uint64_t claimed = 0);

  /// Makes a name with the next number (1 + the highest ever used): calls
  /// `claim(number)`, which must create it exclusively, and again with a higher
  /// number where that says `already_exists`. The number is spent even where
  /// `claim` throws. `limit_exceeded` when there are no numbers left.
  std::uint64_t claim_number(const std::function<void(std::uint64_t)>& claim);

  /// Step 7 for what carries `sequence`: LOCK's numbers, durable.
  void record_committed(std::uint64_t sequence);
  /// The same for a line or a spent number.
  void record_used(std::uint64_t sequence);

  /// Durably begins a line before it returns: from then on no crash can fall
  /// back into the former one. `origin` 0: from nothing. `invalid_argument` for
  /// an origin beyond all numbers and for a tag that is no name; may be empty.
  /// An error from the syncs at the end can leave the line unconfirmed.
  Line begin_line(
      std::uint64_t origin,
      const std::string& tag,
      bool rollback = false);
  /// The newest line that was asked for at a start, which later rollbacks go on
  /// with; nothing if there is none. `checksum_mismatch` if a file on the way
  /// to it is damaged: without its tag, beginning a line "again" would leave
  /// the work done since. `foreign` if one contradicts its name.
  [[nodiscard]] std::optional<Line> asked_line();

  /// Moves a damaged checkpoint to `.bad-...` and writes the reason beside its
  /// files (REASON.txt). A name that cannot be renamed (full btrfs) stays,
  /// without an error.
  void quarantine(const CheckpointName& name, const std::string& reason);

  /// Step 9 for one checkpoint: rename to `.trash-...`, sync the root, give it
  /// to the trash, which deletes it (`Deletion`); where the rename fails
  /// (EXDEV, full disk) the manifest is unlinked first and its directory
  /// synced. Refuses (`locked`) one that is being read or pinned. After another
  /// error it is whole, or no reader accepts the rest; calling again goes on
  /// where the name is still there.
  void remove(const CheckpointName& name);
  /// What was removed or swept until now.
  [[nodiscard]] Trash& trash() noexcept;

  [[nodiscard]] Hold hold_on(const CheckpointName& name);

  /// As `write_pin` and `remove_pin`; `not_found` where there is no such
  /// checkpoint.
  void pin(const CheckpointName& name, const std::string& label);
  void unpin(const CheckpointName& name);

  /// Repoints LATEST. Errors do not matter: it is for people.
  void point_latest(const std::string& name) noexcept;

 private:
  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/writer.ipp>
#endif

#pragma once

#include <holdfast/store/lock.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/posix_fork.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/store/impl/names.ipp>
#include <holdfast/store/names.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {

/// One record: a sector, so that no power cut leaves half of one.
inline constexpr std::size_t kLockRecordBytes = 512;
inline constexpr std::size_t kLockRecords = 3;
inline constexpr std::size_t kLockBytes = kLockRecordBytes * kLockRecords;
/// Between two tries, and how long two owners without a kernel lock have to
/// notice each other.
inline constexpr double kLockPollSeconds = 0.1;
inline constexpr double kLockSettleSeconds = 1;
inline constexpr int kLockReplacedTries = 100;

struct LockOwner {
  bool is_known = false; ///< Its record is intact.
  std::string token; ///< Empty: given back.
  ProcessIdentity process;
};

struct LockSlot {
  bool is_intact = false;
  LockMark mark;
  std::uint64_t counter = 0;
};

/// A LOCK file: what is not intact says nothing.
struct LockContents {
  LockOwner owner;
  std::array<LockSlot, 2> slots;
};

using LockFields = std::map<std::string, std::string>;

HOLDFAST_INLINE std::string lock_record(std::string body) {
  const std::string digest = digest_of(ByteView(std::string_view(body))).hex();
  body += " xxh3_128=" + digest;
  body.resize(kLockRecordBytes - 1, ' ');
  return body + "\n";
}

/// Reads the fields of record `index` of `text`; false unless it is intact.
HOLDFAST_INLINE bool read_lock_fields(
    std::string_view text,
    std::size_t index,
    std::string_view kind,
    LockFields& fields) {
  const std::size_t offset = index * kLockRecordBytes;
  if (text.size() < offset + kLockRecordBytes) {
    return false;
  }
  std::string_view record = text.substr(offset, kLockRecordBytes);
  const std::string_view mark = " xxh3_128=";
  const std::size_t at = record.find(mark);
  if (at == std::string_view::npos || record.back() != '\n') {
    return false;
  }
  if (std::string(record) != lock_record(std::string(record.substr(0, at)))) {
    return false;
  }
  record = record.substr(0, at);
  if (!take_prefix(record, kind)) {
    return false;
  }
  fields.clear();
  while (!record.empty()) {
    record.remove_prefix(
        std::min(record.find_first_not_of(' '), record.size()));
    const std::string_view field =
        record.substr(0, std::min(record.find(' '), record.size()));
    record.remove_prefix(field.size());
    const std::size_t equals = field.find('=');
    if (equals != std::string_view::npos) {
      const std::string name(field.substr(0, equals));
      if (fields.count(name) == 0) {
        fields[name] = std::string(field.substr(equals + 1));
      }
    }
  }
  return true;
}

HOLDFAST_INLINE std::string lock_field(
    const LockFields& fields,
    const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

HOLDFAST_INLINE std::uint64_t lock_number(
    const LockFields& fields,
    const std::string& name) {
  return parse_decimal(lock_field(fields, name)).value_or(0);
}

/// One printable word of at most 64 characters.
HOLDFAST_INLINE std::string lock_word(std::string text) {
  text.resize(std::min<std::size_t>(text.size(), 64));
  for (char& c : text) {
    if (c <= ' ' || c > '~') {
      c = '_';
    }
  }
  return text;
}

HOLDFAST_INLINE std::string owner_record(const LockOwner& owner) {
  return lock_record(
      "holdfast-owner host=" + lock_word(owner.process.host) +
      " pid=" + std::to_string(owner.process.pid) +
      " boot=" + lock_word(owner.process.boot_id) +
      " namespace=" + lock_word(owner.process.pid_namespace) + " start=" +
      std::to_string(owner.process.start_time) + " token=" + owner.token);
}

HOLDFAST_INLINE std::string slot_record(const LockSlot& slot) {
  return lock_record(
      "holdfast-mark highest=" + std::to_string(slot.mark.highest) +
      " committed=" + std::to_string(slot.mark.committed) +
      " counter=" + std::to_string(slot.counter));
}

HOLDFAST_INLINE LockContents lock_contents(std::string_view text) {
  LockContents contents;
  LockFields fields;
  if (read_lock_fields(text, 0, "holdfast-owner", fields)) {
    LockOwner& owner = contents.owner;
    owner.is_known = true;
    owner.token = lock_field(fields, "token");
    owner.process.host = lock_field(fields, "host");
    owner.process.boot_id = lock_field(fields, "boot");
    owner.process.pid_namespace = lock_field(fields, "namespace");
    owner.process.pid = static_cast<std::int64_t>(lock_number(fields, "pid"));
    owner.process.start_time = lock_number(fields, "start");
  }
  for (std::size_t i = 0; i < contents.slots.size(); ++i) {
    if (read_lock_fields(text, i + 1, "holdfast-mark", fields)) {
      LockSlot& slot = contents.slots[i];
      slot.is_intact = true;
      slot.mark.highest = lock_number(fields, "highest");
      slot.mark.committed = lock_number(fields, "committed");
      slot.counter = lock_number(fields, "counter");
    }
  }
  return contents;
}

/// The numbers of all intact slots together: they never go down.
HOLDFAST_INLINE LockSlot newest_slot(const LockContents& contents) {
  LockSlot newest;
  for (const LockSlot& slot : contents.slots) { // zeros where not intact
    newest.mark.highest = std::max(newest.mark.highest, slot.mark.highest);
    newest.mark.committed =
        std::max(newest.mark.committed, slot.mark.committed);
    newest.counter = std::max(newest.counter, slot.counter);
  }
  return newest;
}

/// The slot to write next: a broken one, else the older one.
HOLDFAST_INLINE std::size_t older_slot(const LockContents& contents) {
  if (!contents.slots[0].is_intact) {
    return 0;
  }
  if (!contents.slots[1].is_intact) {
    return 1;
  }
  return contents.slots[0].counter <= contents.slots[1].counter ? 0 : 1;
}

HOLDFAST_INLINE bool is_same_system(
    const ProcessIdentity& a,
    const ProcessIdentity& b) {
  return !a.boot_id.empty() && lock_word(a.boot_id) == lock_word(b.boot_id) &&
      lock_word(a.pid_namespace) == lock_word(b.pid_namespace);
}

HOLDFAST_INLINE bool is_this_process(const ProcessIdentity& process) {
  const ProcessIdentity ours = this_process();
  return is_same_system(process, ours) && process.pid == ours.pid &&
      process.start_time == ours.start_time;
}

HOLDFAST_INLINE Error
locked_error(Directory& root, const LockOwner& owner, bool kernel_lock) {
  const bool ours = owner.is_known && is_this_process(owner.process);
  ErrorDetails details;
  details.message = ours
      ? "this process writes to this directory already, with another manager"
      : "another process writes to this directory";
  details.path = root.path();
  if (owner.is_known) {
    details.found = "process " + std::to_string(owner.process.pid) +
        " on host '" + owner.process.host + "'";
    if (kernel_lock && !may_be_alive(owner.process)) {
      details.found += ", which has ended; a child that it forked lives on";
    }
  }
  if (!kernel_lock) {
    // Nobody tells us of the owner's end here; waiting does.
    details.expected =
        "an owner that is known to be gone, or has been silent while we waited "
        "for " +
        std::to_string(static_cast<int>(WriterLock::kStaleSeconds)) +
        " s (Options::lock_wait), as this file system keeps no locks";
  }
  return Error(ErrorCode::locked, std::move(details));
}

/// Decides, where the kernel keeps no lock, whether the owner that LOCK names
/// is gone. One for each `acquire`.
class OwnerWatch {
 public:
  explicit OwnerWatch(Clock& clock) : clock_(clock) {}

  [[nodiscard]] bool is_gone(const LockContents& contents) {
    if (contents.owner.token.empty()) {
      return true;
    }
    const ProcessIdentity& process = contents.owner.process;
    if (!may_be_alive(process)) {
      return true;
    }
    if (is_same_system(process, this_process())) {
      return false;
    }
    // Another host: its clock says nothing, its counter does.
    const std::uint64_t counter = newest_slot(contents).counter;
    const double now = clock_.monotonic_seconds();
    if (!since_ || token_ != contents.owner.token || counter_ != counter) {
      since_ = now;
      token_ = contents.owner.token;
      counter_ = counter;
    }
    return now - *since_ >= WriterLock::kStaleSeconds;
  }

 private:
  Clock& clock_;
  std::optional<double> since_;
  std::string token_;
  std::uint64_t counter_ = 0;
};

} // namespace detail

struct WriterLock::State {
  State(Directory& directory, Clock& clock_used)
      : root(directory), clock(clock_used) {}

  Directory& root;
  Clock& clock;
  std::unique_ptr<LockFile> file;
  bool named = true; ///< False: LOCK was replaced while it was being taken.
  bool kernel_lock = false;
  detail::LockOwner owner;
  std::uint64_t generation = 0;
  bool lost = false;
  LockMark mark;
  std::uint64_t counter = 0;
  std::size_t next_slot = 0;

  /// Takes LOCK if nobody has it.
  [[nodiscard]] bool try_take(
      detail::OwnerWatch& watch,
      detail::LockOwner& holder) {
    file = root.open_lock_file(kLockName);
    const LockResult result = file->try_lock();
    // Unlinked between open and lock: the lock is on a file nobody else sees.
    named = file->is_still_named();
    if (!named) {
      return false;
    }
    kernel_lock = result != LockResult::not_supported;
    const detail::LockContents contents =
        detail::lock_contents(file->read(detail::kLockBytes));
    holder = contents.owner;
    if (result == LockResult::held_by_other ||
        (!kernel_lock && !watch.is_gone(contents))) {
      return false;
    }
    owner.token = random_id();
    owner.process = this_process();
    const detail::LockSlot newest = detail::newest_slot(contents);
    mark = newest.mark;
    counter = newest.counter;
    next_slot = detail::older_slot(contents);
    file->write_at(0, detail::owner_record(owner));
    file->sync();
    if (!kernel_lock) {
      // Whoever wrote last has it; both have to see that.
      clock.sleep(detail::kLockSettleSeconds);
      if (!is_ours()) {
        return false;
      }
    }
    // LOCK's own name, and every name that is about to be counted or swept.
    root.sync();
    return true;
  }

  [[nodiscard]] bool is_ours() {
    if (!file->is_still_named()) {
      return false;
    }
    const detail::LockContents contents =
        detail::lock_contents(file->read(detail::kLockRecordBytes));
    return contents.owner.is_known && contents.owner.token == owner.token;
  }

  void verify() {
    if (fork_generation() != generation) {
      ErrorDetails details;
      details.message =
          "this is a forked child of the process that writes here";
      details.path = root.path();
      throw Error(ErrorCode::forked, std::move(details));
    }
    if (!lost && is_ours()) {
      return;
    }
    lost = true;
    ErrorDetails details;
    details.message = "this process no longer owns the directory";
    details.path = root.path();
    throw Error(ErrorCode::lost_lock, std::move(details));
  }

  void write(const LockMark& next) {
    ++counter;
    file->write_at(
        (1 + next_slot) * detail::kLockRecordBytes,
        detail::slot_record({true, next, counter}));
    verify();
    // After a failure the same slot is written again: the other one is the one
    // that is known to be on the disk.
    file->sync();
    next_slot = 1 - next_slot;
    mark = next;
  }
};

HOLDFAST_INLINE WriterLock::WriterLock(detail::Owned<State> state)
    : state_(std::move(state)) {}
HOLDFAST_INLINE WriterLock::WriterLock(WriterLock&&) noexcept = default;

HOLDFAST_INLINE WriterLock
WriterLock::acquire(Directory& root, Clock& clock, double wait_seconds) {
  const double begin = clock.monotonic_seconds();
  detail::OwnerWatch watch(clock);
  int replaced = 0;
  for (;;) {
    detail::Owned<State> state(new State(root, clock));
    detail::LockOwner holder;
    if (state->try_take(watch, holder)) {
      state->generation = fork_generation();
      return WriterLock(std::move(state));
    }
    if (!state->named && ++replaced < detail::kLockReplacedTries) {
      continue;
    }
    const double left = wait_seconds - (clock.monotonic_seconds() - begin);
    if (!(left > 0)) {
      throw detail::locked_error(root, holder, state->kernel_lock);
    }
    state.reset();
    clock.sleep(std::min(left, detail::kLockPollSeconds));
  }
}

HOLDFAST_INLINE WriterLock::~WriterLock() {
  if (!state_ || fork_generation() != state_->generation) {
    return; // The child's descriptor closes; the parent's lock stays.
  }
  try {
    if (!state_->kernel_lock && !state_->lost && state_->is_ours()) {
      state_->owner.token.clear();
      state_->file->write_at(0, detail::owner_record(state_->owner));
      state_->file->sync();
    }
  } catch (...) { // The next owner has to wait for the counter.
  }
  state_->file->unlock();
}

HOLDFAST_INLINE const LockMark& WriterLock::mark() const noexcept {
  return state_->mark;
}

HOLDFAST_INLINE void WriterLock::check() {
  state_->verify();
  if (!state_->kernel_lock) {
    state_->write(state_->mark); // Tells the others that we live.
  }
}

HOLDFAST_INLINE void WriterLock::record(LockMark mark) {
  state_->verify();
  mark.highest = std::max(mark.highest, state_->mark.highest);
  mark.committed = std::max(mark.committed, state_->mark.committed);
  state_->write(mark);
}

HOLDFAST_INLINE LockMark read_mark(Directory& root) {
  try {
    const auto file = root.open_file(kLockName);
    std::string text(detail::kLockBytes, '\0');
    text.resize(file->read_at(
        0, reinterpret_cast<std::byte*>(text.data()), text.size()));
    return detail::newest_slot(detail::lock_contents(text)).mark;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) {
      throw;
    }
    return {};
  }
}

} // namespace holdfast

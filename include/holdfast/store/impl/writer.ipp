#pragma once

#include <holdfast/store/writer.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/scope_exit.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/store/impl/names.ipp>
#include <holdfast/store/names.hpp>
#include <holdfast/store/trash.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {

inline constexpr const char* kReasonName = "REASON.txt";
inline constexpr int kMaxClaims = 1000;

/// A rename, and after an error a look at whether it has happened all the same
/// (network file systems). True if the new name is there.
HOLDFAST_INLINE bool renamed_all_the_same(
    Directory& root,
    const std::string& from,
    const std::string& to) noexcept {
  try {
    return !root.exists(from) && root.exists(to);
  } catch (...) {
    return false;
  }
}

/// Removes a directory whose name could not be changed: what makes it a
/// checkpoint goes first, so that no reader takes the rest for one.
HOLDFAST_INLINE void remove_manifest_first(
    Directory& root,
    const std::string& name) {
  try {
    const auto directory = root.open_directory(name);
    try {
      directory->remove_file(kManifestName);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) {
        throw;
      }
    }
    directory->sync();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) {
      return;
    }
    if (error.code() != ErrorCode::not_a_directory) {
      throw;
    }
  }
  remove_tree(root, name);
}

/// Null where there is none.
HOLDFAST_INLINE std::unique_ptr<ReadableFile> manifest_if_there(
    Directory& root,
    const std::string& checkpoint) {
  try {
    return root.open_directory(checkpoint)->open_file(kManifestName);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) {
      return nullptr;
    }
    throw;
  }
}

/// The link `point_symlink` works on, left by a crash.
HOLDFAST_INLINE bool is_left_over_link(const DirectoryEntry& entry) noexcept {
  std::string_view name = entry.name;
  return entry.kind == FileKind::symlink && take_prefix(name, ".latest-") &&
      name.size() == 32 && is_random_suffix(name);
}

} // namespace detail

struct Writer::State {
  State(
      std::shared_ptr<Directory> directory,
      Clock& clock_used,
      double wait_seconds,
      Deletion deletion)
      : root(std::move(directory)),
        clock(clock_used),
        lock(WriterLock::acquire(*root, clock, wait_seconds)),
        trash(root, deletion) {}

  std::shared_ptr<Directory> root;
  Clock& clock;
  WriterLock lock;
  Trash trash; ///< Is done before the lock goes.
  std::uint64_t highest = 0; ///< Of all numbers seen, made or given out.
  bool lost = false;

  void check_lock() {
    if (!lost) {
      lock.check();
      return;
    }
    ErrorDetails details;
    details.message = "another process has written to this directory";
    details.path = root->path();
    throw Error(ErrorCode::lost_lock, std::move(details));
  }

  void check_fence(std::uint64_t claimed = 0) {
    check_lock();
    for (const DirectoryEntry& entry : root->list()) {
      const ParsedName parsed = parse_name(entry.name);
      if (parsed.sequence > highest ||
          (claimed != 0 && parsed.sequence == claimed &&
           parsed.kind != NameKind::staging)) {
        lost = true;
      }
    }
    if (lost) {
      check_lock();
    }
  }

  /// Numbers in LOCK before the last name that carries them goes.
  void keep_number(std::uint64_t sequence) {
    if (lock.mark().highest < sequence) {
      LockMark mark = lock.mark();
      mark.highest = std::max(highest, sequence);
      lock.record(mark);
    }
  }

  /// Of `entries`, which were there when the lock was taken: nobody's
  /// left-overs but those of former writers.
  void sweep(const std::vector<DirectoryEntry>& entries) {
    std::vector<std::string> doomed;
    for (const DirectoryEntry& entry : entries) {
      const ParsedName parsed = parse_name(entry.name);
      try {
        if (detail::is_left_over_link(entry)) {
          root->remove_file(entry.name);
        } else if (parsed.kind == NameKind::trash) {
          doomed.push_back(entry.name);
        } else if (parsed.kind == NameKind::staging) {
          const std::string name = trash_name(parsed.sequence);
          try {
            root->rename(entry.name, name);
          } catch (const Error&) {
            if (!detail::renamed_all_the_same(*root, entry.name, name)) {
              detail::remove_manifest_first(*root, entry.name);
              continue;
            }
          }
          doomed.push_back(name);
        }
      } catch (const Error&) { // The next writer tries again.
      }
    }
    if (doomed.empty()) {
      return;
    }
    root->sync();
    for (const std::string& name : doomed) {
      trash.remove(name);
    }
  }
};

HOLDFAST_INLINE Writer::Writer(
    std::shared_ptr<Directory> root,
    Clock& clock,
    double wait_seconds,
    Deletion deletion)
    : state_(new State(std::move(root), clock, wait_seconds, deletion)) {
  State& s = *state_;
  const std::vector<DirectoryEntry> entries = s.root->list();
  LockMark mark = s.lock.mark();
  for (const DirectoryEntry& entry : entries) {
    const ParsedName parsed = parse_name(entry.name);
    mark.highest = std::max(mark.highest, parsed.sequence);
    if (parsed.kind == NameKind::checkpoint ||
        parsed.kind == NameKind::quarantined) {
      mark.committed = std::max(mark.committed, parsed.sequence);
    }
  }
  s.highest = mark.highest;
  // Before the sweep: the names that go may be all that tells these numbers.
  s.lock.record(mark);
  try {
    s.sweep(entries);
  } catch (const Error&) { // Left-overs harm nobody.
  }
}

HOLDFAST_INLINE Writer::~Writer() = default;

HOLDFAST_INLINE Directory& Writer::root() noexcept {
  return *state_->root;
}

HOLDFAST_INLINE Clock& Writer::clock() noexcept {
  return state_->clock;
}

HOLDFAST_INLINE const LockMark& Writer::mark() const noexcept {
  return state_->lock.mark();
}

HOLDFAST_INLINE void Writer::check_fence(std::uint64_t claimed) {
  state_->check_fence(claimed);
}

HOLDFAST_INLINE std::uint64_t Writer::claim_number(
    const std::function<void(std::uint64_t)>& claim) {
  State& s = *state_;
  for (int tries = 1;; ++tries) {
    // Spent, whatever becomes of it.
    const std::uint64_t number = s.highest + 1;
    (void)detail::sequence_text(number);
    s.highest = number;
    try {
      claim(number);
      return number;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::already_exists ||
          tries == detail::kMaxClaims) {
        throw;
      }
    }
    s.highest = std::max(s.highest, scan(*s.root).highest);
  }
}

HOLDFAST_INLINE void Writer::record_committed(std::uint64_t sequence) {
  state_->check_lock();
  state_->highest = std::max(state_->highest, sequence);
  state_->lock.record({state_->highest, sequence});
}

HOLDFAST_INLINE void Writer::record_used(std::uint64_t sequence) {
  state_->check_lock();
  state_->highest = std::max(state_->highest, sequence);
  state_->lock.record({state_->highest, 0});
}

HOLDFAST_INLINE Line Writer::begin_line(
    std::uint64_t origin,
    const std::string& tag,
    bool rollback) {
  State& s = *state_;
  if (!tag.empty() && !is_name(tag)) {
    throw_invalid_argument("tag", "is not of [a-z0-9_-]{1,64}", tag);
  }
  s.check_fence();
  if (origin > s.highest) {
    throw_invalid_argument(
        "origin", "is no number of this directory", std::to_string(origin));
  }
  Directory& root = *s.root;
  std::unique_ptr<WritableFile> file;
  Line line;
  line.origin = origin;
  line.tag = tag;
  line.rollback = rollback;
  line.sequence = claim_number([&](std::uint64_t number) {
    file = root.create_file(staging_name(number));
  });
  const std::string staging = staging_name(line.sequence);
  ScopeExit remove_staging([&] {
    try {
      root.remove_file(staging);
    } catch (...) { // The next writer sweeps it.
    }
  });
  const std::string text = line_text(line, s.clock.wall_seconds());
  file->write(ByteView(std::string_view(text)));
  file->sync();
  file->close();
  s.check_fence(line.sequence);
  const std::string name = line_name(line.sequence, origin);
  try {
    root.rename(staging, name);
  } catch (const Error&) {
    if (!detail::renamed_all_the_same(root, staging, name)) {
      throw;
    }
  }
  remove_staging.dismiss();
  root.sync();
  record_used(line.sequence);
  return line;
}

HOLDFAST_INLINE std::optional<Line> Writer::asked_line() {
  Directory& root = *state_->root;
  const Catalog catalog = scan(root);
  for (auto name = catalog.lines.rbegin(); name != catalog.lines.rend();
       ++name) {
    const std::string path = root.path() + "/" + name->name;
    try {
      const Bytes bytes = read_file(root, name->name, kMaxLineBytes);
      Line line = parse_line(*name, ByteView(bytes).text(), path);
      if (!line.rollback) {
        return line;
      }
    } catch (const Error& error) {
      throw error.at(path);
    }
  }
  return std::nullopt;
}

HOLDFAST_INLINE void Writer::quarantine(
    const CheckpointName& name,
    const std::string& reason) {
  State& s = *state_;
  s.check_fence();
  s.keep_number(name.sequence);
  const std::string target = quarantine_name(name.sequence);
  try {
    s.root->rename(name.name, target);
  } catch (const Error&) {
    if (!detail::renamed_all_the_same(*s.root, name.name, target)) {
      return; // It stays: the next resume judges it again.
    }
  }
  s.root->sync();
  try {
    const auto directory = s.root->open_directory(target);
    write_file(*directory, detail::kReasonName, reason + "\n");
    directory->sync();
  } catch (const Error&) { // For people only.
  }
}

HOLDFAST_INLINE void Writer::remove(const CheckpointName& name) {
  State& s = *state_;
  s.check_fence();
  const auto refuse = [&](const char* why) {
    ErrorDetails details;
    details.message = std::string("the checkpoint is ") + why;
    details.path = s.root->path() + "/" + name.name;
    throw Error(ErrorCode::locked, std::move(details));
  };
  // Keeps readers off until the name is gone: they lock first and then look
  // whether it is still there.
  std::unique_ptr<ExclusiveLock> alone;
  const auto manifest = detail::manifest_if_there(*s.root, name.name);
  if (manifest) {
    alone = manifest->try_lock_exclusive();
    if (!alone) {
      refuse("being read");
    }
    if (read_pin(*s.root->open_directory(name.name))) {
      refuse("pinned");
    }
  }
  s.keep_number(name.sequence);
  const std::string trash = trash_name(name.sequence);
  try {
    s.root->rename(name.name, trash);
  } catch (const Error&) {
    if (!detail::renamed_all_the_same(*s.root, name.name, trash)) {
      detail::remove_manifest_first(*s.root, name.name);
      return;
    }
  }
  alone.reset();
  const auto put_back = [&] {
    s.root->rename(trash, name.name);
    s.root->sync();
  };
  // Made by hand while the name went: from now on nobody finds the directory.
  bool is_pinned = false;
  try {
    is_pinned = read_pin(*s.root->open_directory(trash)).has_value();
  } catch (...) {
    put_back();
    throw;
  }
  if (is_pinned) {
    put_back();
    refuse("pinned");
  }
  // A crash that brought the old name back, without its files, would make a
  // lie of it.
  try {
    s.root->sync();
  } catch (...) {
    s.trash.remember(trash);
    throw;
  }
  s.trash.remove(trash);
}

HOLDFAST_INLINE Trash& Writer::trash() noexcept {
  return state_->trash;
}

HOLDFAST_INLINE Hold Writer::hold_on(const CheckpointName& name) {
  Hold hold;
  const auto manifest = detail::manifest_if_there(*state_->root, name.name);
  if (manifest) {
    hold.being_read = !manifest->is_unlocked();
    hold.pin = read_pin(*state_->root->open_directory(name.name));
  }
  return hold;
}

HOLDFAST_INLINE void Writer::pin(
    const CheckpointName& name,
    const std::string& label) {
  state_->check_fence();
  write_pin(*state_->root->open_directory(name.name), label);
}

HOLDFAST_INLINE void Writer::unpin(const CheckpointName& name) {
  state_->check_fence();
  remove_pin(*state_->root->open_directory(name.name));
}

HOLDFAST_INLINE void Writer::point_latest(const std::string& name) noexcept {
  try {
    state_->root->point_symlink(kLatestName, name);
  } catch (...) {
  }
}

} // namespace holdfast

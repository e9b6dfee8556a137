#pragma once

#include <holdfast/store/transaction.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/base/posix_fork.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/zstd.hpp>
#include <holdfast/store/impl/names.ipp>
#include <holdfast/store/impl/writer.ipp>
#include <holdfast/store/names.hpp>

#include <map>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {

/// The bytes that must be free for a checkpoint of `expected` bytes: 2 % more,
/// and for names, journal and what else writes to the same disk meanwhile 64
/// KiB and a quarter, but not more than 16 MiB. At most what a number holds.
HOLDFAST_INLINE std::uint64_t space_needed(std::uint64_t expected) noexcept {
  const std::uint64_t margin = std::min(
      (std::uint64_t{64} << 10) + expected / 4, std::uint64_t{16} << 20);
  const auto with_share = checked_add(expected, expected / 50);
  const auto with_margin = checked_add(with_share.value_or(expected), margin);
  return with_margin.value_or(expected);
}

/// What is free, if it is known and too little for `expected` bytes.
HOLDFAST_INLINE std::optional<std::uint64_t> too_little_space(
    Directory& root,
    std::uint64_t expected) {
  try {
    const std::uint64_t free = root.space().available_bytes;
    // Where it is 0, whoever may use the reserves writes all the same.
    if (free != 0 && free < space_needed(expected)) {
      return free;
    }
  } catch (const Error&) { // the writes will tell
  }
  return std::nullopt;
}

HOLDFAST_INLINE void check_space(Directory& root, std::uint64_t expected) {
  const std::optional<std::uint64_t> free = too_little_space(root, expected);
  if (!free) {
    return;
  }
  ErrorDetails details;
  details.message = "not enough space for a checkpoint and a margin beside it";
  details.path = root.path();
  details.expected = format_bytes(space_needed(expected)) + " free";
  details.found = format_bytes(*free);
  throw Error(ErrorCode::no_space, std::move(details));
}

/// A part's directory (empty: the checkpoint's own) and file name.
struct PartPath {
  std::string directory;
  std::string file;
};

HOLDFAST_INLINE PartPath split_part_path(const std::string& path) {
  PartPath split;
  const std::size_t slash = path.find('/');
  if (slash == std::string::npos) {
    split.file = path;
  } else {
    split.directory = path.substr(0, slash);
    split.file = path.substr(slash + 1);
  }
  const auto is_component = [](const std::string& name) {
    return !name.empty() && name != "." && name != ".." &&
        name.find('/') == std::string::npos &&
        name.find('\0') == std::string::npos;
  };
  if (!is_component(split.file) ||
      (slash != std::string::npos && !is_component(split.directory))) {
    throw_invalid_argument("path", "is not 'file' or 'directory/file'", path);
  }
  return split;
}

} // namespace detail

HOLDFAST_INLINE bool has_space(Directory& root, std::uint64_t bytes) {
  return !detail::too_little_space(root, bytes);
}

struct Transaction::State {
  explicit State(Writer& used) : writer(used) {}

  Writer& writer;
  std::uint64_t generation = fork_generation();
  std::uint64_t sequence = 0;
  std::string staging_name;
  std::unique_ptr<Directory> staging;
  std::map<std::string, std::unique_ptr<Directory>> directories;

  std::vector<PartFile> parts;
  bool broken = false; ///< A part failed: nothing can be committed.
  bool renamed = false; ///< Step 5 is done: no longer ours to remove.

  void check_usable() const {
    if (fork_generation() != generation) {
      throw Error(
          ErrorCode::forked,
          "a checkpoint cannot be written on in a forked child");
    }
    if (broken || renamed) {
      throw_invalid_argument(
          "transaction",
          renamed ? "is committed" : "has failed: nothing can follow");
    }
  }

  [[nodiscard]] Directory& directory(const std::string& name) {
    if (name.empty()) {
      return *staging;
    }
    auto& entry = directories[name];
    if (!entry) {
      staging->create_directory(name);
      entry = staging->open_directory(name);
    }
    return *entry;
  }

  /// Removes the attempt. The number stays spent: the writer has counted it.
  void abandon() noexcept {
    if (renamed || staging_name.empty() || fork_generation() != generation) {
      return;
    }
    try {
      directories.clear();
      staging.reset();
      remove_tree(writer.root(), staging_name);
    } catch (...) { // The next writer sweeps it.
    }
  }
};

HOLDFAST_INLINE Transaction::Transaction(
    Writer& writer,
    std::uint64_t expected_bytes)
    : state_(new State(writer)) {
  State& s = *state_;
  Directory& root = writer.root();
  // Step 1: fence, space, claim.
  writer.check_fence();
  detail::check_space(root, expected_bytes);
  try {
    s.sequence = writer.claim_number([&](std::uint64_t number) {
      const std::string name = holdfast::staging_name(number);
      try {
        root.create_directory(name);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::already_exists) {
          s.staging_name = name; // It may be there all the same.
        }
        throw;
      }
      s.staging_name = name;
    });
    s.staging = root.open_directory(s.staging_name);
  } catch (...) {
    s.abandon();
    throw;
  }
}

HOLDFAST_INLINE Transaction::~Transaction() {
  state_->abandon();
}

HOLDFAST_INLINE std::uint64_t Transaction::sequence() const noexcept {
  return state_->sequence;
}

HOLDFAST_INLINE PartFile Transaction::write_part(
    const std::string& path,
    std::uint64_t expected_bytes,
    const Compression& compression,
    const std::function<void(ByteSink&)>& produce) {
  State& s = *state_;
  s.check_usable();
  const detail::PartPath where = detail::split_part_path(path);
  PartFile part;
  part.path = path;
  if (compression.zstd_level) {
    part.stored = StoredForm{kZstdCodec, 0, {}};
  }
  const std::string on_disk = part.stored_path();
  if (on_disk == kManifestName) {
    throw_invalid_argument("path", "is the manifest's", path);
  }
  for (const PartFile& other : s.parts) {
    if (other.path == path || other.stored_path() == on_disk) {
      ErrorDetails details;
      details.message = "a part of this checkpoint has this path";
      details.path = path;
      throw Error(ErrorCode::duplicate_name, std::move(details));
    }
  }
  if (s.parts.size() >= kMaxParts) {
    ErrorDetails details;
    details.message = "a checkpoint has too many files";
    details.path = path;
    details.expected = "at most " + std::to_string(kMaxParts);
    throw Error(ErrorCode::limit_exceeded, std::move(details));
  }

  // Step 2: create exclusively, write, hash while writing, fsync, close.
  s.broken = true; // Until this is through.
  const auto file = s.directory(where.directory)
                        .create_file(where.file + (part.stored ? ".zst" : ""));
  if (part.stored) {
    HashingSink stored(*file);
    ZstdSink zstd(stored, *compression.zstd_level);
    HashingSink plain(zstd);
    produce(plain);
    zstd.finish();
    part.bytes = plain.bytes();
    part.digest = plain.digest();
    part.stored->bytes = stored.bytes();
    part.stored->digest = stored.digest();
  } else {
    if (expected_bytes != 0) {
      file->reserve(expected_bytes);
    }
    HashingSink plain(*file);
    produce(plain);
    part.bytes = plain.bytes();
    part.digest = plain.digest();
  }
  file->sync();
  file->close();
  s.parts.push_back(part);
  s.broken = false;
  return part;
}

HOLDFAST_INLINE Committed Transaction::commit(Manifest manifest) {
  State& s = *state_;
  s.check_usable();
  Directory& root = s.writer.root();
  manifest.sequence = s.sequence;
  manifest.parts = s.parts;
  const std::string name = checkpoint_name(s.sequence, manifest.step);
  const std::string text = manifest_text(manifest);
  // What no reader would accept must not be acknowledged.
  (void)parse_manifest(ByteView(std::string_view(text)));
  s.broken = true; // One try.

  // Step 3: the manifest, as the last file.
  const auto file = s.staging->create_file(kManifestName);
  file->write(ByteView(std::string_view(text)));
  file->sync();
  file->close();

  // Step 4: the names of all files.
  for (const auto& entry : s.directories) {
    entry.second->sync();
  }
  s.staging->sync();

  // Step 5: fence, rename.
  s.writer.check_fence(s.sequence);
  try {
    root.rename(s.staging_name, name);
  } catch (const Error&) {
    if (!detail::renamed_all_the_same(root, s.staging_name, name)) {
      s.writer.check_fence(); // If staging was swept, `lost_lock` says so.
      throw;
    }
  }
  s.renamed = true;

  // Step 6: its name.
  root.sync();

  // Step 7: LOCK.
  s.writer.record_committed(s.sequence);

  // Step 8.
  s.writer.point_latest(name);
  return {s.sequence, name};
}

} // namespace holdfast

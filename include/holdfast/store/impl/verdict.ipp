#pragma once

#include <holdfast/store/verdict.hpp>

#include <holdfast/store/impl/part_reader.ipp>
#include <holdfast/store/part_reader.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace holdfast {

namespace detail {

/// True for what may go away by itself, or is the system's and not the
/// checkpoint's fault.
HOLDFAST_INLINE bool is_system_failure(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::io_error:
    case ErrorCode::no_space:
    case ErrorCode::permission_denied:
    case ErrorCode::read_only:
    case ErrorCode::not_supported:
    case ErrorCode::cross_device:
    case ErrorCode::already_exists:
      return true;
    default:
      return false;
  }
}

/// Calls `action`; system errors are tried again before they pass through.
template <class Action>
auto with_retries(Clock& clock, Action&& action) -> decltype(action()) {
  for (const double pause : {0.1, 0.3, 0.6}) {
    try {
      return action();
    } catch (const Error& error) {
      if (!is_system_failure(error.code())) {
        throw;
      }
    }
    clock.sleep(pause);
  }
  return action();
}

HOLDFAST_INLINE Judgement judgement(Verdict verdict, std::string reason) {
  Judgement result;
  result.verdict = verdict;
  result.reason = std::move(reason);
  return result;
}

inline constexpr std::size_t kFirstReadBytes = std::size_t{16} << 10;

/// The first `most` bytes of a file and one more, if there are that many.
HOLDFAST_INLINE Bytes read_beginning(ReadableFile& file, std::size_t most) {
  // Grows with what is there: manifests are small, and there may be thousands.
  Bytes bytes;
  FileSource source(file);
  std::size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) {
      if (filled > most) {
        break;
      }
      bytes.resize(std::min(most + 1, std::max(2 * filled, kFirstReadBytes)));
    }
    const std::size_t got =
        source.read(bytes.data() + filled, bytes.size() - filled);
    if (got == 0) {
      break;
    }
    filled += got;
  }
  bytes.resize(filled);
  return bytes;
}

/// What a manifest's bytes are worth, before its name and parts are looked at.
HOLDFAST_INLINE Judgement judge_manifest_text(const Bytes& text) {
  try {
    Judgement result;
    result.manifest = parse_manifest(text);
    return result;
  } catch (const Error& error) {
    const std::string reason = std::string(kManifestName) + ": " + error.what();
    return judgement(
        error.code() == ErrorCode::unsupported_version ? Verdict::unsupported
                                                       : Verdict::damaged,
        reason);
  }
}

/// Reads and judges the manifest; a wrong one is read twice.
HOLDFAST_INLINE Judgement judge_manifest(Directory& checkpoint) {
  const auto file = checkpoint.open_file(kManifestName);
  const Bytes first = read_beginning(*file, kMaxManifestBytes);
  Judgement result = judge_manifest_text(first);
  if (result.verdict == Verdict::damaged) {
    file->drop_cache();
    if (read_beginning(*file, kMaxManifestBytes) != first) {
      return judgement(
          Verdict::unstable,
          std::string(kManifestName) + ": two reads gave different bytes");
    }
  }
  return result;
}

/// Judges one part; a wrong one is read twice.
HOLDFAST_INLINE Judgement
judge_part(Directory& checkpoint, const PartFile& part, VerifyLevel level) {
  const std::string label = "part '" + part.stored_path() + "'";
  const auto file = open_part(checkpoint, part.stored_path());
  const std::uint64_t size = file->size();
  if (level == VerifyLevel::quick) {
    if (size == part.stored_bytes()) {
      return {};
    }
    file->drop_cache();
    const bool same = open_part(checkpoint, part.stored_path())->size() == size;
    return judgement(
        same ? Verdict::damaged : Verdict::unstable,
        label + ": " + std::to_string(size) + " bytes, " +
            std::to_string(part.stored_bytes()) + " were written");
  }
  const PartRead first = PartChain(*file, part).finish();
  if (first.right) {
    return {};
  }
  file->drop_cache();
  const PartRead second = PartChain(*file, part).finish();
  if (second.right || second.stored_bytes != first.stored_bytes ||
      second.stored_digest != first.stored_digest) {
    return judgement(
        Verdict::unstable, label + ": two reads gave different bytes");
  }
  const bool cut = first.stored_bytes != part.stored_bytes();
  return judgement(
      Verdict::damaged,
      label + ": " +
          (cut ? std::to_string(first.stored_bytes) + " bytes, " +
                   std::to_string(part.stored_bytes()) + " were written"
               : "digest " + first.stored_digest.hex() + ", " +
                   part.stored_digest().hex() + " was written"));
}

/// `not_found`, or something in a file's or directory's place that is none.
HOLDFAST_INLINE bool is_absent(const Error& error) noexcept {
  return error.code() == ErrorCode::not_found ||
      error.code() == ErrorCode::not_a_directory ||
      (error.code() == ErrorCode::io_error &&
       (error.system_error() == 0 || error.system_error() == ELOOP ||
        error.system_error() == EISDIR));
}

/// Calls `action`, which judges; a missing file and a system error that lasts
/// become verdicts of their own.
template <class Action>
Judgement judge_files(Clock& clock, const std::string& label, Action&& action) {
  try {
    return with_retries(clock, [&] {
      try {
        return action();
      } catch (const Error& error) {
        if (is_absent(error)) {
          return judgement(Verdict::incomplete, label + " is missing");
        }
        throw;
      }
    });
  } catch (const Error& error) {
    Judgement result = judgement(
        Verdict::unreadable, label + " cannot be read: " + error.what());
    result.system_error = error.system_error();
    return result;
  }
}

} // namespace detail

HOLDFAST_INLINE const char* to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::valid:
      return "valid";
    case Verdict::incomplete:
      return "incomplete";
    case Verdict::damaged:
      return "damaged";
    case Verdict::unstable:
      return "unstable";
    case Verdict::unreadable:
      return "unreadable";
    case Verdict::unsupported:
      return "unsupported";
    case Verdict::foreign:
      return "foreign";
  }
  return "unknown";
}

HOLDFAST_INLINE bool Judgement::may_pass_over() const noexcept {
  switch (verdict) {
    case Verdict::incomplete:
    case Verdict::damaged:
    case Verdict::foreign:
      return true;
    case Verdict::unreadable:
      return system_error == EIO;
    case Verdict::valid:
    case Verdict::unstable:
    case Verdict::unsupported:
      return false;
  }
  return false;
}

HOLDFAST_INLINE Judgement judge_part(
    Directory& checkpoint,
    const PartFile& part,
    VerifyLevel level,
    Clock& clock) {
  return detail::judge_files(clock, "part '" + part.stored_path() + "'", [&] {
    return detail::judge_part(checkpoint, part, level);
  });
}

HOLDFAST_INLINE Judgement judge(
    Directory& root,
    const CheckpointName& name,
    VerifyLevel level,
    Clock& clock) {
  std::unique_ptr<Directory> checkpoint;
  Judgement result = detail::judge_files(clock, "the directory", [&] {
    checkpoint = root.open_directory(name.name);
    return Judgement();
  });
  if (!checkpoint) {
    return result;
  }
  result = detail::judge_files(clock, kManifestName, [&] {
    return detail::judge_manifest(*checkpoint);
  });
  if (result.verdict != Verdict::valid) {
    return result;
  }
  const Manifest manifest = *result.manifest;
  if (manifest.sequence != name.sequence || manifest.step != name.step) {
    result.verdict = Verdict::foreign;
    result.reason = "its manifest is that of " +
        std::to_string(manifest.sequence) + ", step " +
        std::to_string(manifest.step);
    return result;
  }
  for (const PartFile& part : manifest.parts) {
    result = judge_part(*checkpoint, part, level, clock);
    if (result.verdict != Verdict::valid) {
      break;
    }
  }
  result.manifest = manifest;
  return result;
}

} // namespace holdfast

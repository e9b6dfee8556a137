#pragma once

#include <holdfast/engine/search.hpp>

#include <holdfast/base/text.hpp>
#include <holdfast/store/names.hpp>
#include <holdfast/store/read_lease.hpp>
#include <holdfast/store/verdict.hpp>

#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE ErrorCode code_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::unstable:
      return ErrorCode::unstable;
    case Verdict::unreadable:
      return ErrorCode::unreadable;
    case Verdict::unsupported:
      return ErrorCode::unsupported_version;
    case Verdict::incomplete:
      return ErrorCode::incomplete;
    case Verdict::foreign:
      return ErrorCode::foreign;
    default:
      return ErrorCode::damaged;
  }
}

namespace detail {

HOLDFAST_INLINE std::string checkpoint_path(
    const Directory& root,
    const CheckpointName& name) {
  return root.path() + "/" + name.name;
}

/// A checkpoint that is not valid: throws if the search ends with it, else
/// notes it down.
HOLDFAST_INLINE void pass_over(
    const Directory& root,
    const CheckpointName& name,
    const Judgement& judgement,
    SearchResult& result) {
  if (!judgement.may_pass_over()) {
    ErrorDetails details;
    details.path = checkpoint_path(root, name);
    details.message = judgement.reason;
    details.system_error = judgement.system_error;
    throw Error(code_of(judgement.verdict), std::move(details));
  }
  PassedOver passed;
  passed.name = name.name;
  passed.step = name.step;
  passed.verdict = judgement.verdict;
  passed.reason = judgement.reason;
  result.passed_over.push_back(std::move(passed));
  if (judgement.verdict == Verdict::damaged && judgement.manifest) {
    result.damaged.push_back(*judgement.manifest);
  }
}

/// Nothing where it cannot be had.
HOLDFAST_INLINE std::optional<ReadLease> lease_of(
    Directory& root,
    const CheckpointName& name) {
  try {
    return ReadLease(root, name.name);
  } catch (const Error&) {
    return std::nullopt; // the verdict will tell what is wrong with it
  }
}

/// The same error; a path that is relative to the checkpoint is made complete.
HOLDFAST_INLINE Error
in_checkpoint(const Error& error, const std::string& checkpoint) {
  if (error.path().compare(0, checkpoint.size(), checkpoint) == 0) {
    return error;
  }
  ErrorDetails details = error.details();
  details.path = checkpoint + (error.path().empty() ? "" : "/" + error.path());
  return Error(error.code(), std::move(details));
}

/// The error `action` ends with. Memory that is not there for what a file says
/// is one, too.
template <class Action>
std::optional<Error> error_of(Action&& action) {
  try {
    action();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return Error(
      ErrorCode::limit_exceeded, "there is not enough memory to read it");
}

/// True if all that is asked for was prepared, false if it was passed over.
HOLDFAST_INLINE bool try_salvage(
    Directory& root,
    const CheckpointName& name,
    const Manifest& manifest,
    const PartSet& parts,
    const LoadOptions& options,
    const TransferListener& listener,
    Clock& clock,
    SearchResult& result) {
  const auto directory = root.open_directory(name.name);
  Salvage salvage = inspect(*directory, manifest, parts, clock);
  if (salvage.hindrance.verdict != Verdict::valid) {
    pass_over(root, name, salvage.hindrance, result);
    return false;
  }
  const std::optional<Error> error = detail::error_of([&] {
    TransferMeter meter(
        listener, clock, TransferProgress::Kind::loading, name.name);
    result.found.emplace(Found{
        name,
        manifest,
        PreparedRestore(*directory, salvage.intact, parts, &options, meter),
        std::move(salvage.damaged)});
  });
  if (error) {
    throw in_checkpoint(*error, checkpoint_path(root, name));
  }
  return true;
}

/// True if the candidate was prepared, false if it was passed over.
HOLDFAST_INLINE bool try_candidate(
    Directory& root,
    const CheckpointName& name,
    const PartSet& parts,
    const LoadOptions* options,
    const TransferListener& listener,
    Clock& clock,
    SearchResult& result) {
  const auto lease = lease_of(root, name);
  const Judgement quick = judge(root, name, VerifyLevel::quick, clock);
  if (options != nullptr && options->salvage() && quick.manifest &&
      quick.verdict != Verdict::foreign) {
    return try_salvage(
        root, name, *quick.manifest, parts, *options, listener, clock, result);
  }
  if (quick.verdict != Verdict::valid) {
    pass_over(root, name, quick, result);
    return false;
  }
  const auto prepare = [&] {
    const auto directory = root.open_directory(name.name);
    TransferMeter meter(
        listener, clock, TransferProgress::Kind::loading, name.name);
    result.found.emplace(Found{
        name,
        *quick.manifest,
        PreparedRestore(*directory, *quick.manifest, parts, options, meter)});
  };
  const std::optional<Error> error = detail::error_of(prepare);
  if (!error) {
    return true;
  }
  // Wrong bytes can look like anything, a mismatch included. Only what a
  // complete verification says counts.
  const Judgement full = judge(root, name, VerifyLevel::full, clock);
  if (full.verdict != Verdict::valid) {
    pass_over(root, name, full, result);
    return false;
  }
  const std::optional<Error> again = detail::error_of(prepare);
  if (again && again->system_error() != 0) {
    throw in_checkpoint(*again, checkpoint_path(root, name));
  }
  if (error->system_error() != 0 && !again) {
    return true; // it has passed
  }
  // The bytes are those of the manifest, so every read of them must end alike.
  if (!again || again->code() == ErrorCode::checksum_mismatch ||
      std::string(again->what()) != error->what()) {
    result.found.reset();
    ErrorDetails details;
    details.path = checkpoint_path(root, name);
    details.message =
        "two reads of it differ: the device or the way to it is broken";
    throw Error(ErrorCode::unstable, std::move(details));
  }
  throw in_checkpoint(*again, checkpoint_path(root, name));
}

} // namespace detail

HOLDFAST_INLINE Salvage inspect(
    Directory& checkpoint,
    const Manifest& manifest,
    const PartSet& parts,
    Clock& clock) {
  bool only_modules = true;
  for (const NamedPart& part : parts.all()) {
    only_modules = only_modules && part.part->kind() == "module";
  }
  Salvage salvage;
  salvage.intact = manifest;
  salvage.intact.parts.clear();
  for (const PartFile& file : manifest.parts) {
    Judgement judgement =
        judge_part(checkpoint, file, VerifyLevel::full, clock);
    if (judgement.verdict == Verdict::valid) {
      salvage.intact.parts.push_back(file);
      continue;
    }
    salvage.damaged.push_back(
        DamagedFile{file.path, judgement.verdict, judgement.reason});
    // A part's file lies in a directory of the part's name.
    const bool needed = file.path == kStateName
        ? !only_modules
        : parts.find(split_path(file.path).parent) != nullptr;
    if (needed && salvage.hindrance.verdict == Verdict::valid) {
      salvage.hindrance = std::move(judgement);
    }
  }
  return salvage;
}

HOLDFAST_INLINE SearchResult search(
    Directory& root,
    const std::vector<CheckpointName>& candidates,
    const PartSet& parts,
    const LoadOptions* options,
    const TransferListener& listener,
    Clock& clock) {
  SearchResult result;
  for (const CheckpointName& name : candidates) {
    if (detail::try_candidate(
            root, name, parts, options, listener, clock, result)) {
      break;
    }
  }
  return result;
}

HOLDFAST_INLINE void throw_nothing_usable(
    const Directory& root,
    const std::vector<PassedOver>& passed_over) {
  ErrorDetails details;
  details.path = root.path();
  if (passed_over.empty()) {
    details.message = "there is no checkpoint to use";
  } else {
    details.message = "no checkpoint can be used:";
    for (const PassedOver& other : passed_over) {
      details.message += "\n  " + to_string(other);
    }
    details.message += "\n ";
  }
  throw Error(ErrorCode::no_usable_checkpoint, std::move(details));
}

HOLDFAST_INLINE void require_fresh(
    const Directory& root,
    const Catalog& catalog,
    const LockMark& mark,
    const std::vector<PassedOver>& passed_over) {
  if (!passed_over.empty()) {
    throw_nothing_usable(root, passed_over);
  }
  const std::uint64_t line = catalog.current_line();
  const bool untouched = !catalog.has_trace() && mark.committed == 0;
  const bool new_line = line != 0 && catalog.lines.back().origin == 0 &&
      mark.committed < line && catalog.highest_quarantined < line;
  if (!untouched && !new_line) {
    ErrorDetails details;
    details.path = root.path();
    details.message =
        "there are traces of a former run, but no checkpoint to resume from; "
        "call start_fresh(tag) to begin anew";
    for (const std::string& name : catalog.foreign) {
      details.message += "\n  " + name +
          ": foreign: another one has its number, or it is a link";
    }
    throw Error(ErrorCode::no_usable_checkpoint, std::move(details));
  }
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/restore.hpp>

#include <holdfast/base/sorting.hpp>
#include <holdfast/engine/impl/load_rules.ipp>
#include <holdfast/engine/impl/pending_part.ipp>
#include <holdfast/engine/impl/shared_memory.ipp>
#include <holdfast/format/state_document.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace holdfast {

namespace detail {

/// The names in a part are to differ after a renaming, too.
HOLDFAST_INLINE void check_renamed(const Saved& saved) {
  std::vector<std::string> names = all_names(saved);
  if (const std::string* const twice = sort_and_find_twice(names)) {
    ErrorDetails details;
    details.name = *twice;
    details.message = "two tensors have this name after renaming";
    throw Error(ErrorCode::duplicate_name, std::move(details));
  }
}

/// What can be had without state.json: the tensors of modules, by the headers
/// of their files. Everything else about a module is as it is now.
HOLDFAST_INLINE StateDocument
document_without_state(const Manifest& manifest, const PartSet& parts) {
  const Names names = parts.publish();
  StateDocument document;
  for (const NamedPart& named_part : parts.all()) {
    PartRecord record;
    record.name = named_part.name;
    record.kind = named_part.part->kind();
    record.file = named_part.name + "/model.safetensors";
    if (record.kind != "module" ||
        find_file(manifest, record.file) == nullptr) {
      ErrorDetails details;
      details.name = named_part.name;
      details.message =
          "without state.json only the tensors of modules can be had";
      throw Error(ErrorCode::damaged, std::move(details));
    }
    record.values = named_part.part->capture(names).values;
    document.parts.push_back(std::move(record));
  }
  return document;
}

/// One error that lists all of `mismatches`, with the first one's code. A
/// single one keeps its fields; several are lines of the message.
[[noreturn]] HOLDFAST_INLINE void throw_mismatches(
    const std::vector<Mismatch>& mismatches) {
  const Mismatch& first = mismatches.front();
  ErrorDetails details;
  if (mismatches.size() == 1) {
    details.name = first.name;
    details.message = "the checkpoint does not match";
    details.expected = first.expected;
    details.found = first.found;
    throw Error(first.code, std::move(details));
  }
  details.message = "the checkpoint does not match in " +
      std::to_string(mismatches.size()) + " places:";
  for (const Mismatch& mismatch : mismatches) {
    details.message += "\n  '" + mismatch.name + "': ";
    if (!mismatch.found.empty()) {
      details.message += "found " + mismatch.found;
    }
    if (!mismatch.expected.empty()) {
      details.message += mismatch.found.empty() ? "expected " : ", expected ";
      details.message += mismatch.expected;
    }
    details.message += std::string(" (") + to_string(mismatch.code) + ")";
  }
  details.message += "\n ";
  throw Error(first.code, std::move(details));
}

} // namespace detail

struct PreparedRestore::State {
  std::vector<detail::PendingPart> parts; ///< In the order of applying.
  std::vector<RestoredPart> restored;
  std::vector<TensorFate> fates;
  std::vector<std::string> notes;
  Values engine;
  bool applied = false;
};

HOLDFAST_INLINE PreparedRestore::PreparedRestore(
    Directory& checkpoint,
    const Manifest& manifest,
    const PartSet& parts,
    const LoadOptions* options,
    TransferMeter& meter)
    : state_(new State()) {
  const bool is_load = options != nullptr;
  const PartFile* state_file = detail::find_file(manifest, kStateName);
  StateDocument document;
  if (state_file != nullptr) {
    const Bytes text = detail::read_part(checkpoint, *state_file);
    document = parse_state_document(text);
  } else if (is_load && options->salvage()) {
    document = detail::document_without_state(manifest, parts);
    state_->notes.push_back(
        "without state.json nothing is known of ties, strides and state that "
        "is not in tensors: the latter was left as it was");
  } else {
    throw Error(
        ErrorCode::malformed_manifest, "the manifest names no state.json");
  }
  state_->engine = std::move(document.engine);

  detail::LoadRules rules(options);
  std::vector<Mismatch> mismatches;
  const Names names = parts.publish();
  std::set<std::string> present;
  for (PartRecord& record : document.parts) {
    present.insert(record.name);
    const NamedPart* target = parts.find(record.name);
    if (target == nullptr) {
      if (!is_load) {
        mismatches.push_back(Mismatch{
            ErrorCode::part_unexpected,
            record.name,
            "",
            "a part of kind '" + record.kind + "' that nobody registered"});
      }
      continue;
    }
    const std::string kind = target->part->kind();
    if (kind != record.kind) {
      mismatches.push_back(
          Mismatch{ErrorCode::type_mismatch, record.name, kind, record.kind});
      continue;
    }
    detail::PendingPart pending;
    pending.target = target;
    pending.names_known = state_file != nullptr;
    pending.report.name = record.name;
    pending.report.kind = kind;
    detail::read_table(checkpoint, manifest, record, pending);
    pending.saved.values = std::move(record.values);
    std::vector<std::string> saved_names;
    if (is_load) {
      rules.enter(record.name);
      saved_names = detail::all_names(pending.saved);
      target->part->drop_loop_state(pending.saved.values);
      pending.saved.device = options->device();
      if (rules.renames()) {
        target->part->rename(pending.saved, record.name, rules);
        detail::check_renamed(pending.saved);
      }
    }
    Mismatches own(rules);
    pending.restore = target->part->prepare(pending.saved, names, own);
    for (const Mismatch& mismatch : own) {
      mismatches.push_back(mismatch);
      mismatches.back().name =
          record.name + (mismatch.name.empty() ? "" : ": " + mismatch.name);
    }
    if (is_load) {
      detail::append_fates(
          record.name, saved_names, pending.saved, own, state_->fates);
    }
    state_->parts.push_back(std::move(pending));
  }
  for (const NamedPart& named_part : parts.all()) {
    if (present.count(named_part.name) != 0) {
      continue;
    }
    Mismatch missing{
        ErrorCode::part_missing,
        "",
        "a part of kind '" + named_part.part->kind() + "'",
        "nothing in the checkpoint"};
    rules.enter(named_part.name);
    if (rules.allows(missing)) {
      state_->notes.push_back(
          named_part.name + ": not in the checkpoint, left as it was");
      continue;
    }
    missing.name = named_part.name;
    mismatches.push_back(std::move(missing));
  }
  if (!mismatches.empty()) {
    detail::throw_mismatches(mismatches);
  }
  rules.append_idle(state_->notes);
  std::uint64_t bytes = 0;
  for (const detail::PendingPart& pending : state_->parts) {
    bytes += pending.report.bytes;
  }
  meter.expect(bytes);
  for (detail::PendingPart& pending : state_->parts) {
    if (pending.reader) {
      detail::read_tensors(pending, meter);
    }
    state_->restored.push_back(pending.report);
  }
  detail::check_shared_memory(state_->parts, names, mismatches);
  if (!mismatches.empty()) {
    detail::throw_mismatches(mismatches);
  }
  detail::sort_by(
      state_->parts,
      [](const detail::PendingPart& a, const detail::PendingPart& b) {
        return a.target->part->stage() < b.target->part->stage();
      });
}

HOLDFAST_INLINE PreparedRestore::~PreparedRestore() = default;
HOLDFAST_INLINE PreparedRestore::PreparedRestore(PreparedRestore&&) noexcept =
    default;
HOLDFAST_INLINE PreparedRestore& PreparedRestore::operator=(
    PreparedRestore&&) noexcept = default;

HOLDFAST_INLINE void PreparedRestore::apply() {
  std::vector<detail::PendingPart>& parts = state_->parts;
  // Random state comes after the callbacks, which may draw.
  auto random = parts.begin();
  while (random != parts.end() &&
         random->target->part->stage() != Stage::random) {
    ++random;
  }
  auto next = parts.begin();
  try {
    for (; next != random; ++next) {
      next->restore->apply(next->bytes);
    }
  } catch (...) {
    // The one that threw takes back what it may have begun, too.
    for (++next; next != parts.begin();) {
      --next;
      next->restore->undo();
    }
    throw;
  }
  state_->applied = true;
  for (const detail::PendingPart& pending : parts) {
    pending.target->part->restored();
  }
  for (; next != parts.end(); ++next) {
    next->restore->apply(next->bytes);
  }
  for (detail::PendingPart& pending : parts) {
    pending.restore->apply_random();
  }
  std::vector<std::string> notes;
  for (const detail::PendingPart& pending : parts) {
    append_notes(*pending.target, notes);
  }
  state_->notes.insert(state_->notes.begin(), notes.begin(), notes.end());
}

HOLDFAST_INLINE bool PreparedRestore::is_applied() const noexcept {
  return state_->applied;
}

HOLDFAST_INLINE const Values& PreparedRestore::engine() const noexcept {
  return state_->engine;
}

HOLDFAST_INLINE const std::vector<RestoredPart>& PreparedRestore::restored()
    const noexcept {
  return state_->restored;
}

HOLDFAST_INLINE const std::vector<TensorFate>& PreparedRestore::fates()
    const noexcept {
  return state_->fates;
}

HOLDFAST_INLINE const std::vector<std::string>& PreparedRestore::notes()
    const noexcept {
  return state_->notes;
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/impl/manager_resume.ipp>
#include <holdfast/engine/impl/search.ipp>

#include <holdfast/base/scope_exit.hpp>

// Going back on purpose: each way begins a new line, and deletes nothing.

namespace holdfast {

namespace detail {

HOLDFAST_INLINE void require_tag(const std::string& tag) {
  if (!is_name(tag)) {
    throw_invalid_argument(
        "tag", "tags match [a-z0-9_-]{1,64}", "'" + tag + "'");
  }
}

} // namespace detail

/// True if the newest line that was asked for already is what is asked for now,
/// so that a job script which is run again goes on. A tag that was used for
/// something else is an error: the script was changed and the tag was not.
HOLDFAST_INLINE bool Manager::State::continues(
    const std::optional<Line>& asked,
    std::uint64_t origin,
    const std::string& tag) const {
  if (!asked || asked->tag != tag) {
    return false;
  }
  if (asked->origin == origin) {
    return true;
  }
  if (tag.empty()) {
    return false;
  }
  ErrorDetails details;
  details.path = root->path();
  details.name = "tag";
  details.message =
      "'" + tag + "' is the tag of the newest line, which began elsewhere";
  const auto in_words = [](std::uint64_t sequence) {
    return sequence == 0 ? std::string("nothing")
                         : "checkpoint " + std::to_string(sequence);
  };
  details.found = "a line from " + in_words(asked->origin);
  details.expected = "one from " + in_words(origin) + ", or another tag";
  throw Error(ErrorCode::invalid_argument, std::move(details));
}

/// The checkpoint of this directory that a user calls `text`, its path or its
/// name; `invalid_argument` if it is none.
HOLDFAST_INLINE CheckpointName
Manager::State::named_checkpoint(const std::string& text) const {
  const SplitPath split = split_path(text);
  const ParsedName parsed = parse_name(split.name);
  if (parsed.kind != NameKind::checkpoint) {
    throw_invalid_argument(
        "checkpoint", "is no checkpoint's name or path", "'" + text + "'");
  }
  if (root && !split.parent.empty() &&
      settings.file_system->open_root(split.parent, Create::no)->identity() !=
          root->identity()) {
    throw_invalid_argument(
        "checkpoint",
        "belongs to another directory; holdfast::load() reads from there",
        "'" + text + "'");
  }
  return CheckpointName{parsed.sequence, parsed.step, split.name};
}

/// The one checkpoint that was asked for, prepared; its own verdict is thrown,
/// and `foreign` for one that no later resume would find.
HOLDFAST_INLINE SearchResult Manager::State::find_named(
    const CheckpointName& named,
    const Catalog& catalog) {
  for (const std::string& name : catalog.foreign) {
    if (name == named.name) {
      ErrorDetails details;
      details.path = detail::checkpoint_path(*root, named);
      details.message =
          "its number is not its own, so no later resume finds it";
      throw Error(ErrorCode::foreign, std::move(details));
    }
  }
  if (!root->exists(named.name)) {
    ErrorDetails details;
    details.path = detail::checkpoint_path(*root, named);
    details.message = "there is no such checkpoint";
    throw Error(ErrorCode::not_found, std::move(details));
  }
  SearchResult result = search(
      *root, {named}, parts, nullptr, settings.transfers, *settings.clock);
  if (!result.found) {
    const PassedOver& other = result.passed_over.front();
    ErrorDetails details;
    details.path = detail::checkpoint_path(*root, named);
    details.message = other.reason;
    throw Error(code_of(other.verdict), std::move(details));
  }
  return result;
}

/// Begins a line at what was found, and applies it. The line is durable before
/// anything changes: a crash right after must not fall back into the one that
/// was left.
HOLDFAST_INLINE ResumeReport Manager::State::branch_at(
    SearchResult result,
    const Catalog& catalog,
    const std::string& tag,
    bool rollback) {
  require_same_run(*result.found);
  static_cast<void>(detail::engine_state(*root, *result.found, settings));
  line =
      writer->begin_line(result.found->name.sequence, tag, rollback).sequence;
  return begin_at(std::move(result), catalog);
}

/// Goes back inside the running process. If it fails, everything is as it was,
/// the line on the disk included. Where that cannot be had - objects were
/// restored and then something of the user's threw, or the disk fails for good
/// - the manager lets go of the directory: a save would mix two states.
HOLDFAST_INLINE ResumeReport Manager::State::roll_back(
    const std::function<SearchResult(const Catalog&)>& find) {
  // A loader that took another's place is attached before its position is
  // restored, which would put it at the start.
  sources.refresh(*this, progress.epoch);
  rolling_back = true;
  const ScopeExit no_longer([this] { rolling_back = false; });
  const Catalog former = scan(*root);
  RandomSnapshot before(parts, RandomSnapshot::Positions::taken);
  ResumeReport report;
  try {
    report = branch_at(find(former), former, {}, true);
    rolled_back = true;
    range_left = !sources.empty();
    spoiled = false;
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    try {
      if (spoiled) {
        close();
      } else {
        before.put_back();
        return_to(former);
      }
    } catch (...) {
      spoiled = true; // trained, and without a line to go on with
      close();
    }
    std::rethrow_exception(error);
  }
  return report;
}

HOLDFAST_INLINE ResumeReport
Manager::State::tell_rollback(ResumeReport report) {
  emit(Event::Kind::rolled_back, report.checkpoint->name, report.to_string());
  tell(SafePoint::Kind::resumed, {});
  return report;
}

/// Takes back a line that a failed rollback has left on the disk.
HOLDFAST_INLINE void Manager::State::return_to(const Catalog& former) {
  if (scan(*root).current_line() == former.current_line()) {
    return;
  }
  const std::vector<CheckpointName> newest_first = former.search_order();
  const std::uint64_t newest =
      newest_first.empty() ? 0 : newest_first.front().sequence;
  line = writer->begin_line(newest, {}, true).sequence;
}

HOLDFAST_INLINE ResumeReport Manager::start_fresh(const std::string& tag) {
  detail::require_tag(tag);
  State& state = *state_;
  return state.take(Create::yes, [&] {
    if (state.continues(state.writer->asked_line(), 0, tag)) {
      return state.go_on();
    }
    state.require_unspoiled();
    state.line = state.writer->begin_line(0, tag).sequence;
    return state.begin_fresh();
  });
}

HOLDFAST_INLINE ResumeReport
Manager::resume_from(const std::string& checkpoint, const std::string& tag) {
  if (!tag.empty()) {
    detail::require_tag(tag);
  }
  State& state = *state_;
  state.require_not_resumed();
  static_cast<void>(state.named_checkpoint(checkpoint)); // before the disk
  return state.take(Create::no, [&] {
    const CheckpointName wanted = state.named_checkpoint(checkpoint);
    if (state.continues(state.writer->asked_line(), wanted.sequence, tag)) {
      return state.go_on();
    }
    const Catalog catalog = scan(*state.root);
    return state.branch_at(
        state.find_named(wanted, catalog), catalog, tag, false);
  });
}

HOLDFAST_INLINE ResumeReport Manager::rollback(const std::string& checkpoint) {
  State& state = *state_;
  state.require_resumed();
  const CheckpointName wanted = state.named_checkpoint(checkpoint);
  return state.tell_rollback(state.roll_back([&](const Catalog& catalog) {
    return state.find_named(wanted, catalog);
  }));
}

HOLDFAST_INLINE ResumeReport Manager::rollback(std::size_t count) {
  const std::vector<CheckpointInfo> infos = list();
  if (count == 0 || count > infos.size()) {
    throw_invalid_argument(
        "count",
        "is not 1 to the number of checkpoints there are, " +
            std::to_string(infos.size()),
        std::to_string(count));
  }
  std::vector<CheckpointName> candidates;
  for (std::size_t i = infos.size() - count + 1; i-- > 0;) {
    candidates.push_back(detail::name_of(infos[i]));
  }
  State& state = *state_;
  return state.tell_rollback(state.roll_back([&](const Catalog&) {
    SearchResult result = search(
        *state.root,
        candidates,
        state.parts,
        nullptr,
        state.settings.transfers,
        *state.settings.clock);
    if (!result.found) {
      throw_nothing_usable(*state.root, result.passed_over);
    }
    return result;
  }));
}

} // namespace holdfast

#pragma once

#include <holdfast/state/composite.hpp>

#include <holdfast/state/impl/composite_restore.ipp>

#include <algorithm>
#include <set>

namespace holdfast::detail {

[[noreturn]] HOLDFAST_INLINE void throw_duplicate_member(
    const std::string& name) {
  ErrorDetails details;
  details.name = name;
  details.message = "two members of an object have this name";
  throw Error(ErrorCode::duplicate_name, std::move(details));
}

HOLDFAST_INLINE std::shared_ptr<Members> CompositePart::fresh_members() const {
  MemberList collected;
  list(collected);
  std::shared_ptr<Members> members = collected.take();
  std::set<std::string> names;
  for (const Member& member : *members) {
    if (member.name.empty()) {
      throw_invalid_argument("state", "a member's name must not be empty");
    }
    if (!names.insert(member.name).second) {
      throw_duplicate_member(member.name);
    }
  }
  return members;
}

HOLDFAST_INLINE const std::shared_ptr<Members>& CompositePart::members() const {
  if (!members_) {
    members_ = fresh_members();
  }
  return members_;
}

HOLDFAST_INLINE Stage CompositePart::stage() const {
  bool only_engines = !members()->empty();
  Stage last = Stage::value;
  for (const Member& member : *members()) {
    const Stage stage = member.part->stage();
    if (stage == Stage::user) {
      return Stage::user;
    }
    if (stage != Stage::random) {
      only_engines = false;
      last = std::max(last, stage);
    }
  }
  return only_engines ? Stage::random : last;
}

HOLDFAST_INLINE void CompositePart::publish(
    const std::string& part,
    Names& names) {
  members_ = fresh_members();
  for (const Member& member : *members_) {
    const Names::Prefix prefix(names, member.name);
    member.part->publish(part, names);
  }
}

HOLDFAST_INLINE State CompositePart::capture(const Names& names) {
  State state;
  std::vector<std::string> owners; // Of each tensor.
  std::set<std::string> tensors;
  std::size_t cursors = 0;
  // Members with random state first: capturing the others may draw from it.
  std::vector<State> states(members()->size());
  std::vector<NamedRandom> random;
  for (const bool with_random : {true, false}) {
    for (std::size_t i = 0; i < states.size(); ++i) {
      Part& part = *(*members())[i].part;
      random.clear();
      part.list_random({}, random);
      if (random.empty() != with_random) {
        states[i] = part.capture(names);
      }
    }
  }
  std::size_t next = 0;
  for (const Member& member : *members()) {
    State inner = std::move(states[next++]);
    cursors += member.part->cursor() != nullptr ? 1 : 0;
    Values record;
    record["kind"] = Value(member.part->kind());
    record["values"] = Value(std::move(inner.values));
    state.values.emplace(member.name, Value(std::move(record)));
    for (TensorOut& tensor : inner.tensors) {
      tensor.info.name = joined_name(member.name, tensor.info.name);
      for (std::string& alias : tensor.info.aliases) {
        alias = joined_name(member.name, alias);
      }
      if (!tensors.insert(tensor.info.name).second) {
        throw_duplicate_member(tensor.info.name);
      }
      state.tensors.push_back(std::move(tensor));
      owners.push_back(member.name);
    }
  }
  // "a.b" of member "a" is not to be taken for one of a member "a.b".
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const std::string& name = state.tensors[i].info.name;
    if (find_owner(state.values, name)->first != owners[i]) {
      throw_duplicate_member(name);
    }
  }
  if (cursors > 1) {
    throw Error(
        ErrorCode::not_capturable,
        "an object with more than one data source: register each data source "
        "as a part of its own");
  }
  return state;
}

HOLDFAST_INLINE void CompositePart::drop_loop_state(Values& saved) const {
  for (const Member& member : *members()) {
    const auto found = saved.find(member.name);
    if (found == saved.end() || found->second.kind() != Value::Kind::object) {
      continue;
    }
    Values record = found->second.object();
    const auto values = record.find("values");
    if (values != record.end() &&
        values->second.kind() == Value::Kind::object) {
      Values inner = values->second.object();
      member.part->drop_loop_state(inner);
      values->second = std::move(inner);
      found->second = std::move(record);
    }
  }
}

HOLDFAST_INLINE std::unique_ptr<Restore> CompositePart::prepare(
    const Saved& saved,
    const Names& names,
    Mismatches& mismatches) {
  const std::size_t before = mismatches.size();
  std::map<std::string, MemberShare> shares = split_tensors(saved, mismatches);
  std::vector<CompositeRestore::Entry> entries;
  for (const Member& member : *members()) {
    const auto value = saved.values.find(member.name);
    if (value == saved.values.end()) {
      static_cast<void>(mismatches.allow_owner(
          {ErrorCode::name_missing,
           member.name,
           "a member of kind " + member.part->kind(),
           "no such member"}));
      continue;
    }
    MemberShare share = std::move(shares[member.name]);
    shares.erase(member.name);
    try {
      const Values& record = value->second.object();
      const std::string& kind = at(record, "kind").text("kind");
      if (kind != member.part->kind()) {
        mismatches.push_back(
            {ErrorCode::type_mismatch, member.name, member.part->kind(), kind});
        continue;
      }
      share.saved.values = at(record, "values").object("values");
    } catch (const Error& error) {
      mismatches.push_back(mismatch_of(member.name, error));
      continue;
    }
    share.saved.device = saved.device;
    const Mismatches::Prefix prefix(mismatches, member.name);
    entries.push_back(
        {member.part->stage(),
         member.part->prepare(share.saved, names, mismatches),
         std::move(share.tensors),
         {}});
  }
  for (const auto& [name, share] : shares) {
    if (!mismatches.allow_owner(
            {ErrorCode::name_unexpected, name, "no such member", "a member"})) {
      continue;
    }
    for (const std::size_t index : share.tensors) {
      mismatches.note(
          {ErrorCode::name_unexpected, saved.tensors[index].name, "", ""});
    }
  }
  if (mismatches.size() != before) {
    return nullptr;
  }
  return std::unique_ptr<Restore>(new CompositeRestore(
      members(), std::move(entries), saved.tensors.size()));
}

HOLDFAST_INLINE void CompositePart::restored() {
  for (const Member& member : *members()) {
    member.part->restored();
  }
}

HOLDFAST_INLINE bool CompositePart::exact() const {
  bool exact = true;
  for (const Member& member : *members()) {
    exact = exact && member.part->exact();
  }
  return exact;
}

HOLDFAST_INLINE std::vector<std::string> CompositePart::notes() const {
  std::vector<std::string> notes;
  for (const Member& member : *members()) {
    for (const std::string& note : member.part->notes()) {
      notes.push_back(member.name + ": " + note);
    }
  }
  return notes;
}

HOLDFAST_INLINE void CompositePart::forget_restore() noexcept {
  if (members_) {
    for (const Member& member : *members_) {
      member.part->forget_restore();
    }
  }
}

HOLDFAST_INLINE void CompositePart::let_go() noexcept {
  if (members_) {
    for (const Member& member : *members_) {
      member.part->let_go();
    }
  }
}

HOLDFAST_INLINE void CompositePart::list_random(
    const std::string& name,
    std::vector<NamedRandom>& into) {
  for (const Member& member : *members()) {
    member.part->list_random(name + ": " + member.name, into);
  }
}

HOLDFAST_INLINE bool CompositePart::scale_learning_rates(double factor) {
  bool any = false;
  for (const Member& member : *members()) {
    any = member.part->scale_learning_rates(factor) || any;
  }
  return any;
}

HOLDFAST_INLINE Cursor* CompositePart::cursor() noexcept {
  try {
    for (const Member& member : *members()) {
      if (Cursor* const cursor = member.part->cursor()) {
        return cursor;
      }
    }
  } catch (...) {
    // The members cannot be listed; capture says why.
  }
  return nullptr;
}

} // namespace holdfast::detail

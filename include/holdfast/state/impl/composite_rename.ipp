#pragma once

#include <holdfast/state/impl/composite.ipp>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// How the names in an object change when `load()` renames.
namespace holdfast::detail {

/// What a member is told: the names in it are without its own.
class MemberLeniency final : public Leniency {
 public:
  MemberLeniency(
      const Leniency& outer,
      const std::string& part,
      const std::string& was,
      const std::string& is)
      : outer_(outer),
        part_(part),
        was_(was),
        is_(is),
        inner_part_(part + ":" + was) {}

  /// What the member is to call the part that its own names belong to. That
  /// of no part: an optimizer asks about tensors of other parts as well, and
  /// of other members, by their full names.
  [[nodiscard]] const std::string& inner_part() const noexcept {
    return inner_part_;
  }

  [[nodiscard]] bool allows(const Mismatch& mismatch) const override {
    return outer_.allows(mismatch);
  }
  /// A name stays in its member.
  [[nodiscard]] std::string new_name(
      const std::string& part,
      const std::string& name) const override {
    if (part != inner_part_) {
      return outer_.new_name(part, name);
    }
    const std::string full = outer_.new_name(part_, joined_name(was_, name));
    if (full == is_) {
      return {};
    }
    return full.size() > is_.size() && full[is_.size()] == '.' &&
            full.compare(0, is_.size(), is_) == 0
        ? full.substr(is_.size() + 1)
        : name;
  }

 private:
  const Leniency& outer_;
  const std::string& part_;
  const std::string& was_;
  const std::string& is_;
  std::string inner_part_;
};

HOLDFAST_INLINE void CompositePart::rename(
    Saved& saved,
    const std::string& part,
    const Leniency& leniency) const {
  const Values former = std::move(saved.values);
  saved.values.clear();
  std::map<std::string, MemberShare> shares;
  for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
    const auto owner = find_owner(former, saved.tensors[i].name);
    if (owner != former.end()) { // Otherwise `prepare` tells.
      shares[owner->first].tensors.push_back(i);
    }
  }
  std::map<std::string, std::size_t> places;
  for (const Member& member : *members()) {
    places.emplace(member.name, places.size());
  }
  for (const auto& [was, value] : former) {
    std::string is = leniency.new_owner_name(part, was);
    if (is.empty()) {
      is = was; // A member has a name.
    }
    const auto place = places.find(is);
    const Part* const live = place == places.end()
        ? nullptr
        : (*members())[place->second].part.get();
    Values record;
    if (value.kind() == Value::Kind::object) {
      record = value.object();
    }
    const auto kind = record.find("kind");
    const auto values = record.find("values");
    Saved inner;
    // What is not as it should be is left to `prepare`.
    const bool asks = live != nullptr && kind != record.end() &&
        kind->second == Value(live->kind()) && values != record.end() &&
        values->second.kind() == Value::Kind::object;
    if (asks) {
      inner.values = values->second.object();
    }
    const std::vector<std::size_t>& own = shares[was].tensors;
    for (const std::size_t i : own) {
      TensorInfo tensor = std::move(saved.tensors[i]);
      tensor.name = inner_name(was, tensor.name);
      for (std::string& alias : tensor.aliases) {
        alias = inner_name(was, alias);
      }
      inner.tensors.push_back(std::move(tensor));
    }
    const MemberLeniency names(leniency, part, was, is);
    if (asks) {
      live->rename(inner, names.inner_part(), names);
      values->second = std::move(inner.values);
    } else {
      for (TensorInfo& tensor : inner.tensors) {
        tensor.name = names.new_name(names.inner_part(), tensor.name);
        for (std::string& alias : tensor.aliases) {
          alias = names.new_name(names.inner_part(), alias);
        }
      }
    }
    for (std::size_t j = 0; j < own.size(); ++j) {
      TensorInfo& tensor = inner.tensors[j];
      tensor.name = joined_name(is, tensor.name);
      for (std::string& alias : tensor.aliases) {
        alias = joined_name(is, alias);
      }
      saved.tensors[own[j]] = std::move(tensor);
    }
    if (!saved.values
             .emplace(is, record.empty() ? value : Value(std::move(record)))
             .second) {
      throw_duplicate_member(is);
    }
  }
}

} // namespace holdfast::detail

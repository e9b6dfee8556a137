#pragma once

#include <holdfast/engine/part_set.hpp>

#include <holdfast/base/scope_exit.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/state/checks.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE bool is_reserved_part(const std::string& name) {
  return name == "rng";
}

/// Small captured tensors that no longer alias anything.
struct OwnedState {
  CapturedPart captured;
  std::vector<Bytes> bytes;
};

HOLDFAST_INLINE OwnedState own(CapturedPart captured) {
  OwnedState owned;
  for (const TensorOut& tensor : captured.state.tensors) {
    owned.bytes.push_back(tensor.copy());
  }
  owned.captured = std::move(captured);
  return owned;
}

HOLDFAST_INLINE bool same_state(const OwnedState& a, const OwnedState& b) {
  return a.captured.state.values == b.captured.state.values &&
      a.bytes == b.bytes;
}

HOLDFAST_INLINE void put_back(
    Part& part,
    const Names& names,
    const OwnedState& owned) {
  Saved saved;
  saved.values = owned.captured.state.values;
  for (const TensorOut& tensor : owned.captured.state.tensors) {
    saved.tensors.push_back(tensor.info);
  }
  Mismatches mismatches;
  const std::unique_ptr<Restore> restore =
      part.prepare(saved, names, mismatches);
  if (!mismatches.empty() || !restore) {
    return; // the object itself was replaced meanwhile: not ours to mend
  }
  std::vector<const std::byte*> bytes;
  for (std::size_t i = 0; i < owned.bytes.size(); ++i) {
    std::byte* buffer = restore->buffer(i);
    if (buffer != nullptr && !owned.bytes[i].empty()) {
      std::memcpy(buffer, owned.bytes[i].data(), owned.bytes[i].size());
    }
    bytes.push_back(buffer != nullptr ? buffer : owned.bytes[i].data());
  }
  restore->apply(bytes);
  restore->apply_random();
}

} // namespace detail

HOLDFAST_INLINE void append_notes(
    const NamedPart& named_part,
    std::vector<std::string>& notes) {
  for (const std::string& note : named_part.part->notes()) {
    notes.push_back(named_part.name + ": " + note);
  }
}

HOLDFAST_INLINE void PartSet::add(
    std::string name,
    std::unique_ptr<Part> part) {
  if (!is_name(name)) {
    throw_invalid_argument(
        "name", "names of parts match [a-z0-9_-]{1,64}", "'" + name + "'");
  }
  if (detail::is_reserved_part(name)) {
    throw_invalid_argument("name", "is reserved", "'" + name + "'");
  }
  add_reserved(std::move(name), std::move(part));
}

HOLDFAST_INLINE void PartSet::add_reserved(
    std::string name,
    std::unique_ptr<Part> part) {
  if (find(name) != nullptr) {
    ErrorDetails details;
    details.name = name;
    details.message =
        "two parts have this name; give one another with holdfast::named()";
    throw Error(ErrorCode::duplicate_name, std::move(details));
  }
  parts_.push_back(NamedPart{std::move(name), std::move(part)});
}

HOLDFAST_INLINE const NamedPart* PartSet::find(
    const std::string& name) const noexcept {
  for (const NamedPart& candidate : parts_) {
    if (candidate.name == name) {
      return &candidate;
    }
  }
  return nullptr;
}

HOLDFAST_INLINE Names PartSet::publish() const {
  Names names;
  for (const NamedPart& named_part : parts_) {
    named_part.part->publish(named_part.name, names);
  }
  return names;
}

namespace detail {

/// What a snapshot holds of a part: its random state, and its position where
/// asked for.
HOLDFAST_INLINE std::vector<NamedRandom> random_in(
    const NamedPart& named_part,
    RandomSnapshot::Positions positions) {
  std::vector<NamedRandom> found;
  named_part.part->list_random(named_part.name, found);
  if (positions == RandomSnapshot::Positions::taken &&
      named_part.part->cursor() != nullptr) {
    found.push_back({named_part.name, named_part.part.get()});
  }
  return found;
}

HOLDFAST_INLINE OwnedState own(const NamedRandom& random, const Names& names) {
  return own(CapturedPart{
      random.name, random.part->kind(), random.part->capture(names)});
}

} // namespace detail

struct RandomSnapshot::Impl {
  const PartSet& parts;
  Positions positions;
  Names names;
  std::vector<detail::OwnedState> owned;

  void put_back(const NamedPart& named_part) const {
    for (const NamedRandom& random : detail::random_in(named_part, positions)) {
      for (const detail::OwnedState& was : owned) {
        // Setting a device generator has side effects (cuDNN's dropout buffer
        // is made anew), so only what moved is set.
        if (was.captured.name == random.name &&
            was.captured.kind == random.part->kind() &&
            !detail::same_state(was, detail::own(random, names))) {
          detail::put_back(*random.part, names, was);
        }
      }
    }
  }
};

HOLDFAST_INLINE RandomSnapshot::RandomSnapshot(
    const PartSet& parts,
    Positions positions)
    : impl_(new Impl{parts, positions, parts.publish(), {}}) {
  for (const NamedPart& named_part : parts.all()) {
    for (const NamedRandom& random : detail::random_in(named_part, positions)) {
      impl_->owned.push_back(detail::own(random, impl_->names));
    }
  }
}

HOLDFAST_INLINE RandomSnapshot::~RandomSnapshot() = default;
HOLDFAST_INLINE RandomSnapshot::RandomSnapshot(RandomSnapshot&&) noexcept =
    default;
HOLDFAST_INLINE RandomSnapshot& RandomSnapshot::operator=(
    RandomSnapshot&&) noexcept = default;

HOLDFAST_INLINE void RandomSnapshot::put_back() {
  // The members of an object may be others by now.
  impl_->names = impl_->parts.publish();
  for (const NamedPart& named_part : impl_->parts.all()) {
    impl_->put_back(named_part);
  }
}

HOLDFAST_INLINE void RandomSnapshot::put_back(const NamedPart& part) const {
  impl_->put_back(part);
}

HOLDFAST_INLINE bool RandomSnapshot::empty() const noexcept {
  return impl_->owned.empty();
}

HOLDFAST_INLINE std::vector<CapturedPart> capture(const PartSet& parts) {
  RandomSnapshot random(parts);
  ScopeExit put_back([&] {
    try {
      random.put_back();
    } catch (...) { // the capture's own error is the one that counts
    }
  });
  const Names names = parts.publish();
  std::vector<CapturedPart> captured;
  for (const NamedPart& named_part : parts.all()) {
    try {
      random.put_back(named_part); // those before it may have drawn
      captured.push_back(CapturedPart{
          named_part.name,
          named_part.part->kind(),
          named_part.part->capture(names)});
    } catch (const Error& error) {
      throw error.at("part " + named_part.name);
    }
  }
  return captured;
}

} // namespace holdfast

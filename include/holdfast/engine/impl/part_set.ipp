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
    owned.bytes.push_back(copy_bytes(tensor));
  }
  owned.captured = std::move(captured);
  return owned;
}

HOLDFAST_INLINE bool same_state(const OwnedState& a, const OwnedState& b) {
  return a.captured.state.values == b.captured.state.values &&
      a.bytes == b.bytes;
}

/// Owned copies behind the interface that captured tensors have.
class OwnedSource final : public TensorSource {
 public:
  explicit OwnedSource(Bytes bytes) : bytes_(std::move(bytes)) {}
  const std::byte* data() const noexcept override {
    return bytes_.data();
  }
  void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
      const override {
    if (count != 0) {
      std::memcpy(into, bytes_.data() + offset, count);
    }
  }

 private:
  Bytes bytes_;
};

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

struct RandomSnapshot::Impl {
  Names names;
  std::vector<Part*> parts;
  std::vector<detail::OwnedState> owned;
  std::vector<CapturedPart> states;
};

HOLDFAST_INLINE RandomSnapshot::RandomSnapshot(
    const PartSet& parts,
    Positions positions)
    : impl_(new Impl()) {
  impl_->names = parts.publish();
  for (const NamedPart& named_part : parts.all()) {
    const bool position =
        positions == Positions::taken && named_part.part->cursor() != nullptr;
    if (named_part.part->stage() != Stage::random && !position) {
      continue;
    }
    detail::OwnedState owned = detail::own(CapturedPart{
        named_part.name,
        named_part.part->kind(),
        named_part.part->capture(impl_->names)});
    CapturedPart state = owned.captured;
    for (std::size_t i = 0; i < owned.bytes.size(); ++i) {
      state.state.tensors[i].source = std::shared_ptr<const TensorSource>(
          new detail::OwnedSource(owned.bytes[i]));
    }
    impl_->parts.push_back(named_part.part.get());
    impl_->owned.push_back(std::move(owned));
    impl_->states.push_back(std::move(state));
  }
}

HOLDFAST_INLINE RandomSnapshot::~RandomSnapshot() = default;
HOLDFAST_INLINE RandomSnapshot::RandomSnapshot(RandomSnapshot&&) noexcept =
    default;
HOLDFAST_INLINE RandomSnapshot& RandomSnapshot::operator=(
    RandomSnapshot&&) noexcept = default;

HOLDFAST_INLINE void RandomSnapshot::put_back() {
  for (std::size_t i = 0; i < impl_->parts.size(); ++i) {
    Part& part = *impl_->parts[i];
    const detail::OwnedState& owned = impl_->owned[i];
    // Setting a device generator has side effects (cuDNN's dropout buffer is
    // made anew), so only what moved is set.
    const detail::OwnedState now = detail::own(CapturedPart{
        owned.captured.name, owned.captured.kind, part.capture(impl_->names)});
    if (!detail::same_state(owned, now)) {
      detail::put_back(part, impl_->names, owned);
    }
  }
}

HOLDFAST_INLINE const std::vector<CapturedPart>& RandomSnapshot::states()
    const noexcept {
  return impl_->states;
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
  std::size_t next_random = 0;
  for (const NamedPart& named_part : parts.all()) {
    if (named_part.part->stage() == Stage::random) {
      captured.push_back(random.states()[next_random++]);
      continue;
    }
    try {
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

#pragma once

#include <holdfast/state/composite.hpp>

#include <holdfast/base/sorting.hpp>

/// Which member of a composite a tensor belongs to, and putting all of them
/// back.
namespace holdfast::detail {

/// The member that owns the tensor `name`: the longest of `names` that is
/// `name` or is followed by a point in it. Null where there is none.
template <class Owners>
auto find_owner(Owners& names, const std::string& name) {
  auto owner = names.find(name);
  for (std::size_t end = name.rfind('.');
       owner == names.end() && end != std::string::npos;
       end = end == 0 ? std::string::npos : name.rfind('.', end - 1)) {
    owner = names.find(name.substr(0, end));
  }
  return owner;
}

/// What follows the member's name in `name`.
HOLDFAST_INLINE std::string inner_name(
    const std::string& member,
    const std::string& name) {
  return name.size() > member.size() ? name.substr(member.size() + 1)
                                     : std::string();
}

/// One member's share of a composite's saved state.
struct MemberShare {
  Saved saved;
  std::vector<std::size_t> tensors; ///< Their indices in the whole.
};

/// Moves the tensors of `saved` to their members; those of none are mismatches.
HOLDFAST_INLINE std::map<std::string, MemberShare> split_tensors(
    const Saved& saved,
    Mismatches& mismatches) {
  std::map<std::string, MemberShare> shares;
  for (const auto& [name, value] : saved.values) {
    shares[name];
  }
  for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
    const TensorInfo& tensor = saved.tensors[i];
    const auto owner = find_owner(shares, tensor.name);
    if (owner == shares.end()) {
      static_cast<void>(mismatches.allow(
          {ErrorCode::name_unexpected, tensor.name, "no tensor", "a tensor"}));
      continue;
    }
    const std::string& member = owner->first;
    TensorInfo inner = tensor;
    inner.name = inner_name(member, tensor.name);
    inner.aliases.clear();
    for (const std::string& alias : tensor.aliases) {
      if (find_owner(shares, alias) == owner) {
        inner.aliases.push_back(inner_name(member, alias));
      }
    }
    owner->second.saved.tensors.push_back(std::move(inner));
    owner->second.tensors.push_back(i);
  }
  return shares;
}

class CompositeRestore final : public Restore {
 public:
  /// Of tensors that a load leaves out.
  static constexpr std::size_t kNoEntry = static_cast<std::size_t>(-1);

  struct Entry {
    Stage stage;
    std::unique_ptr<Restore> restore;
    std::vector<std::size_t> tensors;
    std::vector<const std::byte*> bytes;
  };

  CompositeRestore(
      std::shared_ptr<Members> members,
      std::vector<Entry> entries,
      std::size_t tensor_count)
      : members_(std::move(members)),
        entries_(std::move(entries)),
        places_(tensor_count, {kNoEntry, 0}) {
    sort_by(entries_, [](const Entry& a, const Entry& b) {
      return a.stage < b.stage;
    });
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      entries_[i].bytes.resize(entries_[i].tensors.size());
      for (std::size_t j = 0; j < entries_[i].tensors.size(); ++j) {
        places_[entries_[i].tensors[j]] = {i, j};
      }
    }
  }

  [[nodiscard]] std::byte* buffer(std::size_t index) noexcept override {
    const auto [entry, inner] = places_[index];
    return entry == kNoEntry ? nullptr : entries_[entry].restore->buffer(inner);
  }
  void apply(const std::vector<const std::byte*>& bytes) override {
    for (Entry& entry : entries_) {
      for (std::size_t j = 0; j < entry.tensors.size(); ++j) {
        entry.bytes[j] = bytes[entry.tensors[j]];
      }
      if (entry.stage != Stage::random) {
        ++applied_; // Before the call, which may throw halfway.
        entry.restore->apply(entry.bytes);
      }
    }
  }
  void apply_random() override {
    for (Entry& entry : entries_) {
      if (entry.stage == Stage::random) {
        entry.restore->apply(entry.bytes);
      }
      entry.restore->apply_random();
    }
  }
  void undo() noexcept override {
    while (applied_ > 0) {
      entries_[--applied_].restore->undo();
    }
  }

 private:
  std::shared_ptr<Members> members_; // Restores may refer to their parts.
  std::vector<Entry> entries_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;
  std::size_t applied_ = 0;
};

} // namespace holdfast::detail

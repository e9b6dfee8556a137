#pragma once

#include <holdfast/base/pattern.hpp>
#include <holdfast/engine/load_options.hpp>
#include <holdfast/engine/load_report.hpp>
#include <holdfast/state/checks.hpp>
#include <holdfast/state/part.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// What `LoadOptions` mean for a checkpoint: what is allowed, what is renamed,
/// and what came of it.
namespace holdfast::detail {

class LoadRules final : public Leniency {
 public:
  using Rule = LoadOptions::Rule;

  /// `options` is null for a resume, which bears with nothing.
  explicit LoadRules(const LoadOptions* options)
      : options_(options),
        used_(options == nullptr ? 0 : options->rules().size()) {}

  /// Questions are about this part from now on.
  void enter(const std::string& part) {
    part_ = part;
  }

  [[nodiscard]] bool allows(const Mismatch& mismatch) const override {
    switch (mismatch.code) {
      case ErrorCode::part_missing:
      case ErrorCode::name_missing:
        return find(Rule::Kind::missing, mismatch);
      case ErrorCode::name_unexpected:
        return find(Rule::Kind::unexpected, mismatch);
      case ErrorCode::shape_mismatch:
        return find(Rule::Kind::shape, mismatch);
      case ErrorCode::dtype_mismatch: {
        const std::optional<DType> from = dtype_from_name(mismatch.found);
        const std::optional<DType> to = dtype_from_name(mismatch.expected);
        return from && to && is_convertible(*from, *to) &&
            find(Rule::Kind::dtype, mismatch);
      }
      default:
        return false;
    }
  }

  [[nodiscard]] bool renames() const {
    if (options_ != nullptr) {
      for (const Rule& rule : options_->rules()) {
        if (rule.kind == Rule::Kind::rename) {
          return true;
        }
      }
    }
    return false;
  }
  [[nodiscard]] std::string new_name(
      const std::string& part,
      const std::string& name) const override {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const Rule& rule = options_->rules()[i];
      if (rule.kind != Rule::Kind::rename || !speaks_of(rule, part)) {
        continue;
      }
      if (auto renamed = renamed_by_pattern(rule.pattern, rule.to, name)) {
        used_[i] = 1;
        return std::move(*renamed);
      }
    }
    return name;
  }

  /// Rules that found nothing to do: a slip of the pen, perhaps.
  void append_idle(std::vector<std::string>& notes) const {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (used_[i] == 0) {
        notes.push_back(
            options_->rules()[i].to_string() + " found nothing to do");
      }
    }
  }

 private:
  [[nodiscard]] static bool speaks_of(
      const Rule& rule,
      const std::string& part) {
    return rule.part.empty() || matches_pattern(rule.part, part);
  }

  /// Every rule that allows it counts as used.
  [[nodiscard]] bool find(Rule::Kind kind, const Mismatch& mismatch) const {
    bool found = false;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const Rule& rule = options_->rules()[i];
      // Whole parts are only missed where they are spoken of.
      if (rule.kind == kind && speaks_of(rule, part_) &&
          (mismatch.code != ErrorCode::part_missing || !rule.part.empty()) &&
          matches_pattern(rule.pattern, mismatch.name)) {
        used_[i] = 1;
        found = true;
      }
    }
    return found;
  }

  const LoadOptions* options_;
  mutable std::vector<char> used_; ///< By rule.
  std::string part_;
};

/// The names of all tensors, with aliases, in their order.
HOLDFAST_INLINE std::vector<std::string> all_names(const Saved& saved) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : saved.tensors) {
    names.push_back(tensor.name);
    names.insert(names.end(), tensor.aliases.begin(), tensor.aliases.end());
  }
  return names;
}

/// Appends the fate of every tensor of a part. `saved_names`: `all_names` as
/// they were in the checkpoint.
HOLDFAST_INLINE void append_fates(
    const std::string& part,
    const std::vector<std::string>& saved_names,
    const Saved& saved,
    const Mismatches& mismatches,
    std::vector<TensorFate>& fates) {
  std::map<std::string, std::size_t> rows;
  const auto append = [&](const std::string& name, Fate fate) -> TensorFate& {
    rows.emplace(name, fates.size());
    TensorFate row;
    row.part = part;
    row.name = name;
    row.fate = fate;
    fates.push_back(std::move(row));
    return fates.back();
  };
  std::size_t next = 0;
  for (const TensorInfo& tensor : saved.tensors) {
    const std::string was = tensor_text(tensor);
    for (std::size_t i = 0; i <= tensor.aliases.size(); ++i) {
      TensorFate& row =
          append(i == 0 ? tensor.name : tensor.aliases[i - 1], Fate::loaded);
      row.was = was;
      const std::string& old = saved_names[next++];
      row.renamed_from = old == row.name ? std::string() : old;
    }
  }
  for (const Mismatch& mismatch : mismatches.allowed()) {
    const Fate fate = mismatch.code == ErrorCode::name_missing ? Fate::missing
        : mismatch.code == ErrorCode::name_unexpected          ? Fate::unused
        : mismatch.code == ErrorCode::shape_mismatch ? Fate::other_shape
                                                     : Fate::converted;
    const auto found = rows.find(mismatch.name);
    const bool is_new = found == rows.end();
    TensorFate& row =
        is_new ? append(mismatch.name, fate) : fates[found->second];
    row.fate = fate;
    if (is_new || fate == Fate::other_shape || fate == Fate::converted) {
      row.was = fate == Fate::missing ? std::string() : mismatch.found;
      row.is = fate == Fate::unused ? std::string() : mismatch.expected;
    }
  }
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/state/names.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

/// One way in which a checkpoint and a live object differ.
struct Mismatch {
  ErrorCode code = ErrorCode::type_mismatch;
  std::string name; ///< In the part, "conv1.weight"; empty: all of it.
  std::string expected; ///< In the object.
  std::string found; ///< In the checkpoint.
};

/// What a load was told to bear with.
class Leniency {
 public:
  [[nodiscard]] virtual bool allows(const Mismatch& mismatch) const = 0;
  /// What the object calls the tensor that is `name` in the checkpoint.
  [[nodiscard]] virtual std::string new_name(
      const std::string& part,
      const std::string& name) const = 0;

  /// The same for what has names below its own, a module or a member; `name` is
  /// empty for the part itself. What a rule makes of "name." counts, so that
  /// one about "name.*" moves all of it; else what it makes of "name".
  [[nodiscard]] std::string new_owner_name(
      const std::string& part,
      const std::string& name) const {
    const std::string below = name.empty() ? name : name + ".";
    std::string renamed = new_name(part, below);
    if (renamed != below && (renamed.empty() || renamed.back() == '.')) {
      renamed.resize(renamed.empty() ? 0 : renamed.size() - 1);
      return renamed;
    }
    return name.empty() ? name : new_name(part, name);
  }

 protected:
  ~Leniency() = default;
};

/// Collects every mismatch, so that an error can list them all; and, in a load
/// that bears with some, what these were.
class Mismatches {
 public:
  Mismatches() = default; ///< Strict.
  explicit Mismatches(const Leniency& leniency) : leniency_(&leniency) {}

  /// One that nothing makes up for.
  void push_back(Mismatch mismatch) {
    refused_.push_back(named(std::move(mismatch)));
  }

  /// For one that a part can live with. True where the load allows it: what is
  /// missing, unexpected or of another shape is then left as it is, and what is
  /// of another dtype (as the dtypes' names tell) is converted. Otherwise as
  /// `push_back`.
  [[nodiscard]] bool allow(Mismatch mismatch) {
    mismatch = named(std::move(mismatch));
    const bool allowed = leniency_ != nullptr && leniency_->allows(mismatch);
    (allowed ? allowed_ : refused_).push_back(std::move(mismatch));
    return allowed;
  }
  /// The same for what has names below its own, a module or a member: patterns
  /// for "name." are about it, too.
  [[nodiscard]] bool allow_owner(Mismatch mismatch) {
    Mismatch below = named(mismatch);
    below.name += below.name.empty() ? "" : ".";
    if (leniency_ == nullptr || !leniency_->allows(below)) {
      return allow(std::move(mismatch));
    }
    note(std::move(mismatch));
    return true;
  }
  /// The answer of `allow`, without a trace.
  [[nodiscard]] bool allows(const Mismatch& mismatch) const {
    return leniency_ != nullptr && leniency_->allows(named(mismatch));
  }
  /// Notes down what is left alone in any load.
  void note(Mismatch mismatch) {
    allowed_.push_back(named(std::move(mismatch)));
  }

  /// While it lives, names begin with `prefix` and a point: the members of a
  /// part of parts. Nests.
  class Prefix {
   public:
    Prefix(Mismatches& mismatches, const std::string& prefix)
        : mismatches_(mismatches), outer_(mismatches.prefix_) {
      mismatches_.prefix_ = joined_name(outer_, prefix);
    }
    ~Prefix() {
      mismatches_.prefix_.swap(outer_);
    }
    Prefix(const Prefix&) = delete;
    Prefix& operator=(const Prefix&) = delete;

   private:
    Mismatches& mismatches_;
    std::string outer_;
  };

  /// Those that are not allowed.
  [[nodiscard]] bool empty() const noexcept {
    return refused_.empty();
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return refused_.size();
  }
  [[nodiscard]] const Mismatch& front() const {
    return refused_.front();
  }
  [[nodiscard]] const Mismatch& operator[](std::size_t index) const {
    return refused_[index];
  }
  [[nodiscard]] std::vector<Mismatch>::const_iterator begin() const noexcept {
    return refused_.begin();
  }
  [[nodiscard]] std::vector<Mismatch>::const_iterator end() const noexcept {
    return refused_.end();
  }
  /// Those that are, in the order in which they were found.
  [[nodiscard]] const std::vector<Mismatch>& allowed() const noexcept {
    return allowed_;
  }

 private:
  [[nodiscard]] Mismatch named(Mismatch mismatch) const {
    if (!prefix_.empty()) {
      mismatch.name = joined_name(prefix_, mismatch.name);
    }
    return mismatch;
  }

  const Leniency* leniency_ = nullptr;
  std::vector<Mismatch> refused_;
  std::vector<Mismatch> allowed_;
  std::string prefix_;
};

} // namespace holdfast

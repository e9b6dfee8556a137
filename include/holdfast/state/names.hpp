#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>

namespace holdfast {

/// A tensor's name: its part and its dotted name there.
struct TensorName {
  std::string part;
  std::string name;
};

/// "a.b"; an empty text adds nothing.
[[nodiscard]] inline std::string joined_name(
    const std::string& outer,
    const std::string& inner) {
  return outer.empty() || inner.empty() ? outer + inner : outer + "." + inner;
}

/// Names of live tensors by identity (the address of the tensor's
/// implementation object). Valid while the parts' tensors live.
class Names {
 public:
  /// The first name of a tensor stays; later ones are aliases and ignored.
  void add(const void* tensor, std::string part, const std::string& name) {
    names_.emplace(
        tensor, TensorName{std::move(part), joined_name(prefix_, name)});
  }

  /// While it lives, names that are added begin with `prefix` and a point: the
  /// members of a part of parts. Nests.
  class Prefix {
   public:
    Prefix(Names& names, const std::string& prefix)
        : names_(names), outer_(names.prefix_) {
      names_.prefix_ = joined_name(outer_, prefix);
    }
    ~Prefix() {
      names_.prefix_.swap(outer_);
    }
    Prefix(const Prefix&) = delete;
    Prefix& operator=(const Prefix&) = delete;

   private:
    Names& names_;
    std::string outer_;
  };

  /// Null for a tensor that no part published.
  [[nodiscard]] const TensorName* find(const void* tensor) const {
    const auto found = names_.find(tensor);
    return found == names_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return names_.size();
  }

 private:
  std::unordered_map<const void*, TensorName> names_;
  std::string prefix_;
};

} // namespace holdfast

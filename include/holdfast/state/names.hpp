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

/// Names of live tensors by identity (the address of the tensor's
/// implementation object). Valid while the parts' tensors live.
class Names {
 public:
  /// The first name of a tensor stays; later ones are aliases and ignored.
  void add(const void* tensor, std::string part, std::string name) {
    names_.emplace(
        tensor, TensorName{std::move(part), std::move(name)});
  }
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
};

} // namespace holdfast

#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace holdfast::detail {

/// Names, and at which place of a list each stands. One type for all lists of
/// this layer: a map per kind would cost every file compile time.
class NameIndex {
 public:
  using Map = std::map<std::string, std::size_t>;

  /// False if the name is there already: then its place stays.
  bool add(const std::string& name, std::size_t place = 0) {
    return places_.emplace(name, place).second;
  }
  /// False if it is not there.
  bool remove(const std::string& name) {
    const auto found = places_.find(name);
    if (found == places_.end()) {
      return false;
    }
    places_.erase(found);
    return true;
  }
  [[nodiscard]] bool contains(const std::string& name) const {
    return find(name) != nullptr;
  }
  /// Null if it is not there.
  [[nodiscard]] const std::size_t* find(const std::string& name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : &found->second;
  }
  /// By name.
  [[nodiscard]] const Map& all() const noexcept {
    return places_;
  }

 private:
  Map places_;
};

} // namespace holdfast::detail

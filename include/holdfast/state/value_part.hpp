#pragma once

#include <holdfast/state/checks.hpp>
#include <holdfast/state/plain_values.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// A number, an enum, text, a json-convertible struct, or a standard container
/// of them: one value of the name "value".
template <class T>
class ValuePart final : public Part {
 public:
  explicit ValuePart(T& object) : object_(object) {}

  [[nodiscard]] std::string kind() const override {
    return "value";
  }
  [[nodiscard]] Stage stage() const override {
    return ReplaceRestore<T>::kCannotFail ? Stage::value : Stage::user;
  }
  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.values.emplace("value", save_plain(object_));
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    const std::size_t before = mismatches.size();
    check_value_names(saved, {"value"}, mismatches);
    if (mismatches.size() != before) {
      return nullptr;
    }
    try {
      T fresh = blank();
      load_plain(saved.values.find("value")->second, fresh);
      return std::unique_ptr<Restore>(
          new ReplaceRestore<T>(object_, std::move(fresh)));
    } catch (const Error& error) {
      mismatches.push_back(mismatch_of("value", error));
      return nullptr;
    }
  }
  void restored() override {
    call_on_restored(object_);
  }

 private:
  /// A struct's `from_json` need not set every member: the others stay as they
  /// are in the live object.
  [[nodiscard]] T blank() const {
    if constexpr (
        plain_shape<T>() == Shape::json && std::is_copy_constructible_v<T>) {
      return T(object_);
    } else {
      static_assert(
          std::is_default_constructible_v<T>,
          "holdfast: a type that is restored needs a default constructor");
      return T{};
    }
  }

  T& object_;
};

} // namespace holdfast::detail

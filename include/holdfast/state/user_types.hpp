#pragma once

#include <holdfast/state/checks.hpp>
#include <holdfast/state/extra_state.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast::detail {

template <class T, class = void>
struct HasSaveState : std::false_type {};
template <class T>
struct HasSaveState<
    T,
    std::enable_if_t<std::is_convertible_v<
        decltype(std::declval<const T&>().save_state()),
        Values>>> : std::true_type {};

template <class T, class = void>
struct HasLoadState : std::false_type {};
template <class T>
struct HasLoadState<
    T,
    std::void_t<decltype(std::declval<T&>().load_state(
        std::declval<const Values&>()))>> : std::true_type {};

/// An object with `save_state() const` and `load_state(const Values&)`.
/// `load_state` runs when the restore is applied; what it throws comes through,
/// after the earlier state has been loaded again.
template <class T>
class UserPart final : public Part {
 public:
  explicit UserPart(T& object) : object_(object) {}

  [[nodiscard]] std::string kind() const override {
    return "user";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::user;
  }
  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.values = save();
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    const std::size_t before = mismatches.size();
    for (const TensorInfo& tensor : saved.tensors) {
      mismatches.push_back(
          {ErrorCode::name_unexpected, tensor.name, "no tensor", "a tensor"});
    }
    if (mismatches.size() != before) {
      return nullptr;
    }
    return std::unique_ptr<Restore>(
        new LoadRestore(*this, saved.values, save()));
  }
  void restored() override {
    call_on_restored(object_);
  }

 private:
  // By the base class where there is one: an override may be private.
  using Interface =
      std::conditional_t<std::is_base_of_v<ExtraState, T>, ExtraState, T>;

  class LoadRestore final : public Restore {
   public:
    LoadRestore(UserPart& part, Values saved, Values former)
        : object_(part.object_),
          saved_(std::move(saved)),
          former_(std::move(former)) {}

    void apply(const std::vector<const std::byte*>&) override {
      object_.load_state(saved_);
    }
    void undo() noexcept override {
      try {
        object_.load_state(former_);
      } catch (...) {
        // It refuses its own state; nothing is left to try.
      }
    }

   private:
    Interface& object_;
    Values saved_;
    Values former_;
  };

  [[nodiscard]] Values save() const {
    return static_cast<const Interface&>(object_).save_state();
  }

  T& object_;
};

} // namespace holdfast::detail

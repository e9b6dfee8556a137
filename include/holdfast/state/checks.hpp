#pragma once

#include <holdfast/state/part.hpp>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// What the built-in parts share.
namespace holdfast::detail {

/// "[2, 3]"
[[nodiscard]] std::string shape_text(const std::vector<std::int64_t>& shape);
/// "F32 [2, 3]"
[[nodiscard]] std::string tensor_text(const TensorInfo& info);

/// Adds a mismatch for each tensor of `saved`, for each of its values that is
/// not in `names`, and for each of `names` that it lacks.
void check_value_names(
    const Saved& saved,
    const std::vector<std::string>& names,
    Mismatches& mismatches);

/// `error`, thrown while the value `name` was read, as a mismatch. Its own name
/// is the place inside of that value.
[[nodiscard]] Mismatch mismatch_of(const std::string& name, const Error& error);

template <class T, class = void>
struct HasOnRestored : std::false_type {};
template <class T>
struct HasOnRestored<T, std::void_t<decltype(std::declval<T&>().on_restored())>>
    : std::true_type {};

/// Calls `object.on_restored()` where there is one.
template <class T>
void call_on_restored(T& object) {
  if constexpr (HasOnRestored<T>::value) {
    object.on_restored();
  } else {
    (void)object;
  }
}

/// Puts an object that was made in `prepare` in the place of the live one.
template <class T>
class ReplaceRestore final : public Restore {
 public:
  static_assert(
      std::is_move_assignable_v<T>,
      "holdfast: a type that is restored must be assignable");

  ReplaceRestore(T& live, T fresh) : live_(live), fresh_(std::move(fresh)) {}

  void apply(const std::vector<const std::byte*>&) override {
    exchange();
  }
  void undo() noexcept override {
    try {
      exchange();
    } catch (...) {
      // The type's own assignment fails; nothing is left to try.
    }
  }

  /// False for types whose own assignment may throw: `Stage::user`.
  static constexpr bool kCannotFail = std::is_nothrow_move_assignable_v<T> &&
      std::is_nothrow_move_constructible_v<T>;

 private:
  /// By the type's own assignment: what std::swap is for a std::array depends
  /// on what was included before this file.
  void exchange() {
    T before = std::move(live_);
    live_ = std::move(fresh_);
    fresh_ = std::move(before);
  }

  T& live_;
  T fresh_;
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/state/impl/checks.ipp>
#endif

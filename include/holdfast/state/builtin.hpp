#pragma once

#include <holdfast/state/adapter.hpp>
#include <holdfast/state/composite.hpp>
#include <holdfast/state/engines.hpp>
#include <holdfast/state/shared_part.hpp>
#include <holdfast/state/user_types.hpp>
#include <holdfast/state/value_part.hpp>

#include <memory>
#include <string>
#include <type_traits>

namespace holdfast::detail {

template <class T>
struct PointerTraits {
  static constexpr bool is_shared = false;
  static constexpr bool is_other = std::is_pointer_v<T>;
  using Element = void;
};
template <class E>
struct PointerTraits<std::shared_ptr<E>> {
  static constexpr bool is_shared = true;
  static constexpr bool is_other = false;
  using Element = E;
};
template <class E, class D>
struct PointerTraits<std::unique_ptr<E, D>> {
  static constexpr bool is_shared = false;
  static constexpr bool is_other = true;
  using Element = E;
};
template <class E>
struct PointerTraits<std::weak_ptr<E>> {
  static constexpr bool is_shared = false;
  static constexpr bool is_other = true;
  using Element = E;
};

/// A shared pointer has the name of what it points to.
template <class T>
[[nodiscard]] constexpr const char* default_name_of() {
  using Pointer = PointerTraits<T>;
  if constexpr (Pointer::is_shared) {
    return StateAdapter<
        std::remove_const_t<typename Pointer::Element>>::default_name;
  } else {
    return nullptr;
  }
}

/// The adapter of types that have no specialisation. Types of LibTorch have
/// theirs in libtorch/. What a type offers is tried in this order: `state(V&)`,
/// `save_state` and `load_state`, shared_ptr, random engines and distributions,
/// plain values, containers of parts.
template <class T, class>
struct Builtin {
  static constexpr const char* default_name = default_name_of<T>();

  [[nodiscard]] static std::unique_ptr<Part> make(T& object) {
    using Pointer = PointerTraits<T>;
    if constexpr (HasState<T>::value) {
      return std::unique_ptr<Part>(new MembersPart<T>(object));
    } else if constexpr (
        std::is_base_of_v<ExtraState, T> ||
        (HasSaveState<T>::value && HasLoadState<T>::value)) {
      return std::unique_ptr<Part>(new UserPart<T>(object));
    } else if constexpr (HasSaveState<T>::value || HasLoadState<T>::value) {
      static_assert(
          sizeof(T) == 0,
          "holdfast: a type needs both `Values save_state() const` and `void "
          "load_state(const Values&)`");
    } else if constexpr (Pointer::is_shared) {
      using Element = typename Pointer::Element;
      static_assert(
          !std::is_const_v<Element>,
          "holdfast: a part is restored in place, so it cannot be const");
      if constexpr (std::is_const_v<Element>) {
        return nullptr; // One error is enough.
      } else {
        return std::unique_ptr<Part>(new SharedPart<Element>(object));
      }
    } else if constexpr (Pointer::is_other) {
      static_assert(
          sizeof(T) == 0,
          "holdfast: give the object and not a pointer to it: `*pointer`");
    } else if constexpr (is_engine_v<T>) {
      return std::unique_ptr<Part>(new EnginePart<T>(object));
    } else if constexpr (is_plain_v<T>) {
      return std::unique_ptr<Part>(new ValuePart<T>(object));
    } else if constexpr (is_collection<T>()) {
      return std::unique_ptr<Part>(new CollectionPart<T>(object));
    } else {
      static_assert(
          sizeof(T) == 0,
          "holdfast: this type has no adapter: give it `template <class V> "
          "void state(V& v)`, or save_state() and load_state(), or specialise "
          "holdfast::StateAdapter");
    }
  }
};

} // namespace holdfast::detail

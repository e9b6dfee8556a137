#pragma once

#include <holdfast/base/text.hpp>
#include <holdfast/state/part.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace holdfast {

namespace detail {
template <class T, class = void>
struct Builtin; // state/builtin.hpp; libtorch/ adds its own
} // namespace detail

/// The adapter point: how an object of type T becomes a part. Built-in types
/// need nothing. For a type of your own choose the first that fits:
///
/// 1. `template <class V> void state(V& v) { v("shadow", shadow); }`: lists
///    members that have adapters themselves.
/// 2. `Values save_state() const` and `void load_state(const Values&)`.
/// 3. A specialisation of this template with
///    `static std::unique_ptr<Part> make(T& object)` and
///    `static constexpr const char* default_name`, null where there is none.
///
/// A member `void on_restored()` is called when everything is applied.
/// One parameter only, so that specialisations for class templates are not
/// ambiguous.
template <class T>
struct StateAdapter : detail::Builtin<T> {};

/// An object and the name under which it is saved.
template <class T>
struct Named {
  std::string name;
  T& object;
};

/// Names a part: `[a-z0-9_-]{1,64}`. Holds a reference: no temporaries.
template <class T>
[[nodiscard]] Named<T> named(std::string name, T& object) {
  static_assert(
      !std::is_const_v<T>,
      "holdfast: a part is restored in place, so it cannot be const");
  return Named<T>{std::move(name), object};
}
template <class T>
Named<const T> named(std::string, const T&&) {
  static_assert(
      sizeof(T) == 0,
      "holdfast: a part is restored in place, so it cannot be a temporary");
}

/// The part of `object`, which must outlive it.
template <class T>
[[nodiscard]] std::unique_ptr<Part> make_part(T& object) {
  static_assert(
      !std::is_const_v<T>,
      "holdfast: a part is restored in place, so it cannot be const");
  if constexpr (std::is_const_v<T>) {
    return nullptr; // One error is enough.
  } else {
    return StateAdapter<T>::make(object);
  }
}

template <class T>
std::unique_ptr<Part> make_part(const T&&) {
  static_assert(
      sizeof(T) == 0,
      "holdfast: a part is restored in place, so it cannot be a temporary");
  return nullptr;
}

} // namespace holdfast

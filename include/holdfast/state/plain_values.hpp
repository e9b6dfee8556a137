#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/format/json_struct.hpp>
#include <holdfast/format/value.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// Objects that are one Value: numbers, enums, text, json-convertible structs,
/// and standard containers of them. Unordered containers are none: their order
/// of iteration is state that cannot be put back.
namespace holdfast::detail {

enum class Shape {
  none,
  number,
  enumeration,
  text,
  bytes,
  json,
  tree, ///< nlohmann::json itself.
  sequence, ///< std::vector, std::deque: an array.
  fixed, ///< std::array: an array of that size.
  pair, ///< An array of two.
  optional, ///< An array of none or one, so that optionals nest.
  by_name, ///< std::map with text keys: an object.
  map, ///< std::map with other keys: an array of pairs.
};

template <class T>
struct ContainerShape {
  static constexpr Shape shape = Shape::none;
  using Key = void;
  using Element = void;
};
template <class E, class A>
struct ContainerShape<std::vector<E, A>> {
  static constexpr Shape shape = Shape::sequence;
  using Key = void;
  using Element = E;
};
template <class E, class A>
struct ContainerShape<std::deque<E, A>> {
  static constexpr Shape shape = Shape::sequence;
  using Key = void;
  using Element = E;
};
template <class E, std::size_t size>
struct ContainerShape<std::array<E, size>> {
  static constexpr Shape shape = Shape::fixed;
  using Key = void;
  using Element = E;
};
template <class E>
struct ContainerShape<std::optional<E>> {
  static constexpr Shape shape = Shape::optional;
  using Key = void;
  using Element = E;
};
template <class K, class E>
struct ContainerShape<std::pair<K, E>> {
  static constexpr Shape shape = Shape::pair;
  using Key = K;
  using Element = E;
};
template <class K, class E, class C, class A>
struct ContainerShape<std::map<K, E, C, A>> {
  static constexpr Shape shape =
      std::is_same_v<K, std::string> ? Shape::by_name : Shape::map;
  using Key = K;
  using Element = E;
};

/// How T is told as a Value, `none` where it cannot be.
template <class T>
[[nodiscard]] constexpr Shape plain_shape() {
  using Container = ContainerShape<T>;
  if constexpr (std::is_arithmetic_v<T>) {
    return sizeof(T) <= 8 ? Shape::number : Shape::none;
  } else if constexpr (std::is_enum_v<T>) {
    return Shape::enumeration;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return Shape::text;
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return Shape::bytes;
  } else if constexpr (Container::shape != Shape::none) {
    if constexpr (!std::is_void_v<typename Container::Key>) {
      if (plain_shape<typename Container::Key>() == Shape::none) {
        return Shape::none;
      }
    }
    return plain_shape<typename Container::Element>() == Shape::none
        ? Shape::none
        : Container::shape;
  } else if constexpr (std::is_same_v<T, nlohmann::json>) {
    return Shape::tree;
  } else if constexpr (is_json_struct_v<T>) {
    return Shape::json;
  } else {
    return Shape::none;
  }
}

template <class T>
inline constexpr bool is_plain_v = plain_shape<T>() != Shape::none;

/// The same error, about `place` inside of what it was about: "[3]", ".rate".
[[nodiscard]] Error error_inside(const std::string& place, const Error& error);
[[noreturn]] void throw_wrong_size(std::size_t expected, std::size_t found);
[[noreturn]] void throw_key_twice();

template <class T>
[[nodiscard]] Value save_plain(const T& object) {
  constexpr Shape shape = plain_shape<T>();
  using Key = typename ContainerShape<T>::Key;
  using Element = typename ContainerShape<T>::Element;
  if constexpr (shape == Shape::enumeration) {
    return Value(static_cast<std::underlying_type_t<T>>(object));
  } else if constexpr (shape == Shape::json) {
    return save_json_struct(object);
  } else if constexpr (shape == Shape::tree) {
    return value_from_tree(object);
  } else if constexpr (shape == Shape::sequence || shape == Shape::fixed) {
    Value::Array array;
    array.reserve(object.size());
    for (auto&& element : object) { // A proxy in std::vector<bool>.
      array.push_back(save_plain<Element>(element));
    }
    return Value(std::move(array));
  } else if constexpr (shape == Shape::optional) {
    Value::Array array;
    if (object) {
      array.push_back(save_plain<Element>(*object));
    }
    return Value(std::move(array));
  } else if constexpr (shape == Shape::pair) {
    Value::Array array;
    array.push_back(save_plain<Key>(object.first));
    array.push_back(save_plain<Element>(object.second));
    return Value(std::move(array));
  } else if constexpr (shape == Shape::by_name) {
    Values members;
    for (const auto& [key, element] : object) {
      members.emplace(key, save_plain<Element>(element));
    }
    return Value(std::move(members));
  } else if constexpr (shape == Shape::map) {
    Value::Array array;
    for (const auto& [key, element] : object) {
      Value::Array pair;
      pair.push_back(save_plain<Key>(key));
      pair.push_back(save_plain<Element>(element));
      array.push_back(Value(std::move(pair)));
    }
    return Value(std::move(array));
  } else {
    return Value(object);
  }
}

template <class T>
void load_plain(const Value& value, T& into);

/// Loads an element of a container into a new object.
template <class T>
[[nodiscard]] T load_element(const Value& value, const std::string& place) {
  static_assert(
      std::is_default_constructible_v<T>,
      "holdfast: elements of a container need a default constructor");
  T element{};
  try {
    load_plain(value, element);
  } catch (const Error& error) {
    throw error_inside(place, error);
  }
  return element;
}

/// Reads what `save_plain` told. `into` gets unspecified contents when this
/// throws: `type_mismatch`, `value_out_of_range`, `shape_mismatch` (a size),
/// `duplicate_name`, with the place inside of `value` as the error's name.
template <class T>
void load_plain(const Value& value, T& into) {
  constexpr Shape shape = plain_shape<T>();
  using Key = typename ContainerShape<T>::Key;
  using Element = typename ContainerShape<T>::Element;
  const auto at = [](std::size_t i) {
    return "[" + std::to_string(i) + "]";
  };
  (void)at;
  if constexpr (shape == Shape::enumeration) {
    into = static_cast<T>(value.as<std::underlying_type_t<T>>());
  } else if constexpr (shape == Shape::json) {
    load_json_struct(value, into);
  } else if constexpr (shape == Shape::tree) {
    into = tree_from_value<T>(value);
  } else if constexpr (shape == Shape::sequence) {
    const Value::Array& array = value.array();
    into.clear();
    for (std::size_t i = 0; i < array.size(); ++i) {
      into.push_back(load_element<Element>(array[i], at(i)));
    }
  } else if constexpr (shape == Shape::fixed) {
    const Value::Array& array = value.array();
    if (array.size() != into.size()) {
      throw_wrong_size(into.size(), array.size());
    }
    for (std::size_t i = 0; i < array.size(); ++i) {
      into[i] = load_element<Element>(array[i], at(i));
    }
  } else if constexpr (shape == Shape::optional) {
    const Value::Array& array = value.array();
    if (array.size() > 1) {
      throw_wrong_size(1, array.size());
    }
    into.reset();
    if (!array.empty()) {
      into.emplace(load_element<Element>(array[0], at(0)));
    }
  } else if constexpr (shape == Shape::pair) {
    const Value::Array& array = value.array();
    if (array.size() != 2) {
      throw_wrong_size(2, array.size());
    }
    into.first = load_element<Key>(array[0], at(0));
    into.second = load_element<Element>(array[1], at(1));
  } else if constexpr (shape == Shape::by_name) {
    into.clear();
    for (const auto& [key, member] : value.object()) {
      into.emplace(key, load_element<Element>(member, "." + key));
    }
  } else if constexpr (shape == Shape::map) {
    into.clear();
    const Value::Array& array = value.array();
    for (std::size_t i = 0; i < array.size(); ++i) {
      auto entry = load_element<std::pair<Key, Element>>(array[i], at(i));
      if (!into.emplace(std::move(entry.first), std::move(entry.second))
               .second) {
        throw_key_twice();
      }
    }
  } else {
    into = value.as<T>();
  }
}

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/state/impl/plain_values.ipp>
#endif

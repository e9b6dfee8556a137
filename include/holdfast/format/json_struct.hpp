#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/format/value.hpp>

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// The bridge between nlohmann's trees and `Value`. It needs the complete
/// nlohmann::json only where a conversion is instantiated, and there the user
/// has included it: holdfast itself does not.
namespace holdfast::detail {

namespace json_lookup {

// They hide holdfast::to_json and from_json, so that only argument-dependent
// lookup finds anything.
void to_json();
void from_json();

template <class T, class = void>
struct HasConversions : std::false_type {};

template <class T>
struct HasConversions<
    T,
    std::void_t<
        decltype(to_json(
            std::declval<nlohmann::json&>(),
            std::declval<const T&>())),
        decltype(from_json(
            std::declval<const nlohmann::json&>(),
            std::declval<T&>()))>> : std::true_type {};

/// Calls the user's functions.
template <class Json, class T>
void write(Json& json, const T& object) {
  to_json(json, object);
}
template <class Json, class T>
void read(const Json& json, T& object) {
  from_json(json, object);
}

} // namespace json_lookup

/// True for classes with `to_json` and `from_json` next to them, also those of
/// nlohmann's macros; specialisations of its adl_serializer are not seen.
template <class T>
inline constexpr bool is_json_struct_v = std::is_class_v<T> &&
    !std::is_same_v<T, nlohmann::json> && json_lookup::HasConversions<T>::value;

/// nlohmann::json as a dependent type: it may be incomplete here.
template <class T>
struct JsonTree {
  using Type = nlohmann::json;
};

/// A tree as a Value. Nothing goes through text: infinity, NaN, every 64-bit
/// integer and text that is not UTF-8 survive.
template <class Json>
[[nodiscard]] Value value_from_tree(const Json& json) {
  if (json.is_null()) {
    return Value();
  }
  if (json.is_boolean()) {
    return Value(json.template get<bool>());
  }
  if (json.is_number_unsigned()) {
    return Value(json.template get<std::uint64_t>());
  }
  if (json.is_number_integer()) {
    return Value(json.template get<std::int64_t>());
  }
  if (json.is_number_float()) {
    return Value(json.template get<double>());
  }
  if (json.is_string()) {
    return Value(json.template get_ref<const std::string&>());
  }
  if (json.is_array()) {
    Value::Array array;
    array.reserve(json.size());
    for (const Json& element : json) {
      array.push_back(value_from_tree(element));
    }
    return Value(std::move(array));
  }
  if (json.is_object()) {
    Values object;
    for (auto member = json.begin(); member != json.end(); ++member) {
      object.emplace(member.key(), value_from_tree(member.value()));
    }
    return Value(std::move(object));
  }
  if (json.is_binary() && !json.get_binary().has_subtype()) {
    Bytes bytes;
    for (const std::uint8_t byte : json.get_binary()) {
      bytes.push_back(static_cast<std::byte>(byte));
    }
    return Value(std::move(bytes));
  }
  throw Error(
      ErrorCode::not_capturable,
      "a JSON tree with a discarded value or a binary subtype");
}

/// The inverse. Integers that are not negative become unsigned ones, as in a
/// tree that nlohmann parsed.
template <class Json>
[[nodiscard]] Json tree_from_value(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
      break;
    case Value::Kind::boolean:
      return Json(value.as<bool>());
    case Value::Kind::integer:
      try {
        const auto number = value.as<std::int64_t>();
        if (number < 0) {
          return Json(number);
        }
      } catch (const Error&) {
        // Beyond int64.
      }
      return Json(value.as<std::uint64_t>());
    case Value::Kind::real:
      return Json(value.as<double>());
    case Value::Kind::text:
      return Json(value.text());
    case Value::Kind::bytes: {
      std::vector<std::uint8_t> bytes;
      for (const std::byte byte : value.bytes()) {
        bytes.push_back(std::to_integer<std::uint8_t>(byte));
      }
      return Json::binary(std::move(bytes));
    }
    case Value::Kind::array: {
      Json array = Json::array();
      for (const Value& element : value.array()) {
        array.push_back(tree_from_value<Json>(element));
      }
      return array;
    }
    case Value::Kind::object: {
      Json object = Json::object();
      for (const auto& [name, member] : value.object()) {
        object[name] = tree_from_value<Json>(member);
      }
      return object;
    }
  }
  return Json();
}

/// An object as its `to_json` tells it.
template <class T>
[[nodiscard]] Value save_json_struct(const T& object) {
  typename JsonTree<T>::Type json;
  json_lookup::write(json, object);
  return value_from_tree(json);
}

/// Throws `name_unexpected`, `type_mismatch` or `value_out_of_range` where
/// `again`, what an object tells after it was read from `saved`, differs.
/// Members that only `again` has are fine: `from_json` chose defaults for them.
void check_reproduced(const Value& saved, const Value& again);

/// Reads `saved` by `from_json`. Numbers that nlohmann wraps or truncates are
/// found because the object then tells others than the saved ones.
template <class T>
void load_json_struct(const Value& saved, T& into) {
  using Json = typename JsonTree<T>::Type;
  try {
    json_lookup::read(tree_from_value<Json>(saved), into);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    ErrorDetails details;
    details.message = "from_json refused the saved value";
    details.found = error.what();
    throw Error(ErrorCode::type_mismatch, std::move(details));
  }
  check_reproduced(saved, save_json_struct(into));
}

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/format/impl/json_struct.ipp>
#endif

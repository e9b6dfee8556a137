#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/config.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast {

class Value;

namespace detail {
struct ValueAccess; // the JSON writer's way to an integer of either sign
} // namespace detail

/// Named values: what a part has to say besides its tensors.
using Values = std::map<std::string, Value>;

/// A typed value of a state or manifest. Keeps what JSON blurs: integers and
/// reals are different kinds, every 64-bit integer and every bit pattern of a
/// double survives, bytes are not text.
class Value {
 public:
  enum class Kind { null, boolean, integer, real, text, bytes, array, object };
  using Array = std::vector<Value>;

  Value() = default;
  Value(bool value) : data_(value) {}
  template <
      class Integer,
      std::enable_if_t<
          std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>,
          int> = 0>
  Value(Integer value) : data_(normalized(value)) {}
  Value(double value) : data_(value) {}
  Value(float value) : data_(static_cast<double>(value)) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(Bytes bytes) : data_(std::move(bytes)) {}
  Value(Array array) : data_(std::move(array)) {}
  Value(Values object) : data_(std::move(object)) {}
  /// A pointer is no boolean.
  Value(const void*) = delete;

  [[nodiscard]] Kind kind() const noexcept;

  /// The value as T. `type_mismatch` if the kind is another one (an integer is
  /// no real, a real no integer, text no bytes), `value_out_of_range` if an
  /// integer does not fit T. `name` goes into the error.
  /// T: bool, any integer type, double, float (exact only, else
  /// `value_out_of_range`), std::string, Bytes, Array, Values.
  template <class T>
  [[nodiscard]] T as(std::string_view name = {}) const;

  /// The contents without a copy; `type_mismatch` for another kind.
  [[nodiscard]] const std::string& text(std::string_view name = {}) const;
  [[nodiscard]] const Bytes& bytes(std::string_view name = {}) const;
  [[nodiscard]] const Array& array(std::string_view name = {}) const;
  [[nodiscard]] const Values& object(std::string_view name = {}) const;

  /// Equal kinds and contents; doubles by their bits, so NaN equals itself and
  /// 0.0 differs from -0.0.
  friend bool operator==(const Value& a, const Value& b);
  friend bool operator!=(const Value& a, const Value& b) {
    return !(a == b);
  }

 private:
  friend struct detail::ValueAccess;
  using Data = std::variant<
      std::monostate,
      bool,
      std::int64_t,
      std::uint64_t, // only for integers beyond int64
      double,
      std::string,
      Bytes,
      Array,
      Values>;

  template <class Integer>
  static Data normalized(Integer value);
  [[nodiscard]] std::int64_t as_signed(
      std::string_view name,
      std::int64_t lowest,
      std::int64_t highest) const;
  [[nodiscard]] std::uint64_t as_unsigned(
      std::string_view name,
      std::uint64_t highest) const;
  [[nodiscard]] double as_real(std::string_view name) const;
  [[nodiscard]] bool as_boolean(std::string_view name) const;

  Data data_;
};

/// "integer", "real", ...
[[nodiscard]] const char* to_string(Value::Kind kind) noexcept;

/// The member `name`; `name_missing` if there is none.
[[nodiscard]] const Value& at(const Values& values, const std::string& name);

} // namespace holdfast

#include <holdfast/format/impl/value_templates.ipp>
#if HOLDFAST_HEADER_ONLY
#include <holdfast/format/impl/value.ipp>
#endif

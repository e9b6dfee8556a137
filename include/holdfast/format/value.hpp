#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/config.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
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
  Value(const Value&) = default;
  Value& operator=(const Value&) = default;
  /// Leaves null behind.
  Value(Value&& other) noexcept;
  Value& operator=(Value&& other) noexcept;
  ~Value() = default;

  Value(bool value) : kind_(Kind::boolean), word_(value ? 1 : 0) {}
  template <
      class Integer,
      std::enable_if_t<
          std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>,
          int> = 0>
  Value(Integer value);
  Value(double value);
  Value(float value) : Value(static_cast<double>(value)) {}
  Value(std::string text);
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(Bytes bytes);
  Value(Array array);
  Value(Values object);
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

  [[nodiscard]] std::int64_t as_signed(
      std::string_view name,
      std::int64_t lowest,
      std::int64_t highest) const;
  [[nodiscard]] std::uint64_t as_unsigned(
      std::string_view name,
      std::uint64_t highest) const;
  [[nodiscard]] double as_real(std::string_view name) const;
  [[nodiscard]] bool as_boolean(std::string_view name) const;
  void require(Kind kind, std::string_view name) const;

  Kind kind_ = Kind::null;
  bool beyond_int64_ = false; // an integer that only std::uint64_t holds
  std::uint64_t word_ = 0; // a boolean, an integer, a double's bits
  std::shared_ptr<const void> content_; // the rest; never changed, so shared
};

/// "integer", "real", ...
[[nodiscard]] const char* to_string(Value::Kind kind) noexcept;

/// The member `name`; `name_missing` if there is none.
[[nodiscard]] const Value& at(const Values& values, std::string_view name);

} // namespace holdfast

#include <holdfast/format/impl/value_templates.ipp>
#if HOLDFAST_BODIES
#include <holdfast/format/impl/value.ipp>
#endif

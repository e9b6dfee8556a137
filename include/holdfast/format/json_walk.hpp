#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 30;
  /// Arrays and objects inside one another; tags count.
  std::size_t max_depth = 64;
};

/// Hears what a JSON text holds, in its order. May throw: the walk ends there.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;

  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  /// Digits only.
  virtual void natural(std::uint64_t value) = 0;
  /// A minus and digits.
  virtual void negative(std::int64_t value) = 0;
  /// A number with a point or an exponent; finite.
  virtual void real(double value) = 0;
  /// Valid UTF-8.
  virtual void text(std::string value) = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
  virtual void begin_object() = 0;
  /// A member's name, before its value. Repeated names are told as they come.
  virtual void key(std::string name) = 0;
  virtual void end_object() = 0;
};

/// Walks one JSON text (RFC 8259: blanks around it, but no byte order mark, no
/// comment, nothing else after it), without recursion and independent of the
/// locale. Errors: `limit_exceeded`; `malformed_json`; `malformed_value` for a
/// number that neither 64 bits nor a finite double hold, and for "-0".
void walk_json(std::string_view text, JsonLimits limits, JsonEvents& events);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/json_walk.ipp>
#endif

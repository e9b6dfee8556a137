#pragma once

#include <holdfast/format/json.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/impl/shared.hpp>

#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace holdfast {

namespace detail {

/// Beyond this many, doubles and many JSON readers skip integers.
inline constexpr std::uint64_t kMaxPlainInteger = std::uint64_t{1} << 53;

struct ValueAccess {
  /// The integer as a sign and a magnitude.
  static std::pair<bool, std::uint64_t> integer(const Value& value) {
    if (value.beyond_int64_) {
      return {false, value.word_};
    }
    const auto number = static_cast<std::int64_t>(value.word_);
    return {number < 0, number < 0 ? ~value.word_ + 1 : value.word_};
  }
};

[[noreturn]] HOLDFAST_INLINE void throw_malformed_value(
    std::string message,
    std::string found = {}) {
  ErrorDetails details;
  details.message = std::move(message);
  details.found = std::move(found);
  throw Error(ErrorCode::malformed_value, std::move(details));
}

HOLDFAST_INLINE void append_json_text(std::string& out, std::string_view text) {
  constexpr const char* kHex = "0123456789abcdef";
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') {
      continue;
    }
    out.append(text, done, i - done);
    done = i + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\':
        out += static_cast<char>(c);
        break;
      case '\b':
        out += 'b';
        break;
      case '\f':
        out += 'f';
        break;
      case '\n':
        out += 'n';
        break;
      case '\r':
        out += 'r';
        break;
      case '\t':
        out += 't';
        break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text, done, text.size() - done);
  out += '"';
}

HOLDFAST_INLINE void append_decimal(std::string& out, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  out.append(digits, end);
}

HOLDFAST_INLINE void append_json_tag(
    std::string& out,
    std::string_view tag,
    std::string_view text) {
  out += "{\"";
  out += tag;
  out += "\":\"";
  out += text;
  out += "\"}";
}

HOLDFAST_INLINE std::string real_bits(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  std::byte bytes[8];
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  }
  return to_hex(ByteView(bytes, 8));
}

HOLDFAST_INLINE void append_json_real(std::string& out, double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) {
    out += ".0";
  }
}

HOLDFAST_INLINE void append_json(
    std::string& out,
    const Value& value,
    std::size_t depth_left) {
  const auto enter = [&] {
    if (depth_left == 0) {
      throw Error(ErrorCode::limit_exceeded, "a value nested too deeply");
    }
    return depth_left - 1;
  };
  switch (value.kind()) {
    case Value::Kind::null:
      out += "null";
      return;
    case Value::Kind::boolean:
      out += value.as<bool>() ? "true" : "false";
      return;
    case Value::Kind::integer: {
      const auto [is_negative, magnitude] = ValueAccess::integer(value);
      std::string digits = is_negative ? "-" : "";
      append_decimal(digits, magnitude);
      if (magnitude <= kMaxPlainInteger) {
        out += digits;
      } else {
        enter();
        append_json_tag(out, "$integer", digits);
      }
      return;
    }
    case Value::Kind::real: {
      const double real = value.as<double>();
      if (std::isfinite(real)) {
        append_json_real(out, real);
      } else {
        enter();
        append_json_tag(out, "$real", real_bits(real));
      }
      return;
    }
    case Value::Kind::text: {
      const std::string& text = value.text();
      if (is_utf8(text)) {
        append_json_text(out, text);
      } else {
        enter();
        append_json_tag(out, "$text", to_base64(ByteView(text)));
      }
      return;
    }
    case Value::Kind::bytes:
      enter();
      append_json_tag(out, "$bytes", to_base64(ByteView(value.bytes())));
      return;
    case Value::Kind::array: {
      const std::size_t left = enter();
      char separator = '[';
      for (const Value& item : value.array()) {
        out += separator;
        append_json(out, item, left);
        separator = ',';
      }
      out += separator == '[' ? "[]" : "]";
      return;
    }
    case Value::Kind::object: {
      const std::size_t left = enter();
      char separator = '{';
      for (const auto& [name, member] : value.object()) {
        if (!is_utf8(name)) {
          throw_malformed_value("a member name that is not UTF-8");
        }
        out += separator;
        append_json_text(out, name.compare(0, 1, "$") == 0 ? "$" + name : name);
        out += ':';
        append_json(out, member, left);
        separator = ',';
      }
      out += separator == '{' ? "{}" : "}";
      return;
    }
  }
}

/// The value of a tag, or `malformed_value` where `append_json` would not have
/// written it.
HOLDFAST_INLINE Value
tagged_value(const std::string& tag, const std::string& text) {
  if (tag == "$real") {
    const auto bytes = from_hex(text);
    if (bytes && bytes->size() == 8) {
      std::uint64_t bits = 0;
      for (const std::byte byte : *bytes) {
        bits = bits << 8 | std::to_integer<std::uint64_t>(byte);
      }
      double real = 0;
      std::memcpy(&real, &bits, sizeof(real));
      if (!std::isfinite(real)) {
        return real;
      }
    }
  } else if (tag == "$integer") {
    const bool is_negative = text.compare(0, 1, "-") == 0;
    const auto magnitude =
        parse_decimal(std::string_view(text).substr(is_negative ? 1 : 0));
    if (magnitude && *magnitude > kMaxPlainInteger &&
        text[is_negative ? 1 : 0] != '0') {
      constexpr std::uint64_t kLowest = std::uint64_t{1} << 63;
      if (!is_negative) {
        return *magnitude;
      }
      if (*magnitude <= kLowest) {
        return static_cast<std::int64_t>(~*magnitude + 1);
      }
    }
  } else if (tag == "$bytes") {
    if (auto bytes = from_base64(text)) {
      return std::move(*bytes);
    }
  } else if (tag == "$text") {
    if (const auto bytes = from_base64(text)) {
      std::string plain(ByteView(*bytes).text());
      if (!is_utf8(plain)) {
        return plain;
      }
    }
  } else {
    throw_malformed_value("an unknown tag", "'" + tag + "'");
  }
  throw_malformed_value("an ill-formed " + tag);
}

/// Builds a Value from a JSON text.
class ValueBuilder final : public JsonEvents {
 public:
  void null() override {
    add(Value());
  }
  void boolean(bool value) override {
    add(value);
  }
  void natural(std::uint64_t value) override {
    if (value > kMaxPlainInteger) {
      throw_malformed_value("a plain integer beyond 2^53");
    }
    add(value);
  }
  void negative(std::int64_t value) override {
    if (value < -static_cast<std::int64_t>(kMaxPlainInteger)) {
      throw_malformed_value("a plain integer beyond 2^53");
    }
    add(value);
  }
  void real(double value) override {
    add(value);
  }
  void text(std::string value) override {
    add(std::move(value));
  }
  void begin_array() override {
    open_.emplace_back();
    open_.back().is_array = true;
  }
  void end_array() override {
    Value::Array array = std::move(open_.back().array);
    open_.pop_back();
    add(std::move(array));
  }
  void begin_object() override {
    open_.emplace_back();
  }
  void key(std::string name) override {
    Open& object = open_.back();
    // Names of our own texts come sorted: the hint makes that cheap.
    const std::size_t before = object.members.size();
    object.member = object.members.emplace_hint(
        object.members.end(), std::move(name), Value());
    if (object.members.size() == before) {
      ErrorDetails details;
      details.message = "a member name twice";
      details.name = object.member->first;
      throw Error(ErrorCode::malformed_json, std::move(details));
    }
  }
  void end_object() override {
    Values members = std::move(open_.back().members);
    open_.pop_back();
    // Names with a dollar are few and lie together.
    auto name = members.lower_bound("$");
    if (name == members.end() || name->first[0] != '$') {
      add(std::move(members));
    } else if (name->first.compare(0, 2, "$$") == 0) {
      add(unescaped(std::move(members)));
    } else if (
        members.size() != 1 || name->second.kind() != Value::Kind::text) {
      throw_malformed_value("an ill-formed tag", "'" + name->first + "'");
    } else {
      add(tagged_value(name->first, name->second.text()));
    }
  }

  [[nodiscard]] Value take() {
    return std::move(result_);
  }

 private:
  struct Open {
    Open() = default;
    Open(Open&&) = default; // a copy would leave `member` with the original
    Open& operator=(Open&&) = default;

    bool is_array = false;
    Value::Array array;
    Values members;
    Values::iterator member;
  };

  static Values unescaped(Values members) {
    Values plain;
    while (!members.empty()) {
      auto node = members.extract(members.begin());
      if (node.key()[0] == '$') {
        if (node.key().compare(0, 2, "$$") != 0) {
          throw_malformed_value("an ill-formed tag", "'" + node.key() + "'");
        }
        node.key().erase(0, 1);
      }
      plain.insert(std::move(node));
    }
    return plain;
  }

  void add(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().is_array) {
      open_.back().array.push_back(std::move(value));
    } else {
      open_.back().member->second = std::move(value);
    }
  }

  std::vector<Open> open_;
  Value result_;
};

} // namespace detail

HOLDFAST_INLINE std::string to_json(const Value& value) {
  std::string out;
  detail::append_json(out, value, JsonLimits().max_depth);
  return out;
}

HOLDFAST_INLINE Value from_json(std::string_view text, JsonLimits limits) {
  detail::ValueBuilder builder;
  walk_json(text, limits, builder);
  return builder.take();
}

} // namespace holdfast

#pragma once

#include <holdfast/format/json_walk.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/impl/shared.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE void throw_json_limit(const char* message, std::size_t limit) {
  ErrorDetails details;
  details.message = message;
  details.expected = "at most " + std::to_string(limit);
  throw Error(ErrorCode::limit_exceeded, std::move(details));
}

[[noreturn]] HOLDFAST_INLINE void throw_json_number(std::string_view found) {
  ErrorDetails details;
  details.message = "a number that no value holds exactly as written";
  details.found = found.substr(0, 64);
  throw Error(ErrorCode::malformed_value, std::move(details));
}

/// The grammar of RFC 8259. The arrays and objects that are open are a text of
/// their first characters, so nothing recurses.
class JsonWalker {
 public:
  JsonWalker(std::string_view text, std::size_t max_depth, JsonEvents& events)
      : text_(text), max_depth_(max_depth), events_(events) {}

  void walk() {
    do {
      skip_blanks();
      // An opening bracket leaves its first value to the next turn.
    } while (begin_value() || !end_values());
  }

 private:
  /// Tells a value, or begins an array or object that is not empty; true if
  /// its first value is due then.
  bool begin_value() {
    switch (peek()) {
      case '{':
        enter('{');
        events_.begin_object();
        skip_blanks();
        if (peek() == '}') {
          return false;
        }
        name();
        return true;
      case '[':
        enter('[');
        events_.begin_array();
        skip_blanks();
        return peek() != ']';
      case '"':
        events_.text(string());
        return false;
      case 't':
        word("true");
        events_.boolean(true);
        return false;
      case 'f':
        word("false");
        events_.boolean(false);
        return false;
      case 'n':
        word("null");
        events_.null();
        return false;
      default:
        number();
        return false;
    }
  }

  /// Closes what ends after a value; true at the end of the text, false if
  /// another value is due.
  bool end_values() {
    for (;;) {
      skip_blanks();
      if (open_.empty()) {
        if (at_ != text_.size()) {
          fail();
        }
        return true;
      }
      const bool is_object = open_.back() == '{';
      if (take(is_object ? '}' : ']')) {
        open_.pop_back();
        is_object ? events_.end_object() : events_.end_array();
      } else if (take(',')) {
        if (is_object) {
          skip_blanks();
          name();
        }
        return false;
      } else {
        fail();
      }
    }
  }

  void enter(char bracket) {
    if (open_.size() == max_depth_) {
      throw_json_limit("JSON nested too deeply", max_depth_);
    }
    open_ += bracket;
    ++at_;
  }

  void name() {
    events_.key(string());
    skip_blanks();
    require(':');
  }

  std::string string() {
    const std::size_t begin = at_;
    require('"');
    std::string value;
    for (;;) {
      const std::size_t from = at_;
      while (at_ != text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20) {
        ++at_;
      }
      value += text_.substr(from, at_ - from);
      if (take('"')) {
        break;
      }
      require('\\');
      escape(value);
    }
    if (!is_utf8(value)) {
      at_ = begin;
      fail();
    }
    return value;
  }

  /// What follows a backslash.
  void escape(std::string& value) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (take('u')) {
      append_code_point(value);
      return;
    }
    const std::size_t which = kLetters.find(peek());
    if (which == std::string_view::npos) {
      fail();
    }
    value += kMeanings[which];
    ++at_;
  }

  void append_code_point(std::string& value) {
    std::uint32_t point = hex_quad();
    if (point >= 0xD800 && point < 0xDC00) { // half of a UTF-16 pair
      require('\\');
      require('u');
      const std::uint32_t low = hex_quad();
      if (low < 0xDC00 || low >= 0xE000) {
        fail();
      }
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    } else if (point >= 0xDC00 && point < 0xE000) {
      fail();
    }
    const auto tail = [&](unsigned shift) {
      value += static_cast<char>(0x80 | (point >> shift & 0x3F));
    };
    if (point < 0x80) {
      value += static_cast<char>(point);
    } else if (point < 0x800) {
      value += static_cast<char>(0xC0 | point >> 6);
      tail(0);
    } else if (point < 0x10000) {
      value += static_cast<char>(0xE0 | point >> 12);
      tail(6);
      tail(0);
    } else {
      value += static_cast<char>(0xF0 | point >> 18);
      tail(12);
      tail(6);
      tail(0);
    }
  }

  std::uint32_t hex_quad() {
    constexpr std::size_t kDigits = 4;
    std::uint32_t quad = 0;
    const char* const from = text_.data() + at_;
    const char* const to =
        from + std::min(kDigits, text_.size() - at_); // may be the end
    const auto read = std::from_chars(from, to, quad, 16);
    if (read.ec != std::errc() || read.ptr != from + kDigits) {
      fail();
    }
    at_ += kDigits;
    return quad;
  }

  void number() {
    const std::size_t begin = at_;
    const bool is_negative = take('-');
    if (!take('0')) {
      digits();
    }
    bool is_real = take('.');
    if (is_real) {
      digits();
    }
    if (take('e') || take('E')) {
      is_real = true;
      if (!take('+')) {
        take('-');
      }
      digits();
    }
    const std::string_view written = text_.substr(begin, at_ - begin);
    if (is_real) {
      events_.real(converted<double>(written));
    } else if (!is_negative) {
      events_.natural(converted<std::uint64_t>(written));
    } else if (const auto value = converted<std::int64_t>(written)) {
      events_.negative(value);
    } else {
      throw_json_number(written); // -0: an integer has no sign of zero
    }
  }

  template <class Number>
  static Number converted(std::string_view written) {
    Number value{};
    const auto read =
        std::from_chars(written.data(), written.data() + written.size(), value);
    if (read.ec != std::errc()) {
      throw_json_number(written);
    }
    return value;
  }

  void digits() {
    const std::size_t from = at_;
    while (peek() >= '0' && peek() <= '9') {
      ++at_;
    }
    if (at_ == from) {
      fail();
    }
  }

  void word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) {
      fail();
    }
    at_ += expected.size();
  }

  void skip_blanks() {
    while (take(' ') || take('\n') || take('\r') || take('\t')) {
    }
  }

  /// The next character; NUL, which no rule of the grammar takes, at the end.
  [[nodiscard]] char peek() const {
    return at_ == text_.size() ? '\0' : text_[at_];
  }
  bool take(char expected) {
    const bool is_there = at_ != text_.size() && text_[at_] == expected;
    at_ += is_there ? 1 : 0;
    return is_there;
  }
  void require(char expected) {
    if (!take(expected)) {
      fail();
    }
  }

  [[noreturn]] void fail() const {
    ErrorDetails details;
    details.message = "not a JSON text";
    details.found = "an error at byte " + std::to_string(at_);
    throw Error(ErrorCode::malformed_json, std::move(details));
  }

  const std::string_view text_;
  const std::size_t max_depth_;
  JsonEvents& events_;
  std::string open_;
  std::size_t at_ = 0;
};

} // namespace detail

HOLDFAST_INLINE void walk_json(
    std::string_view text,
    JsonLimits limits,
    JsonEvents& events) {
  if (text.size() > limits.max_bytes) {
    detail::throw_json_limit("a JSON text of too many bytes", limits.max_bytes);
  }
  detail::JsonWalker(text, limits.max_depth, events).walk();
}

} // namespace holdfast

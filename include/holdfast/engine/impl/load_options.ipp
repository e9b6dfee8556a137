#pragma once

#include <holdfast/engine/load_options.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/pattern.hpp>

#include <cstddef>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE const char* setter_name(LoadOptions::Rule::Kind kind) noexcept {
  switch (kind) {
    case LoadOptions::Rule::Kind::missing:
      return "allow_missing";
    case LoadOptions::Rule::Kind::unexpected:
      return "allow_unexpected";
    case LoadOptions::Rule::Kind::shape:
      return "skip_shape_mismatch";
    case LoadOptions::Rule::Kind::dtype:
      return "convert_dtype";
    case LoadOptions::Rule::Kind::rename:
      return "rename";
  }
  return "unknown";
}

} // namespace detail

HOLDFAST_INLINE LoadOptions& LoadOptions::add(
    Rule::Kind kind,
    std::string pattern,
    std::string to) {
  Rule rule;
  rule.kind = kind;
  const std::size_t colon = pattern.find(':');
  const bool has_part = colon != std::string::npos;
  rule.pattern = has_part ? pattern.substr(colon + 1) : pattern;
  rule.part = has_part ? pattern.substr(0, colon) : std::string();
  if (!is_pattern(rule.pattern) || (has_part && !is_pattern(rule.part))) {
    throw_invalid_argument(
        detail::setter_name(kind),
        "a pattern is a name with * and ?, or part:name; no [ ] { } \\",
        "'" + pattern + "'");
  }
  rule.to = std::move(to);
  rules_.push_back(std::move(rule));
  return *this;
}

HOLDFAST_INLINE LoadOptions& LoadOptions::allow_missing(std::string pattern) {
  return add(Rule::Kind::missing, std::move(pattern));
}

HOLDFAST_INLINE LoadOptions& LoadOptions::allow_unexpected(
    std::string pattern) {
  return add(Rule::Kind::unexpected, std::move(pattern));
}

HOLDFAST_INLINE LoadOptions& LoadOptions::skip_shape_mismatch(
    std::string pattern) {
  return add(Rule::Kind::shape, std::move(pattern));
}

HOLDFAST_INLINE LoadOptions& LoadOptions::convert_dtype(std::string pattern) {
  return add(Rule::Kind::dtype, std::move(pattern));
}

HOLDFAST_INLINE LoadOptions& LoadOptions::rename(
    std::string from,
    std::string to) {
  const std::size_t colon = from.find(':');
  if (!is_pattern(to) || to.find(':') != std::string::npos ||
      !same_wildcards(
          colon == std::string::npos ? from : from.substr(colon + 1), to)) {
    throw_invalid_argument(
        "rename",
        "the new name has the wildcards of the old one in their order, and no "
        "part",
        "'" + from + "', '" + to + "'");
  }
  return add(Rule::Kind::rename, std::move(from), std::move(to));
}

HOLDFAST_INLINE LoadOptions& LoadOptions::device(std::string device) {
  device_ = std::move(device);
  return *this;
}

HOLDFAST_INLINE LoadOptions& LoadOptions::salvage(bool salvage) {
  salvage_ = salvage;
  return *this;
}

HOLDFAST_INLINE LoadOptions& LoadOptions::on_transfer(
    TransferHandler handler,
    std::chrono::duration<double> interval) {
  transfers_ = transfer_listener(std::move(handler), interval.count());
  return *this;
}

HOLDFAST_INLINE std::string LoadOptions::Rule::to_string() const {
  std::string text = std::string(detail::setter_name(kind)) + "(\"" +
      (part.empty() ? "" : part + ":") + pattern + "\"";
  if (kind == Kind::rename) {
    text += ", \"" + to + "\"";
  }
  return text + ")";
}

} // namespace holdfast

#pragma once

#include <holdfast/store/line_file.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/checksum.hpp>

#include <utility>

namespace holdfast {

namespace detail {

[[noreturn]] HOLDFAST_INLINE void throw_bad_line(
    ErrorCode code,
    const std::string& path,
    const std::string& message) {
  ErrorDetails details;
  details.message = message;
  details.path = path;
  throw Error(code, std::move(details));
}

} // namespace detail

HOLDFAST_INLINE std::string line_text(const Line& line, double wall_time) {
  Values values;
  values["format"] = kFormatVersion.major;
  values["origin"] = line.origin;
  if (line.rollback) {
    values["rollback"] = true;
  }
  values["sequence"] = line.sequence;
  values["tag"] = line.tag;
  values["wall_time"] = wall_time;
  std::string text = to_json(Value(std::move(values)));
  text.pop_back();
  const std::string digest = digest_of(ByteView(std::string_view(text))).hex();
  return text + ",\"xxh3_128\":\"" + digest + "\"}\n";
}

HOLDFAST_INLINE Line parse_line(
    const LineName& name,
    std::string_view text,
    const std::string& path) {
  constexpr std::size_t tail = 13 + 32 + 3; // ,"xxh3_128":"<hex>"} and newline
  bool intact = text.size() > tail;
  if (intact) {
    const std::string_view head = text.substr(0, text.size() - tail);
    intact = text.substr(head.size()) ==
        ",\"xxh3_128\":\"" + digest_of(ByteView(head)).hex() + "\"}\n";
  }
  if (!intact) {
    detail::throw_bad_line(
        ErrorCode::checksum_mismatch,
        path,
        "the line file is damaged: its tag cannot be told");
  }
  JsonLimits limits;
  limits.max_bytes = kMaxLineBytes;
  const Value value = from_json(text, limits);
  const Values& values = value.object("line");
  if (at(values, "format").as<int>("format") > kFormatVersion.major) {
    detail::throw_bad_line(
        ErrorCode::unsupported_version,
        path,
        "the line file has a newer format");
  }
  Line line;
  line.sequence = at(values, "sequence").as<std::uint64_t>("sequence");
  line.origin = at(values, "origin").as<std::uint64_t>("origin");
  line.tag = at(values, "tag").text("tag");
  const auto rollback = values.find("rollback");
  line.rollback =
      rollback != values.end() && rollback->second.as<bool>("rollback");
  if (line.sequence != name.sequence || line.origin != name.origin) {
    detail::throw_bad_line(
        ErrorCode::foreign, path, "the line file contradicts its name");
  }
  return line;
}

} // namespace holdfast

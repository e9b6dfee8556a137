#pragma once

#include <holdfast/store/pin.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/scope_exit.hpp>
#include <holdfast/base/text.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE std::optional<std::string> read_pin(Directory& checkpoint) {
  if (!checkpoint.exists(kPinName)) {
    return std::nullopt;
  }
  try {
    const Bytes bytes = read_file(checkpoint, kPinName, kMaxPinBytes + 1);
    std::string label(ByteView(bytes).text());
    label.erase(std::min(label.find_first_of("\r\n"), label.size()));
    for (char& c : label) {
      c = static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c;
    }
    return is_utf8(label) ? label : std::string();
  } catch (const Error&) {
    return std::string();
  }
}

HOLDFAST_INLINE void write_pin(
    Directory& checkpoint,
    const std::string& label) {
  bool is_one_line = true;
  for (const char c : label) {
    is_one_line =
        is_one_line && static_cast<unsigned char>(c) >= ' ' && c != 127;
  }
  if (label.size() > kMaxPinBytes || !is_utf8(label) || !is_one_line) {
    throw_invalid_argument(
        "label",
        "is not UTF-8 text in one line of at most " +
            std::to_string(kMaxPinBytes) + " bytes",
        "'" + label + "'");
  }
  const std::optional<std::string> former = read_pin(checkpoint);
  if (!former) {
    // Half a label would be in the way of the next attempt.
    ScopeExit take_back([&] {
      try {
        checkpoint.remove_file(kPinName);
      } catch (...) {
      }
    });
    write_file(checkpoint, kPinName, label.empty() ? label : label + "\n");
    checkpoint.sync();
    take_back.dismiss();
  } else if (*former != label) {
    ErrorDetails details;
    details.message = "the checkpoint is pinned already: unpin it first";
    details.path = checkpoint.path();
    details.found = "'" + *former + "'";
    details.expected = "'" + label + "'";
    throw Error(ErrorCode::already_exists, std::move(details));
  }
}

HOLDFAST_INLINE void remove_pin(Directory& checkpoint) {
  try {
    checkpoint.remove_file(kPinName);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) {
      return;
    }
    throw;
  }
  checkpoint.sync();
}

} // namespace holdfast

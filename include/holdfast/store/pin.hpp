#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace holdfast {

/// The file in a checkpoint's directory that pins it: retention leaves it alone
/// for as long as the file is there. A person may `touch` it, or write a line
/// into it that says what for.
inline constexpr const char* kPinName = "PIN";
inline constexpr std::size_t kMaxPinBytes = 1024;

/// The label of a checkpoint's pin; nothing where there is none. Whatever has
/// the name pins: one that is no text, or cannot be read, has an empty label.
[[nodiscard]] std::optional<std::string> read_pin(Directory& checkpoint);

/// Durably pins. `label` is UTF-8 text in one line of at most `kMaxPinBytes`,
/// or empty; `invalid_argument`. Does nothing where it is pinned with this
/// label; `already_exists` where it is with another, because a crash between
/// taking one pin away and writing the next would leave none. After another
/// error it may be pinned.
void write_pin(Directory& checkpoint, const std::string& label);

/// Durably takes the pin away; does nothing where there is none.
void remove_pin(Directory& checkpoint);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/pin.ipp>
#endif

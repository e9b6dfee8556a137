#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/checksum.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {
struct StateDocument;
} // namespace holdfast

/// What several bodies of this layer share; no part of any contract.
namespace holdfast::detail {

[[noreturn]] void throw_json_limit(const char* message, std::size_t limit);

/// Appends `text`, which is UTF-8, as a JSON string, escaping what must be.
void append_json_text(std::string& out, std::string_view text);
void append_decimal(std::string& out, std::uint64_t value);

/// The member "xxh3_128"; `malformed_value` about `name` if it is no digest.
[[nodiscard]] Digest128 digest_from(
    const Values& members,
    const std::string& name);

/// `state_document_text` with another limit.
[[nodiscard]] std::string state_document_text(
    const StateDocument& document,
    std::size_t max_bytes);

} // namespace holdfast::detail

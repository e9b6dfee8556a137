#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/io/file_system.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

/// Words for people about a disk that is full, or will be.
namespace holdfast {

/// What is behind a save that failed for want of space or for a disk that
/// became read-only: a full disk, no inodes, a quota, a limit on file sizes, a
/// device that is fuller than its file system knows. Empty for other errors.
[[nodiscard]] std::string why_no_space(const Error& error, Directory& root);

/// That `count` checkpoints of `bytes` each and one more, which has to fit
/// beside them while it is saved, are more than what is free and what those
/// hold that are there (`present`). Empty where they fit, and where the file
/// system does not know its space.
[[nodiscard]] std::string what_will_not_fit(
    std::size_t count,
    std::uint64_t bytes,
    std::uint64_t present,
    Directory& root);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/space_report.ipp>
#endif

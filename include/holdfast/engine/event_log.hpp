#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/event.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/io/file_system.hpp>

#include <cstdint>
#include <memory>

namespace holdfast {

inline constexpr const char* kEventLogName = "history.jsonl";

/// A run directory's events, one JSON object a line, for people and their
/// tools; never read for a decision. Lines are only ever added. Nothing is
/// synced: a crash may cut or lose the last ones, and the next line after such
/// a tail begins anew, so readers leave out lines that are no JSON. Where it
/// cannot be written, the run goes on without.
class EventLog {
 public:
  /// Opens nothing before the first line.
  explicit EventLog(std::shared_ptr<Directory> root) : root_(std::move(root)) {}

  /// Adds `event` and `more` about it: time, step, and the like.
  void append(const Event& event, Values more) noexcept;

 private:
  /// Where the next line begins, after a torn tail on a line of its own.
  std::uint64_t end();

  std::shared_ptr<Directory> root_;
  std::unique_ptr<LockFile> file_; ///< Written at its end only.
  std::unique_ptr<ReadableFile> reader_; ///< Of the same file: tells its end.
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/event_log.ipp>
#endif

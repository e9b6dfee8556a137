#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/io/byte_sink.hpp>
#include <holdfast/store/writer.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace holdfast {

/// Compression of a file: nothing, or zstd at a level.
struct Compression {
  std::optional<int> zstd_level;
};

/// True if `bytes` and a margin beside them are free. A file system that says 0
/// or nothing is believed to have them.
[[nodiscard]] bool has_space(Directory& root, std::uint64_t bytes);

/// What a commit gave.
struct Committed {
  std::uint64_t sequence = 0;
  std::string name;
};

/// One checkpoint on its way to the disk: steps 1 to 8 of
/// docs/commit_protocol.md. Destroying it before `commit()` returned removes
/// what was written; the number stays spent. A failure at any step leaves every
/// older checkpoint as it was.
class Transaction {
 public:
  /// Step 1: fence, space for `expected_bytes` (`no_space` where `has_space()`
  /// says no), mkdir of the staging directory, which claims the next number.
  /// `writer` must outlive this. Whoever counts on space that `writer`'s trash
  /// still takes waits for it before.
  Transaction(Writer& writer, std::uint64_t expected_bytes);
  ~Transaction();

  [[nodiscard]] std::uint64_t sequence() const noexcept;

  /// Step 2: creates `path` (at most one sub-directory, made on demand), lets
  /// `produce` write it, hashes on the way, syncs and closes. After an error
  /// nothing more can be written or committed. `expected_bytes` is reserved in
  /// advance where nothing is compressed; 0: unknown. `invalid_argument` for a
  /// path that is not of that form, `duplicate_name` for one that is taken,
  /// `limit_exceeded` beyond `kMaxParts`.
  PartFile write_part(
      const std::string& path,
      std::uint64_t expected_bytes,
      const Compression& compression,
      const std::function<void(ByteSink&)>& produce);

  /// Steps 3 to 8 with `manifest`, whose `sequence` and `parts` are filled in
  /// here. On return the checkpoint is durable. An error from step 6 or 7
  /// leaves it on disk *unconfirmed*: a resume may use it, retention does not
  /// rely on it.
  Committed commit(Manifest manifest);

 private:
  struct State;
  detail::Owned<State> state_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/transaction.ipp>
#endif

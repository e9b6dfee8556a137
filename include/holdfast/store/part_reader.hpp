#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/zstd.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace holdfast {

/// Reads one file of a checkpoint front to back, plain, and hashes what it
/// gives. The caller may use the bytes only after `finish()` said true.
class PartReader final : public ByteSource {
 public:
  /// `checkpoint` is the checkpoint's directory. `not_found` for a missing
  /// file.
  PartReader(Directory& checkpoint, const PartFile& file);
  HOLDFAST_INLINE ~PartReader() override;

  /// `malformed_compression` where the stored bytes cannot be decoded.
  [[nodiscard]] HOLDFAST_INLINE std::size_t read(
      std::byte* into,
      std::size_t count) override;

  /// Reads what is left, and tells whether size and digest, plain and stored,
  /// are those of the manifest.
  [[nodiscard]] bool finish();

 private:
  struct State;
  detail::Owned<State> state_;
};

/// Opens `path` ("model/model.safetensors") below a checkpoint's directory.
[[nodiscard]] std::unique_ptr<ReadableFile> open_part(
    Directory& checkpoint,
    const std::string& path);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/store/impl/part_reader.ipp>
#endif

#pragma once

#include <holdfast/store/part_reader.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/store/impl/transaction.ipp>

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast {

namespace detail {

/// Passes on what another source gives, with count and digest.
class HashingSource final : public ByteSource {
 public:
  explicit HashingSource(ByteSource& from) : from_(from) {}

  [[nodiscard]] std::size_t read(std::byte* into, std::size_t count) override {
    const std::size_t got = from_.read(into, count);
    hasher_.update(ByteView(into, got));
    bytes_ += got;
    return got;
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_;
  }
  [[nodiscard]] Digest128 digest() const {
    return hasher_.digest();
  }

 private:
  ByteSource& from_;
  Hasher hasher_;
  std::uint64_t bytes_ = 0;
};

inline constexpr std::size_t kDrainBytes = std::size_t{64} << 10;

/// Reads `source` to its end.
HOLDFAST_INLINE void drain(ByteSource& source) {
  Bytes buffer(kDrainBytes);
  while (source.read(buffer.data(), buffer.size()) != 0) {
  }
}

/// One complete read of a part as it is stored.
struct PartRead {
  bool right = false; ///< Sizes and digests, plain and stored.
  std::uint64_t stored_bytes = 0;
  Digest128 stored_digest;
};

/// The chain from a part's file to its plain bytes.
class PartChain {
 public:
  PartChain(ReadableFile& file, const PartFile& part)
      : part_(part), raw_(file), stored_(raw_), file_size_(file.size()) {
    if (part.stored) {
      zstd_.emplace(stored_, part.bytes);
    }
  }

  [[nodiscard]] std::size_t read(std::byte* into, std::size_t count) {
    std::size_t got = 0;
    if (zstd_) {
      got = zstd_->read(into, count);
    } else {
      // Never more than was promised, however long the file is.
      const std::uint64_t left = part_.bytes - plain_bytes_;
      got = stored_.read(
          into, static_cast<std::size_t>(std::min<std::uint64_t>(left, count)));
    }
    plain_.update(ByteView(into, got));
    plain_bytes_ += got;
    return got;
  }

  [[nodiscard]] PartRead finish() {
    bool decoded = true;
    Bytes buffer(static_cast<std::size_t>(
        std::min<std::uint64_t>(kDrainBytes, part_.bytes + 1)));
    try {
      while (read(buffer.data(), buffer.size()) != 0) {
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::malformed_compression) {
        throw;
      }
      decoded = false;
    }
    drain(stored_);
    PartRead result;
    result.stored_bytes = stored_.bytes();
    result.stored_digest = stored_.digest();
    result.right = decoded && plain_bytes_ == part_.bytes &&
        file_size_ == part_.stored_bytes() &&
        result.stored_bytes == part_.stored_bytes() &&
        plain_.digest() == part_.digest &&
        result.stored_digest == part_.stored_digest();
    return result;
  }

 private:
  const PartFile& part_;
  FileSource raw_;
  HashingSource stored_;
  std::uint64_t file_size_;
  std::optional<ZstdSource> zstd_;
  Hasher plain_;
  std::uint64_t plain_bytes_ = 0;
};

} // namespace detail

struct PartReader::State {
  State(std::unique_ptr<ReadableFile> opened, const PartFile& described)
      : part(described), file(std::move(opened)), chain(*file, part) {}

  PartFile part;
  std::unique_ptr<ReadableFile> file;
  detail::PartChain chain;
};

HOLDFAST_INLINE PartReader::PartReader(
    Directory& checkpoint,
    const PartFile& file) {
  if (file.stored && file.stored->codec != kZstdCodec) {
    ErrorDetails details;
    details.message = "an unknown codec";
    details.path = file.path;
    details.found = file.stored->codec;
    throw Error(ErrorCode::unsupported_version, std::move(details));
  }
  state_ = detail::Owned<State>(
      new State(open_part(checkpoint, file.stored_path()), file));
}

HOLDFAST_INLINE PartReader::~PartReader() = default;

HOLDFAST_INLINE std::size_t PartReader::read(
    std::byte* into,
    std::size_t count) {
  return state_->chain.read(into, count);
}

HOLDFAST_INLINE bool PartReader::finish() {
  return state_->chain.finish().right;
}

HOLDFAST_INLINE std::unique_ptr<ReadableFile> open_part(
    Directory& checkpoint,
    const std::string& path) {
  const detail::PartPath where = detail::split_part_path(path);
  if (where.directory.empty()) {
    return checkpoint.open_file(where.file);
  }
  return checkpoint.open_directory(where.directory)->open_file(where.file);
}

} // namespace holdfast

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/posix_descriptor.hpp>

#include <cstdint>
#include <memory>
#include <string>

/// The three kinds of files of `PosixFileSystem`.
namespace holdfast::detail {

/// Shared by a directory and the files opened in it.
using SharedDescriptor = std::shared_ptr<const Descriptor>;
[[nodiscard]] inline SharedDescriptor share(Descriptor descriptor) {
  return SharedDescriptor(new Descriptor(std::move(descriptor)));
}

/// Writes `bytes` at `offset` to their end, however short the transfers.
void write_fully(
    const Descriptor& file,
    ByteView bytes,
    std::uint64_t offset,
    const std::string& path);

/// Reads up to `count` bytes, fewer only at the end of the file.
[[nodiscard]] std::size_t read_fully(
    const Descriptor& file,
    std::uint64_t offset,
    std::byte* into,
    std::size_t count,
    const std::string& path);

/// After a failed write, sync or close the file is given up: later calls fail
/// and reach no system call.
class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(Descriptor file, std::string path);
  HOLDFAST_INLINE ~PosixWritableFile() override;

  HOLDFAST_INLINE void write(ByteView bytes) override;
  HOLDFAST_INLINE void reserve(std::uint64_t bytes) override;
  HOLDFAST_INLINE void sync() override;
  HOLDFAST_INLINE void close() override;

 private:
  void require_usable() const;
  /// Gives back what was reserved beyond the end. Returns the errno.
  int trim() noexcept;

  Descriptor file_;
  std::string path_;
  std::uint64_t size_ = 0;
  std::uint64_t reserved_ = 0;
  bool failed_ = false;
};

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(
      Descriptor file,
      SharedDescriptor directory,
      std::string name,
      std::string path);

  [[nodiscard]] HOLDFAST_INLINE std::uint64_t size() const override;
  [[nodiscard]] HOLDFAST_INLINE std::size_t read_at(
      std::uint64_t offset,
      std::byte* into,
      std::size_t count) override;
  HOLDFAST_INLINE void drop_cache() noexcept override;
  [[nodiscard]] HOLDFAST_INLINE bool try_lock_shared() override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<ExclusiveLock>
  try_lock_exclusive() override;

 private:
  Descriptor file_;
  SharedDescriptor directory_;
  std::string name_;
  std::string path_;
};

class PosixLockFile final : public LockFile {
 public:
  PosixLockFile(
      Descriptor file,
      SharedDescriptor directory,
      std::string name,
      std::string path);

  [[nodiscard]] HOLDFAST_INLINE LockResult try_lock() override;
  /// Does nothing in a forked child: it would drop the parent's lock.
  HOLDFAST_INLINE void unlock() noexcept override;
  [[nodiscard]] HOLDFAST_INLINE std::string read(std::size_t count) override;
  HOLDFAST_INLINE void write_at(std::uint64_t offset, std::string_view text)
      override;
  HOLDFAST_INLINE void sync() override;
  [[nodiscard]] HOLDFAST_INLINE bool is_still_named() override;

 private:
  Descriptor file_;
  SharedDescriptor directory_;
  std::string name_;
  std::string path_;
  std::uint64_t fork_generation_;
  bool failed_ = false;
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_files.ipp>
#endif

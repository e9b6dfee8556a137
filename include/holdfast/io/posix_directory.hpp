#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/posix_files.hpp>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::detail {

/// A directory of `PosixFileSystem`: a descriptor, and calls relative to it.
class PosixDirectory final : public Directory {
 public:
  PosixDirectory(SharedDescriptor directory, std::string path);

  [[nodiscard]] HOLDFAST_INLINE const std::string& path()
      const noexcept override;
  [[nodiscard]] HOLDFAST_INLINE std::vector<DirectoryEntry> list() override;
  [[nodiscard]] HOLDFAST_INLINE bool exists(const std::string& name) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<WritableFile> create_file(
      const std::string& name) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<ReadableFile> open_file(
      const std::string& name) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<LockFile> open_lock_file(
      const std::string& name) override;
  HOLDFAST_INLINE void create_directory(const std::string& name) override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Directory> open_directory(
      const std::string& name) override;
  HOLDFAST_INLINE void rename(const std::string& from, const std::string& to)
      override;
  HOLDFAST_INLINE void remove_file(const std::string& name) override;
  HOLDFAST_INLINE void remove_directory(const std::string& name) override;
  HOLDFAST_INLINE void point_symlink(
      const std::string& name,
      const std::string& target) override;
  /// A file system that cannot sync directories (EINVAL, EOPNOTSUPP) is taken
  /// at its word; every other answer is an error.
  HOLDFAST_INLINE void sync() override;
  [[nodiscard]] HOLDFAST_INLINE SpaceInfo space() override;
  [[nodiscard]] HOLDFAST_INLINE std::string identity() override;

 private:
  [[nodiscard]] std::string path_of(const std::string& name) const;
  /// Opens a regular file; `io_error` for everything else.
  [[nodiscard]] Descriptor open_regular(
      const std::string& name,
      int flags,
      const char* action);
  /// What kind of entry `name` is; `taken` is false if there is none.
  [[nodiscard]] FileKind kind_of(const std::string& name, bool& taken);

  SharedDescriptor directory_;
  std::string path_;
};

/// Makes the names in an open directory durable, as `PosixDirectory::sync`.
void sync_directory(const Descriptor& directory, const std::string& path);

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_directory.ipp>
#endif

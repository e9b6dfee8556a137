#pragma once

#include <holdfast/io/file_system.hpp>
#include <holdfast/io/posix_calls.hpp>

#include <memory>
#include <string>

namespace holdfast {

/// The real file system. Links are refused below the root (O_NOFOLLOW), all
/// work is relative to descriptors (*at calls), every descriptor is
/// close-on-exec, and none is ever closed twice.
class PosixFileSystem final : public FileSystem {
 public:
  PosixFileSystem();
  /// With other system calls, for tests: `calls` must outlive everything that
  /// is opened.
  explicit PosixFileSystem(const PosixCalls& calls);

  [[nodiscard]] HOLDFAST_INLINE std::shared_ptr<Directory> open_root(
      const std::string& path,
      Create create) override;

 private:
  const PosixCalls& calls_;
};

/// The one `PosixFileSystem` with the real calls.
[[nodiscard]] std::shared_ptr<FileSystem> default_file_system();

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_file_system.ipp>
#endif

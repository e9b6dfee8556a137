#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

namespace holdfast {

/// The system calls that `PosixFileSystem` makes, one pointer each, with the
/// system's names, arguments and results (-1 and errno). Tests put their own in
/// place of some to see interruptions, short transfers and errors.
struct PosixCalls {
  int (*openat)(int directory, const char* path, int flags, mode_t mode);
  int (*close)(int file);
  ssize_t (*pread)(int file, void* into, std::size_t count, off_t offset);
  ssize_t (
      *pwrite)(int file, const void* from, std::size_t count, off_t offset);
  int (*fsync)(int file);
  int (*ftruncate)(int file, off_t size);
  /// FALLOC_FL_KEEP_SIZE: reserves blocks, leaves the size alone.
  int (*fallocate)(int file, off_t offset, off_t count);
  /// Starts writing pages back; a hint.
  int (*start_writeback)(int file, off_t offset, off_t count);
  /// POSIX_FADV_DONTNEED on the whole file; a hint.
  int (*forget_pages)(int file);
  int (*fstat)(int file, struct ::stat* into);
  /// AT_SYMLINK_NOFOLLOW.
  int (*lstatat)(int directory, const char* name, struct ::stat* into);
  int (*fstatvfs)(int file, struct ::statvfs* into);
  int (*mkdirat)(int directory, const char* name, mode_t mode);
  int (*unlinkat)(int directory, const char* name, int flags);
  int (*renameat)(int directory, const char* from, const char* to);
  /// RENAME_NOREPLACE; ENOSYS where the system has no such call.
  int (*rename_exclusive)(int directory, const char* from, const char* to);
  int (*symlinkat)(const char* target, int directory, const char* name);
  /// As the library calls of these names.
  DIR* (*fdopendir)(int directory);
  struct ::dirent* (*readdir)(DIR* stream);
  int (*closedir)(DIR* stream);
  /// F_OFD_SETLK over the whole file; `type` is F_WRLCK or F_UNLCK.
  int (*lock_description)(int file, short type);
  int (*flock)(int file, int operation);
  /// Lets another process run for about a millisecond.
  void (*pause)();
};

/// The calls of the system this program runs on.
[[nodiscard]] const PosixCalls& real_posix_calls();

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_calls.ipp>
#endif

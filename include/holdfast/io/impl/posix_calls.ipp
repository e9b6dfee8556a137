#pragma once

#include <holdfast/io/posix_calls.hpp>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE int real_openat(
    int directory,
    const char* path,
    int flags,
    mode_t mode) {
  return ::openat(directory, path, flags, mode);
}

HOLDFAST_INLINE int real_fallocate(int file, off_t offset, off_t count) {
#if defined(FALLOC_FL_KEEP_SIZE)
  return ::fallocate(file, FALLOC_FL_KEEP_SIZE, offset, count);
#else
  (void)file, (void)offset, (void)count;
  errno = EOPNOTSUPP;
  return -1;
#endif
}

HOLDFAST_INLINE int real_start_writeback(int file, off_t offset, off_t count) {
#if defined(SYNC_FILE_RANGE_WRITE)
  return ::sync_file_range(file, offset, count, SYNC_FILE_RANGE_WRITE);
#else
  (void)file, (void)offset, (void)count;
  return 0;
#endif
}

HOLDFAST_INLINE int real_forget_pages(int file) {
  return ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
}

HOLDFAST_INLINE int real_lstatat(
    int directory,
    const char* name,
    struct ::stat* into) {
  return ::fstatat(directory, name, into, AT_SYMLINK_NOFOLLOW);
}

HOLDFAST_INLINE int real_renameat(
    int directory,
    const char* from,
    const char* to) {
  return ::renameat(directory, from, directory, to);
}

HOLDFAST_INLINE int real_rename_exclusive(
    int directory,
    const char* from,
    const char* to) {
#if defined(SYS_renameat2)
  constexpr unsigned int no_replace = 1; // RENAME_NOREPLACE
  return static_cast<int>(
      ::syscall(SYS_renameat2, directory, from, directory, to, no_replace));
#else
  (void)directory, (void)from, (void)to;
  errno = ENOSYS;
  return -1;
#endif
}

HOLDFAST_INLINE int real_lock_description(int file, short type) {
#if defined(F_OFD_SETLK)
  struct ::flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return ::fcntl(file, F_OFD_SETLK, &lock);
#else
  (void)file, (void)type;
  errno = ENOSYS;
  return -1;
#endif
}

HOLDFAST_INLINE void real_pause() {
  const struct ::timespec millisecond = {0, 1'000'000};
  ::nanosleep(&millisecond, nullptr);
}

} // namespace detail

HOLDFAST_INLINE const PosixCalls& real_posix_calls() {
  static const PosixCalls calls = [] {
    PosixCalls c = {};
    c.openat = &detail::real_openat;
    c.close = &::close;
    c.pread = &::pread;
    c.pwrite = &::pwrite;
    c.fsync = &::fsync;
    c.ftruncate = &::ftruncate;
    c.fallocate = &detail::real_fallocate;
    c.start_writeback = &detail::real_start_writeback;
    c.forget_pages = &detail::real_forget_pages;
    c.fstat = &::fstat;
    c.lstatat = &detail::real_lstatat;
    c.fstatvfs = &::fstatvfs;
    c.mkdirat = &::mkdirat;
    c.unlinkat = &::unlinkat;
    c.renameat = &detail::real_renameat;
    c.rename_exclusive = &detail::real_rename_exclusive;
    c.symlinkat = &::symlinkat;
    c.fdopendir = &::fdopendir;
    c.readdir = &::readdir;
    c.closedir = &::closedir;
    c.lock_description = &detail::real_lock_description;
    c.flock = &::flock;
    c.pause = &detail::real_pause;
    return c;
  }();
  return calls;
}

} // namespace holdfast

#pragma once

#include <holdfast/io/posix_calls.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include <unistd.h>

namespace holdfast::test {

/// How many file descriptors this process has open.
inline int open_descriptors() {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

/// The real system calls, counted, watched, and made to fail on demand. One at
/// a time, used by one thread.
class InjectedCalls {
 public:
  InjectedCalls() {
    current() = this;
    install_all();
  }
  ~InjectedCalls() {
    current() = nullptr;
  }
  InjectedCalls(const InjectedCalls&) = delete;
  InjectedCalls& operator=(const InjectedCalls&) = delete;

  [[nodiscard]] const PosixCalls& calls() const noexcept {
    return calls_;
  }

  /// Every second call of each kind, the first included, ends with EINTR.
  void interrupt_every_call() {
    interrupts_ = true;
  }
  /// Reads and writes move at most `bytes`.
  void shorten_transfers(std::size_t bytes) {
    most_bytes_ = bytes;
  }
  /// Directory entries come without their kind, as on some file systems.
  void hide_kinds() {
    hides_kinds_ = true;
  }
  /// Call number `n` (from 0, of any kind but hints) fails with `error`.
  void fail_nth(std::uint64_t n, int error) {
    nth_ = n;
    nth_error_ = error;
  }
  /// All calls of this name fail from now on; none if `error` is 0.
  void fail_always(const std::string& name, int error) {
    fail_times(name, error, std::numeric_limits<std::uint64_t>::max());
  }
  void fail_times(const std::string& name, int error, std::uint64_t times) {
    plans_[name] = Plan{error, 0, error == 0 ? 0 : times, false};
  }
  /// The first `skip` calls from now on work, the one after them fails.
  void fail_after(const std::string& name, int error, std::uint64_t skip) {
    plans_[name] = Plan{error, skip, 1, false};
  }
  /// The call does its work and then reports `error`.
  void answer_after_doing(const std::string& name, int error) {
    plans_[name] =
        Plan{error, 0, std::numeric_limits<std::uint64_t>::max(), true};
  }

  /// How often something was injected.
  [[nodiscard]] std::uint64_t injections() const noexcept {
    return injections_;
  }
  /// The call that failed last.
  [[nodiscard]] const std::string& failed_call() const noexcept {
    return failed_call_;
  }
  [[nodiscard]] std::uint64_t count(const std::string& name) const {
    return static_cast<std::uint64_t>(
        std::count(log_.begin(), log_.end(), name));
  }
  /// All calls, in order.
  [[nodiscard]] std::vector<std::string>& log() noexcept {
    return log_;
  }
  /// Closes of descriptors that were not open.
  [[nodiscard]] int wrong_closes() const noexcept {
    return wrong_closes_;
  }
  [[nodiscard]] std::size_t open_count() const noexcept {
    return open_.size();
  }
  /// Opens without O_CLOEXEC.
  [[nodiscard]] int inheritable() const noexcept {
    return inheritable_;
  }

 private:
  struct Plan {
    int error = 0;
    std::uint64_t skip = 0;
    std::uint64_t times = 0;
    bool does_its_work = false;
  };

  static InjectedCalls*& current() {
    static InjectedCalls* instance = nullptr;
    return instance;
  }
  /// The error this call has to end with, 0 for none.
  int error_for(const std::string& name, bool& does_its_work) {
    does_its_work = name == "close" || name == "closedir";
    log_.push_back(name);
    int error = 0;
    const auto plan = plans_.find(name);
    if (plan != plans_.end() && plan->second.skip != 0) {
      --plan->second.skip;
    } else if (plan != plans_.end() && plan->second.times != 0) {
      --plan->second.times;
      error = plan->second.error;
      does_its_work = does_its_work || plan->second.does_its_work;
    }
    if (name != "pause" && calls_made_++ == nth_) {
      error = nth_error_;
    }
    if (error == 0 && interrupts_ && name != "fdopendir" && name != "pause" &&
        (interrupted_[name]++ % 2) == 0) {
      error = EINTR;
    }
    if (error != 0) {
      ++injections_;
      failed_call_ = name;
    }
    return error;
  }

  template <auto Member>
  struct Wrapper;
  template <class R, class... A, R (*PosixCalls::*Member)(A...)>
  struct Wrapper<Member> {
    static std::string& name() {
      static std::string text;
      return text;
    }
    static R call(A... arguments) {
      InjectedCalls& self = *current();
      bool does_its_work = false;
      const int error = self.error_for(name(), does_its_work);
      if constexpr (std::is_void_v<R>) {
        return; // A pause: tests do not wait.
      } else {
        R result = failure(static_cast<R*>(nullptr));
        if (error == 0 || does_its_work) {
          self.before(name(), arguments...);
          result = (real_posix_calls().*Member)(arguments...);
          self.after(name(), result, arguments...);
        }
        if (error != 0) {
          errno = error;
          return failure(static_cast<R*>(nullptr));
        }
        return result;
      }
    }
    template <class T>
    static T failure(T*) {
      if constexpr (std::is_pointer_v<T>) {
        return nullptr;
      } else {
        return static_cast<T>(-1);
      }
    }
  };

  template <auto Member>
  void install(const char* name) {
    Wrapper<Member>::name() = name;
    calls_.*Member = &Wrapper<Member>::call;
  }
  static int counted_fsync(int) {
    bool ignored = false;
    const int error = current()->error_for("fsync", ignored);
    if (error != 0) {
      errno = error;
    }
    return error == 0 ? 0 : -1;
  }
  static ssize_t short_pread(int file, void* into, std::size_t n, off_t at) {
    return Wrapper<&PosixCalls::pread>::call(
        file, into, current()->shortened(n), at);
  }
  static ssize_t short_pwrite(
      int file,
      const void* from,
      std::size_t n,
      off_t at) {
    return Wrapper<&PosixCalls::pwrite>::call(
        file, from, current()->shortened(n), at);
  }
  std::size_t shortened(std::size_t count) {
    injections_ += count > most_bytes_ ? 1 : 0;
    return std::min(count, most_bytes_);
  }

  template <class... A>
  void before(const std::string&, A...) {}
  void before(const std::string& name, int file) {
    if (name == "close") {
      wrong_closes_ += open_.erase(file) == 1 ? 0 : 1;
    }
  }
  void before(const std::string& name, DIR* stream) {
    if (name == "closedir") {
      wrong_closes_ += open_.erase(::dirfd(stream)) == 1 ? 0 : 1;
    }
  }
  template <class R, class... A>
  void after(const std::string&, R&, A...) {}
  void after(
      const std::string&,
      int& result,
      int,
      const char*,
      int flags,
      mode_t) {
    if (result != -1) {
      open_.insert(result);
      inheritable_ += (flags & O_CLOEXEC) == 0 ? 1 : 0;
    }
  }
  void after(const std::string&, struct ::dirent*& entry, DIR*) {
    if (entry != nullptr && hides_kinds_) {
      entry->d_type = DT_UNKNOWN;
    }
  }

  void install_all() {
    calls_ = real_posix_calls();
    install<&PosixCalls::openat>("openat");
    install<&PosixCalls::close>("close");
    install<&PosixCalls::pread>("pread");
    install<&PosixCalls::pwrite>("pwrite");
    install<&PosixCalls::ftruncate>("ftruncate");
    install<&PosixCalls::fallocate>("fallocate");
    install<&PosixCalls::start_writeback>("start_writeback");
    install<&PosixCalls::forget_pages>("forget_pages");
    install<&PosixCalls::fstat>("fstat");
    install<&PosixCalls::lstatat>("lstatat");
    install<&PosixCalls::fstatvfs>("fstatvfs");
    install<&PosixCalls::mkdirat>("mkdirat");
    install<&PosixCalls::unlinkat>("unlinkat");
    install<&PosixCalls::renameat>("renameat");
    install<&PosixCalls::rename_exclusive>("rename_exclusive");
    install<&PosixCalls::symlinkat>("symlinkat");
    install<&PosixCalls::fdopendir>("fdopendir");
    install<&PosixCalls::readdir>("readdir");
    install<&PosixCalls::closedir>("closedir");
    install<&PosixCalls::lock_description>("lock_description");
    install<&PosixCalls::flock>("flock");
    install<&PosixCalls::pause>("pause");
    // Counted, not made: no test here cuts the power, and each would wait for
    // the disk.
    calls_.fsync = &counted_fsync;
    calls_.pread = &short_pread;
    calls_.pwrite = &short_pwrite;
  }

  PosixCalls calls_ = {};
  bool interrupts_ = false;
  bool hides_kinds_ = false;
  std::size_t most_bytes_ = std::numeric_limits<std::size_t>::max();
  std::uint64_t nth_ = std::numeric_limits<std::uint64_t>::max();
  int nth_error_ = 0;
  std::uint64_t calls_made_ = 0;
  std::map<std::string, Plan> plans_;
  std::map<std::string, std::uint64_t> interrupted_;
  std::vector<std::string> log_;
  std::set<int> open_;
  std::uint64_t injections_ = 0;
  std::string failed_call_;
  int wrong_closes_ = 0;
  int inheritable_ = 0;
};

} // namespace holdfast::test

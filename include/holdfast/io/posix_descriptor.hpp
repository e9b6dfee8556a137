#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/io/posix_calls.hpp>

#include <cerrno>
#include <string>

namespace holdfast::detail {

/// The code for an errno, by the table in base/error.hpp.
[[nodiscard]] ErrorCode code_of_system_error(int error) noexcept;

/// An error "cannot `action`: <the system's text>".
[[nodiscard]] Error system_error_of(
    int error,
    const char* action,
    const std::string& path);

[[noreturn]] void throw_system_error(
    int error,
    const char* action,
    const std::string& path);

/// Repeats `call` while a signal interrupts it.
template <class Call>
auto uninterrupted(Call&& call) -> decltype(call()) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

/// The same for calls that answer 0 or -1; throws for -1.
template <class Call>
void check_call(Call&& call, const char* action, const std::string& path) {
  if (uninterrupted(call) == -1) {
    throw_system_error(errno, action, path);
  }
}

/// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor(const PosixCalls& calls, int number) noexcept
      : calls_(&calls), number_(number) {}
  ~Descriptor() {
    (void)close();
  }
  Descriptor(Descriptor&& other) noexcept
      : calls_(other.calls_), number_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;

  [[nodiscard]] int get() const noexcept {
    return number_;
  }
  [[nodiscard]] bool is_open() const noexcept {
    return number_ >= 0;
  }
  [[nodiscard]] const PosixCalls& calls() const noexcept {
    return *calls_;
  }
  /// Gives the number away.
  int release() noexcept {
    const int number = number_;
    number_ = -1;
    return number;
  }
  /// Closes once, whatever the system answers: after an error, EINTR included,
  /// the number is free and may already be somebody else's. Returns the errno,
  /// 0 after an interruption.
  int close() noexcept;

 private:
  const PosixCalls* calls_;
  int number_;
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/io/impl/posix_descriptor.ipp>
#endif

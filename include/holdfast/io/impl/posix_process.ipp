#pragma once

#include <holdfast/io/process.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/impl/posix_system_files.ipp>

#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

namespace holdfast {

namespace detail {

struct ProcessStatus {
  bool is_zombie = false;
  std::size_t threads = 0;
  std::uint64_t start_time = 0;
};

/// What /proc tells about a process; nothing where it tells nothing.
HOLDFAST_INLINE std::optional<ProcessStatus> status_of_process(
    std::int64_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const std::optional<std::string> text = read_system_text(path.c_str());
  if (!text) {
    return std::nullopt;
  }
  // The second field is the program's name in brackets, with any character in
  // it: count from the last bracket.
  const std::size_t bracket = text->rfind(')');
  if (bracket == std::string::npos) {
    return std::nullopt;
  }
  std::vector<std::string_view> fields; // From the third on.
  std::string_view rest = std::string_view(*text).substr(bracket + 1);
  while (!rest.empty()) {
    const std::size_t start = rest.find_first_not_of(" \n");
    if (start == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(start);
    fields.push_back(rest.substr(0, rest.find_first_of(" \n")));
    rest.remove_prefix(fields.back().size());
  }
  constexpr std::size_t state = 0;
  constexpr std::size_t threads = 17;
  constexpr std::size_t start_time = 19;
  if (fields.size() <= start_time) {
    return std::nullopt;
  }
  ProcessStatus status;
  status.start_time = parse_decimal(fields[start_time]).value_or(0);
  const auto count = parse_decimal(fields[threads]);
  status.threads = static_cast<std::size_t>(count.value_or(0));
  // A first thread that has ended looks like a zombie while others go on.
  status.is_zombie =
      (fields[state] == "Z" || fields[state] == "X") && count.value_or(2) <= 1;
  return status;
}

} // namespace detail

HOLDFAST_INLINE ProcessIdentity this_process() {
  ProcessIdentity identity;
  std::array<char, 256> host = {};
  if (::gethostname(host.data(), host.size() - 1) == 0) {
    identity.host = host.data();
  }
  identity.boot_id = detail::system_text("/proc/sys/kernel/random/boot_id");
  std::array<char, 256> name_space = {};
  const ssize_t length =
      ::readlink("/proc/self/ns/pid", name_space.data(), name_space.size() - 1);
  if (length > 0) {
    identity.pid_namespace.assign(
        name_space.data(), static_cast<std::size_t>(length));
  }
  identity.pid = ::getpid();
  const auto status = detail::status_of_process(identity.pid);
  identity.start_time = status ? status->start_time : 0;
  return identity;
}

HOLDFAST_INLINE bool may_be_alive(const ProcessIdentity& process) {
  const ProcessIdentity own = this_process();
  if (process.boot_id.empty() || process.boot_id != own.boot_id ||
      process.pid_namespace.empty() ||
      process.pid_namespace != own.pid_namespace || process.pid <= 0 ||
      process.pid > std::numeric_limits<pid_t>::max()) {
    return true;
  }
  if (::kill(static_cast<pid_t>(process.pid), 0) == -1 && errno == ESRCH) {
    return false;
  }
  // /proc may hide other users' processes: silence proves nothing.
  const auto status = detail::status_of_process(process.pid);
  if (!status) {
    return true;
  }
  const bool another = process.start_time != 0 && status->start_time != 0 &&
      process.start_time != status->start_time;
  return !another && !status->is_zombie;
}

HOLDFAST_INLINE std::string random_id() {
  std::array<std::byte, 16> bytes;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0 || errno != EINTR) {
      throw Error(ErrorCode::io_error, "the system gives no random numbers");
    }
  }
  return to_hex({bytes.data(), bytes.size()});
}

} // namespace holdfast

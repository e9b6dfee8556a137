#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/sorting.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

/// What the system tells: files as under /proc, and what is loaded.
namespace holdfast::detail {

/// What a file of the system says, as far as one needs to know: about `most`
/// bytes. Nothing where it cannot be read.
HOLDFAST_INLINE std::optional<std::string> read_system_text(
    const char* path,
    std::size_t most = 65536) {
  const auto again = [](auto call) {
    auto result = call();
    while (result == -1 && errno == EINTR) {
      result = call();
    }
    return result;
  };
  const int file = again([&] { return ::open(path, O_RDONLY | O_CLOEXEC); });
  if (file == -1) {
    return std::nullopt;
  }
  std::string text;
  std::array<char, 1024> piece;
  ssize_t got = 0;
  do {
    got = again([&] { return ::read(file, piece.data(), piece.size()); });
    text.append(piece.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  } while (got > 0 && text.size() < most);
  (void)::close(file);
  if (got < 0) {
    return std::nullopt;
  }
  return text;
}

/// The same without newlines at its end; empty where it cannot be read.
HOLDFAST_INLINE std::string system_text(const std::string& path) {
  std::string text = read_system_text(path.c_str()).value_or("");
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

/// Names in a folder of the system, sorted; none where it cannot be read.
HOLDFAST_INLINE std::vector<std::string> system_folder(const char* path) {
  std::vector<std::string> names;
  DIR* const folder = ::opendir(path);
  if (folder == nullptr) {
    return names;
  }
  while (const dirent* const entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') {
      names.emplace_back(entry->d_name);
    }
  }
  (void)::closedir(folder);
  sort_by(
      names, [](const std::string& a, const std::string& b) { return a < b; });
  return names;
}

/// A function of whatever is loaded; null where there is none of that name.
template <class Function>
Function* loaded_function(const char* name) noexcept {
  // POSIX wants this cast to be valid.
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/io/file_system.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

namespace detail {

/// Whether `action` went well; an error of this code counts as no.
template <class Action>
bool succeeds_unless(ErrorCode code, Action&& action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    if (error.code() != code) {
      throw;
    }
    return false;
  }
}

HOLDFAST_INLINE void remove_file_if_there(
    Directory& parent,
    const std::string& name) {
  (void)succeeds_unless(
      ErrorCode::not_found, [&] { parent.remove_file(name); });
}

/// Null where `name` is gone, or is no directory; `gone` tells which.
HOLDFAST_INLINE std::unique_ptr<Directory> open_directory_if_one(
    Directory& parent,
    const std::string& name,
    bool& gone) {
  std::unique_ptr<Directory> directory;
  gone = !succeeds_unless(ErrorCode::not_found, [&] {
    (void)succeeds_unless(ErrorCode::not_a_directory, [&] {
      directory = parent.open_directory(name);
    });
  });
  return directory;
}

/// All bytes of an open file of at most `limit`; `path` is for messages.
HOLDFAST_INLINE Bytes
read_all(ReadableFile& file, std::uint64_t limit, const std::string& path) {
  const auto refuse = [&](const std::string& found) {
    ErrorDetails details;
    details.message = "the file is too large";
    details.path = path;
    details.expected = "at most " + std::to_string(limit) + " bytes";
    details.found = found;
    throw Error(ErrorCode::limit_exceeded, std::move(details));
  };
  const std::uint64_t size = file.size();
  if (size > limit) {
    refuse(std::to_string(size) + " bytes");
  }
  Bytes bytes(static_cast<std::size_t>(size));
  bytes.resize(file.read_at(0, bytes.data(), bytes.size()));
  // It may have grown since it was asked for its size.
  std::byte next{};
  while (file.read_at(bytes.size(), &next, 1) == 1) {
    if (bytes.size() == limit) {
      refuse("more");
    }
    bytes.push_back(next);
  }
  return bytes;
}

} // namespace detail

HOLDFAST_INLINE void remove_tree(
    Directory& parent,
    const std::string& name,
    const std::atomic<bool>* stop) {
  const auto shall_stop = [stop] {
    return stop != nullptr && stop->load();
  };
  // Somebody may put an entry into a directory that was just emptied: look
  // again, but not for ever.
  constexpr int most_attempts = 3;
  for (int attempt = 1;; ++attempt) {
    bool gone = false;
    const std::unique_ptr<Directory> directory =
        detail::open_directory_if_one(parent, name, gone);
    if (gone) {
      return;
    }
    if (!directory) {
      detail::remove_file_if_there(parent, name);
      return;
    }
    for (const DirectoryEntry& entry : directory->list()) {
      if (shall_stop()) {
        return;
      }
      if (entry.kind == FileKind::file || entry.kind == FileKind::symlink) {
        detail::remove_file_if_there(*directory, entry.name);
      } else {
        remove_tree(*directory, entry.name, stop);
      }
    }
    if (shall_stop()) {
      return;
    }
    try {
      parent.remove_directory(name);
      return;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) {
        return;
      }
      if (error.code() != ErrorCode::already_exists ||
          attempt == most_attempts) {
        throw;
      }
    }
  }
}

HOLDFAST_INLINE Bytes
read_file(Directory& directory, const std::string& name, std::uint64_t limit) {
  const std::unique_ptr<ReadableFile> file = directory.open_file(name);
  return detail::read_all(*file, limit, directory.path() + "/" + name);
}

HOLDFAST_INLINE void write_file(
    Directory& directory,
    const std::string& name,
    std::string_view text) {
  const std::unique_ptr<WritableFile> file = directory.create_file(name);
  file->write(ByteView(text));
  file->sync();
  file->close();
}

} // namespace holdfast

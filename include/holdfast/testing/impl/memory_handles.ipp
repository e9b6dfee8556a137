#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/testing/impl/memory_disk.ipp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

/// What is open on a disk in memory: files and locks.
namespace holdfast::testing::detail {

/// What every call says after a power cut.
HOLDFAST_INLINE ErrorDetails no_power(std::string path) {
  ErrorDetails details;
  details.message = "the power was cut";
  details.path = std::move(path);
  details.system_error = EIO;
  return details;
}

/// What every handle has: its disk, the power it lives on, and its node.
/// Made with the disk's mutex held.
class MemoryHandle {
 public:
  MemoryHandle(std::shared_ptr<MemoryDisk> disk, NodeId node, std::string path)
      : disk_(std::move(disk)),
        power_(disk_->power),
        node_(node),
        id_(disk_->next_handle++),
        path_(std::move(path)) {
    ++disk_->at(node_).handles;
  }
  ~MemoryHandle() {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    if (disk_->power == power_) {
      release_locks();
      MemoryNode& node = disk_->at(node_);
      if (--node.handles == 0) {
        node.reserved = 0;
      }
    }
  }
  MemoryHandle(const MemoryHandle&) = delete;
  MemoryHandle& operator=(const MemoryHandle&) = delete;

  /// The mutex, if there still is power.
  [[nodiscard]] std::unique_lock<std::mutex> use() const {
    std::unique_lock<std::mutex> lock(disk_->mutex);
    if (disk_->power != power_) {
      throw Error(ErrorCode::io_error, no_power(path_));
    }
    return lock;
  }
  void release_locks() {
    MemoryNode& node = disk_->at(node_);
    if (node.exclusive_lock == id_) {
      node.exclusive_lock = 0;
    }
    node.shared_locks.erase(id_);
  }

  [[nodiscard]] MemoryNode& node() const {
    return disk_->at(node_);
  }
  [[nodiscard]] MemoryDisk& disk() const {
    return *disk_;
  }
  [[nodiscard]] const std::shared_ptr<MemoryDisk>& shared_disk() const {
    return disk_;
  }
  [[nodiscard]] NodeId node_id() const {
    return node_;
  }
  [[nodiscard]] std::uint64_t id() const {
    return id_;
  }
  [[nodiscard]] const std::string& path() const noexcept {
    return path_;
  }
  [[nodiscard]] bool has_power() const {
    return disk_->power == power_;
  }
  [[nodiscard]] Error failure(int system_error, const char* what) const {
    return system_error_of(system_error, what, path_);
  }

 private:
  std::shared_ptr<MemoryDisk> disk_;
  std::uint64_t power_;
  NodeId node_;
  std::uint64_t id_;
  std::string path_;
};

class MemoryWritableFile final : public WritableFile {
 public:
  MemoryWritableFile(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      std::string path)
      : handle_(std::move(disk), node, std::move(path)) {}

  void write(ByteView bytes) override {
    const auto lock = use();
    if (!handle_.disk().write(handle_.node_id(), written_, bytes)) {
      written_ = handle_.node().size();
      throw handle_.failure(ENOSPC, "write");
    }
    written_ += bytes.size;
  }
  void reserve(std::uint64_t bytes) override {
    const auto lock = use();
    MemoryNode& node = handle_.node();
    const std::uint64_t room = std::max(node.size(), node.reserved);
    if (bytes > room && bytes - room > handle_.disk().available_bytes()) {
      throw handle_.failure(ENOSPC, "reserve space");
    }
    node.reserved = std::max(node.reserved, bytes);
  }
  void sync() override {
    const auto lock = use();
    handle_.disk().sync_file(handle_.node_id());
  }
  void close() override {
    const auto lock = use();
    closed_ = true;
    handle_.node().reserved = 0;
  }

 private:
  [[nodiscard]] std::unique_lock<std::mutex> use() const {
    auto lock = handle_.use();
    if (closed_) {
      throw Error(ErrorCode::invalid_argument, "the file is closed")
          .at(handle_.path());
    }
    return lock;
  }

  MemoryHandle handle_;
  std::uint64_t written_ = 0;
  bool closed_ = false;
};

/// Made with the disk's mutex held.
class MemoryExclusiveLock final : public ExclusiveLock {
 public:
  MemoryExclusiveLock(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      std::string path)
      : handle_(std::move(disk), node, std::move(path)) {
    handle_.node().exclusive_lock = handle_.id();
  }

 private:
  MemoryHandle handle_;
};

class MemoryReadableFile final : public ReadableFile {
 public:
  MemoryReadableFile(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      std::string path)
      : handle_(std::move(disk), node, std::move(path)) {}

  [[nodiscard]] std::uint64_t size() const override {
    const auto lock = handle_.use();
    return handle_.node().size();
  }
  [[nodiscard]] std::size_t read_at(
      std::uint64_t offset,
      std::byte* into,
      std::size_t count) override {
    const auto lock = handle_.use();
    const MemoryNode& node = handle_.node();
    if (node.read_error != 0) {
      throw handle_.failure(node.read_error, "read");
    }
    if (offset >= node.size()) {
      return 0;
    }
    count = static_cast<std::size_t>(
        std::min<std::uint64_t>(count, node.size() - offset));
    if (count != 0) {
      std::memcpy(into, node.content->data() + offset, count);
    }
    return count;
  }
  void drop_cache() noexcept override {}
  [[nodiscard]] bool try_lock_shared() override {
    const auto lock = handle_.use();
    MemoryNode& node = handle_.node();
    if (!handle_.disk().locks_supported || node.exclusive_lock != 0) {
      return false;
    }
    node.shared_locks.insert(handle_.id());
    return true;
  }
  [[nodiscard]] std::unique_ptr<ExclusiveLock> try_lock_exclusive() override {
    const auto lock = handle_.use();
    const MemoryNode& node = handle_.node();
    if (!handle_.disk().locks_supported) {
      return std::make_unique<ExclusiveLock>();
    }
    if (node.exclusive_lock != 0 || !node.shared_locks.empty()) {
      return nullptr;
    }
    return std::make_unique<MemoryExclusiveLock>(
        handle_.shared_disk(), handle_.node_id(), handle_.path());
  }

 private:
  MemoryHandle handle_;
};

class MemoryLockFile final : public LockFile {
 public:
  MemoryLockFile(
      std::shared_ptr<MemoryDisk> disk,
      NodeId node,
      NodeId directory,
      std::string name,
      std::string path)
      : handle_(disk, node, std::move(path)),
        directory_(std::move(disk), directory, handle_.path()),
        name_(std::move(name)) {}

  [[nodiscard]] LockResult try_lock() override {
    const auto lock = handle_.use();
    MemoryNode& node = handle_.node();
    if (!handle_.disk().locks_supported) {
      return LockResult::not_supported;
    }
    if (node.exclusive_lock == handle_.id()) {
      return LockResult::acquired;
    }
    if (node.exclusive_lock != 0 || !node.shared_locks.empty()) {
      return LockResult::held_by_other;
    }
    node.exclusive_lock = handle_.id();
    return LockResult::acquired;
  }
  void unlock() noexcept override {
    const std::lock_guard<std::mutex> lock(handle_.disk().mutex);
    if (handle_.has_power()) {
      handle_.release_locks();
    }
  }
  [[nodiscard]] std::string read(std::size_t count) override {
    const auto lock = handle_.use();
    const MemoryNode& node = handle_.node();
    if (node.read_error != 0) {
      throw handle_.failure(node.read_error, "read");
    }
    count =
        static_cast<std::size_t>(std::min<std::uint64_t>(count, node.size()));
    return count == 0
        ? std::string()
        : std::string(
              reinterpret_cast<const char*>(node.content->data()), count);
  }
  void write_at(std::uint64_t offset, std::string_view text) override {
    const auto lock = handle_.use();
    if (!handle_.disk().write(handle_.node_id(), offset, ByteView(text))) {
      throw handle_.failure(ENOSPC, "write");
    }
  }
  void sync() override {
    const auto lock = handle_.use();
    handle_.disk().sync_file(handle_.node_id());
  }
  [[nodiscard]] bool is_still_named() override {
    const auto lock = handle_.use();
    const auto& entries = directory_.node().entries;
    const auto found = entries.find(name_);
    return found != entries.end() && found->second == handle_.node_id();
  }

 private:
  MemoryHandle handle_;
  MemoryHandle directory_;
  std::string name_;
};

} // namespace holdfast::testing::detail

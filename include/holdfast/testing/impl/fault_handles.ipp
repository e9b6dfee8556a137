#pragma once

#include <holdfast/base/error.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/posix_descriptor.hpp>
#include <holdfast/testing/impl/fault_state.ipp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Handles that may fail: each call is ruled on first.
namespace holdfast::testing::detail {

/// True for errors that mean "this file system has no such thing".
HOLDFAST_INLINE bool means_unsupported(int system_error) {
  return holdfast::detail::code_of_system_error(system_error) ==
      ErrorCode::not_supported;
}

/// A sync that may fail or lie. A failed one has marked the bytes clean.
template <class Action>
void faulty_sync(
    FaultState& state,
    Operation operation,
    const std::string& path,
    bool& marked_clean,
    Action action) {
  const FaultState::Ruling ruling = state.begin(operation, path);
  if (ruling.is(FaultState::Kind::lying_sync)) {
    return;
  }
  if (ruling.is(FaultState::Kind::error)) {
    if (ruling.applied) {
      action();
    }
    marked_clean = true;
    FaultState::fail(ruling, operation, path);
  }
  if (!marked_clean) {
    action();
  }
}

template <class Inner>
class FaultyHandle {
 public:
  FaultyHandle(
      std::shared_ptr<FaultState> state,
      std::unique_ptr<Inner> inner,
      std::string path)
      : state_(std::move(state)),
        inner_(std::move(inner)),
        path_(std::move(path)) {}
  ~FaultyHandle() {
    state_->bury(std::move(inner_));
  }
  FaultyHandle(const FaultyHandle&) = delete;
  FaultyHandle& operator=(const FaultyHandle&) = delete;

  [[nodiscard]] FaultState& state() const {
    return *state_;
  }
  [[nodiscard]] Inner& inner() const {
    return *inner_;
  }
  [[nodiscard]] const std::string& path() const noexcept {
    return path_;
  }

 private:
  std::shared_ptr<FaultState> state_;
  std::unique_ptr<Inner> inner_;
  std::string path_;
};

class FaultyWritableFile final : public WritableFile {
 public:
  FaultyWritableFile(
      std::shared_ptr<FaultState> state,
      std::unique_ptr<WritableFile> inner,
      std::string path)
      : handle_(std::move(state), std::move(inner), std::move(path)) {}

  void write(ByteView bytes) override {
    const auto ruling =
        handle_.state().begin(Operation::write, handle_.path(), size_of(bytes));
    if (ruling.is(FaultState::Kind::short_write)) {
      handle_.inner().write(bytes.subview(0, bytes.size / 2));
    } else if (!ruling.is(FaultState::Kind::error) || ruling.applied) {
      handle_.inner().write(bytes);
    }
    if (ruling.kind) {
      FaultState::fail(ruling, Operation::write, handle_.path());
    }
  }
  void border() override {
    handle_.inner().border();
  }
  void reserve(std::uint64_t bytes) override {
    const auto ruling = handle_.state().begin(
        Operation::reserve, handle_.path(), " " + std::to_string(bytes));
    if (!ruling.is(FaultState::Kind::error) || ruling.applied) {
      handle_.inner().reserve(bytes);
    }
    if (ruling.kind && !means_unsupported(ruling.system_error)) {
      FaultState::fail(ruling, Operation::reserve, handle_.path());
    }
  }
  void sync() override {
    faulty_sync(
        handle_.state(),
        Operation::sync_file,
        handle_.path(),
        marked_clean_,
        [&] { handle_.inner().sync(); });
  }
  void close() override {
    const auto ruling = handle_.state().begin(Operation::close, handle_.path());
    handle_.inner().close(); // An error or not: the file is closed.
    if (ruling.kind) {
      FaultState::fail(ruling, Operation::close, handle_.path());
    }
  }

 private:
  static std::string size_of(ByteView bytes) {
    return " " + std::to_string(bytes.size) + " bytes";
  }

  FaultyHandle<WritableFile> handle_;
  bool marked_clean_ = false;
};

class FaultyReadableFile final : public ReadableFile {
 public:
  FaultyReadableFile(
      std::shared_ptr<FaultState> state,
      std::unique_ptr<ReadableFile> inner,
      std::string path)
      : handle_(std::move(state), std::move(inner), std::move(path)) {}

  [[nodiscard]] std::uint64_t size() const override {
    return handle_.state().pass(Operation::size, handle_.path(), {}, [&] {
      return handle_.inner().size();
    });
  }
  [[nodiscard]] std::size_t read_at(
      std::uint64_t offset,
      std::byte* into,
      std::size_t count) override {
    const auto ruling = handle_.state().begin(
        Operation::read,
        handle_.path(),
        " " + std::to_string(count) + " bytes at " + std::to_string(offset));
    if (ruling.is(FaultState::Kind::error)) {
      FaultState::fail(ruling, Operation::read, handle_.path());
    }
    const std::size_t got = handle_.inner().read_at(offset, into, count);
    if (ruling.is(FaultState::Kind::flip_bit) && got == 0) {
      handle_.state().spare(ruling);
    } else if (ruling.is(FaultState::Kind::flip_bit)) {
      const std::uint64_t bit = ruling.number * 7919 % (got * 8);
      into[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    }
    return got;
  }
  void drop_cache() noexcept override {
    handle_.inner().drop_cache();
  }
  [[nodiscard]] bool try_lock_shared() override {
    const auto ruling =
        handle_.state().begin(Operation::try_lock_shared, handle_.path());
    if (!ruling.kind) {
      return handle_.inner().try_lock_shared();
    }
    if (means_unsupported(ruling.system_error) ||
        ruling.system_error == EAGAIN) {
      return false;
    }
    FaultState::fail(ruling, Operation::try_lock_shared, handle_.path());
  }
  [[nodiscard]] std::unique_ptr<ExclusiveLock> try_lock_exclusive() override {
    const auto ruling =
        handle_.state().begin(Operation::try_lock_exclusive, handle_.path());
    if (!ruling.kind) {
      return handle_.inner().try_lock_exclusive();
    }
    if (means_unsupported(ruling.system_error)) {
      return std::make_unique<ExclusiveLock>();
    }
    if (ruling.system_error == EAGAIN) {
      return nullptr;
    }
    FaultState::fail(ruling, Operation::try_lock_exclusive, handle_.path());
  }

 private:
  FaultyHandle<ReadableFile> handle_;
};

class FaultyLockFile final : public LockFile {
 public:
  FaultyLockFile(
      std::shared_ptr<FaultState> state,
      std::unique_ptr<LockFile> inner,
      std::string path)
      : handle_(std::move(state), std::move(inner), std::move(path)) {}

  [[nodiscard]] LockResult try_lock() override {
    const auto ruling =
        handle_.state().begin(Operation::try_lock, handle_.path());
    if (!ruling.kind) {
      return handle_.inner().try_lock();
    }
    if (means_unsupported(ruling.system_error)) {
      return LockResult::not_supported;
    }
    if (ruling.system_error == EAGAIN) {
      return LockResult::held_by_other;
    }
    FaultState::fail(ruling, Operation::try_lock, handle_.path());
  }
  void unlock() noexcept override {
    try {
      (void)handle_.state().begin(Operation::unlock, handle_.path());
      handle_.inner().unlock();
    } catch (...) { // Without power nothing reaches the disk.
    }
  }
  [[nodiscard]] std::string read(std::size_t count) override {
    const auto ruling =
        handle_.state().begin(Operation::read_lock, handle_.path());
    if (ruling.is(FaultState::Kind::error)) {
      FaultState::fail(ruling, Operation::read_lock, handle_.path());
    }
    std::string text = handle_.inner().read(count);
    if (ruling.is(FaultState::Kind::flip_bit) && text.empty()) {
      handle_.state().spare(ruling);
    } else if (ruling.is(FaultState::Kind::flip_bit)) {
      const std::uint64_t bit = ruling.number * 7919 % (text.size() * 8);
      char& c = text[static_cast<std::size_t>(bit / 8)];
      c = static_cast<char>(static_cast<unsigned char>(c) ^ (1U << bit % 8));
    }
    return text;
  }
  void write_at(std::uint64_t offset, std::string_view text) override {
    const auto ruling = handle_.state().begin(
        Operation::write_lock,
        handle_.path(),
        " " + std::to_string(text.size()) + " bytes at " +
            std::to_string(offset));
    if (ruling.is(FaultState::Kind::short_write)) {
      handle_.inner().write_at(offset, text.substr(0, text.size() / 2));
      marked_clean_ = false;
    } else if (!ruling.is(FaultState::Kind::error) || ruling.applied) {
      handle_.inner().write_at(offset, text);
      marked_clean_ = false;
    }
    if (ruling.kind) {
      FaultState::fail(ruling, Operation::write_lock, handle_.path());
    }
  }
  void sync() override {
    faulty_sync(
        handle_.state(),
        Operation::sync_lock,
        handle_.path(),
        marked_clean_,
        [&] { handle_.inner().sync(); });
  }
  [[nodiscard]] bool is_still_named() override {
    return handle_.state().pass(
        Operation::is_still_named, handle_.path(), {}, [&] {
          return handle_.inner().is_still_named();
        });
  }

 private:
  FaultyHandle<LockFile> handle_;
  bool marked_clean_ = false;
};

class FaultyDirectory final : public Directory {
  [[nodiscard]] std::string at(const std::string& name) const {
    return path() + "/" + name;
  }
  template <class Action>
  auto pass(Operation operation, const std::string& name, Action action) {
    return state_->pass(operation, at(name), {}, action);
  }
  template <class Action>
  auto pass(Operation operation, Action action) {
    return state_->pass(operation, path(), {}, action);
  }

 public:
  FaultyDirectory(
      std::shared_ptr<FaultState> state,
      std::unique_ptr<Directory> inner,
      std::shared_ptr<Directory> root)
      : state_(std::move(state)),
        owned_(std::move(inner)),
        root_(std::move(root)),
        inner_(owned_ ? *owned_ : *root_) {}
  [[nodiscard]] const std::string& path() const noexcept override {
    return inner_.path();
  }
  [[nodiscard]] std::vector<DirectoryEntry> list() override {
    return pass(Operation::list, [&] { return inner_.list(); });
  }
  [[nodiscard]] bool exists(const std::string& name) override {
    return pass(Operation::exists, name, [&] { return inner_.exists(name); });
  }
  [[nodiscard]] std::unique_ptr<WritableFile> create_file(
      const std::string& name) override {
    return std::make_unique<FaultyWritableFile>(
        state_,
        pass(
            Operation::create_file,
            name,
            [&] { return inner_.create_file(name); }),
        at(name));
  }
  [[nodiscard]] std::unique_ptr<ReadableFile> open_file(
      const std::string& name) override {
    return std::make_unique<FaultyReadableFile>(
        state_,
        pass(
            Operation::open_file, name, [&] { return inner_.open_file(name); }),
        at(name));
  }
  [[nodiscard]] std::unique_ptr<LockFile> open_lock_file(
      const std::string& name) override {
    return std::make_unique<FaultyLockFile>(
        state_,
        pass(
            Operation::open_lock_file,
            name,
            [&] { return inner_.open_lock_file(name); }),
        at(name));
  }
  void create_directory(const std::string& name) override {
    pass(Operation::create_directory, name, [&] {
      inner_.create_directory(name);
    });
  }
  [[nodiscard]] std::unique_ptr<Directory> open_directory(
      const std::string& name) override {
    return std::make_unique<FaultyDirectory>(
        state_,
        pass(
            Operation::open_directory,
            name,
            [&] { return inner_.open_directory(name); }),
        nullptr);
  }
  void rename(const std::string& from, const std::string& to) override {
    state_->pass(Operation::rename, at(from), " -> " + to, [&] {
      inner_.rename(from, to);
    });
  }
  void remove_file(const std::string& name) override {
    pass(Operation::remove_file, name, [&] { inner_.remove_file(name); });
  }
  void remove_directory(const std::string& name) override {
    pass(Operation::remove_directory, name, [&] {
      inner_.remove_directory(name);
    });
  }
  void point_symlink(const std::string& name, const std::string& target)
      override {
    state_->pass(Operation::point_symlink, at(name), " -> " + target, [&] {
      inner_.point_symlink(name, target);
    });
  }
  void sync() override {
    const auto ruling = state_->begin(Operation::sync_directory, path());
    if (!ruling.kind || ruling.applied) {
      inner_.sync();
    }
    if (ruling.is(FaultState::Kind::error)) {
      FaultState::fail(ruling, Operation::sync_directory, path());
    }
  }
  [[nodiscard]] SpaceInfo space() override {
    return pass(Operation::space, [&] { return inner_.space(); });
  }
  [[nodiscard]] std::string identity() override {
    return pass(Operation::identity, [&] { return inner_.identity(); });
  }

 private:
  std::shared_ptr<FaultState> state_;
  std::unique_ptr<Directory> owned_;
  std::shared_ptr<Directory> root_;
  Directory& inner_;
};

} // namespace holdfast::testing::detail

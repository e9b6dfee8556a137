#pragma once

#include <holdfast/testing/fault_file_system.hpp>

#include <holdfast/io/posix_descriptor.hpp>

#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace holdfast::testing {

HOLDFAST_INLINE const char* to_string(Operation operation) noexcept {
  switch (operation) {
#define HOLDFAST_CASE(name) \
  case Operation::name:     \
    return #name
    HOLDFAST_CASE(open_root);
    HOLDFAST_CASE(list);
    HOLDFAST_CASE(exists);
    HOLDFAST_CASE(create_file);
    HOLDFAST_CASE(open_file);
    HOLDFAST_CASE(open_lock_file);
    HOLDFAST_CASE(create_directory);
    HOLDFAST_CASE(open_directory);
    HOLDFAST_CASE(rename);
    HOLDFAST_CASE(remove_file);
    HOLDFAST_CASE(remove_directory);
    HOLDFAST_CASE(point_symlink);
    HOLDFAST_CASE(sync_directory);
    HOLDFAST_CASE(space);
    HOLDFAST_CASE(identity);
    HOLDFAST_CASE(reserve);
    HOLDFAST_CASE(write);
    HOLDFAST_CASE(sync_file);
    HOLDFAST_CASE(close);
    HOLDFAST_CASE(size);
    HOLDFAST_CASE(read);
    HOLDFAST_CASE(try_lock_shared);
    HOLDFAST_CASE(is_unlocked);
    HOLDFAST_CASE(try_lock);
    HOLDFAST_CASE(unlock);
    HOLDFAST_CASE(read_lock);
    HOLDFAST_CASE(write_lock);
    HOLDFAST_CASE(sync_lock);
    HOLDFAST_CASE(is_still_named);
#undef HOLDFAST_CASE
  }
  return "unknown";
}

HOLDFAST_INLINE Operations::Operations(
    std::initializer_list<Operation> members) {
  for (const Operation member : members) {
    bits_ |= std::uint64_t{1} << static_cast<unsigned>(member);
  }
}

HOLDFAST_INLINE Operations Operations::all() {
  Operations set{};
  set.bits_ = ~std::uint64_t{0};
  return set;
}

HOLDFAST_INLINE Operations Operations::changes() {
  Operations set{Operation::reserve, Operation::close};
  set.bits_ |= writes().bits_ | syncs().bits_ | names().bits_;
  return set;
}

HOLDFAST_INLINE Operations Operations::writes() {
  return {Operation::write, Operation::write_lock};
}

HOLDFAST_INLINE Operations Operations::syncs() {
  return {
      Operation::sync_file, Operation::sync_lock, Operation::sync_directory};
}

HOLDFAST_INLINE Operations Operations::reads() {
  return {Operation::read, Operation::read_lock};
}

HOLDFAST_INLINE Operations Operations::names() {
  return {
      Operation::create_file,
      Operation::open_lock_file,
      Operation::create_directory,
      Operation::rename,
      Operation::remove_file,
      Operation::remove_directory,
      Operation::point_symlink};
}

HOLDFAST_INLINE bool Operations::contains(Operation operation) const noexcept {
  return (bits_ >> static_cast<unsigned>(operation) & 1) != 0;
}

HOLDFAST_INLINE PowerCut::PowerCut(const std::string& path)
    : Error(ErrorCode::io_error, [&] {
        ErrorDetails details;
        details.message = "the power was cut";
        details.path = path;
        details.system_error = EIO;
        return details;
      }()) {}

HOLDFAST_INLINE Fault::Fault(Kind kind, int system_error, Operations operations)
    : kind_(kind), system_error_(system_error), operations_(operations) {}

HOLDFAST_INLINE Fault Fault::error(int system_error) {
  if (system_error == EINTR || system_error <= 0) {
    throw_invalid_argument(
        "fault",
        "an errno that never passes the seam",
        std::to_string(system_error));
  }
  return {Kind::error, system_error, Operations::all()};
}

HOLDFAST_INLINE Fault Fault::short_write(int system_error) {
  Fault fault = error(system_error);
  fault.kind_ = Kind::short_write;
  return fault.on(Operations::writes());
}

HOLDFAST_INLINE Fault Fault::power_cut() {
  return {Kind::power_cut, EIO, Operations::all()};
}

HOLDFAST_INLINE Fault Fault::flip_bit() {
  return {Kind::flip_bit, 0, Operations::reads()};
}

HOLDFAST_INLINE Fault Fault::lying_sync() {
  return {Kind::lying_sync, 0, Operations::syncs()};
}

HOLDFAST_INLINE Fault Fault::at(std::uint64_t n) const {
  if (n == 0) {
    throw_invalid_argument("at", "operations count from 1");
  }
  Fault fault = *this;
  fault.at_ = n;
  return fault;
}

HOLDFAST_INLINE Fault Fault::on(Operations operations) const {
  Fault fault = *this;
  fault.operations_ = operations;
  return fault;
}

HOLDFAST_INLINE Fault Fault::named(std::string piece) const {
  Fault fault = *this;
  fault.piece_ = std::move(piece);
  return fault;
}

HOLDFAST_INLINE Fault Fault::for_ever() const {
  Fault fault = *this;
  fault.for_ever_ = true;
  return fault;
}

HOLDFAST_INLINE Fault Fault::applied() const {
  Fault fault = *this;
  fault.applied_ = true;
  return fault;
}

/// What the file system shares with its handles.
struct FaultState {
  using Kind = Fault::Kind;

  struct Planned {
    Fault fault;
    std::uint64_t seen = 0;
  };

  /// What is to be done with one operation.
  struct Ruling {
    std::optional<Kind> kind;
    int system_error = 0;
    bool applied = false;
    std::uint64_t number = 0;
    std::size_t planned = 0; ///< Which fault of the plan struck.

    [[nodiscard]] bool is(Kind other) const {
      return kind == other;
    }
  };

  explicit FaultState(std::shared_ptr<FileSystem> file_system)
      : inner(std::move(file_system)) {}

  std::shared_ptr<FileSystem> inner;
  mutable std::mutex mutex;
  std::vector<Planned> plan;
  FaultFileSystem::Hook hook;
  std::thread::id in_hook;
  bool cut = false;
  std::uint64_t operations = 0;
  std::uint64_t faults = 0;
  std::vector<std::string> log;
  std::uint64_t log_start = 0; ///< Operations that were cleared from the log.
  /// Handles that died after the power cut: their destructors must not run
  /// while somebody may still look at the disk.
  std::vector<std::shared_ptr<void>> graveyard;

  /// Counts the operation and rules on it; throws where the power is cut.
  Ruling begin(
      Operation operation,
      const std::string& path,
      const std::string& more = {}) {
    const std::string what =
        std::string(to_string(operation)) + " " + path + more;
    FaultFileSystem::Hook call;
    std::uint64_t number = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (cut) {
        throw PowerCut(path);
      }
      number = ++operations;
      log.push_back(what);
      if (hook && in_hook != std::this_thread::get_id()) {
        call = hook;
      }
    }
    if (call) {
      run_hook(call, number, what);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    if (cut) { // By the hook, or by another thread meanwhile.
      throw PowerCut(path);
    }
    return rule(operation, path, what, number);
  }

  void run_hook(
      const FaultFileSystem::Hook& call,
      std::uint64_t number,
      const std::string& what) {
    const auto set = [this](std::thread::id id) {
      const std::lock_guard<std::mutex> lock(mutex);
      const std::thread::id before = in_hook;
      in_hook = id;
      return before;
    };
    const std::thread::id before = set(std::this_thread::get_id());
    try {
      call(number, what);
    } catch (...) {
      set(before);
      throw;
    }
    set(before);
  }

  Ruling rule(
      Operation operation,
      const std::string& path,
      const std::string& what,
      std::uint64_t number) {
    Ruling ruling;
    ruling.number = number;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      Planned& planned = plan[i];
      const Fault& fault = planned.fault;
      if (!fault.operations_.contains(operation) ||
          !possible(fault.kind_, operation) ||
          what.find(fault.piece_) == std::string::npos) {
        continue;
      }
      ++planned.seen;
      const bool strikes = fault.for_ever_ ? planned.seen >= fault.at_
                                           : planned.seen == fault.at_;
      if (strikes && !ruling.kind) {
        ruling.kind = fault.kind_;
        ruling.system_error = fault.system_error_;
        ruling.applied = fault.applied_;
        ruling.planned = i;
      }
    }
    if (ruling.kind) {
      ++faults;
      note(ruling);
    }
    if (ruling.is(Kind::power_cut)) {
      cut = true;
      throw PowerCut(path);
    }
    return ruling;
  }

  /// There was nothing to strike: the fault waits for the next operation.
  void spare(const Ruling& ruling) {
    const std::lock_guard<std::mutex> lock(mutex);
    --faults;
    if (ruling.planned < plan.size()) {
      --plan[ruling.planned].seen;
    }
  }

  static bool possible(Kind kind, Operation operation) {
    switch (kind) {
      case Kind::error:
        return operation != Operation::unlock;
      case Kind::power_cut:
        return true;
      case Kind::short_write:
        return Operations::writes().contains(operation);
      case Kind::flip_bit:
        return Operations::reads().contains(operation);
      case Kind::lying_sync:
        return Operations::syncs().contains(operation);
    }
    return false;
  }

  void note(const Ruling& ruling) {
    if (ruling.number <= log_start) {
      return; // The log was cleared by the hook.
    }
    const char* const texts[] = {
        "error ", "short write ", "power cut", "flipped bit", "lying sync"};
    std::string text = texts[static_cast<int>(*ruling.kind)];
    if (ruling.system_error != 0 && !ruling.is(Kind::power_cut)) {
      text += std::to_string(ruling.system_error);
    }
    if (ruling.applied) {
      text += ", applied";
    }
    log[static_cast<std::size_t>(ruling.number - log_start - 1)] +=
        "  <- " + text;
  }

  /// Throws the error of a ruling.
  [[noreturn]] static void fail(
      const Ruling& ruling,
      Operation operation,
      const std::string& path) {
    holdfast::detail::throw_system_error(
        ruling.system_error, to_string(operation), path);
  }

  /// The usual course: fail, or do it, or do it and fail.
  template <class Action>
  auto pass(
      Operation operation,
      const std::string& path,
      const std::string& more,
      Action action) {
    const Ruling ruling = begin(operation, path, more);
    if (ruling.is(Kind::error)) {
      if (ruling.applied) {
        (void)action();
      }
      fail(ruling, operation, path);
    }
    return action();
  }

  template <class Handle>
  void bury(std::unique_ptr<Handle> handle) noexcept {
    const std::lock_guard<std::mutex> lock(mutex);
    if (cut) {
      try {
        graveyard.push_back(std::shared_ptr<Handle>(std::move(handle)));
      } catch (...) { // Out of memory: then it goes now.
      }
    }
  }
};

namespace detail {

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
  [[nodiscard]] bool is_unlocked() override {
    const auto ruling =
        handle_.state().begin(Operation::is_unlocked, handle_.path());
    if (!ruling.kind) {
      return handle_.inner().is_unlocked();
    }
    if (means_unsupported(ruling.system_error)) {
      return true;
    }
    if (ruling.system_error == EAGAIN) {
      return false;
    }
    FaultState::fail(ruling, Operation::is_unlocked, handle_.path());
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

} // namespace detail

HOLDFAST_INLINE FaultFileSystem::FaultFileSystem(
    std::shared_ptr<FileSystem> inner)
    : state_(std::make_shared<FaultState>(std::move(inner))) {}

HOLDFAST_INLINE FaultFileSystem::~FaultFileSystem() = default;

HOLDFAST_INLINE std::shared_ptr<Directory> FaultFileSystem::open_root(
    const std::string& path,
    Create create) {
  return std::make_shared<detail::FaultyDirectory>(
      state_, nullptr, state_->pass(Operation::open_root, path, {}, [&] {
        return state_->inner->open_root(path, create);
      }));
}

HOLDFAST_INLINE void FaultFileSystem::plan(Fault fault) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->plan.push_back({std::move(fault), 0});
}

HOLDFAST_INLINE void FaultFileSystem::clear_faults() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->plan.clear();
}

HOLDFAST_INLINE void FaultFileSystem::set_hook(Hook hook) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->hook = std::move(hook);
}

HOLDFAST_INLINE void FaultFileSystem::cut_power() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (!state_->cut) {
    state_->cut = true;
    ++state_->faults;
  }
}

HOLDFAST_INLINE bool FaultFileSystem::power_is_cut() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->cut;
}

HOLDFAST_INLINE std::uint64_t FaultFileSystem::operations() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->operations;
}

HOLDFAST_INLINE std::uint64_t FaultFileSystem::faults() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->faults;
}

HOLDFAST_INLINE std::vector<std::string> FaultFileSystem::log() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->log;
}

HOLDFAST_INLINE void FaultFileSystem::clear_log() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->log.clear();
  state_->log_start = state_->operations;
}

} // namespace holdfast::testing

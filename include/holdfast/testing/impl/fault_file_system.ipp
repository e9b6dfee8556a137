#pragma once

#include <holdfast/testing/fault_file_system.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/testing/impl/fault_handles.ipp>
#include <holdfast/testing/impl/fault_state.ipp>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

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
    HOLDFAST_CASE(try_lock_exclusive);
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

#pragma once

#include <utility>

namespace holdfast::detail {

/// Owns what lies behind a contract, and is nothing else: `T` may be
/// incomplete where no member is used. Every `std::unique_ptr<T>` costs the
/// compiler some fifty functions, in each file that includes the bodies.
template <class T>
class Owned {
 public:
  Owned() = default;
  explicit Owned(T* object) noexcept : object_(object) {}
  Owned(Owned&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    Owned moved(std::move(other));
    std::swap(object_, moved.object_);
    return *this;
  }
  ~Owned() {
    static_assert(sizeof(T) > 0, "deleting needs the complete type");
    delete object_;
  }

  void reset() noexcept {
    *this = Owned();
  }
  [[nodiscard]] T* get() const noexcept {
    return object_;
  }
  /// Lets go of the object: the caller owns it.
  [[nodiscard]] T* release() noexcept {
    return std::exchange(object_, nullptr);
  }
  T& operator*() const noexcept {
    return *object_;
  }
  T* operator->() const noexcept {
    return object_;
  }
  explicit operator bool() const noexcept {
    return object_ != nullptr;
  }

 private:
  T* object_ = nullptr;
};

} // namespace holdfast::detail

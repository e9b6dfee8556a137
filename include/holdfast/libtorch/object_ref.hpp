#pragma once

/// How parts reach the objects of LibTorch.
namespace holdfast::detail {

/// An object given directly or in a holder. It is asked for at every use, so
/// that a holder may change what it holds. Plain function pointers: every type
/// with a std::function of its own would be compiled into each user's file.
template <class Object>
struct ObjectRef {
  void* holder;
  Object* (*find)(void* holder); ///< Null where nothing is held.
  void (*on_restored)(void* holder) = nullptr; ///< Null where it has none.

  [[nodiscard]] Object* get() const {
    return find(holder);
  }
  void restored() const {
    if (on_restored != nullptr) {
      on_restored(holder);
    }
  }
};

} // namespace holdfast::detail

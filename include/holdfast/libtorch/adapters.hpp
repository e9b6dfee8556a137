#pragma once

#include <holdfast/libtorch/generator.hpp>
#include <holdfast/libtorch/module.hpp>
#include <holdfast/libtorch/optimizer.hpp>
#include <holdfast/libtorch/scheduler.hpp>
#include <holdfast/libtorch/tensor.hpp>
#include <holdfast/state/adapter.hpp>
#include <holdfast/state/checks.hpp>
#include <holdfast/state/composite.hpp>
#include <holdfast/state/user_types.hpp>

#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace torch {
namespace nn {
class AnyModule;
} // namespace nn
namespace detail {
struct ModuleHolderIndicator;
} // namespace detail
namespace serialize {
class InputArchive;
class OutputArchive;
} // namespace serialize
} // namespace torch

/// Which objects of LibTorch are parts: modules however they are held (by
/// value, `shared_ptr`, holder, `AnyModule`), optimizers and schedulers (by
/// value or `shared_ptr`), tensors and generators. Holders are read again at
/// each use, so they may be given another object between two saves.
namespace holdfast::detail {

enum class LibTorchKind {
  none,
  module,
  optimizer,
  scheduler,
  plateau,
  tensor,
  generator,
};

/// What T is, or what T holds.
template <class T>
constexpr LibTorchKind kind_of_object() {
  if constexpr (std::is_same_v<T, at::Tensor>) {
    return LibTorchKind::tensor;
  } else if constexpr (std::is_same_v<T, at::Generator>) {
    return LibTorchKind::generator;
  } else if constexpr (!std::is_class_v<T>) {
    return LibTorchKind::none;
  } else if constexpr (
      std::is_base_of_v<torch::nn::Module, T> ||
      std::is_base_of_v<torch::detail::ModuleHolderIndicator, T> ||
      std::is_same_v<T, torch::nn::AnyModule>) {
    return LibTorchKind::module;
  } else if constexpr (std::is_base_of_v<torch::optim::Optimizer, T>) {
    return LibTorchKind::optimizer;
  } else if constexpr (std::is_base_of_v<torch::optim::LRScheduler, T>) {
    return LibTorchKind::scheduler;
  } else if constexpr (std::is_base_of_v<
                           torch::optim::ReduceLROnPlateauScheduler,
                           T>) {
    return LibTorchKind::plateau;
  } else {
    return LibTorchKind::none;
  }
}

/// How T holds an object, and which.
template <class T>
struct Holding {
  static constexpr LibTorchKind kind = kind_of_object<T>();
  static constexpr bool unique = false;
  static auto* get(T& object) {
    if constexpr (
        std::is_same_v<T, torch::nn::AnyModule> ||
        std::is_base_of_v<torch::detail::ModuleHolderIndicator, T>) {
      // Held modules are shared, so the pointer outlives this call.
      return object.is_empty() ? nullptr : object.ptr().get();
    } else {
      return &object;
    }
  }
};
template <class M>
struct Holding<std::shared_ptr<M>> {
  // Tensors and generators are handles themselves; a pointer to one is as any
  // other shared pointer.
  static constexpr LibTorchKind kind =
      Holding<M>::kind == LibTorchKind::tensor ||
          Holding<M>::kind == LibTorchKind::generator
      ? LibTorchKind::none
      : Holding<M>::kind;
  static constexpr bool unique = false;
  static auto* get(std::shared_ptr<M>& holder) {
    return holder ? Holding<M>::get(*holder) : nullptr;
  }
};
template <class M, class Deleter>
struct Holding<std::unique_ptr<M, Deleter>> {
  static constexpr LibTorchKind kind = Holding<M>::kind;
  static constexpr bool unique = true;
};
template <class M>
struct Holding<WithGradients<M>> {
  static constexpr LibTorchKind kind = Holding<M>::kind;
  static constexpr bool unique = Holding<M>::unique;
  static auto* get(WithGradients<M>& holder) {
    return Holding<M>::get(holder.module);
  }
};

template <class T>
constexpr bool is_libtorch_object = Holding<T>::kind != LibTorchKind::none;

template <class T>
constexpr bool saves_gradients = false;
template <class M>
constexpr bool saves_gradients<WithGradients<M>> = true;

/// True for `save_state` and `load_state` that are not those of `ExtraState`.
template <class T>
constexpr bool has_own_state =
    HasSaveState<T>::value&& HasLoadState<T>::value &&
    !std::is_base_of_v<ExtraState, T>;

template <class T, class = void>
struct HasStateType : std::false_type {};
template <class T>
struct HasStateType<T, std::void_t<typename OptimizerStateType<T>::type>>
    : std::true_type {};

/// Members that write into an archive, and that read from one.
template <class Owner>
using SaveOf = void (Owner::*)(torch::serialize::OutputArchive&) const;
template <class Owner>
using LoadOf = void (Owner::*)(torch::serialize::InputArchive&);

/// False for a parameter state whose serialize() is that of the base class,
/// which only throws. True for void: an optimizer without such states.
template <class Owner>
Owner* owner_of(SaveOf<Owner>);
template <class State, class = void>
struct OverridesSerialize : std::true_type {};
template <class State>
struct OverridesSerialize<
    State,
    std::void_t<decltype(owner_of(&State::serialize))>>
    : std::bool_constant<!std::is_same_v<
          decltype(owner_of(&State::serialize)),
          torch::optim::OptimizerParamState*>> {};

template <class Owner>
const std::type_info* declarer(SaveOf<Owner>) {
  return &typeid(Owner);
}
template <class Owner>
const std::type_info* declarer(LoadOf<Owner>) {
  return &typeid(Owner);
}
/// Leaves both null where one is hidden by another function, or not public.
template <class Optimizer>
auto tell_declarers(OptimizerClass& of, int) -> std::void_t<
    decltype(declarer(&Optimizer::save)),
    decltype(declarer(&Optimizer::load))> {
  of.saver = declarer(&Optimizer::save);
  of.loader = declarer(&Optimizer::load);
}
template <class Optimizer>
void tell_declarers(OptimizerClass&, long) {}

template <class T>
struct Builtin<T, std::enable_if_t<is_libtorch_object<T>>> {
  using Object = Holding<T>;

  static constexpr const char* default_name =
      Object::kind == LibTorchKind::module      ? "model"
      : Object::kind == LibTorchKind::optimizer ? "optimizer"
      : Object::kind == LibTorchKind::scheduler ||
          Object::kind == LibTorchKind::plateau
      ? "scheduler"
      : nullptr;

  static std::unique_ptr<Part> make(T& object) {
    static_assert(
        !Object::unique,
        "holdfast: pass what the unique_ptr owns (*pointer), not the pointer");
    if constexpr (Object::unique) {
      return nullptr;
    } else if constexpr (Object::kind == LibTorchKind::tensor) {
      return make_tensor_part(*Object::get(object));
    } else if constexpr (Object::kind == LibTorchKind::generator) {
      return make_generator_part(*Object::get(object));
    } else {
      using Held = std::remove_pointer_t<decltype(Object::get(object))>;
      static_assert(
          !std::is_const_v<Held>,
          "holdfast: a part is restored in place, so it cannot be const");
      if constexpr (std::is_const_v<Held>) {
        return nullptr; // One error is enough.
      } else {
        static_assert(
            !HasState<Held>::value &&
                (!has_own_state<Held> ||
                 Object::kind == LibTorchKind::scheduler ||
                 Object::kind == LibTorchKind::plateau),
            "holdfast: a module or optimizer with state of its own derives "
            "from "
            "holdfast::ExtraState, so that it is found wherever it is nested");
        return make_held<Held>(object);
      }
    }
  }

 private:
  static auto* held_by(void* holder) {
    return Object::get(*static_cast<T*>(holder));
  }
  template <class Base>
  static Base* find(void* holder) {
    return held_by(holder);
  }
  static void call_on_restored(void* holder) {
    held_by(holder)->on_restored();
  }
  static Values save_state(void* holder) {
    return held_by(holder)->save_state();
  }
  static void load_state(void* holder, const Values& values) {
    held_by(holder)->load_state(values);
  }

  template <class Held, class Base>
  static ObjectRef<Base> reference_to(T& object) {
    ObjectRef<Base> reference{std::addressof(object), &find<Base>};
    if constexpr (HasOnRestored<Held>::value) {
      reference.on_restored = &call_on_restored;
    }
    return reference;
  }

  template <class Held>
  static std::unique_ptr<Part> make_held(T& object) {
    if constexpr (Object::kind == LibTorchKind::module) {
      return make_module_part(
          reference_to<Held, torch::nn::Module>(object),
          saves_gradients<T> ? Gradients::values : Gradients::presence);
    } else if constexpr (Object::kind == LibTorchKind::optimizer) {
      OptimizerClass of;
      of.type = &typeid(Held);
      tell_declarers<Held>(of, 0);
      if constexpr (HasStateType<Held>::value) {
        using State = typename OptimizerStateType<Held>::type;
        static_assert(
            OverridesSerialize<State>::value,
            "holdfast: the type that OptimizerStateType tells must override "
            "both serialize() functions");
        of.make_state =
            []() -> std::unique_ptr<torch::optim::OptimizerParamState> {
          if constexpr (std::is_void_v<State>) {
            return nullptr;
          } else {
            return std::make_unique<State>();
          }
        };
      }
      return make_optimizer_part(
          reference_to<Held, torch::optim::Optimizer>(object), of);
    } else {
      OwnState own;
      if constexpr (has_own_state<Held>) {
        own = OwnState{std::addressof(object), &save_state, &load_state};
      }
      if constexpr (Object::kind == LibTorchKind::scheduler) {
        return make_scheduler_part(
            reference_to<Held, torch::optim::LRScheduler>(object), own);
      } else {
        return make_plateau_part(
            reference_to<Held, torch::optim::ReduceLROnPlateauScheduler>(
                object),
            own);
      }
    }
  }
};

} // namespace holdfast::detail

#pragma once

#include <holdfast/libtorch/object_ref.hpp>
#include <holdfast/state/part.hpp>

#include <memory>

namespace torch {
namespace nn {
class Module;
} // namespace nn
} // namespace torch

/// How a module becomes a part.
///
/// Saved: every parameter and buffer by its dotted name; which modules are in
/// evaluation mode; `requires_grad` where it differs from the usual; which
/// parameters have a gradient; the state of submodules that derive from
/// `ExtraState`. Tied tensors (one tensor, or one piece of memory with the same
/// shape and strides, under several names) are stored once, under all names.
///
/// Restored in place: no tensor is replaced, so optimizers, ties, views and raw
/// pointers stay valid. All names, shapes, dtypes and ties are compared before.
/// `load()` leaves modes, `requires_grad` and gradients as they are.
///
/// Gradients: after `step()` they are spent, and saving them would cost as much
/// as the parameters. So only their presence is saved, because an optimizer
/// moves a parameter whose gradient is zero and skips one that has none; a
/// restored gradient is zero. A loop that saves between `backward()` calls of
/// one step needs their values: `holdfast::with_gradients(model)`.
namespace holdfast {

enum class Gradients {
  presence, ///< Only which parameters have one.
  values, ///< Also their elements, as tensors named "<parameter>.grad".
};

/// A module whose gradients are saved with it.
template <class Module>
struct WithGradients {
  using module_type = Module;
  Module& module;
};

/// The module as a part that also saves the values of gradients:
///
///     auto accumulating = holdfast::with_gradients(model);
///     holdfast::CheckpointManager checkpoints{dir, options, accumulating,
///     ...};
///
/// Holds a reference: the module, or its holder, must outlive it.
template <class Module>
[[nodiscard]] WithGradients<Module> with_gradients(Module& module) {
  return WithGradients<Module>{module};
}

namespace detail {

/// A holder may hold nothing (`not_capturable`).
[[nodiscard]] std::unique_ptr<Part> make_module_part(
    ObjectRef<torch::nn::Module> module,
    Gradients gradients);

} // namespace detail
} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/libtorch/impl/module.ipp>
#endif

#pragma once

#include <holdfast/libtorch/object_ref.hpp>
#include <holdfast/state/part.hpp>

#include <memory>
#include <typeinfo>

namespace torch {
namespace optim {
class Optimizer;
class OptimizerParamState;
} // namespace optim
} // namespace torch

/// How an optimizer becomes a part.
///
/// Saved: its type; the options of every group and the defaults, exactly; the
/// state of every parameter (moments, step counts), with dtype and strides.
/// State is keyed by the parameter's name in the part that published it. So
/// groups and parameters may be reordered between runs without moments changing
/// places, except where a state spans several parameters (LBFGS) or its meaning
/// is not known (optimizers of your own): there the order must be the same.
///
/// A parameter that no part publishes would be lost while its moments are kept:
/// `not_capturable`. Add its module, or the tensor itself under a name.
///
/// Restored: options first, then all state at once: what the optimizer had
/// before is gone, also where the checkpoint is from before the first step.
/// Parameter sets must agree.
///
/// The scratch list `al` of LBFGS is not saved: LBFGS fills it before it reads
/// it. State of parameters that are in no group is not saved either, and
/// `notes()` says so.
///
/// Optimizers of your own must say what their state is, else `resume()` throws
/// `not_capturable`: `OptimizerStateType` tells the type of their parameter
/// states, which must override both `serialize` functions and are then saved
/// one by one; or they override LibTorch's `save` and `load`, which is slower
/// with thousands of parameters. Those that derive from one of LibTorch's and
/// override neither are saved as that one is, if their parameter states are of
/// its type. That they override neither is known only where they are given by
/// their own type; by a reference to a base class, LibTorch's one included,
/// they are saved by `save`. Their options must override both `serialize`
/// functions too. Members of the optimizer itself are saved if it derives from
/// `ExtraState`, or if its `save` writes them; `notes()` says what may be
/// missing.
///
/// `notes()` also tells which options the program sets otherwise than the
/// program that began the run did: the saved ones are used.
namespace holdfast {

/// For optimizers of your own: the type of their parameter states, so that a
/// fresh optimizer can be given states before its first step.
///
///     template <>
///     struct holdfast::OptimizerStateType<Lion> {
///       using type = LionParamState; // void: it has none
///     };
template <class Optimizer>
struct OptimizerStateType {};

namespace detail {

/// Makes an empty parameter state; null for LibTorch's own types.
using StateFactory = std::unique_ptr<torch::optim::OptimizerParamState> (*)();

/// What only the compiler knows of the class of an optimizer.
struct OptimizerClass {
  StateFactory make_state = nullptr;
  const std::type_info* type = nullptr; ///< As which it was given.
  /// The classes that declare its `save` and its `load`; null: not known.
  const std::type_info* saver = nullptr;
  const std::type_info* loader = nullptr;
};

/// A holder may hold nothing (`not_capturable`).
[[nodiscard]] std::unique_ptr<Part> make_optimizer_part(
    ObjectRef<torch::optim::Optimizer> optimizer,
    const OptimizerClass& of);

} // namespace detail
} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/libtorch/impl/optimizer.ipp>
#endif

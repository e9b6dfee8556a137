#pragma once

#include <holdfast/libtorch/object_ref.hpp>
#include <holdfast/state/part.hpp>

#include <memory>

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
/// with thousands of parameters. Those that derive from one of LibTorch's are
/// saved by the `save` that they inherit. Their options must override both
/// `serialize` functions too. Members of the optimizer itself are saved if it
/// derives from `ExtraState`, or if its `save` writes them; `notes()` says what
/// may be missing.
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

/// A holder may hold nothing (`not_capturable`).
[[nodiscard]] std::unique_ptr<Part> make_optimizer_part(
    ObjectRef<torch::optim::Optimizer> optimizer,
    StateFactory make_state);

} // namespace detail
} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/libtorch/impl/optimizer.ipp>
#endif

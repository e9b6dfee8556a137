#pragma once

#include <holdfast/libtorch/object_ref.hpp>
#include <holdfast/state/part.hpp>

#include <memory>

namespace torch {
namespace optim {
class LRScheduler;
class ReduceLROnPlateauScheduler;
} // namespace optim
} // namespace torch

/// How a learning-rate scheduler becomes a part.
///
/// `LRScheduler` and what derives from it: the step count. The learning rates
/// belong to the optimizer. That is all of StepLR; of a scheduler of your own
/// it is the base, and `notes()` says so, unless it has
///
///     holdfast::Values save_state() const;
///     void load_state(const holdfast::Values&);
///
/// or derives from `holdfast::ExtraState`. `load_state` may throw: then the
/// former state is loaded again.
///
/// `ReduceLROnPlateauScheduler` (LibTorch 2.1 and newer) and what derives from
/// it: best value, bad epochs, cooldown and last epoch, and state of its own as
/// above. Step sizes, factors and the like are the
/// constructor's: they come from the program, as with every other object.
namespace holdfast::detail {

/// State of a scheduler's own, saved and loaded by way of `object`; none where
/// that is null.
struct OwnState {
  void* object = nullptr;
  Values (*saved_by)(void* object) = nullptr;
  void (*loaded_by)(void* object, const Values& values) = nullptr;

  explicit operator bool() const {
    return object != nullptr;
  }
  [[nodiscard]] Values save() const {
    return saved_by(object);
  }
  void load(const Values& values) const {
    loaded_by(object, values);
  }
};

[[nodiscard]] std::unique_ptr<Part> make_scheduler_part(
    ObjectRef<torch::optim::LRScheduler> scheduler,
    OwnState own);

/// Only where LibTorch has the type.
[[nodiscard]] std::unique_ptr<Part> make_plateau_part(
    ObjectRef<torch::optim::ReduceLROnPlateauScheduler> scheduler,
    OwnState own);

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/libtorch/impl/plateau_scheduler.ipp>
#include <holdfast/libtorch/impl/scheduler.ipp>
#endif

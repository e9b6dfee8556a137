#pragma once

#include <holdfast/libtorch/scheduler.hpp>

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/scheduler.ipp>

#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>

#include <c10/util/Type.h>

#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace holdfast::detail {

using Plateau = torch::optim::ReduceLROnPlateauScheduler;

struct PlateauBest {
  using type = float Plateau::*;
  friend type member_of(PlateauBest);
};
extern template struct PrivateMember<PlateauBest, &Plateau::best>;
struct PlateauCooldown {
  using type = int Plateau::*;
  friend type member_of(PlateauCooldown);
};
extern template struct PrivateMember<
    PlateauCooldown,
    &Plateau::cooldown_counter>;
struct PlateauBadEpochs {
  using type = int Plateau::*;
  friend type member_of(PlateauBadEpochs);
};
extern template struct PrivateMember<
    PlateauBadEpochs,
    &Plateau::num_bad_epochs>;
struct PlateauLastEpoch {
  using type = int Plateau::*;
  friend type member_of(PlateauLastEpoch);
};
extern template struct PrivateMember<PlateauLastEpoch, &Plateau::last_epoch>;

struct PlateauState {
  float best;
  int cooldown_counter;
  int num_bad_epochs;
  int last_epoch;
};

class PlateauRestore final : public SchedulerRestore {
 public:
  PlateauRestore(Plateau& live, PlateauState state)
      : live_(live), state_(state) {}

 private:
  void swap_base() noexcept override {
    std::swap(live_.*member_of(PlateauBest{}), state_.best);
    std::swap(live_.*member_of(PlateauCooldown{}), state_.cooldown_counter);
    std::swap(live_.*member_of(PlateauBadEpochs{}), state_.num_bad_epochs);
    std::swap(live_.*member_of(PlateauLastEpoch{}), state_.last_epoch);
  }
  Plateau& live_;
  PlateauState state_;
};

class PlateauPart final : public SchedulerPart<Plateau> {
 public:
  using SchedulerPart::SchedulerPart;

  [[nodiscard]] std::string kind() const override {
    return "plateau scheduler";
  }

 private:
  void save_base(Plateau& scheduler, Values& values) const override {
    values["best"] = scheduler.*member_of(PlateauBest{});
    values["cooldown_counter"] = scheduler.*member_of(PlateauCooldown{});
    values["num_bad_epochs"] = scheduler.*member_of(PlateauBadEpochs{});
    values["last_epoch"] = scheduler.*member_of(PlateauLastEpoch{});
  }
  [[nodiscard]] SchedulerRestore* restore_base(
      Plateau& scheduler,
      const Values& saved) const override {
    const auto integer = [&](const char* name) {
      return at(saved, name).as<int>(name);
    };
    return new PlateauRestore(
        scheduler,
        PlateauState{
            at(saved, "best").as<float>("best"),
            integer("cooldown_counter"),
            integer("num_bad_epochs"),
            integer("last_epoch")});
  }
  [[nodiscard]] bool is_plain(const Plateau& scheduler) const override {
    return typeid(scheduler) == typeid(Plateau);
  }
  [[nodiscard]] const char* what_is_kept() const override {
    return "what ReduceLROnPlateauScheduler keeps";
  }
  [[nodiscard]] bool has_type(const Values& saved) const override {
    return saved.count("type") != 0; // Not in 0.1.0.
  }
};

HOLDFAST_INLINE std::unique_ptr<Part> make_plateau_part(
    ObjectRef<Plateau> scheduler,
    OwnState own) {
  return std::unique_ptr<Part>(new PlateauPart(scheduler, own));
}

} // namespace holdfast::detail

#endif

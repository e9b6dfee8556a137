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

class PlateauPart final : public Part {
 public:
  PlateauPart(ObjectRef<Plateau> scheduler, OwnState own)
      : scheduler_(scheduler), own_(own) {}

  [[nodiscard]] std::string kind() const override {
    return "plateau scheduler";
  }
  [[nodiscard]] Stage stage() const override {
    Plateau* scheduler = scheduler_.get();
    return scheduler != nullptr && own_state_of(*scheduler, own_)
        ? Stage::user
        : Stage::scheduler;
  }

  [[nodiscard]] State capture(const Names&) override {
    Plateau& scheduler = object();
    State state;
    state.values["type"] = c10::demangle(typeid(scheduler).name());
    state.values["best"] = scheduler.*member_of(PlateauBest{});
    state.values["cooldown_counter"] = scheduler.*member_of(PlateauCooldown{});
    state.values["num_bad_epochs"] = scheduler.*member_of(PlateauBadEpochs{});
    state.values["last_epoch"] = scheduler.*member_of(PlateauLastEpoch{});
    if (const OwnState own = own_state_of(scheduler, own_)) {
      state.values["own_state"] = own.save();
    }
    return state;
  }

  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    Plateau& scheduler = object();
    const std::string type = c10::demangle(typeid(scheduler).name());
    const auto saved_type = saved.values.find("type"); // Not in 0.1.0.
    if (saved_type != saved.values.end() && saved_type->second != Value(type)) {
      mismatches.push_back(
          {ErrorCode::type_mismatch,
           "type",
           type,
           saved_type->second.text("type")});
      return nullptr;
    }
    const auto integer = [&](const char* name) {
      return at(saved.values, name).as<int>(name);
    };
    auto* restore = new PlateauRestore(
        scheduler,
        PlateauState{
            at(saved.values, "best").as<float>("best"),
            integer("cooldown_counter"),
            integer("num_bad_epochs"),
            integer("last_epoch")});
    std::unique_ptr<Restore> owner(restore);
    restore->prepare_own(
        own_state_of(scheduler, own_), saved.values, mismatches);
    return owner;
  }

  void restored() override {
    scheduler_.restored();
  }

  [[nodiscard]] std::vector<std::string> notes() const override {
    Plateau* scheduler = scheduler_.get();
    if (scheduler == nullptr || own_state_of(*scheduler, own_) ||
        typeid(*scheduler) == typeid(Plateau)) {
      return {};
    }
    return {
        "of " + c10::demangle(typeid(*scheduler).name()) +
        " only what ReduceLROnPlateauScheduler keeps is saved: give it "
        "save_state() and load_state() if it has state of its own"};
  }

 private:
  Plateau& object() const {
    Plateau* scheduler = scheduler_.get();
    if (scheduler == nullptr) {
      throw empty_scheduler_holder();
    }
    return *scheduler;
  }

  ObjectRef<Plateau> scheduler_;
  OwnState own_;
};

HOLDFAST_INLINE std::unique_ptr<Part> make_plateau_part(
    ObjectRef<Plateau> scheduler,
    OwnState own) {
  return std::unique_ptr<Part>(new PlateauPart(scheduler, own));
}

} // namespace holdfast::detail

#endif

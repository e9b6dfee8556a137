#pragma once

#include <holdfast/libtorch/scheduler.hpp>

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/state/extra_state.hpp>

#include <torch/optim/schedulers/lr_scheduler.h>
#include <torch/optim/schedulers/step_lr.h>
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#define HOLDFAST_HAS_PLATEAU_SCHEDULER 1
#else
#define HOLDFAST_HAS_PLATEAU_SCHEDULER 0
#endif

#include <c10/util/Type.h>

#include <string>
#include <typeinfo>
#include <utility>

namespace holdfast::detail {

HOLDFAST_INLINE Error empty_scheduler_holder() {
  return Error(ErrorCode::not_capturable, "the holder holds no scheduler");
}

/// The step count, which LibTorch keeps protected.
struct StepCountMember : torch::optim::LRScheduler {
  static unsigned& of(torch::optim::LRScheduler& scheduler) {
    return scheduler.*(&StepCountMember::step_count_);
  }
};

class SchedulerRestore final : public Restore {
 public:
  explicit SchedulerRestore(unsigned& live) : live_(live), before_(live) {}

  void apply(const std::vector<const std::byte*>&) override {
    applied_ = true; // Before the call, which may throw halfway.
    try {
      if (own) {
        own.load(saved);
      }
    } catch (...) {
      undo();
      throw;
    }
    live_ = step_count;
  }
  void undo() noexcept override {
    if (!applied_) {
      return;
    }
    live_ = before_;
    try {
      if (own) {
        own.load(before);
      }
    } catch (...) {
      // It refuses its own state; nothing better can be done.
    }
  }

  unsigned step_count = 0;
  OwnState own;
  Values saved;
  Values before;

 private:
  unsigned& live_;
  unsigned before_;
  bool applied_ = false;
};

class SchedulerPart final : public Part {
 public:
  SchedulerPart(ObjectRef<torch::optim::LRScheduler> scheduler, OwnState own)
      : scheduler_(scheduler), own_(own) {}

  [[nodiscard]] std::string kind() const override {
    return "scheduler";
  }
  [[nodiscard]] Stage stage() const override {
    torch::optim::LRScheduler* scheduler = scheduler_.get();
    return scheduler != nullptr && own_state(*scheduler) ? Stage::user
                                                         : Stage::scheduler;
  }

  [[nodiscard]] State capture(const Names&) override {
    torch::optim::LRScheduler& scheduler = object();
    State state;
    state.values["type"] = c10::demangle(typeid(scheduler).name());
    state.values["step_count"] = StepCountMember::of(scheduler);
    if (const OwnState own = own_state(scheduler)) {
      state.values["own_state"] = own.save();
    }
    return state;
  }

  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    torch::optim::LRScheduler& scheduler = object();
    const std::string type = c10::demangle(typeid(scheduler).name());
    const std::string& saved_type = at(saved.values, "type").text("type");
    if (type != saved_type) {
      mismatches.push_back(
          {ErrorCode::type_mismatch, "type", type, saved_type});
      return nullptr;
    }
    auto* restore = new SchedulerRestore(StepCountMember::of(scheduler));
    std::unique_ptr<Restore> owner(restore);
    restore->step_count =
        at(saved.values, "step_count").as<unsigned>("step_count");
    const OwnState own = own_state(scheduler);
    const auto found = saved.values.find("own_state");
    if (static_cast<bool>(own) != (found != saved.values.end())) {
      mismatches.push_back(
          {own ? ErrorCode::name_missing : ErrorCode::name_unexpected,
           "own_state",
           own ? "an object" : "nothing",
           own ? "nothing" : "an object"});
      return nullptr;
    }
    if (own) {
      restore->own = own;
      restore->saved = found->second.object("own_state");
      restore->before = own.save();
    }
    return owner;
  }

  void restored() override {
    scheduler_.restored();
  }

  [[nodiscard]] std::vector<std::string> notes() const override {
    torch::optim::LRScheduler* scheduler = scheduler_.get();
    if (scheduler == nullptr || own_state(*scheduler) ||
        typeid(*scheduler) == typeid(torch::optim::StepLR)) {
      return {};
    }
    return {
        "of " + c10::demangle(typeid(*scheduler).name()) +
        " only the step count is saved: give it save_state() and load_state() "
        "if it has state of its own"};
  }

 private:
  torch::optim::LRScheduler& object() const {
    torch::optim::LRScheduler* scheduler = scheduler_.get();
    if (scheduler == nullptr) {
      throw empty_scheduler_holder();
    }
    return *scheduler;
  }

  [[nodiscard]] OwnState own_state(torch::optim::LRScheduler& scheduler) const {
    if (own_) {
      return own_;
    }
    return {dynamic_cast<ExtraState*>(&scheduler), &save_extra, &load_extra};
  }
  static Values save_extra(void* extra) {
    return static_cast<ExtraState*>(extra)->save_state();
  }
  static void load_extra(void* extra, const Values& values) {
    static_cast<ExtraState*>(extra)->load_state(values);
  }

  ObjectRef<torch::optim::LRScheduler> scheduler_;
  OwnState own_;
};

HOLDFAST_INLINE std::unique_ptr<Part> make_scheduler_part(
    ObjectRef<torch::optim::LRScheduler> scheduler,
    OwnState own) {
  return std::unique_ptr<Part>(new SchedulerPart(scheduler, own));
}

#if HOLDFAST_HAS_PLATEAU_SCHEDULER

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

class PlateauRestore final : public Restore {
 public:
  PlateauRestore(Plateau& live, PlateauState state)
      : live_(live), state_(state) {}

  void apply(const std::vector<const std::byte*>&) override {
    live_.*member_of(PlateauBest{}) = state_.best;
    live_.*member_of(PlateauCooldown{}) = state_.cooldown_counter;
    live_.*member_of(PlateauBadEpochs{}) = state_.num_bad_epochs;
    live_.*member_of(PlateauLastEpoch{}) = state_.last_epoch;
  }

 private:
  Plateau& live_;
  PlateauState state_;
};

class PlateauPart final : public Part {
 public:
  explicit PlateauPart(ObjectRef<Plateau> scheduler) : scheduler_(scheduler) {}

  [[nodiscard]] std::string kind() const override {
    return "plateau scheduler";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::scheduler;
  }

  [[nodiscard]] State capture(const Names&) override {
    Plateau& scheduler = object();
    State state;
    state.values["best"] = scheduler.*member_of(PlateauBest{});
    state.values["cooldown_counter"] = scheduler.*member_of(PlateauCooldown{});
    state.values["num_bad_epochs"] = scheduler.*member_of(PlateauBadEpochs{});
    state.values["last_epoch"] = scheduler.*member_of(PlateauLastEpoch{});
    return state;
  }

  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches&) override {
    const auto integer = [&](const char* name) {
      return at(saved.values, name).as<int>(name);
    };
    return std::unique_ptr<Restore>(new PlateauRestore(
        object(),
        PlateauState{
            at(saved.values, "best").as<float>("best"),
            integer("cooldown_counter"),
            integer("num_bad_epochs"),
            integer("last_epoch")}));
  }

  void restored() override {
    scheduler_.restored();
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
};

HOLDFAST_INLINE std::unique_ptr<Part> make_plateau_part(
    ObjectRef<Plateau> scheduler) {
  return std::unique_ptr<Part>(new PlateauPart(scheduler));
}

#endif

} // namespace holdfast::detail

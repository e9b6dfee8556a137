#pragma once

#include <holdfast/libtorch/scheduler.hpp>

#include <holdfast/state/extra_state.hpp>

#include <torch/optim/schedulers/lr_scheduler.h>
#include <torch/optim/schedulers/step_lr.h>

#include <c10/util/Type.h>

#include <string>
#include <typeinfo>
#include <utility>

namespace holdfast::detail {

HOLDFAST_INLINE Error empty_scheduler_holder() {
  return Error(ErrorCode::not_capturable, "the holder holds no scheduler");
}

HOLDFAST_INLINE Values save_extra_state(void* extra) {
  return static_cast<ExtraState*>(extra)->save_state();
}
HOLDFAST_INLINE void load_extra_state(void* extra, const Values& values) {
  static_cast<ExtraState*>(extra)->load_state(values);
}
/// The state of a scheduler's own: what the adapter found, or `ExtraState`.
template <class Scheduler>
OwnState own_state_of(Scheduler& scheduler, const OwnState& found) {
  if (found) {
    return found;
  }
  return {
      dynamic_cast<ExtraState*>(&scheduler),
      &save_extra_state,
      &load_extra_state};
}

/// Restores a scheduler's own state, which may fail, and then the members of
/// its base class, which cannot.
class SchedulerRestore : public Restore {
 public:
  void apply(const std::vector<const std::byte*>&) override {
    applied_ = true; // Before the call, which may throw halfway.
    if (own_) {
      own_.load(saved_);
    }
    swap_base();
    swapped_ = true;
  }
  void undo() noexcept override {
    if (!applied_) {
      return;
    }
    applied_ = false;
    if (swapped_) {
      swap_base();
    }
    try {
      if (own_) {
        own_.load(before_);
      }
    } catch (...) {
      // It refuses its own state; nothing better can be done.
    }
  }

  /// A mismatch if one side has a state of its own and the other has not.
  void prepare_own(
      const OwnState& own,
      const Values& saved,
      Mismatches& mismatches) {
    const auto found = saved.find("own_state");
    if (static_cast<bool>(own) != (found != saved.end())) {
      mismatches.push_back(
          {own ? ErrorCode::name_missing : ErrorCode::name_unexpected,
           "own_state",
           own ? "an object" : "nothing",
           own ? "nothing" : "an object"});
    } else if (own) {
      own_ = own;
      saved_ = found->second.object("own_state");
      before_ = own.save();
    }
  }

 protected:
  /// Exchanges the members of the base class with those of this restore.
  virtual void swap_base() noexcept = 0;

 private:
  OwnState own_;
  Values saved_;
  Values before_;
  bool applied_ = false;
  bool swapped_ = false;
};

/// What the parts of both kinds of schedulers do: the members of LibTorch's
/// class are the derived part's affair, the user's own state is not.
template <class Scheduler>
class SchedulerPart : public Part {
 public:
  SchedulerPart(ObjectRef<Scheduler> scheduler, OwnState own)
      : scheduler_(scheduler), own_(own) {}

  [[nodiscard]] Stage stage() const override {
    Scheduler* scheduler = scheduler_.get();
    return scheduler != nullptr && own_state_of(*scheduler, own_)
        ? Stage::user
        : Stage::scheduler;
  }

  [[nodiscard]] State capture(const Names&) override {
    Scheduler& scheduler = object();
    State state;
    state.values["type"] = c10::demangle(typeid(scheduler).name());
    save_base(scheduler, state.values);
    if (const OwnState own = own_state_of(scheduler, own_)) {
      state.values["own_state"] = own.save();
    }
    return state;
  }

  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    Scheduler& scheduler = object();
    const std::string type = c10::demangle(typeid(scheduler).name());
    if (has_type(saved.values)) {
      const std::string& saved_type = at(saved.values, "type").text("type");
      if (type != saved_type) {
        mismatches.push_back(
            {ErrorCode::type_mismatch, "type", type, saved_type});
        return nullptr;
      }
    }
    SchedulerRestore* const restore = restore_base(scheduler, saved.values);
    std::unique_ptr<Restore> owner(restore);
    restore->prepare_own(
        own_state_of(scheduler, own_), saved.values, mismatches);
    return owner;
  }

  void restored() override {
    scheduler_.restored();
  }

  [[nodiscard]] std::vector<std::string> notes() const override {
    Scheduler* scheduler = scheduler_.get();
    if (scheduler == nullptr || own_state_of(*scheduler, own_) ||
        is_plain(*scheduler)) {
      return {};
    }
    return {
        "of " + c10::demangle(typeid(*scheduler).name()) + " only " +
        what_is_kept() +
        " is saved: give it save_state() and load_state() if it has state of "
        "its own"};
  }

 protected:
  virtual void save_base(Scheduler& scheduler, Values& values) const = 0;
  /// The caller owns it.
  [[nodiscard]] virtual SchedulerRestore* restore_base(
      Scheduler& scheduler,
      const Values& saved) const = 0;
  /// True for LibTorch's own types, of which that is everything.
  [[nodiscard]] virtual bool is_plain(const Scheduler& scheduler) const = 0;
  [[nodiscard]] virtual const char* what_is_kept() const = 0;
  /// True unless the checkpoint may lack the type: then it is not compared.
  [[nodiscard]] virtual bool has_type(const Values& saved) const = 0;

 private:
  Scheduler& object() const {
    Scheduler* scheduler = scheduler_.get();
    if (scheduler == nullptr) {
      throw empty_scheduler_holder();
    }
    return *scheduler;
  }

  ObjectRef<Scheduler> scheduler_;
  OwnState own_;
};

/// The step count, which LibTorch keeps protected.
struct StepCountMember : torch::optim::LRScheduler {
  static unsigned& of(torch::optim::LRScheduler& scheduler) {
    return scheduler.*(&StepCountMember::step_count_);
  }
};

class StepCountRestore final : public SchedulerRestore {
 public:
  StepCountRestore(unsigned& live, unsigned saved)
      : live_(live), saved_(saved) {}

 private:
  void swap_base() noexcept override {
    std::swap(live_, saved_);
  }
  unsigned& live_;
  unsigned saved_;
};

class StepCountPart final : public SchedulerPart<torch::optim::LRScheduler> {
 public:
  using Scheduler = torch::optim::LRScheduler;
  using SchedulerPart::SchedulerPart;

  [[nodiscard]] std::string kind() const override {
    return "scheduler";
  }

 private:
  void save_base(Scheduler& scheduler, Values& values) const override {
    values["step_count"] = StepCountMember::of(scheduler);
  }
  [[nodiscard]] SchedulerRestore* restore_base(
      Scheduler& scheduler,
      const Values& saved) const override {
    return new StepCountRestore(
        StepCountMember::of(scheduler),
        at(saved, "step_count").as<unsigned>("step_count"));
  }
  [[nodiscard]] bool is_plain(const Scheduler& scheduler) const override {
    return typeid(scheduler) == typeid(torch::optim::StepLR);
  }
  [[nodiscard]] const char* what_is_kept() const override {
    return "the step count";
  }
  [[nodiscard]] bool has_type(const Values&) const override {
    return true;
  }
};

HOLDFAST_INLINE std::unique_ptr<Part> make_scheduler_part(
    ObjectRef<torch::optim::LRScheduler> scheduler,
    OwnState own) {
  return std::unique_ptr<Part>(new StepCountPart(scheduler, own));
}

} // namespace holdfast::detail

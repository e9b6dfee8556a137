#pragma once

#include <holdfast/state/adapter.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::detail {

/// An object with a cursor that has given its place to another one.
struct LeftSource {
  std::shared_ptr<const void> object;
  std::shared_ptr<Part> part;
};

/// What a `std::shared_ptr` points to, read anew each time: the pointer may be
/// given another object between two saves. A null pointer is `not_capturable`.
template <class T>
class SharedPart final : public Part {
 public:
  explicit SharedPart(std::shared_ptr<T>& pointer) : pointer_(pointer) {}

  [[nodiscard]] std::string kind() const override {
    return inner()->kind();
  }
  [[nodiscard]] Stage stage() const override {
    return inner()->stage();
  }
  void publish(const std::string& part, Names& names) override {
    inner()->publish(part, names);
  }
  [[nodiscard]] State capture(const Names& names) override {
    return inner()->capture(names);
  }
  void drop_loop_state(Values& saved) const override {
    inner()->drop_loop_state(saved);
  }
  void rename(Saved& saved, const std::string& part, const Leniency& leniency)
      const override {
    inner()->rename(saved, part, leniency);
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override {
    const std::shared_ptr<Part>& part = inner();
    std::unique_ptr<Restore> restore = part->prepare(saved, names, mismatches);
    return restore == nullptr ? nullptr
                              : std::unique_ptr<Restore>(new HoldingRestore(
                                    held_, part, std::move(restore)));
  }
  void restored() override {
    inner()->restored();
  }
  [[nodiscard]] std::vector<std::string> notes() const override {
    return inner()->notes();
  }
  [[nodiscard]] bool exact() const override {
    return inner()->exact();
  }
  void forget_restore() noexcept override {
    if (part_ != nullptr) {
      part_->forget_restore();
    }
  }
  void list_random(const std::string& name, std::vector<NamedRandom>& into)
      override {
    inner()->list_random(name, into);
  }
  bool scale_learning_rates(double factor) override {
    return inner()->scale_learning_rates(factor);
  }
  [[nodiscard]] Cursor* cursor() noexcept override {
    try {
      return pointer_ == nullptr ? nullptr : inner()->cursor();
    } catch (...) {
      return nullptr; // Out of memory: capture will say so.
    }
  }

  void let_go() noexcept override {
    try {
      if (pointer_ != nullptr) {
        static_cast<void>(inner());
      } else if (part_ != nullptr) {
        left_.push_back({held_, part_});
        part_.reset();
        held_.reset();
      }
      for (const LeftSource& left : left_) {
        Cursor* const cursor = left.part->cursor();
        if (left.object != held_ && cursor != nullptr) {
          cursor->attach(nullptr);
        }
      }
      left_.clear();
    } catch (...) { // Out of memory: the next time.
    }
  }

 private:
  /// Keeps the object that it was prepared for.
  class HoldingRestore final : public Restore {
   public:
    HoldingRestore(
        std::shared_ptr<T> object,
        std::shared_ptr<Part> part,
        std::unique_ptr<Restore> restore)
        : object_(std::move(object)),
          part_(std::move(part)),
          restore_(std::move(restore)) {}

    [[nodiscard]] std::byte* buffer(std::size_t index) noexcept override {
      return restore_->buffer(index);
    }
    void apply(const std::vector<const std::byte*>& bytes) override {
      restore_->apply(bytes);
    }
    void apply_random() override {
      restore_->apply_random();
    }
    void undo() noexcept override {
      restore_->undo();
    }

   private:
    std::shared_ptr<T> object_;
    std::shared_ptr<Part> part_;
    std::unique_ptr<Restore> restore_;
  };

  [[nodiscard]] const std::shared_ptr<Part>& inner() const {
    if (pointer_ == nullptr) {
      throw Error(
          ErrorCode::not_capturable,
          "a null shared_ptr has no state: give it an object first");
    }
    if (part_ == nullptr || held_ != pointer_) {
      std::shared_ptr<Part> part = make_part(*pointer_);
      if (part_ != nullptr && part_->cursor() != nullptr) {
        left_.push_back({held_, part_});
      }
      part_ = std::move(part);
      held_ = pointer_;
    }
    return part_;
  }

  std::shared_ptr<T>& pointer_;
  mutable std::shared_ptr<T> held_; // Of part_: its address stays taken.
  mutable std::shared_ptr<Part> part_;
  mutable std::vector<LeftSource> left_; // Attached still, and kept for that.
};

} // namespace holdfast::detail

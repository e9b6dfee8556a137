#pragma once

#include <holdfast/state/adapter.hpp>
#include <holdfast/state/checks.hpp>
#include <holdfast/state/plain_values.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast::detail {

struct Member {
  std::string name;
  std::unique_ptr<Part> part;
};
using Members = std::vector<Member>;

/// What a user type's `state(V& v)` is called with: `v("shadow", shadow)` for
/// each member.
class MemberList {
 public:
  template <class T>
  void operator()(std::string name, T& member) {
    members_->push_back({std::move(name), make_part(member)});
  }
  template <class T>
  void operator()(std::string, const T&&) {
    static_assert(
        sizeof(T) == 0,
        "holdfast: a member is restored in place, so it cannot be a temporary");
  }

  [[nodiscard]] std::shared_ptr<Members> take() {
    return std::move(members_);
  }

 private:
  std::shared_ptr<Members> members_ = std::make_shared<Members>();
};

/// A part of parts. Tensors are called "member.tensor"; the values are an
/// object for each member:
///
///     {"rate": {"kind": "value", "values": {"value": 0.5}}, ...}
///
/// The members are asked for anew when the part publishes, so that the list may
/// change between two saves. Throws `duplicate_name` where two members or
/// tensors would have one name, `invalid_argument` for an empty one.
///
/// Stage: that of users' code if a member runs such code, otherwise the last
/// one of the members'. Engines among other members do not count: they are
/// applied after all callbacks, as engines that are parts of their own.
class CompositePart : public Part {
 public:
  [[nodiscard]] HOLDFAST_INLINE Stage stage() const override;
  HOLDFAST_INLINE void publish(const std::string& part, Names& names) override;
  [[nodiscard]] HOLDFAST_INLINE State capture(const Names& names) override;
  HOLDFAST_INLINE void drop_loop_state(Values& saved) const override;
  /// Members have names as tensors have, and rename what is in them.
  HOLDFAST_INLINE void rename(
      Saved& saved,
      const std::string& part,
      const Leniency& leniency) const override;
  [[nodiscard]] HOLDFAST_INLINE std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) override;
  HOLDFAST_INLINE void restored() override;
  [[nodiscard]] HOLDFAST_INLINE std::vector<std::string> notes() const override;
  [[nodiscard]] HOLDFAST_INLINE bool exact() const override;
  HOLDFAST_INLINE void forget_restore() noexcept override;
  HOLDFAST_INLINE void list_random(
      const std::string& name,
      std::vector<NamedRandom>& into) override;
  HOLDFAST_INLINE bool scale_learning_rates(double factor) override;
  /// The one data source among the members. More than one cannot be attached:
  /// `capture` then throws `not_capturable`.
  [[nodiscard]] HOLDFAST_INLINE Cursor* cursor() noexcept override;
  HOLDFAST_INLINE void let_go() noexcept override;

 protected:
  virtual void list(MemberList& members) const = 0;

 private:
  [[nodiscard]] std::shared_ptr<Members> fresh_members() const;
  [[nodiscard]] const std::shared_ptr<Members>& members() const;

  mutable std::shared_ptr<Members> members_;
};

template <class T, class = void>
struct HasState : std::false_type {};
template <class T>
struct HasState<
    T,
    std::void_t<decltype(std::declval<T&>().state(
        std::declval<MemberList&>()))>> : std::true_type {};

/// A user type with `template <class V> void state(V& v)`.
template <class T>
class MembersPart final : public CompositePart {
 public:
  explicit MembersPart(T& object) : object_(object) {}

  [[nodiscard]] std::string kind() const override {
    return "object";
  }
  void restored() override {
    CompositePart::restored();
    call_on_restored(object_);
  }

 protected:
  void list(MemberList& members) const override {
    object_.state(members);
  }

 private:
  T& object_;
};

/// True for standard containers whose elements are parts and not plain values:
/// tensors, modules, engines, user types.
template <class T>
[[nodiscard]] constexpr bool is_collection() {
  constexpr Shape shape = ContainerShape<T>::shape;
  return !is_plain_v<T> &&
      (shape == Shape::sequence || shape == Shape::fixed ||
       shape == Shape::optional || shape == Shape::by_name);
}

/// Elements are members, called by their index or key. A restore puts them back
/// one by one: it needs a container with as many elements and the same keys.
template <class T>
class CollectionPart final : public CompositePart {
 public:
  explicit CollectionPart(T& object) : object_(object) {}

  [[nodiscard]] std::string kind() const override {
    return "collection";
  }

 protected:
  void list(MemberList& members) const override {
    if constexpr (ContainerShape<T>::shape == Shape::by_name) {
      for (auto& [key, element] : object_) {
        members(key, element);
      }
    } else if constexpr (ContainerShape<T>::shape == Shape::optional) {
      if (object_) {
        members("0", *object_);
      }
    } else {
      std::size_t index = 0;
      for (auto& element : object_) {
        members(std::to_string(index++), element);
      }
    }
  }

 private:
  T& object_;
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/state/impl/composite.ipp>
#include <holdfast/state/impl/composite_rename.ipp>
#endif

#pragma once

#include <holdfast/engine/load.hpp>
#include <holdfast/engine/manager.hpp>
#include <holdfast/libtorch/adapters.hpp>
#include <holdfast/libtorch/environment.hpp>
#include <holdfast/libtorch/generator.hpp>
#include <holdfast/state/adapter.hpp>
#include <holdfast/state/builtin.hpp>

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

namespace holdfast {

namespace detail {

template <class T, class = void>
struct DefaultName {
  static constexpr const char* value = nullptr;
};
template <class T>
struct DefaultName<T, std::void_t<decltype(StateAdapter<T>::default_name)>> {
  static constexpr const char* value = StateAdapter<T>::default_name;
};

/// LibTorch's record, and with it the entries of the program's whose severity
/// hangs on what LibTorch has used.
[[nodiscard]] Environment run_environment();
/// `libtorch` with what it makes of `program`.
[[nodiscard]] Environment joined_environment(
    Environment libtorch,
    const Environment& program,
    bool uses_cuda);

constexpr bool same_text(const char* a, const char* b) noexcept {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

/// One argument of a manager: an object with a default name, or `named()`.
template <class T>
struct PartArgument {
  static constexpr const char* default_name = DefaultName<T>::value;
  static constexpr bool is_named = false;

  static void add(PartSet& parts, T& object) {
    parts.add(default_name, make_part(object));
  }
  static void add(Manager& manager, T& object) {
    manager.add(default_name, object);
  }
};
template <class T>
struct PartArgument<Named<T>> {
  static constexpr const char* default_name = nullptr;
  static constexpr bool is_named = true;

  static void add(PartSet& parts, const Named<T>& part) {
    parts.add(part.name, make_part(part.object));
  }
  static void add(Manager& manager, const Named<T>& part) {
    manager.add(part.name, part.object);
  }
};

template <class... Parts>
constexpr bool default_names_differ() {
  const char* const names[] = {PartArgument<Parts>::default_name..., nullptr};
  for (std::size_t i = 0; i < sizeof...(Parts); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (names[i] != nullptr && names[j] != nullptr &&
          same_text(names[i], names[j])) {
        return false;
      }
    }
  }
  return true;
}

/// Refuses at compile time what could only go wrong later. One error each, and
/// false, so that nothing else is tried.
template <class Argument>
constexpr bool check_argument() {
  using T = std::remove_reference_t<Argument>;
  using Checked = PartArgument<std::remove_cv_t<T>>;
  if constexpr (Checked::is_named) {
    return true;
  } else {
    constexpr bool is_pointer = std::is_pointer_v<std::decay_t<T>>;
    constexpr bool is_lvalue = std::is_lvalue_reference_v<Argument>;
    constexpr bool is_const = std::is_const_v<T>;
    static_assert(
        !is_pointer,
        "holdfast: give the object and not a pointer to it: `*pointer`");
    static_assert(
        is_pointer || is_lvalue,
        "holdfast: a part is held by reference, so it cannot be a temporary");
    static_assert(
        is_pointer || !is_lvalue || !is_const,
        "holdfast: a part is restored in place, so it cannot be const");
    if constexpr (is_pointer || !is_lvalue || is_const) {
      return false;
    } else {
      constexpr bool has_name = Checked::default_name != nullptr;
      static_assert(
          has_name,
          "holdfast: only a module, an optimizer, a scheduler and a data "
          "loader have a name of their own; write holdfast::named(\"name\", "
          "object)");
      return has_name;
    }
  }
}

} // namespace detail

/// The manager of a LibTorch training loop:
///
///     holdfast::CheckpointManager checkpoints{
///         "runs/digits", holdfast::Options().save_every(holdfast::steps(500)),
///         model, optimizer, scheduler, batches};
///
/// Parts are held by reference, holders too, and must outlive the manager. The
/// default generators are always saved, as part "rng". Write braces: with
/// parentheses and nothing but temporaries C++ sees a function declaration.
template <class... Parts>
class CheckpointManager final : public Manager {
  static_assert(
      detail::default_names_differ<Parts...>(),
      "holdfast: two parts of one kind need names; write "
      "holdfast::named(\"generator\", object)");

 public:
  /// Each part is an object with a default name or a `named()` one.
  template <class... Arguments>
  CheckpointManager(
      std::string directory,
      Options options,
      Arguments&&... parts)
      : Manager(std::move(directory), std::move(options)) {
    if constexpr ((detail::check_argument<Arguments>() && ... && true)) {
      (detail::PartArgument<Parts>::add(*this, parts), ...);
      add_reserved_part("rng", make_default_generators());
      set_environment(&detail::run_environment);
    }
  }
};

template <class... Arguments>
CheckpointManager(std::string, Options, Arguments&&...) -> CheckpointManager<
    std::remove_cv_t<std::remove_reference_t<Arguments>>...>;

/// Loads a checkpoint, or the newest valid one of a run directory, into some
/// objects, without a manager: see `load(path, options, PartSet)`.
template <
    class Argument,
    class... Arguments,
    class = std::enable_if_t<!std::is_same_v<
        std::remove_cv_t<std::remove_reference_t<Argument>>,
        PartSet>>>
LoadReport load(
    const std::string& path,
    const LoadOptions& options,
    Argument&& part,
    Arguments&&... parts) {
  detail::check_device(options.device());
  PartSet set;
  if constexpr ((detail::check_argument<Argument>() && ... &&
                 detail::check_argument<Arguments>())) {
    const auto add = [&set](auto& object) {
      detail::PartArgument<std::remove_cv_t<
          std::remove_reference_t<decltype(object)>>>::add(set, object);
    };
    add(part);
    (add(parts), ...);
  }
  return load(path, options, static_cast<const PartSet&>(set));
}

/// The same without options.
template <
    class Argument,
    class... Arguments,
    class Type = std::remove_cv_t<std::remove_reference_t<Argument>>,
    class = std::enable_if_t<
        !std::is_same_v<Type, PartSet> && !std::is_same_v<Type, LoadOptions>>>
LoadReport load(
    const std::string& path,
    Argument&& part,
    Arguments&&... parts) {
  return load(
      path,
      LoadOptions(),
      std::forward<Argument>(part),
      std::forward<Arguments>(parts)...);
}

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/impl/checkpoint_manager.ipp>
#endif

#pragma once

#include <holdfast/state/checks.hpp>

#include <cstddef>
#include <cstdint>
#include <istream>
#include <locale>
#include <memory>
#include <ostream>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

/// Random engines and distributions of <random>, and users' types like them:
/// anything with their members whose whole state goes through << and >>.
/// Distributions are no less state than engines: a normal one keeps half of
/// each pair that it draws.
namespace holdfast::detail {

template <class T, class = void>
struct IsStreamed : std::false_type {};
template <class T>
struct IsStreamed<
    T,
    std::void_t<
        decltype(std::declval<std::ostream&>() << std::declval<const T&>()),
        decltype(std::declval<std::istream&>() >> std::declval<T&>())>>
    : std::true_type {};

template <class T, class = void>
struct LooksLikeEngine : std::false_type {};
template <class T>
struct LooksLikeEngine<
    T,
    std::void_t<
        typename T::result_type,
        decltype(T::min()),
        decltype(T::max()),
        decltype(std::declval<T&>()())>> : std::true_type {};

template <class T, class = void>
struct LooksLikeDistribution : std::false_type {};
template <class T>
struct LooksLikeDistribution<
    T,
    std::void_t<
        typename T::result_type,
        typename T::param_type,
        decltype(std::declval<T&>().reset()),
        decltype(std::declval<const T&>().param())>> : std::true_type {};

template <class T>
inline constexpr bool is_engine_v = (LooksLikeEngine<T>::value ||
                                     LooksLikeDistribution<T>::value) &&
    IsStreamed<T>::value;

/// The type's name as it is saved: short for the usual ones, otherwise the
/// compiler's.
template <class T>
[[nodiscard]] std::string engine_type_name() {
  if constexpr (std::is_same_v<T, std::mt19937>) {
    return "mt19937";
  } else if constexpr (std::is_same_v<T, std::mt19937_64>) {
    return "mt19937_64";
  } else {
    return typeid(T).name();
  }
}

/// False for a state of a lagged generator that has a number beyond `max`, or
/// an index beyond its `size` numbers: the library would believe both.
[[nodiscard]] bool fits_generator(
    const std::string& text,
    std::size_t size,
    std::uint64_t max);

template <class T, class = void>
struct HasStateSize : std::false_type {};
template <class T>
struct HasStateSize<T, std::void_t<decltype(T::state_size)>> : std::true_type {
};
template <class T, class = void>
struct HasLongLag : std::false_type {};
template <class T>
struct HasLongLag<T, std::void_t<decltype(T::long_lag)>> : std::true_type {};

/// The numbers in a lagged generator of <random>; 0 for other types.
template <class T>
[[nodiscard]] constexpr std::size_t lagged_size() {
  if constexpr (HasStateSize<T>::value) {
    return T::state_size;
  } else if constexpr (HasLongLag<T>::value) {
    return T::long_lag;
  } else {
    return 0;
  }
}

/// The state as text, whatever the global locale.
template <class T>
[[nodiscard]] std::string engine_text(const T& engine) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << engine;
  return out.str();
}

/// False for a text that is not exactly one state.
template <class T>
[[nodiscard]] bool read_engine(const std::string& text, T& engine) {
  constexpr std::size_t size = lagged_size<T>();
  if constexpr (size != 0) {
    if (!fits_generator(text, size, T::max())) {
      return false;
    }
  }
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  in >> engine;
  return !in.fail() && engine_text(engine) == text;
}

template <class T>
class EnginePart final : public Part {
 public:
  static_assert(
      std::is_copy_constructible_v<T>,
      "holdfast: a random engine must be copyable");

  explicit EnginePart(T& engine) : engine_(engine) {}

  [[nodiscard]] std::string kind() const override {
    return "engine";
  }
  [[nodiscard]] Stage stage() const override {
    return Stage::random;
  }
  [[nodiscard]] State capture(const Names&) override {
    State state;
    state.values["type"] = Value(engine_type_name<T>());
    state.values["state"] = Value(engine_text(engine_));
    return state;
  }
  [[nodiscard]] std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    const std::size_t before = mismatches.size();
    check_value_names(saved, {"type", "state"}, mismatches);
    if (mismatches.size() != before) {
      return nullptr;
    }
    try {
      const std::string type = at(saved.values, "type").text("type");
      if (type != engine_type_name<T>()) {
        mismatches.push_back(
            {ErrorCode::type_mismatch, "type", engine_type_name<T>(), type});
        return nullptr;
      }
      T fresh(engine_);
      if (read_engine(at(saved.values, "state").text("state"), fresh)) {
        return std::unique_ptr<Restore>(
            new ReplaceRestore<T>(engine_, std::move(fresh)));
      }
      mismatches.push_back(
          {ErrorCode::malformed_value,
           "state",
           "the state of a " + type,
           "another text"});
    } catch (const Error& error) {
      mismatches.push_back(mismatch_of({}, error));
    }
    return nullptr;
  }

 private:
  T& engine_;
};

} // namespace holdfast::detail

#if HOLDFAST_BODIES
#include <holdfast/state/impl/engines.ipp>
#endif

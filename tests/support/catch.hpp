#pragma once

/// Catch2 version 2 or 3, whichever is installed. Tests include this file and
/// never catch2/... itself.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#define HOLDFAST_CATCH_VERSION 3
using Catch::Approx; // as version 2 has it
#else
#include <catch2/catch.hpp>
#define HOLDFAST_CATCH_VERSION 2
#endif

#include <holdfast/base/error.hpp>

#include <optional>
#include <string>

namespace holdfast::test {

/// A matcher for a piece of text: its name differs between the versions.
inline auto contains(const std::string& piece) {
#if HOLDFAST_CATCH_VERSION == 3
  return Catch::Matchers::ContainsSubstring(piece);
#else
  return Catch::Matchers::Contains(piece);
#endif
}

/// The `Error` that `action` throws; nothing where it throws none. Any other
/// exception passes through and fails the test.
template <class Action>
std::optional<Error> error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// The name of the code that `action` fails with, "no error" where it does
/// not: reads well when a comparison fails.
template <class Action>
std::string code_of(Action&& action) {
  const std::optional<Error> error = error_of(action);
  return error ? to_string(error->code()) : "no error";
}

} // namespace holdfast::test

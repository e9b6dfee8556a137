#include <holdfast/libtorch/environment.hpp>

#include "support/catch.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/ScalarType.h>

#include <cstdlib>
#include <string>

using namespace holdfast;

namespace {

/// Names of the entries that `change` changed.
template <class Change, class Back>
std::string changed_by(Change change, Back back) {
  const Environment before = libtorch_environment();
  change();
  const Environment after = libtorch_environment();
  back();
  std::string names;
  for (const EnvironmentDifference& entry : compare(before, after)) {
    names += entry.name + " " + to_string(entry.severity) + "\n";
  }
  return names;
}

} // namespace

TEST_CASE("environment of LibTorch: tells what results depend on") {
  const Environment environment = libtorch_environment();
  for (const char* name :
       {"libtorch.version",
        "libtorch.blas",
        "libtorch.cpu_capability",
        "threads.intra_op",
        "threads.backend",
        "default_dtype",
        "deterministic.algorithms",
        "flush_denormal"}) {
    CAPTURE(name);
    REQUIRE(environment.entries.count(name) == 1);
    CHECK_FALSE(environment.entries.at(name).value.empty());
    CHECK(
        environment.entries.at(name).severity == Severity::breaks_bit_equality);
  }
  CHECK(compare(environment, libtorch_environment()).empty());
}

TEST_CASE("environment of LibTorch: a change of settings is a difference") {
  const int threads = at::get_num_threads();
  CHECK_THAT(
      changed_by(
          [&] { at::set_num_threads(threads + 1); },
          [&] { at::set_num_threads(threads); }),
      test::contains("threads.intra_op breaks_bit_equality\n"));
  at::Context& context = at::globalContext();
  CHECK(
      changed_by(
          [&] { context.setDeterministicAlgorithms(true, true); },
          [&] { context.setDeterministicAlgorithms(false, false); }) ==
      "deterministic.algorithms breaks_bit_equality\n"
      "deterministic.warn_only information\n");
  CHECK(
      changed_by(
          [] {
            c10::set_default_dtype(c10::scalarTypeToTypeMeta(at::kDouble));
          },
          [] {
            c10::set_default_dtype(c10::scalarTypeToTypeMeta(at::kFloat));
          }) == "default_dtype breaks_bit_equality\n");
  CHECK(
      changed_by(
          [] { setenv("NCCL_PROTO", "a value that nobody sets", 1); },
          [] { unsetenv("NCCL_PROTO"); }) ==
      "variable.NCCL_PROTO breaks_bit_equality\n");
  if (context.setFlushDenormal(true)) {
    CHECK(changed_by([] {}, [&] { context.setFlushDenormal(false); }) == "");
    CHECK(
        changed_by(
            [&] { context.setFlushDenormal(true); },
            [&] { context.setFlushDenormal(false); }) ==
        "flush_denormal breaks_bit_equality\n");
  }
}

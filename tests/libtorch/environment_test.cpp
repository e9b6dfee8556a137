#include <holdfast/libtorch/environment.hpp>

#include "support/catch.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
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

TEST_CASE("environment of LibTorch: CUDA that is not used breaks nothing") {
  if (!at::hasCUDA()) {
    CHECK_FALSE(has_used_cuda());
  }
  const Severity expected =
      has_used_cuda() ? Severity::breaks_bit_equality : Severity::information;
  const Environment environment = libtorch_environment();
  CHECK((environment.entries.count("cudnn.enabled") == 1) == at::hasCUDA());
  for (const auto& [name, entry] : environment.entries) {
    if (name.compare(0, 4, "cuda") == 0 || name.compare(0, 5, "cudnn") == 0 ||
        name.compare(0, 9, "precision") == 0) {
      CAPTURE(name);
      CHECK((name == "cuda.devices" || entry.severity == expected));
    }
  }
}

TEST_CASE("environment of LibTorch: a GPU in use is noticed", "[cuda]") {
  (void)at::empty({1}, at::TensorOptions().device(at::kCUDA));
  CHECK(has_used_cuda());
  CHECK(
      libtorch_environment().entries.at("cudnn.enabled").severity ==
      Severity::breaks_bit_equality);
}

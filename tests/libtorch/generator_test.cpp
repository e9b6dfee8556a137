#include <holdfast/libtorch/adapters.hpp>

#include <holdfast/base/text.hpp>

#include "support/catch.hpp"
#include "support/state_round_trip.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/zeros.h>

#include <string>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string hex_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.cpu().contiguous();
  return to_hex(
      {static_cast<const std::byte*>(host.data_ptr()), host.nbytes()});
}

/// Draws of every kind; a single normal leaves its twin cached.
std::string draw(at::Device device = at::kCPU) {
  const auto options = at::TensorOptions().device(device);
  return hex_of(at::randn({1}, options.dtype(at::kDouble))) + " " +
      hex_of(at::rand({3}, options)) + " " +
      hex_of(at::randperm(9, options.dtype(at::kLong))) + " " +
      hex_of(at::randn({40}, options));
}

Parts default_parts() {
  Parts parts;
  parts.emplace_back("rng", make_default_generators());
  return parts;
}

} // namespace

TEST_CASE("generator: the default one continues, cached normal included") {
  for (const int odd : {0, 1}) {
    CAPTURE(odd);
    at::manual_seed(5);
    for (int i = 0; i < odd; ++i) {
      (void)at::randn({1}, at::TensorOptions().dtype(at::kDouble));
    }
    Parts parts = default_parts();
    const Snapshot saved = capture(parts);
    CHECK(difference(saved, capture(parts)) == "");
    const std::string expected = draw();
    CHECK(draw() != expected);
    at::manual_seed(6);
    REQUIRE(text_of(restore(saved, parts)) == "");
    CHECK(draw() == expected);
  }
}

TEST_CASE("generator: capturing and preparing move no generator") {
  at::manual_seed(7);
  const std::string expected = draw();
  at::manual_seed(7);
  Parts parts = default_parts();
  const Snapshot saved = capture(parts);
  Mismatches mismatches;
  (void)parts[0].second->prepare(
      stored_in(saved, "rng").saved, Names(), mismatches);
  CHECK(mismatches.empty());
  CHECK(draw() == expected);
}

TEST_CASE("generator: the user's own is a part by itself") {
  at::Generator generator = at::detail::createCPUGenerator(11);
  Parts parts;
  parts.emplace_back("augment", make_part(generator));
  CHECK(parts[0].second->stage() == Stage::random);
  const Snapshot saved = capture(parts);
  const std::string expected = hex_of(at::zeros({5}).normal_(0, 1, generator));
  (void)draw();
  at::Generator fresh = at::detail::createCPUGenerator(12);
  Parts into;
  into.emplace_back("augment", make_part(fresh));
  REQUIRE(text_of(restore(saved, into)) == "");
  CHECK(hex_of(at::zeros({5}).normal_(0, 1, fresh)) == expected);

  at::Generator undefined;
  Parts none;
  none.emplace_back("augment", make_part(undefined));
  CHECK(code_of([&] { (void)capture(none); }) == "not_capturable");
}

TEST_CASE("generator: a state that LibTorch would refuse is refused first") {
  Parts parts = default_parts();
  Snapshot saved = capture(parts);
  at::manual_seed(8);
  const std::string expected = draw();
  at::manual_seed(8);
  Values& cpu_owner = stored_in(saved, "rng").saved.values;
  const Values good = cpu_owner["cpu"].object();

  Values shorter = good;
  Bytes bytes = good.at("state").bytes();
  bytes.resize(bytes.size() - 8);
  shorter["state"] = bytes;
  cpu_owner["cpu"] = shorter;
  CHECK_THAT(text_of(restore(saved, parts)), contains("cpu shape_mismatch"));

  Values damaged = good;
  bytes = good.at("state").bytes();
  for (std::size_t i = 8; i < 16; ++i) {
    bytes[i] = std::byte{0xff}; // how many words are left, out of range
  }
  damaged["state"] = bytes;
  cpu_owner["cpu"] = damaged;
  CHECK_THAT(text_of(restore(saved, parts)), contains("cpu type_mismatch"));

  cpu_owner["cpu"] = good;
  cpu_owner["cuda:77"] = Values{{"device", "cuda"}, {"seed", 1}, {"offset", 0}};
  CHECK_THAT(
      text_of(restore(saved, parts)), contains("cuda:77 name_unexpected"));
  CHECK(draw() == expected);
}

TEST_CASE(
    "generator: seed and offset are numbers on an accelerator",
    "[cuda]") {
  const at::Device cuda("cuda:0");
  (void)draw(cuda);
  Parts parts = default_parts();
  const Snapshot saved = capture(parts);
  const Values& values = stored_in(saved, "rng").saved.values;
  REQUIRE(values.count("cuda:0") == 1);
  CHECK(values.at("cuda:0").object().count("seed") == 1);
  CHECK(values.at("cuda:0").object().at("offset").as<std::int64_t>() > 0);
  const std::string expected = draw(cuda);
  CHECK(draw(cuda) != expected);
  at::manual_seed(3);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(draw(cuda) == expected);
}

TEST_CASE("tensor: on an accelerator in every layout", "[cuda]") {
  for (const bool turned : {false, true}) {
    CAPTURE(turned);
    at::Tensor live = at::randn({6, 4}).to(at::kCUDA);
    if (turned) {
      live = live.t();
    }
    Parts parts;
    parts.emplace_back("value", make_part(live));
    const Snapshot saved = capture(parts, 7);
    const std::string before = hex_of(live);
    CHECK(to_hex(stored_in(saved, "value").bytes[0]) == before);
    const void* memory = live.data_ptr();
    live.zero_();
    REQUIRE(text_of(restore(saved, parts)) == "");
    CHECK(hex_of(live) == before);
    CHECK(live.data_ptr() == memory);
    live.reset();
    REQUIRE(text_of(restore(saved, parts)) == "");
    CHECK(live.is_cuda());
    CHECK(hex_of(live) == before);
  }
}

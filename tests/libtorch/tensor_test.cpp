#include <holdfast/base/text.hpp>
#include <holdfast/libtorch/adapters.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"
#include "support/state_round_trip.hpp"

#include <ATen/Context.h>
#include <ATen/ops/_empty_affine_quantized.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <cstring>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Every dtype that this LibTorch and safetensors have.
std::vector<at::ScalarType> all_types() {
  std::vector<at::ScalarType> types;
  for (int i = 0; i < static_cast<int>(at::ScalarType::NumOptions); ++i) {
    if (dtype_of(static_cast<at::ScalarType>(i))) {
      types.push_back(static_cast<at::ScalarType>(i));
    }
  }
  return types;
}

/// A row-major tensor of random bits; of random truth values for bool.
at::Tensor random_bits(
    const std::vector<std::int64_t>& sizes,
    at::ScalarType type,
    std::uint64_t seed) {
  at::Tensor tensor = at::empty(sizes, at::TensorOptions().dtype(type));
  Bytes bytes = random_bytes(tensor.nbytes(), seed);
  if (type == at::kBool) {
    for (std::byte& byte : bytes) {
      byte &= std::byte{1};
    }
  }
  if (!bytes.empty()) {
    std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  }
  return tensor;
}

/// The elements in row-major order as hexadecimal digits, read without the code
/// under test.
std::string elements_of(const at::Tensor& tensor) {
  const auto size = static_cast<std::size_t>(tensor.element_size());
  Bytes bytes(static_cast<std::size_t>(tensor.numel()) * size);
  std::vector<std::int64_t> index(static_cast<std::size_t>(tensor.dim()), 0);
  const auto* base = static_cast<const std::byte*>(tensor.data_ptr());
  for (std::size_t n = 0; n < bytes.size(); n += size) {
    std::int64_t place = 0;
    for (std::size_t d = 0; d < index.size(); ++d) {
      place += index[d] * tensor.stride(static_cast<std::int64_t>(d));
    }
    std::memcpy(
        bytes.data() + n, base + place * static_cast<std::int64_t>(size), size);
    for (std::size_t d = index.size(); d-- > 0;) {
      if (++index[d] < tensor.size(static_cast<std::int64_t>(d))) {
        break;
      }
      index[d] = 0;
    }
  }
  return to_hex(bytes);
}

Parts part_of(at::Tensor& tensor) {
  Parts parts;
  parts.emplace_back("value", make_part(tensor));
  return parts;
}

std::vector<at::Tensor> layouts(at::ScalarType type) {
  return {
      random_bits({}, type, 1),
      random_bits({0}, type, 1),
      random_bits({3, 0, 2}, type, 1),
      random_bits({5}, type, 2),
      random_bits({1, 7, 1}, type, 3),
      random_bits({2, 4, 3, 5}, type, 4).permute({0, 3, 1, 2}), // channels_last
      random_bits({4, 6}, type, 5).t(),
      random_bits({8, 6}, type, 6).slice(0, 1, 8, 2).slice(1, 2, 5),
  };
}

} // namespace

TEST_CASE("tensor: every dtype and layout survives bit for bit") {
  const std::vector<at::ScalarType> types = all_types();
  REQUIRE(types.size() >= 13);
  for (const at::ScalarType type : types) {
    for (at::Tensor original : layouts(type)) {
      for (const std::size_t chunk : {std::size_t{1} << 40, std::size_t{7}}) {
        CAPTURE(
            c10::toString(type),
            holdfast::detail::shape_text(original.sizes().vec()),
            chunk);
        const std::string before = elements_of(original);
        Parts source = part_of(original);
        const Snapshot saved = capture(source, chunk);
        CHECK(to_hex(stored_in(saved, "value").bytes[0]) == before);

        at::Tensor undefined;
        Parts into_undefined = part_of(undefined);
        REQUIRE(text_of(restore(saved, into_undefined)) == "");
        CHECK(undefined.scalar_type() == type);
        CHECK(undefined.sizes() == original.sizes());
        CHECK(elements_of(undefined) == before);

        // The same layout, other contents.
        at::Tensor live = at::zeros(
            {original.numel() * 8 + 8}, at::TensorOptions().dtype(at::kByte));
        live = random_bits({4000}, type, 99)
                   .as_strided(original.sizes(), original.strides());
        const void* memory = live.data_ptr();
        const void* identity = live.unsafeGetTensorImpl();
        Parts into_live = part_of(live);
        REQUIRE(text_of(restore(saved, into_live)) == "");
        CHECK(elements_of(live) == before);
        CHECK(live.data_ptr() == memory);
        CHECK(live.unsafeGetTensorImpl() == identity);
        CHECK(live.strides() == original.strides());
      }
    }
  }
}

TEST_CASE("tensor: dense strides come back in a fresh tensor") {
  at::Tensor original =
      at::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  Parts source = part_of(original);
  at::Tensor fresh;
  Parts target = part_of(fresh);
  REQUIRE(text_of(restore(capture(source), target)) == "");
  CHECK(fresh.strides() == original.strides());
  CHECK(fresh.is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(elements_of(fresh) == elements_of(original));
}

TEST_CASE("tensor: expanded ones are written once per element") {
  at::Tensor original = random_bits({3, 1}, at::kFloat, 1).expand({3, 4});
  Parts source = part_of(original);
  const Snapshot saved = capture(source);

  at::Tensor live = random_bits({3, 1}, at::kFloat, 2).expand({3, 4});
  Parts target = part_of(live);
  REQUIRE(text_of(restore(saved, target)) == "");
  CHECK(elements_of(live) == elements_of(original));
  CHECK(live.stride(1) == 0);

  // Elements of its own cannot go into shared ones.
  at::Tensor dense = random_bits({3, 4}, at::kFloat, 3);
  Parts other = part_of(dense);
  const std::string before = elements_of(live);
  CHECK_THAT(
      text_of(restore(capture(other), target)),
      contains(
          "tensor shape_mismatch: expected [3, 4] expanded in dimension 1"));
  CHECK(elements_of(live) == before);

  // The other way round each element gets its value.
  REQUIRE(text_of(restore(saved, other)) == "");
  CHECK(elements_of(dense) == elements_of(original));
}

TEST_CASE("tensor: conjugate and negative views are read and written") {
  at::Tensor base = random_bits({2, 3}, at::kComplexFloat, 7);
  at::Tensor conjugate = base.conj();
  REQUIRE(conjugate.is_conj());
  Parts source = part_of(conjugate);
  const Snapshot saved = capture(source);
  at::Tensor resolved = conjugate.resolve_conj();
  CHECK(to_hex(stored_in(saved, "value").bytes[0]) == elements_of(resolved));
  const std::string before = elements_of(base);
  base.zero_();
  REQUIRE(text_of(restore(saved, source)) == "");
  CHECK(elements_of(base) == before);
}

TEST_CASE("tensor: views, aliases and the version counter see the restore") {
  at::Tensor live = at::randn({4, 4});
  const at::Tensor row = live[1];
  const at::Tensor alias = live.detach();
  const auto* raw = static_cast<const float*>(live.data_ptr());
  Parts parts = part_of(live);
  const Snapshot saved = capture(parts);
  const std::string before = elements_of(live);
  live.zero_();
  const auto version = live._version();
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(elements_of(alias) == before);
  CHECK(to_hex({reinterpret_cast<const std::byte*>(raw), 64}) == before);
  CHECK(elements_of(row) == before.substr(32, 32));
  CHECK(live._version() > version);
}

TEST_CASE("tensor: inference tensors are restored outside of inference mode") {
  at::Tensor live;
  {
    const c10::InferenceMode inference;
    live = at::randn({4, 6}).t();
  }
  REQUIRE(live.is_inference());
  Parts parts = part_of(live);
  const Snapshot saved = capture(parts);
  const std::string before = elements_of(live);
  {
    const c10::InferenceMode inference;
    live.zero_();
  }
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(elements_of(live) == before);
}

TEST_CASE("tensor: undefined ones are state, requires_grad too") {
  at::Tensor tensor;
  Parts parts = part_of(tensor);
  const Snapshot undefined = capture(parts);
  tensor = at::randn({3}).set_requires_grad(true);
  const Snapshot defined = capture(parts);

  REQUIRE(text_of(restore(undefined, parts)) == "");
  CHECK_FALSE(tensor.defined());
  REQUIRE(text_of(restore(defined, parts)) == "");
  REQUIRE(tensor.defined());
  CHECK(tensor.requires_grad());
  tensor.set_requires_grad(false);
  REQUIRE(text_of(restore(defined, parts)) == "");
  CHECK(tensor.requires_grad());
}

TEST_CASE("tensor: a saved graph is told") {
  const at::Tensor weight = at::randn({2}).set_requires_grad(true);
  at::Tensor hidden = weight * 2;
  Parts parts = part_of(hidden);
  const Part& part = *parts[0].second;
  const Snapshot with_graph = capture(parts);
  CHECK(part.exact());
  const std::string before = elements_of(hidden);
  hidden = hidden.detach();
  const Snapshot without = capture(parts);

  REQUIRE(text_of(restore(with_graph, parts)) == "");
  CHECK(elements_of(hidden) == before);
  CHECK_FALSE(part.exact());
  REQUIRE(part.notes().size() == 1);
  CHECK_THAT(part.notes()[0], contains("detach() it before step()"));
  REQUIRE(text_of(restore(without, parts)) == "");
  CHECK(part.exact());
  CHECK(part.notes().empty());
  REQUIRE(text_of(restore(with_graph, parts)) == "");
  parts[0].second->forget_restore();
  CHECK(part.exact());
}

TEST_CASE("tensor: the graph of steps that are taken back goes with them") {
  const at::Tensor weight = at::randn({2}).set_requires_grad(true);
  at::Tensor hidden = at::zeros({2});
  Parts parts = part_of(hidden);
  const Snapshot saved = capture(parts);
  hidden = hidden + weight;
  const at::Tensor taken_back = hidden;
  const std::string values = elements_of(taken_back);
  REQUIRE(text_of(restore(saved, parts)) == "");
  CHECK(hidden.is_leaf());
  CHECK_FALSE(hidden.requires_grad());
  CHECK(elements_of(hidden) == elements_of(at::zeros({2})));
  CHECK(elements_of(taken_back) == values); // may be needed by its graph
}

TEST_CASE("tensor: whether there is a gradient is state") {
  at::Tensor scale = at::randn({2, 3}).t().set_requires_grad(true);
  Parts parts = part_of(scale);
  const Snapshot without = capture(parts);
  scale.mutable_grad() = at::randn({3, 2});
  const Snapshot with = capture(parts);

  REQUIRE(text_of(restore(with, parts)) == "");
  CHECK(scale.grad().count_nonzero().item<std::int64_t>() == 6); // left alone
  REQUIRE(text_of(restore(without, parts)) == "");
  CHECK_FALSE(scale.grad().defined());
  REQUIRE(text_of(restore(with, parts)) == "");
  REQUIRE(scale.grad().defined());
  CHECK(scale.grad().count_nonzero().item<std::int64_t>() == 0);
  CHECK(scale.grad().sizes() == scale.sizes());
}

TEST_CASE("tensor: another shape or dtype is refused and changes nothing") {
  at::Tensor original = at::randn({2, 3});
  Parts source = part_of(original);
  const Snapshot saved = capture(source);
  at::Tensor live = random_bits({3, 2}, at::kDouble, 5);
  const std::string before = elements_of(live);
  Parts target = part_of(live);
  CHECK(
      text_of(restore(saved, target)) ==
      "tensor dtype_mismatch: expected F64, found F32\n"
      "tensor shape_mismatch: expected [3, 2], found [2, 3]\n");
  CHECK(elements_of(live) == before);
}

TEST_CASE("tensor: what has no dense elements is refused by name") {
  const at::Tensor sparse = at::zeros({2, 2}).to_sparse();
  CHECK(code_of([&] { (void)describe(sparse, "s"); }) == "not_capturable");
  const at::Tensor meta = at::empty({2}, at::TensorOptions().device(at::kMeta));
  CHECK(code_of([&] { (void)describe(meta, "m"); }) == "not_capturable");
  CHECK(code_of([&] { (void)describe({}, "u"); }) == "not_capturable");
  const at::Tensor quantized = at::_empty_affine_quantized(
      {2}, at::TensorOptions().dtype(at::kQInt8), 0.1, 0);
  const auto error = error_of([&] { (void)describe(quantized, "q"); });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::unsupported_dtype);
  CHECK(error->name() == "q");
}

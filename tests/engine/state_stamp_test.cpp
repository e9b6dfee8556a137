#include "engine_support.hpp"

#include <holdfast/engine/state_stamp.hpp>
#include <holdfast/engine/write.hpp>
#include <holdfast/state/builtin.hpp>

using namespace holdfast;

namespace {

/// A model, an engine and a number.
struct Objects {
  test::ToyModel model;
  std::mt19937 engine{7};
  double rate = 0.5;
  PartSet parts;

  Objects() {
    parts.add("model", make_part(model));
    parts.add("engine", make_part(engine));
    parts.add("rate", make_part(rate));
  }
};

/// Values, and the bytes of tensors.
std::string everything(const std::vector<CapturedPart>& captured) {
  std::string text;
  for (const CapturedPart& part : captured) {
    text += part.name + part.kind + to_json(Value(Values(part.state.values)));
    for (const TensorOut& tensor : part.state.tensors) {
      text += tensor.info.name + digest_of(tensor).hex();
    }
  }
  return text;
}

constexpr std::uint64_t kNothing = 0;
constexpr std::uint64_t kOneTensor = 64;
constexpr std::uint64_t kEverything = 128;

} // namespace

TEST_CASE("state_stamp: values are those of then", "[engine][stamp]") {
  for (const std::uint64_t kept : {kNothing, kOneTensor, kEverything}) {
    CAPTURE(kept);
    Objects objects;
    const std::string then = everything(capture(objects.parts));
    StateStamp stamp;
    stamp.take(objects.parts, kept);
    objects.rate = 0.25;
    objects.engine.discard(3);
    const auto recovered = stamp.recover(objects.parts);
    CHECK(recovered.changed.empty());
    CHECK(everything(recovered.state) == then);
    // Nothing was put back: the loop may still look at its objects.
    CHECK(objects.rate == 0.25);
  }
}

TEST_CASE("state_stamp: any bit of a large tensor counts", "[engine][stamp]") {
  // Two of one size, of which only one would fit, are both not kept.
  for (const std::uint64_t kept : {kNothing, kOneTensor, kEverything - 1}) {
    Objects objects;
    StateStamp stamp;
    stamp.take(objects.parts, kept);
    for (auto* tensor : {&objects.model.weight, &objects.model.moment}) {
      for (float& element : *tensor) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &element, sizeof bits);
        for (int bit = 0; bit < 32; ++bit) {
          const std::uint32_t flipped = bits ^ (std::uint32_t{1} << bit);
          std::memcpy(&element, &flipped, sizeof bits);
          const auto recovered = stamp.recover(objects.parts);
          CHECK(recovered.changed == std::vector<std::string>{"model"});
          CHECK(recovered.state.empty());
        }
        std::memcpy(&element, &bits, sizeof bits);
      }
    }
    CHECK(stamp.recover(objects.parts).changed.empty());
  }
}

TEST_CASE("state_stamp: the smallest are kept", "[engine][stamp]") {
  Objects objects;
  objects.model.moment.resize(3);
  const std::string then = everything(capture(objects.parts));
  StateStamp stamp;
  stamp.take(objects.parts, 12 + 63);
  objects.model.moment.assign(100, -1);
  const auto recovered = stamp.recover(objects.parts);
  CHECK(everything(recovered.state) == then);
  objects.model.weight.back() = -1;
  CHECK(stamp.recover(objects.parts).changed.size() == 1);
}

TEST_CASE("state_stamp: what is kept needs no objects", "[engine][stamp]") {
  // A part that cannot be captured in the midst of an update.
  struct Moody {
    bool throws = false;
    [[nodiscard]] Values save_state() const {
      if (throws) {
        throw std::runtime_error("not now");
      }
      return {{"a", Value(1.0)}};
    }
    void load_state(const Values&) {}
  } moody;
  Objects objects;
  objects.parts.add("moody", make_part(moody));
  const std::string then = everything(capture(objects.parts));
  StateStamp stamp;
  stamp.take(objects.parts, kEverything);
  StateStamp digests;
  digests.take(objects.parts, kNothing);
  moody.throws = true;
  objects.model.weight.clear();
  CHECK(everything(stamp.recover(objects.parts).state) == then);
  CHECK_THROWS(digests.recover(objects.parts));
}

TEST_CASE("state_stamp: taken again it forgets", "[engine][stamp]") {
  for (const std::uint64_t kept : {kNothing, kEverything}) {
    Objects objects;
    StateStamp stamp;
    CHECK_FALSE(stamp.is_taken());
    stamp.take(objects.parts, kept);
    stamp.forget();
    CHECK_FALSE(stamp.is_taken());
    // Other sizes, and tensors that come and go, in the same memory.
    for (const std::size_t size : {20U, 3U, 0U, 16U}) {
      CAPTURE(kept, size);
      objects.model.weight.assign(size, static_cast<float>(size));
      objects.model.moment.assign(16 - size % 16, 7);
      objects.rate = static_cast<double>(size);
      const std::string then = everything(capture(objects.parts));
      stamp.take(objects.parts, kept == kNothing ? 0 : 1000);
      CHECK(stamp.is_taken());
      if (kept != kNothing) {
        objects.model.weight.assign(5, -1);
        objects.model.moment.clear();
      }
      objects.rate = -1;
      CHECK(everything(stamp.recover(objects.parts).state) == then);
    }
  }
}

TEST_CASE("state_stamp: a tensor may lie elsewhere", "[engine][stamp]") {
  Objects objects;
  StateStamp stamp;
  stamp.take(objects.parts, kNothing);
  std::vector<float> copy = objects.model.weight;
  copy.reserve(1000);
  objects.model.weight.swap(copy);
  copy.assign(copy.size(), -1);
  CHECK(stamp.recover(objects.parts).changed.empty());
  objects.model.weight.push_back(0);
  CHECK(stamp.recover(objects.parts).changed.size() == 1);
}

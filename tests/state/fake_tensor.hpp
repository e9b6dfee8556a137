#pragma once

#include <holdfast/state/adapter.hpp>
#include <holdfast/state/checks.hpp>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

/// Stands for a tensor of a library: an adapter of its own, bytes of its own.
struct FakeTensor {
  std::vector<float> numbers;
  std::string device = "cpu";

  FakeTensor() = default;
  FakeTensor(std::initializer_list<float> list) : numbers(list) {}
};

class FakeTensorPart final : public Part {
 public:
  explicit FakeTensorPart(FakeTensor& tensor) : tensor_(tensor) {}

  std::string kind() const override {
    return "tensor";
  }
  Stage stage() const override {
    return Stage::value;
  }
  void publish(const std::string& part, Names& names) override {
    names.add(&tensor_, part, "");
  }
  State capture(const Names&) override {
    State state;
    state.values["device"] = tensor_.device;
    state.tensors.push_back({info(), std::make_shared<Source>(tensor_)});
    return state;
  }
  std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names&,
      Mismatches& mismatches) override {
    if (saved.tensors.size() != 1) {
      mismatches.push_back({ErrorCode::name_missing, {}, "1", "another"});
      return nullptr;
    }
    if (saved.tensors[0].shape != info().shape) {
      mismatches.push_back(
          {ErrorCode::shape_mismatch, saved.tensors[0].name, "", ""});
      return nullptr;
    }
    return std::make_unique<Fresh>(tensor_);
  }

 private:
  class Source final : public TensorSource {
   public:
    explicit Source(const FakeTensor& tensor) : tensor_(tensor) {}
    const std::byte* data() const noexcept override {
      return reinterpret_cast<const std::byte*>(tensor_.numbers.data());
    }
    void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
        const override {
      std::memcpy(into, data() + offset, count);
    }

   private:
    const FakeTensor& tensor_;
  };

  class Fresh final : public Restore {
   public:
    explicit Fresh(FakeTensor& tensor)
        : tensor_(tensor), fresh_(tensor.numbers.size()) {}
    std::byte* buffer(std::size_t) noexcept override {
      return reinterpret_cast<std::byte*>(fresh_.data());
    }
    void apply(const std::vector<const std::byte*>& bytes) override {
      std::memcpy(
          tensor_.numbers.data(), bytes[0], fresh_.size() * sizeof(float));
    }

   private:
    FakeTensor& tensor_;
    std::vector<float> fresh_;
  };

  TensorInfo info() const {
    TensorInfo info;
    info.dtype = DType::f32;
    info.shape = {static_cast<std::int64_t>(tensor_.numbers.size())};
    return info;
  }

  FakeTensor& tensor_;
};

} // namespace holdfast::test

namespace holdfast::detail {

template <>
struct Builtin<test::FakeTensor, void> {
  static constexpr const char* default_name = nullptr;
  static std::unique_ptr<Part> make(test::FakeTensor& tensor) {
    return std::make_unique<test::FakeTensorPart>(tensor);
  }
};

} // namespace holdfast::detail

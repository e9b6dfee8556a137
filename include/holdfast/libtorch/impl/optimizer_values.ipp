#pragma once

#include <holdfast/libtorch/impl/name_index.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/tensor.ipp>
#include <holdfast/state/checks.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

/// The writer and the reader that visit fields.
namespace holdfast::detail {

class FieldWriter final : public FieldVisitor {
 public:
  FieldWriter(
      Values& values,
      std::vector<TensorOut>& tensors,
      std::string prefix,
      std::optional<at::Device> device)
      : values_(values),
        tensors_(tensors),
        prefix_(std::move(prefix)),
        device_(device) {}

  void operator()(const char* name, bool& value) override {
    values_[name] = value;
  }
  void operator()(const char* name, std::int64_t& value) override {
    values_[name] = value;
  }
  void operator()(const char* name, double& value) override {
    values_[name] = value;
  }
  void operator()(const char* name, std::tuple<double, double>& value)
      override {
    Value::Array pair;
    pair.push_back(std::get<0>(value));
    pair.push_back(std::get<1>(value));
    values_[name] = std::move(pair);
  }
  void operator()(const char* name, OptionalInteger& value) override {
    values_[name] = value.has_value() ? Value(*value) : Value();
  }
  void operator()(const char* name, OptionalText& value) override {
    values_[name] = value.has_value() ? Value(*value) : Value();
  }
  void operator()(const char* name, at::Tensor& tensor) override {
    write(name, tensor);
  }
  void operator()(const char* name, std::deque<at::Tensor>& list) override {
    values_[name] = list.size();
    for (std::size_t i = 0; i < list.size(); ++i) {
      write(std::string(name) + "." + std::to_string(i), list[i]);
    }
  }

  /// A tensor that is undefined leaves no trace.
  void write(const std::string& name, const at::Tensor& tensor) {
    if (!tensor.defined()) {
      return;
    }
    tensors_.push_back({describe(tensor, prefix_ + name), source_of(tensor)});
    if (device_ && tensor.device() != *device_) {
      values_[name + ".device"] = tensor.device().str();
    }
  }

 private:
  Values& values_;
  std::vector<TensorOut>& tensors_;
  std::string prefix_;
  std::optional<at::Device> device_;
};

/// The tensors of a saved state by name, and what has become of them.
class SavedTensors {
 public:
  explicit SavedTensors(const std::vector<TensorInfo>& tensors)
      : infos_(tensors), fresh_(tensors.size()) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      by_name_.add(tensors[i].name, i);
    }
  }

  [[nodiscard]] const TensorInfo* find(const std::string& name) const {
    const std::size_t* found = by_name_.find(name);
    return found == nullptr ? nullptr : &infos_[*found];
  }
  at::Tensor allocate(const TensorInfo& info, at::Device device) {
    at::Tensor& fresh = fresh_[static_cast<std::size_t>(&info - infos_.data())];
    fresh = detail::allocate(info, device);
    return fresh;
  }
  void report_unused(Mismatches& mismatches) const {
    for (std::size_t i = 0; i < infos_.size(); ++i) {
      if (!fresh_[i].defined()) {
        mismatches.push_back(
            {ErrorCode::name_unexpected,
             infos_[i].name,
             "nothing",
             tensor_text(infos_[i])});
      }
    }
  }
  [[nodiscard]] std::vector<at::Tensor> take() {
    return std::move(fresh_);
  }

 private:
  const std::vector<TensorInfo>& infos_;
  std::vector<at::Tensor> fresh_;
  NameIndex by_name_;
};

class FieldReader final : public FieldVisitor {
 public:
  FieldReader(
      const Values& values,
      SavedTensors& tensors,
      std::string prefix,
      const at::Tensor& parameter,
      std::int64_t elements,
      Mismatches& mismatches)
      : values_(values),
        tensors_(tensors),
        prefix_(std::move(prefix)),
        parameter_(parameter),
        elements_(elements),
        mismatches_(mismatches) {}

  void operator()(const char* name, bool& value) override {
    if (const Value* saved = find(name)) {
      value = saved->as<bool>(prefix_ + name);
    }
  }
  void operator()(const char* name, std::int64_t& value) override {
    if (const Value* saved = find(name)) {
      value = saved->as<std::int64_t>(prefix_ + name);
    }
  }
  void operator()(const char* name, double& value) override {
    if (const Value* saved = find(name)) {
      value = saved->as<double>(prefix_ + name);
    }
  }
  void operator()(const char* name, std::tuple<double, double>& value)
      override {
    if (const Value* saved = find(name)) {
      const Value::Array& pair = saved->array(prefix_ + name);
      if (pair.size() != 2) {
        mismatches_.push_back(
            {ErrorCode::type_mismatch,
             prefix_ + name,
             "2 numbers",
             std::to_string(pair.size())});
        return;
      }
      std::get<0>(value) = pair[0].as<double>(prefix_ + name);
      std::get<1>(value) = pair[1].as<double>(prefix_ + name);
    }
  }
  void operator()(const char* name, OptionalInteger& value) override {
    if (const Value* saved = find(name)) {
      value = OptionalInteger();
      if (saved->kind() != Value::Kind::null) {
        value = saved->as<std::int64_t>(prefix_ + name);
      }
    }
  }
  void operator()(const char* name, OptionalText& value) override {
    if (const Value* saved = find(name)) {
      value = OptionalText();
      if (saved->kind() != Value::Kind::null) {
        value = saved->text(prefix_ + name);
      }
    }
  }
  void operator()(const char* name, at::Tensor& tensor) override {
    tensor = read(name);
  }
  void operator()(const char* name, std::deque<at::Tensor>& list) override {
    list.clear();
    const Value* saved = find(name);
    if (saved == nullptr) {
      return;
    }
    const auto count = saved->as<std::uint32_t>(prefix_ + name);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string item = std::string(name) + "." + std::to_string(i);
      if (tensors_.find(prefix_ + item) == nullptr) {
        mismatches_.push_back(
            {ErrorCode::name_missing, prefix_ + item, "a tensor", "nothing"});
        return;
      }
      list.push_back(read(item));
    }
  }

  /// Values that no field asked for.
  void report_unused() {
    for (const auto& item : values_) {
      if (!used_.contains(item.first)) {
        mismatches_.push_back(
            {ErrorCode::name_unexpected,
             prefix_ + item.first,
             "nothing",
             to_string(item.second.kind())});
      }
    }
  }

 private:
  const Value* find(const std::string& name) {
    const auto found = values_.find(name);
    if (found == values_.end()) {
      mismatches_.push_back(
          {ErrorCode::name_missing, prefix_ + name, "a value", "nothing"});
      return nullptr;
    }
    used_.add(name);
    return &found->second;
  }

  /// Undefined where there is none.
  at::Tensor read(const std::string& name) {
    const TensorInfo* info = tensors_.find(prefix_ + name);
    if (info == nullptr) {
      return {};
    }
    if (!fits(*info)) {
      mismatches_.push_back(
          {ErrorCode::shape_mismatch,
           info->name,
           elements_ < 0 ? shape_text(parameter_.sizes().vec())
                         : "[" + std::to_string(elements_) + "]",
           shape_text(info->shape)});
    }
    at::Device device = parameter_.device();
    const auto other = values_.find(name + ".device");
    if (other != values_.end()) {
      used_.add(other->first);
      device = device_or_host(other->second.text(prefix_ + name));
    }
    return tensors_.allocate(*info, device);
  }

  /// Moments have the parameter's shape; where a state spans all parameters
  /// (`elements_` not negative) they are flat, or single numbers.
  [[nodiscard]] bool fits(const TensorInfo& info) const {
    if (elements_ < 0) {
      return info.shape == sizes_of(parameter_);
    }
    return info.shape.empty() ||
        (info.shape.size() == 1 &&
         (info.shape[0] == elements_ || info.shape[0] == 1));
  }

  const Values& values_;
  SavedTensors& tensors_;
  std::string prefix_;
  const at::Tensor& parameter_;
  std::int64_t elements_;
  Mismatches& mismatches_;
  NameIndex used_;
};

} // namespace holdfast::detail

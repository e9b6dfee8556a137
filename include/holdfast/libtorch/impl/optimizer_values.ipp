#pragma once

#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/tensor.ipp>
#include <holdfast/state/checks.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

/// The writer and the reader that visit fields.
namespace holdfast::detail {

class FieldWriter {
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

  void operator()(const std::string& name, bool value) {
    values_[name] = value;
  }
  void operator()(const std::string& name, std::int64_t value) {
    values_[name] = value;
  }
  void operator()(const std::string& name, double value) {
    values_[name] = value;
  }
  void operator()(
      const std::string& name,
      const std::tuple<double, double>& value) {
    values_[name] = Value::Array{std::get<0>(value), std::get<1>(value)};
  }
  void operator()(const std::string& name, const OptionalInteger& value) {
    values_[name] = value.has_value() ? Value(*value) : Value();
  }
  void operator()(const std::string& name, const OptionalText& value) {
    values_[name] = value.has_value() ? Value(*value) : Value();
  }
  /// A tensor that is undefined leaves no trace.
  void operator()(const std::string& name, const at::Tensor& tensor) {
    if (!tensor.defined()) {
      return;
    }
    tensors_.push_back({describe(tensor, prefix_ + name), source_of(tensor)});
    if (device_ && tensor.device() != *device_) {
      values_[name + ".device"] = tensor.device().str();
    }
  }
  void operator()(const std::string& name, const std::deque<at::Tensor>& list) {
    values_[name] = list.size();
    for (std::size_t i = 0; i < list.size(); ++i) {
      (*this)(name + "." + std::to_string(i), list[i]);
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
      by_name_.emplace(tensors[i].name, i);
    }
  }

  [[nodiscard]] const TensorInfo* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &infos_[found->second];
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
  std::unordered_map<std::string, std::size_t> by_name_;
};

class FieldReader {
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

  template <class T>
  std::enable_if_t<std::is_arithmetic_v<T>> operator()(
      const std::string& name,
      T& value) {
    if (const Value* saved = find(name)) {
      value = saved->as<T>(prefix_ + name);
    }
  }
  void operator()(const std::string& name, std::tuple<double, double>& value) {
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
      value = std::make_tuple(
          pair[0].as<double>(prefix_ + name),
          pair[1].as<double>(prefix_ + name));
    }
  }
  void operator()(const std::string& name, OptionalInteger& value) {
    if (const Value* saved = find(name)) {
      value = OptionalInteger();
      if (saved->kind() != Value::Kind::null) {
        value = saved->as<std::int64_t>(prefix_ + name);
      }
    }
  }
  void operator()(const std::string& name, OptionalText& value) {
    if (const Value* saved = find(name)) {
      value = OptionalText();
      if (saved->kind() != Value::Kind::null) {
        value = saved->text(prefix_ + name);
      }
    }
  }
  void operator()(const std::string& name, at::Tensor& tensor) {
    tensor = at::Tensor();
    const TensorInfo* info = tensors_.find(prefix_ + name);
    if (info == nullptr) {
      return;
    }
    if (!fits(*info)) {
      mismatches_.push_back(
          {ErrorCode::shape_mismatch,
           info->name,
           elements_ < 0 ? shape_text(parameter_.sizes().vec())
                         : shape_text({elements_}),
           shape_text(info->shape)});
    }
    at::Device device = parameter_.device();
    const auto other = values_.find(name + ".device");
    if (other != values_.end()) {
      used_.insert(other->first);
      device = device_or_host(other->second.text(prefix_ + name));
    }
    tensor = tensors_.allocate(*info, device);
  }
  void operator()(const std::string& name, std::deque<at::Tensor>& list) {
    list.clear();
    const Value* saved = find(name);
    if (saved == nullptr) {
      return;
    }
    const auto count = saved->as<std::uint32_t>(prefix_ + name);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string item = name + "." + std::to_string(i);
      if (tensors_.find(prefix_ + item) == nullptr) {
        mismatches_.push_back(
            {ErrorCode::name_missing, prefix_ + item, "a tensor", "nothing"});
        return;
      }
      list.emplace_back();
      (*this)(item, list.back());
    }
  }

  /// Values that no field asked for.
  void report_unused() {
    for (const auto& item : values_) {
      if (used_.count(item.first) == 0) {
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
    used_.insert(name);
    return &found->second;
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
  std::set<std::string> used_;
};

} // namespace holdfast::detail

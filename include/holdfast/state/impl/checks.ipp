#pragma once

#include <holdfast/state/checks.hpp>

#include <algorithm>

namespace holdfast::detail {

HOLDFAST_INLINE std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

HOLDFAST_INLINE std::string tensor_text(const TensorInfo& info) {
  return std::string(holdfast::info(info.dtype).name) + " " +
      shape_text(info.shape);
}

HOLDFAST_INLINE void check_value_names(
    const Saved& saved,
    const std::vector<std::string>& names,
    Mismatches& mismatches) {
  for (const TensorInfo& tensor : saved.tensors) {
    mismatches.push_back(
        {ErrorCode::name_unexpected, tensor.name, "no tensor", "a tensor"});
  }
  for (const auto& [name, value] : saved.values) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      mismatches.push_back(
          {ErrorCode::name_unexpected,
           name,
           "no such value",
           to_string(value.kind())});
    }
  }
  for (const std::string& name : names) {
    if (saved.values.count(name) == 0) {
      mismatches.push_back(
          {ErrorCode::name_missing, name, "a value", "no such value"});
    }
  }
}

HOLDFAST_INLINE Mismatch
mismatch_of(const std::string& name, const Error& error) {
  const std::string& place = error.name();
  const bool attached =
      place.empty() || place.front() == '[' || place.front() == '.';
  Mismatch mismatch;
  mismatch.code = error.code();
  mismatch.name = attached ? name + place : joined_name(name, place);
  mismatch.expected = error.expected();
  mismatch.found = error.found();
  if (mismatch.expected.empty() && mismatch.found.empty()) {
    mismatch.found = error.details().message;
  }
  return mismatch;
}

} // namespace holdfast::detail

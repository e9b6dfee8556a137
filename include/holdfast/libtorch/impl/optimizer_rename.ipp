#pragma once

#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/state/part.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// How the saved state of an optimizer changes when `load()` renames.
namespace holdfast::detail {

/// The state follows its parameters, which are named as in their own parts.
HOLDFAST_INLINE void rename_parameters(Saved& saved, const Leniency& leniency) {
  const auto renamed = [&leniency](const std::string& key) {
    const std::size_t point = key.find('.');
    if (point == std::string::npos) {
      return key;
    }
    const std::string owner = key.substr(0, point);
    return owner + "." + leniency.new_name(owner, key.substr(point + 1));
  };
  Value::Array groups;
  for (const Value& item : at(saved.values, "groups").array("groups")) {
    Values group = item.object("groups");
    Value::Array parameters;
    for (const std::string& key : saved_keys(item)) {
      parameters.push_back(renamed(key));
    }
    group["parameters"] = std::move(parameters);
    groups.push_back(std::move(group));
  }
  saved.values["groups"] = std::move(groups);

  const Values former = at(saved.values, "states").object("states");
  Values states;
  for (const auto& item : former) {
    if (!states.emplace(renamed(item.first), item.second).second) {
      ErrorDetails details;
      details.name = renamed(item.first);
      details.message = "two parameters have this name after renaming";
      throw Error(ErrorCode::duplicate_name, std::move(details));
    }
  }
  saved.values["states"] = std::move(states);
  // "<key>.exp_avg": the longest key that it begins with.
  for (TensorInfo& tensor : saved.tensors) {
    std::size_t end = tensor.name.rfind('.');
    while (end != std::string::npos && end != 0 &&
           former.count(tensor.name.substr(0, end)) == 0) {
      end = tensor.name.rfind('.', end - 1);
    }
    if (end != std::string::npos && end != 0) {
      tensor.name =
          renamed(tensor.name.substr(0, end)) + tensor.name.substr(end);
    }
  }
}

} // namespace holdfast::detail

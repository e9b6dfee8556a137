#pragma once

#include <holdfast/format/state_document.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/sorting.hpp>
#include <holdfast/format/impl/shared.hpp>
#include <holdfast/format/json.hpp>

#include <string>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE void check_distinct(
    std::vector<std::string> names,
    const char* message) {
  if (const std::string* const twice = sort_and_find_twice(names)) {
    ErrorDetails details;
    details.message = message;
    details.name = *twice;
    throw Error(ErrorCode::duplicate_name, std::move(details));
  }
}

/// The rules that hold for what is written and for what is read.
HOLDFAST_INLINE void check_state_document(const StateDocument& document) {
  std::vector<std::string> parts;
  for (const PartRecord& part : document.parts) {
    parts.push_back(part.name);
    std::vector<std::string> tensors;
    for (const TensorRecord& tensor : part.tensors) {
      tensors.push_back(tensor.name);
      tensors.insert(
          tensors.end(), tensor.aliases.begin(), tensor.aliases.end());
    }
    check_distinct(std::move(tensors), "two tensors of a part with one name");
  }
  check_distinct(std::move(parts), "two parts with one name");
}

HOLDFAST_INLINE Value tensor_record_value(const TensorRecord& tensor) {
  Values members;
  members["name"] = tensor.name;
  members["xxh3_128"] = tensor.digest.hex();
  if (!tensor.strides.empty()) {
    Value::Array strides;
    for (const std::int64_t stride : tensor.strides) {
      strides.emplace_back(stride);
    }
    members["strides"] = std::move(strides);
  }
  if (!tensor.aliases.empty()) {
    Value::Array aliases;
    for (const std::string& alias : tensor.aliases) {
      aliases.emplace_back(alias);
    }
    members["aliases"] = std::move(aliases);
  }
  return members;
}

HOLDFAST_INLINE TensorRecord tensor_record_from(const Value& value) {
  const Values& members = value.object("tensors");
  TensorRecord tensor;
  tensor.name = at(members, "name").text("tensors.name");
  tensor.digest = digest_from(members, tensor.name);
  const auto strides = members.find("strides");
  if (strides != members.end()) {
    for (const Value& stride : strides->second.array(tensor.name)) {
      tensor.strides.push_back(stride.as<std::int64_t>(tensor.name));
    }
  }
  const auto aliases = members.find("aliases");
  if (aliases != members.end()) {
    for (const Value& alias : aliases->second.array(tensor.name)) {
      tensor.aliases.push_back(alias.text(tensor.name));
    }
  }
  return tensor;
}

HOLDFAST_INLINE std::string state_document_text(
    const StateDocument& document,
    std::size_t max_bytes) {
  check_state_document(document);
  Values root;
  root["engine"] = document.engine;
  Value::Array parts;
  for (const PartRecord& part : document.parts) {
    Values members;
    members["name"] = part.name;
    members["kind"] = part.kind;
    members["file"] = part.file;
    members["values"] = part.values;
    Value::Array tensors;
    tensors.reserve(part.tensors.size());
    for (const TensorRecord& tensor : part.tensors) {
      tensors.push_back(tensor_record_value(tensor));
    }
    members["tensors"] = std::move(tensors);
    parts.emplace_back(std::move(members));
  }
  root["parts"] = std::move(parts);
  std::string text = to_json(std::move(root));
  text += '\n';
  if (text.size() > max_bytes) {
    throw_json_limit("a state document of too many bytes", max_bytes);
  }
  return text;
}

HOLDFAST_INLINE StateDocument state_document_from(const Values& root) {
  StateDocument document;
  document.engine = at(root, "engine").object("engine");
  for (const Value& value : at(root, "parts").array("parts")) {
    const Values& members = value.object("parts");
    PartRecord part;
    part.name = at(members, "name").text("parts.name");
    part.kind = at(members, "kind").text(part.name);
    part.file = at(members, "file").text(part.name);
    part.values = at(members, "values").object(part.name);
    const Value::Array& tensors = at(members, "tensors").array(part.name);
    part.tensors.reserve(tensors.size());
    for (const Value& tensor : tensors) {
      part.tensors.push_back(tensor_record_from(tensor));
    }
    document.parts.push_back(std::move(part));
  }
  check_state_document(document);
  return document;
}

} // namespace detail

HOLDFAST_INLINE std::string state_document_text(const StateDocument& document) {
  return detail::state_document_text(document, JsonLimits().max_bytes);
}

HOLDFAST_INLINE StateDocument parse_state_document(ByteView text) {
  const Value root = from_json(text.text());
  try {
    return detail::state_document_from(root.object("state document"));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::duplicate_name) {
      throw;
    }
    throw Error(ErrorCode::malformed_value, error.details());
  }
}

} // namespace holdfast

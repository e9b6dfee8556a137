#pragma once

#include <holdfast/libtorch/impl/optimizer_archive.ipp>

#include <torch/serialize/archive.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The way back: archives out of values and tensors.
namespace holdfast::detail {

/// Builds the archive that `serialize(InputArchive&)` reads.
class ArchiveReader {
 public:
  ArchiveReader(
      const Values& values,
      SavedTensors& tensors,
      std::string prefix,
      at::Device device)
      : values_(values),
        tensors_(tensors),
        prefix_(std::move(prefix)),
        device_(device) {}

  [[nodiscard]] torch::serialize::InputArchive archive() {
    torch::serialize::InputArchive input;
    input.*member_of(InputModuleMember{}) =
        build("").*member_of(OutputModuleMember{});
    return input;
  }

 private:
  torch::serialize::OutputArchive build(const std::string& prefix) {
    torch::serialize::OutputArchive output(unit_);
    for (auto item = values_.lower_bound(prefix); item != values_.end() &&
         item->first.compare(0, prefix.size(), prefix) == 0;
         ++item) {
      const std::string& path = item->first;
      const std::string name = path.substr(prefix.size());
      if (name.find('.') != std::string::npos) {
        continue; // Belongs to an archive inside, or is a tensor's device.
      }
      add(output, path, name, item->second);
    }
    return output;
  }

  void add(
      torch::serialize::OutputArchive& output,
      const std::string& path,
      const std::string& name,
      const Value& value) {
    if (value.kind() != Value::Kind::object) {
      output.write(name, plain(value, path));
      return;
    }
    const auto member = value.object(path).begin();
    const std::string& kind = member->first;
    const Value& content = member->second;
    if (kind == "tensor") {
      output.write(name, tensor(path, content.as<bool>(path)), true);
    } else if (kind == "tensors") {
      c10::impl::GenericList list(c10::TensorType::get());
      for (std::uint32_t i = 0; i < content.as<std::uint32_t>(path); ++i) {
        list.push_back(tensor(path + "." + std::to_string(i), false));
      }
      output.write(name, list);
    } else if (kind == "archive") {
      torch::serialize::OutputArchive inner = build(path + ".");
      output.write(name, inner);
    } else {
      output.write(name, plain(value, path));
    }
  }

  at::Tensor tensor(const std::string& path, bool required) {
    const TensorInfo* info = tensors_.find(prefix_ + path);
    if (info == nullptr) {
      if (required) {
        throw_not_capturable(
            prefix_ + path,
            "the tensor is not in the checkpoint",
            ErrorCode::name_missing);
      }
      return {};
    }
    const auto other = values_.find(path + ".device");
    return tensors_.allocate(
        *info,
        other == values_.end() ? device_
                               : device_or_host(other->second.text(path)));
  }

  static c10::IValue plain(const Value& value, const std::string& path) {
    switch (value.kind()) {
      case Value::Kind::null:
        return {};
      case Value::Kind::boolean:
        return value.as<bool>(path);
      case Value::Kind::integer:
        return value.as<std::int64_t>(path);
      case Value::Kind::real:
        return value.as<double>(path);
      case Value::Kind::text:
        return value.text(path);
      case Value::Kind::object:
        return list(value.object(path), path);
      case Value::Kind::bytes:
      case Value::Kind::array:
        break;
    }
    throw_not_capturable(
        path, "not a value of an optimizer", ErrorCode::type_mismatch);
  }

  static c10::IValue list(const Values& values, const std::string& path) {
    const auto member = values.begin();
    const std::string& kind = member->first;
    const Value& content = member->second;
    if (kind == "tuple") {
      std::vector<c10::IValue> items;
      for (const Value& item : content.array(path)) {
        items.push_back(plain(item, path));
      }
      return c10::ivalue::Tuple::create(std::move(items));
    }
    if (kind == "integers") {
      c10::impl::GenericList items(c10::IntType::get());
      for (const Value& item : content.array(path)) {
        items.push_back(item.as<std::int64_t>(path));
      }
      return items;
    }
    if (kind == "reals") {
      c10::impl::GenericList items(c10::FloatType::get());
      for (const Value& item : content.array(path)) {
        items.push_back(item.as<double>(path));
      }
      return items;
    }
    throw_not_capturable(
        path, "not a value of an optimizer", ErrorCode::type_mismatch);
  }

  const Values& values_;
  SavedTensors& tensors_;
  std::string prefix_;
  at::Device device_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_ = fresh_unit();
};

/// Sets an object of an unknown type from an archive.
template <class Serializable>
void read_archive(
    Serializable& object,
    const std::string& what,
    torch::serialize::InputArchive archive) {
  try {
    object.serialize(archive);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw_not_capturable(
        c10::demangle(typeid(object).name()),
        what + " does not accept what it wrote itself (" +
            std::string(error.what()).substr(0, 200) + ")");
  }
}

} // namespace holdfast::detail

#pragma once

#include <holdfast/libtorch/compat.hpp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>

#include <torch/serialize/archive.h>

#include <exception>
#include <map>
#include <memory>
#include <string>
#include <utility>

/// Options and states of optimizers that Holdfast does not know, through the
/// `serialize` functions which their authors wrote. Nothing is written to
/// bytes: the archive's attributes are read and set directly.
namespace holdfast::detail {

struct OutputModuleMember {
  using type = torch::jit::Module torch::serialize::OutputArchive::*;
  friend type member_of(OutputModuleMember);
};
extern template struct PrivateMember<
    OutputModuleMember,
    &torch::serialize::OutputArchive::module_>;

struct InputModuleMember {
  using type = torch::jit::Module torch::serialize::InputArchive::*;
  friend type member_of(InputModuleMember);
};
extern template struct PrivateMember<
    InputModuleMember,
    &torch::serialize::InputArchive::module_>;

/// Names that mean something in this process only, and what they are called in
/// a checkpoint; without a name there, what they stand for is left out.
using Renamed = std::map<std::string, std::string>;

/// Visits the attributes of an archive and hands leaves to a FieldWriter. Kinds
/// of values that only archives have become small objects with one member.
class ArchiveWriter {
 public:
  ArchiveWriter(FieldWriter& fields, Values& values, Renamed renamed = {})
      : fields_(fields), values_(values), renamed_(std::move(renamed)) {}

  void write(const c10::ivalue::Object& object, const std::string& prefix) {
    const auto type = object.type();
    for (std::size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string& name = type->getAttributeName(i);
      const auto found = renamed_.find(name);
      if (found == renamed_.end()) {
        write(object.getSlot(i), prefix + name);
      } else if (!found->second.empty()) {
        write(object.getSlot(i), prefix + found->second);
      }
    }
  }

 private:
  void write(const c10::IValue& value, const std::string& name) {
    if (value.isTensor()) {
      values_[name] = kind("tensor", value.toTensor().defined());
      fields_.write(name, value.toTensor());
    } else if (value.isTensorList()) {
      const auto list = value.toListRef();
      values_[name] = kind("tensors", list.size());
      for (std::size_t i = 0; i < list.size(); ++i) {
        fields_.write(name + "." + std::to_string(i), list[i].toTensor());
      }
    } else if (value.isObject()) {
      values_[name] = kind("archive", true);
      write(value.toObjectRef(), name + ".");
    } else {
      values_[name] = plain(value, name);
    }
  }

  static Value kind(const char* name, Value value) {
    Values values;
    values[name] = std::move(value);
    return Value(std::move(values));
  }

  Value plain(const c10::IValue& value, const std::string& name) const {
    if (value.isNone()) {
      return {};
    }
    if (value.isBool()) {
      return value.toBool();
    }
    if (value.isInt()) {
      return value.toInt();
    }
    if (value.isDouble()) {
      return value.toDouble();
    }
    if (value.isString()) {
      const auto found = renamed_.find(value.toStringRef());
      return found == renamed_.end() ? value.toStringRef() : found->second;
    }
    if (value.isTuple()) {
      Value::Array items;
      for (const c10::IValue& item : value.toTupleRef().elements()) {
        items.push_back(plain(item, name));
      }
      return kind("tuple", std::move(items));
    }
    if (value.isIntList() || value.isDoubleList()) {
      Value::Array items;
      for (const c10::IValue& item : value.toListRef()) {
        items.push_back(plain(item, name));
      }
      return kind(value.isIntList() ? "integers" : "reals", std::move(items));
    }
    throw_not_capturable(
        name,
        "serialize() wrote a value of a kind that cannot be saved: " +
            value.tagKind());
  }

  FieldWriter& fields_;
  Values& values_;
  Renamed renamed_;
};

/// Types of one archive and those inside. Not made here, because that would
/// compile its class into every file: an empty archive comes with one.
HOLDFAST_INLINE std::shared_ptr<torch::jit::CompilationUnit> fresh_unit() {
  torch::serialize::InputArchive empty;
  return (empty.*member_of(InputModuleMember{}))._ivalue()->compilation_unit();
}

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

/// What `serialize` says of an options or state object of an unknown type.
template <class Serializable>
void write_archive(
    const Serializable& object,
    const std::string& what,
    FieldWriter& fields,
    Values& values) {
  torch::serialize::OutputArchive archive(fresh_unit());
  try {
    object.serialize(archive);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw_not_capturable(
        c10::demangle(typeid(object).name()),
        what +
            " cannot be saved: its type must override both serialize() "
            "functions (" +
            std::string(error.what()).substr(0, 200) + ")");
  }
  ArchiveWriter(fields, values)
      .write(*(archive.*member_of(OutputModuleMember{}))._ivalue(), "");
}

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

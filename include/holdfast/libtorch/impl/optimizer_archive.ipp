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

} // namespace holdfast::detail

#pragma once

#include <holdfast/base/sorting.hpp>
#include <holdfast/libtorch/impl/optimizer_archive_reader.ipp>
#include <holdfast/libtorch/impl/optimizer_groups.ipp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>

#include <c10/util/Type.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

/// Optimizers of the user's that override LibTorch's `save` and `load`: what
/// these write and read, as an archive that never becomes bytes.
namespace holdfast::detail {

inline constexpr const char* kOwnSave = "own_save";

/// A key of `Optimizer::state()` as LibTorch's archives have it.
template <class Key>
std::string address_text(const Key& key) {
  if constexpr (std::is_pointer_v<Key>) {
    return std::to_string(reinterpret_cast<std::uintptr_t>(key));
  } else {
    return key;
  }
}

/// An archive of `Optimizer::save` names parameters by their addresses. In a
/// checkpoint they are "1", "2", ... in the order of the groups: `load` matches
/// by position, and reads the names as decimal numbers since LibTorch 2.2.
HOLDFAST_INLINE Renamed renamed_parameters(optim::Optimizer& optimizer) {
  Renamed renamed;
  std::size_t next = 0;
  for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      renamed.emplace(
          address_text(state_key<StateMap>(parameter.unsafeGetTensorImpl())),
          std::to_string(++next));
    }
  }
  for (const auto& item : optimizer.state()) {
    renamed.emplace(
        address_text(item.first), ""); // In no group: nobody reads it.
  }
  return renamed;
}

/// What `save` writes; nothing where it is the empty one of the base class.
HOLDFAST_INLINE Values
capture_own_save(optim::Optimizer& optimizer, std::vector<TensorOut>& tensors) {
  torch::serialize::OutputArchive archive(fresh_unit());
  try {
    optimizer.save(archive);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw_not_capturable(
        c10::demangle(typeid(optimizer).name()),
        "its save() throws (" + std::string(error.what()).substr(0, 200) + ")");
  }
  Values values;
  FieldWriter fields(
      values, tensors, std::string(kOwnSave) + ".", at::Device(at::kCPU));
  ArchiveWriter(fields, values, renamed_parameters(optimizer))
      .write(*(archive.*member_of(OutputModuleMember{}))._ivalue(), "");
  // `save` goes through a hash map of addresses.
  sort_by(tensors, [](const TensorOut& a, const TensorOut& b) {
    return a.info.name < b.info.name;
  });
  return values;
}

/// The archive that `load` reads. Its tensors are fresh, and `tensors` has them
/// too.
HOLDFAST_INLINE torch::serialize::InputArchive own_archive(
    const Values& values,
    SavedTensors& tensors) {
  return ArchiveReader(
             values, tensors, std::string(kOwnSave) + ".", at::Device(at::kCPU))
      .archive();
}

/// What the optimizer would save now, with copies of its tensors: those that
/// `load` fills in place would change under an archive that shares them.
HOLDFAST_INLINE torch::serialize::InputArchive own_archive_of(
    optim::Optimizer& optimizer) {
  std::vector<TensorOut> captured;
  const Values values = capture_own_save(optimizer, captured);
  std::vector<TensorInfo> infos;
  for (const TensorOut& tensor : captured) {
    infos.push_back(tensor.info);
  }
  SavedTensors tensors(infos);
  torch::serialize::InputArchive archive = own_archive(values, tensors);
  const std::vector<at::Tensor> copies = tensors.take();
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].defined()) {
      overwrite(copies[i], captured[i].copy().data());
    }
  }
  return archive;
}

} // namespace holdfast::detail

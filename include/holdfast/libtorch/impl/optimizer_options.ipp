#pragma once

#include <holdfast/libtorch/impl/optimizer_archive_reader.ipp>
#include <holdfast/libtorch/impl/optimizer_fields.ipp>
#include <holdfast/libtorch/impl/optimizer_restore.ipp>
#include <holdfast/libtorch/impl/optimizer_values.ipp>
#include <holdfast/state/checks.hpp>

#include <c10/util/Type.h>

#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

/// The options of an optimizer's groups, on their way out and back.
namespace holdfast::detail {

HOLDFAST_INLINE std::string type_name(const std::type_info& type) {
  return c10::demangle(type.name());
}

HOLDFAST_INLINE Values capture_options(optim::OptimizerOptions& options) {
  Values values;
  std::vector<TensorOut> tensors;
  FieldWriter writer(values, tensors, "", std::nullopt);
  if (!visit_options(writer, options)) {
    write_archive(options, "the options", writer, values);
    if (!tensors.empty()) {
      throw_not_capturable(
          type_name(typeid(options)), "options with tensors cannot be saved");
    }
  }
  return values;
}

HOLDFAST_INLINE void prepare_options(
    optim::OptimizerOptions& live,
    const Values& saved,
    const std::string& name,
    OptimizerRestore& restore,
    Mismatches& mismatches) {
  SavedTensors none({});
  const at::Tensor parameter;
  const Values before = capture_options(live);
  std::unique_ptr<optim::OptimizerOptions> trial = live.clone();
  FieldReader reader(saved, none, name + ".", parameter, -1, mismatches);
  // A type that inherits its clone() from one of LibTorch's is cut down to it.
  const optim::OptimizerOptions& cloned = *trial;
  const bool is_whole = typeid(cloned) == typeid(live);
  if (is_whole && visit_options(reader, *trial)) {
    reader.report_unused();
    restore.options.push_back({&live, std::move(trial), live.clone(), {}, {}});
    return;
  }
  const auto archive = [&](const Values& values) {
    return ArchiveReader(values, none, name + ".", at::Device(at::kCPU))
        .archive();
  };
  read_archive(*trial, "the options", archive(saved));
  if (capture_options(*trial) != saved) {
    mismatches.push_back(
        {ErrorCode::type_mismatch,
         name,
         "options that serialize() reads as it wrote them",
         "others"});
  }
  restore.options.push_back(
      {&live, nullptr, nullptr, archive(saved), archive(before)});
}

} // namespace holdfast::detail

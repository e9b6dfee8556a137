#pragma once

#include <holdfast/io/machine.hpp>

#include <holdfast/io/impl/posix_system_files.ipp>

#include <algorithm>
#include <cstddef>

namespace holdfast {

namespace detail {

/// The rest of the line that begins with `key`, after a colon and blanks.
HOLDFAST_INLINE std::string line_value(
    const std::string& text,
    const std::string& key) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (text.compare(at, key.size(), key) == 0) {
      const std::size_t value = text.find_first_not_of(" \t:", at + key.size());
      return value >= end ? std::string() : text.substr(value, end - value);
    }
    at = end + 1;
  }
  return {};
}

/// The first word that begins with a digit and has a point: "535.104.05".
HOLDFAST_INLINE std::string version_in(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = text.find_first_not_of(" \t", at);
    const std::size_t end =
        std::min(text.find_first_of(" \t", begin), text.size());
    if (begin >= text.size()) {
      break;
    }
    const std::string word = text.substr(begin, end - begin);
    if (word[0] >= '0' && word[0] <= '9' &&
        word.find('.') != std::string::npos) {
      return word;
    }
    at = end;
  }
  return {};
}

} // namespace detail

HOLDFAST_INLINE Machine this_machine(const std::string& root) {
  Machine machine;
  const std::string processor = detail::system_text(root + "/proc/cpuinfo");
  machine.processor = detail::line_value(processor, "model name");
  if (machine.processor.empty()) { // ARM tells numbers
    const std::string maker = detail::line_value(processor, "CPU implementer");
    if (!maker.empty()) {
      machine.processor =
          maker + " " + detail::line_value(processor, "CPU part");
    }
  }
  machine.system = detail::system_text(root + "/proc/sys/kernel/ostype") + " " +
      detail::system_text(root + "/proc/sys/kernel/osrelease");
  if (machine.system == " ") {
    machine.system.clear();
  }
  const std::string nvidia = root + "/proc/driver/nvidia/";
  machine.gpu_driver = detail::version_in(detail::line_value(
      detail::system_text(nvidia + "version"), "NVRM version"));
  for (const std::string& gpu :
       detail::system_folder((nvidia + "gpus").c_str())) {
    const std::string model = detail::line_value(
        detail::system_text(nvidia + "gpus/" + gpu + "/information"), "Model");
    if (!model.empty()) {
      machine.gpus.push_back(model);
    }
  }
  return machine;
}

HOLDFAST_INLINE std::optional<int> openblas_threads() noexcept {
  if (auto* const threads =
          detail::loaded_function<int()>("openblas_get_num_threads")) {
    return threads();
  }
  return std::nullopt;
}

} // namespace holdfast

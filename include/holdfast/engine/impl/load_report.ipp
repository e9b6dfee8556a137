#pragma once

#include <holdfast/engine/load_report.hpp>

#include <holdfast/base/text.hpp>

#include <ostream>

namespace holdfast {

HOLDFAST_INLINE const char* to_string(Fate fate) noexcept {
  switch (fate) {
    case Fate::loaded:
      return "loaded";
    case Fate::converted:
      return "converted";
    case Fate::missing:
      return "missing";
    case Fate::other_shape:
      return "other_shape";
    case Fate::unused:
      return "unused";
  }
  return "unknown";
}

HOLDFAST_INLINE std::string TensorFate::to_string() const {
  std::string text = part + ": '" + name + "'";
  if (!renamed_from.empty()) {
    text += " (renamed from '" + renamed_from + "')";
  }
  const auto described = [](const std::string& what) {
    return what.empty() ? std::string() : ": " + what;
  };
  switch (fate) {
    case Fate::loaded:
      return text + ": loaded" + (was.empty() ? "" : ", " + was);
    case Fate::converted:
      return text + ": converted from " + was + " to " + is;
    case Fate::missing:
      return text + ": left as it was, not in the checkpoint" + described(is);
    case Fate::other_shape:
      return text + ": left as it was, " + was + " in the checkpoint, " + is +
          " here";
    case Fate::unused:
      return text + ": not used" + described(was);
  }
  return text;
}

HOLDFAST_INLINE std::size_t LoadReport::count(Fate fate) const noexcept {
  std::size_t count = 0;
  for (const TensorFate& tensor : tensors) {
    count += tensor.fate == fate ? 1U : 0U;
  }
  return count;
}

HOLDFAST_INLINE std::string LoadReport::to_string() const {
  std::string text = (salvaged() ? "salvaged from " : "loaded ") +
      checkpoint.name + " (epoch " + std::to_string(checkpoint.progress.epoch) +
      ", step " + std::to_string(checkpoint.step) + ") in '" + directory +
      "': " + detail::parts_and_bytes(parts);
  for (const DamagedFile& file : damaged) {
    text += "\n  " + std::string(holdfast::to_string(file.verdict)) + ": " +
        file.reason;
  }
  std::size_t renamed = 0;
  for (const TensorFate& tensor : tensors) {
    renamed += tensor.renamed_from.empty() ? 0U : 1U;
  }
  text += "\n  tensors: " + std::to_string(count(Fate::loaded)) + " loaded";
  const auto add = [&](std::size_t number, const char* what) {
    if (number != 0) {
      text += ", " + std::to_string(number) + what;
    }
  };
  add(count(Fate::converted), " converted");
  add(count(Fate::missing), " missing");
  add(count(Fate::other_shape), " of another shape");
  add(count(Fate::unused), " not used");
  add(renamed, " renamed");
  for (const TensorFate& tensor : tensors) {
    if (tensor.fate != Fate::loaded || !tensor.renamed_from.empty()) {
      text += "\n  " + tensor.to_string();
    }
  }
  for (const PassedOver& other : passed_over) {
    text += "\n  passed over " + holdfast::to_string(other);
  }
  for (const std::string& note : notes) {
    text += "\n  note: " + note;
  }
  return text;
}

HOLDFAST_INLINE std::string LoadReport::table() const {
  std::string text;
  for (const TensorFate& tensor : tensors) {
    text += tensor.to_string() + "\n";
  }
  return text;
}

HOLDFAST_INLINE std::ostream& operator<<(
    std::ostream& stream,
    const LoadReport& report) {
  return stream << report.to_string();
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/probe.hpp>

#include <holdfast/base/text.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/state/checks.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace holdfast {

namespace detail {

inline constexpr std::uint64_t kProbeNumbers = 64; // of each sequence

/// Takes up what an output consists of.
class ProbeRecorder {
 public:
  void add(const TensorOut& tensor) {
    const TensorInfo& tensor_info = tensor.info;
    layout_ += tensor_info.name + " " +
        std::string(info(tensor_info.dtype).name) + " " +
        shape_text(tensor_info.shape) + " ";
    const Bytes bytes = tensor.copy();
    hasher_.update(ByteView(bytes.data(), bytes.size()));

    const std::uint64_t width = info(tensor_info.dtype).bits / 8;
    for_some(width == 0 ? 0 : bytes.size() / width, [&](std::size_t element) {
      const auto number =
          element_value(tensor_info.dtype, bytes.data() + element * width);
      if (number) {
        numbers_.push_back(*number);
      }
    });
  }

  /// What a tensor was captured with, device and flags, is no output.
  void add_values(const std::string& kind, const Values& values) {
    layout_ += kind + " ";
    if (kind == "tensor") {
      return;
    }
    for (const auto& [name, value] : values) {
      layout_ += name + " ";
      if (is_member(value)) {
        const Values& member = value.object();
        add_values(at(member, "kind").text(), at(member, "values").object());
      } else {
        const std::string text = to_json(value);
        hasher_.update(ByteView(std::string_view(text)));
        add(value);
      }
    }
  }

  [[nodiscard]] Value record() && {
    hasher_.update(ByteView(std::string_view(layout_)));
    Values record;
    record["digest"] = hasher_.digest().hex();
    record["layout"] = std::move(layout_);
    record["numbers"] = std::move(numbers_);
    return record;
  }

 private:
  /// Calls `use` with up to `kProbeNumbers` indices below `count`.
  template <class Use>
  static void for_some(std::uint64_t count, Use use) {
    const std::uint64_t taken = std::min(count, kProbeNumbers);
    for (std::uint64_t i = 0; i < taken; ++i) {
      use(static_cast<std::size_t>(i * (count / taken)));
    }
  }

  /// A member of an object of several, as the object captures it.
  static bool is_member(const Value& value) {
    if (value.kind() != Value::Kind::object || value.object().size() != 2) {
      return false;
    }
    const Values& record = value.object();
    const auto kind = record.find("kind");
    const auto values = record.find("values");
    return kind != record.end() && values != record.end() &&
        kind->second.kind() == Value::Kind::text &&
        values->second.kind() == Value::Kind::object;
  }

  static double nearest_double(const Value& integer) {
    try {
      return static_cast<double>(integer.as<std::int64_t>());
    } catch (const Error&) { // beyond its range
      return static_cast<double>(integer.as<std::uint64_t>());
    }
  }

  void add(const Value& value) {
    layout_ += std::string(holdfast::to_string(value.kind())) + " ";
    switch (value.kind()) {
      case Value::Kind::real:
        numbers_.push_back(value);
        break;
      case Value::Kind::integer: // as in a tensor
        numbers_.push_back(nearest_double(value));
        break;
      case Value::Kind::array: {
        const Value::Array& items = value.array();
        layout_ += "[" + std::to_string(items.size()) + "] ";
        for_some(items.size(), [&](std::size_t i) { add(items[i]); });
        break;
      }
      case Value::Kind::object:
        for (const auto& [name, member] : value.object()) {
          layout_ += name + " ";
          add(member);
        }
        break;
      default:
        break;
    }
  }

  Hasher hasher_;
  std::string layout_;
  Value::Array numbers_;
};

/// The largest difference in parts of the largest number; infinite where one
/// of two numbers is not finite and they are not the same.
HOLDFAST_INLINE double relative_difference(
    const Value::Array& was,
    const Value::Array& is) {
  double largest = 0;
  double difference = 0;
  for (std::size_t i = 0; i < was.size(); ++i) {
    const double a = was[i].as<double>("numbers");
    const double b = is[i].as<double>("numbers");
    if (!std::isfinite(a) || !std::isfinite(b)) {
      if (a != b && !(std::isnan(a) && std::isnan(b))) {
        return std::numeric_limits<double>::infinity();
      }
      continue;
    }
    largest = std::max(largest, std::max(std::abs(a), std::abs(b)));
    difference = std::max(difference, std::abs(a - b));
  }
  return difference == 0 ? 0 : difference / largest;
}

} // namespace detail

HOLDFAST_INLINE const char* to_string(ProbeResult::Outcome outcome) noexcept {
  switch (outcome) {
    case ProbeResult::Outcome::equal:
      return "equal";
    case ProbeResult::Outcome::close:
      return "close";
    case ProbeResult::Outcome::different:
      return "different";
  }
  return "unknown";
}

HOLDFAST_INLINE Value record_probe(Part& output) {
  const State state = output.capture(Names());
  detail::ProbeRecorder recorder;
  for (const TensorOut& tensor : state.tensors) {
    recorder.add(tensor);
  }
  recorder.add_values(output.kind(), state.values);
  return std::move(recorder).record();
}

HOLDFAST_INLINE ProbeResult
compare_probes(const Value& was, const Value& is, double tolerance) {
  using Outcome = ProbeResult::Outcome;
  const Values& before = was.object("probe");
  const Values& now = is.object("probe");
  ProbeResult result;
  if (at(before, "digest").text("digest") == at(now, "digest").text("digest")) {
    result.outcome = Outcome::equal;
    result.text = "gives the same output as at the save, to the bit";
    return result;
  }
  const Value::Array& numbers_before = at(before, "numbers").array("numbers");
  const Value::Array& numbers_now = at(now, "numbers").array("numbers");
  const std::string& layout_before = at(before, "layout").text("layout");
  const std::string& layout_now = at(now, "layout").text("layout");
  if (layout_before != layout_now ||
      numbers_before.size() != numbers_now.size()) {
    result.text = "gives other names, shapes or kinds than at the save: '" +
        layout_before + "' then, '" + layout_now + "' now";
    return result;
  }
  result.difference = detail::relative_difference(numbers_before, numbers_now);
  if (result.difference == 0) {
    result.text = "gives another output than at the save, although the " +
        std::to_string(numbers_now.size()) + " numbers compared agree";
    return result;
  }
  result.outcome =
      result.difference <= tolerance ? Outcome::close : Outcome::different;
  result.text = "gives another output than at the save: of " +
      std::to_string(numbers_now.size()) +
      " numbers the largest difference is " + format_number(result.difference) +
      " of the largest number";
  return result;
}

} // namespace holdfast

#pragma once

#include <holdfast/testing/resume_check.hpp>

#include <holdfast/base/text.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/posix_file_system.hpp>

#include <algorithm>

/// Reads what runs under test have left behind, and compares it.
namespace holdfast::testing::detail {

/// A run's attempt as its file tells it.
struct Trace {
  std::vector<Values> points; ///< In order; the first is the beginning.
  std::size_t points_when_struck = 0; ///< 0: it was not interrupted.
  bool returned = false;
  bool threw = false;
  std::string what;
};

/// All of a file; nothing where there is none.
HOLDFAST_INLINE std::string read_text(const std::string& path) {
  const SplitPath split = split_path(path);
  const auto directory =
      default_file_system()->open_root(split.parent, Create::no);
  if (!directory->exists(split.name)) {
    return {};
  }
  const Bytes bytes =
      read_file(*directory, split.name, std::uint64_t(1) << 40U);
  return std::string(ByteView(bytes).text());
}

HOLDFAST_INLINE std::size_t file_size(const std::string& path) {
  const SplitPath split = split_path(path);
  const auto directory =
      default_file_system()->open_root(split.parent, Create::no);
  return directory->exists(split.name)
      ? static_cast<std::size_t>(directory->open_file(split.name)->size())
      : 0;
}

/// A last line that is not whole, and a file that is not there, are no errors.
HOLDFAST_INLINE Trace read_trace(const std::string& path) {
  const std::string text = read_text(path);
  Trace trace;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      break;
    }
    const Value value =
        from_json(std::string_view(text).substr(begin, end - begin));
    const Values& record = value.object();
    const std::string& is = at(record, "is").text();
    if (is == "struck") {
      trace.points_when_struck = trace.points.size();
    } else if (is == "returned") {
      trace.returned = true;
    } else if (is == "threw") {
      trace.threw = true;
      trace.what = at(record, "what").text();
    } else {
      trace.points.push_back(record);
    }
    begin = end + 1;
  }
  return trace;
}

inline constexpr const char* kNothing = "nothing";

/// Members of two objects that are not equal, by name.
HOLDFAST_INLINE void compare_members(
    const std::string& part,
    const char* what,
    const Values& expected,
    const Values& found,
    std::vector<Difference>& into) {
  const auto add = [&](const std::string& name,
                       const std::string& wanted,
                       const std::string& got) {
    into.push_back(
        {part, std::string(what) + " '" + name + "'", wanted, got, -1});
  };
  for (const auto& entry : expected) {
    const auto other = found.find(entry.first);
    if (other == found.end()) {
      add(entry.first, entry.second.text(), kNothing);
    } else if (other->second != entry.second) {
      add(entry.first, entry.second.text(), other->second.text());
    }
  }
  for (const auto& entry : found) {
    if (expected.count(entry.first) == 0) {
      add(entry.first, kNothing, entry.second.text());
    }
  }
}

/// An element's bits as one number, the highest digits first.
HOLDFAST_INLINE std::string element_text(
    const Bytes& bytes,
    std::size_t offset,
    std::size_t size) {
  Bytes reversed(
      bytes.begin() + static_cast<std::ptrdiff_t>(offset),
      bytes.begin() + static_cast<std::ptrdiff_t>(offset + size));
  std::reverse(reversed.begin(), reversed.end());
  return "0x" + to_hex(reversed);
}

HOLDFAST_INLINE void compare_tensors(
    const std::string& part,
    const Value& expected,
    const Value& found,
    std::vector<Difference>& into) {
  const Values& a = expected.object();
  const Values& b = found.object();
  Difference difference;
  difference.part = part;
  difference.what = "tensor '" + at(a, "name").text() + "'";
  for (const char* field : {"dtype", "shape"}) {
    if (at(a, field) != at(b, field)) {
      difference.what += std::string(": ") + field;
      difference.expected = to_json(at(a, field));
      difference.found = to_json(at(b, field));
      into.push_back(std::move(difference));
      return;
    }
  }
  if (at(a, "digest") == at(b, "digest")) {
    return;
  }
  if (a.count("bytes") == 0) {
    difference.expected = "xxh3 " + at(a, "digest").text();
    difference.found = "xxh3 " + at(b, "digest").text();
  } else {
    const Bytes& x = at(a, "bytes").bytes();
    const Bytes& y = at(b, "bytes").bytes();
    const auto bits = at(a, "bits").as<std::size_t>();
    const std::size_t size = bits < 8 ? 1 : bits / 8;
    const auto first = static_cast<std::size_t>(
        std::mismatch(x.begin(), x.end(), y.begin()).first - x.begin());
    difference.element = static_cast<std::int64_t>(first / size);
    difference.expected = element_text(x, first / size * size, size);
    difference.found = element_text(y, first / size * size, size);
  }
  into.push_back(std::move(difference));
}

/// The entry with this name, or null.
HOLDFAST_INLINE const Value* named_entry(
    const Value::Array& entries,
    const std::string& name) {
  for (const Value& entry : entries) {
    if (at(entry.object(), "name").text() == name) {
      return &entry;
    }
  }
  return nullptr;
}

HOLDFAST_INLINE void compare_parts(
    const Values& a,
    const Values& b,
    std::vector<Difference>& into) {
  const std::string& part = at(a, "name").text();
  if (at(a, "kind") != at(b, "kind")) {
    into.push_back(
        {part, "kind", at(a, "kind").text(), at(b, "kind").text(), -1});
  }
  const Value::Array& tensors = at(a, "tensors").array();
  const Value::Array& others = at(b, "tensors").array();
  for (const Value& tensor : tensors) {
    const std::string& name = at(tensor.object(), "name").text();
    if (const Value* other = named_entry(others, name)) {
      compare_tensors(part, tensor, *other, into);
    } else {
      into.push_back({part, "tensor '" + name + "'", "a tensor", kNothing, -1});
    }
  }
  for (const Value& tensor : others) {
    const std::string& name = at(tensor.object(), "name").text();
    if (named_entry(tensors, name) == nullptr) {
      into.push_back({part, "tensor '" + name + "'", kNothing, "a tensor", -1});
    }
  }
  compare_members(
      part, "value", at(a, "values").object(), at(b, "values").object(), into);
}

/// In what two safe points differ; empty if in nothing. Data and random state
/// come first, because other differences follow from theirs, metrics last.
HOLDFAST_INLINE std::vector<Difference> compare_points(
    const Values& expected,
    const Values& found) {
  std::vector<Difference> differences;
  for (const char* field : {"position", "samples"}) {
    if (at(expected, field) != at(found, field)) {
      const bool position = std::string_view(field) == "position";
      differences.push_back(
          {"",
           position ? "position [epoch, batch, step]" : "samples so far",
           to_json(at(expected, field)),
           to_json(at(found, field)),
           -1});
      if (position) {
        return differences; // another moment: the rest must differ
      }
    }
  }
  const bool any_beginning = at(expected, "is") != at(found, "is");
  if (!any_beginning && at(expected, "compared") != at(found, "compared")) {
    const Value::Array& a = at(expected, "compared").array();
    const Value::Array& b = at(found, "compared").array();
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
      if (i < a.size() && i < b.size() && a[i] == b[i]) {
        continue;
      }
      const Value& either = i < a.size() ? a[i] : b[i];
      differences.push_back(
          {"",
           "'" + either.array()[0].text() + "' given to compare()",
           i < a.size() ? a[i].array()[1].text() : kNothing,
           i < b.size() ? b[i].array()[1].text() : kNothing,
           -1});
    }
  }
  const Value::Array& parts = at(expected, "parts").array();
  const Value::Array& others = at(found, "parts").array();
  for (const bool first : {true, false}) {
    for (const Value& part : parts) {
      const Values& values = part.object();
      if (at(values, "first").as<bool>() != first) {
        continue;
      }
      const std::string& name = at(values, "name").text();
      if (const Value* other = named_entry(others, name)) {
        compare_parts(values, other->object(), differences);
      } else {
        differences.push_back({name, "the part", "a part", kNothing, -1});
      }
    }
  }
  for (const Value& part : others) {
    const std::string& name = at(part.object(), "name").text();
    if (named_entry(parts, name) == nullptr) {
      differences.push_back({name, "the part", kNothing, "a part", -1});
    }
  }
  if (!any_beginning) {
    compare_members(
        "",
        "metric",
        at(expected, "metrics").object(),
        at(found, "metrics").object(),
        differences);
  }
  return differences;
}

} // namespace holdfast::testing::detail

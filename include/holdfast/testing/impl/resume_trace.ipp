#pragma once

#include <holdfast/testing/resume_trace.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/engine/manager.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/io/posix_child.hpp>
#include <holdfast/io/posix_file_system.hpp>

#include <algorithm>
#include <exception>
#include <stdexcept>

namespace holdfast::testing::detail {

// --- what a safe point looks like --------------------------------------------

/// Tensors up to this size are kept, so that the first element that differs can
/// be told; of larger ones only the digest is.
inline constexpr std::size_t kKeptBytes = 4096;
inline constexpr std::size_t kKeptText = 256;

/// A value's JSON; a long one's size and digest.
HOLDFAST_INLINE std::string text_of(const Value& value) {
  std::string text = to_json(value);
  if (text.size() > kKeptText) {
    text = std::to_string(text.size()) + " characters, xxh3 " +
        digest_of(ByteView(std::string_view(text))).hex();
  }
  return text;
}

/// Values one by one: objects, and arrays that hold some, are taken apart.
HOLDFAST_INLINE void flatten(
    const std::string& path,
    const Value& value,
    Values& into) {
  if (value.kind() == Value::Kind::object) {
    for (const auto& member : value.object()) {
      flatten(
          path.empty() ? member.first : path + "." + member.first,
          member.second,
          into);
    }
    if (!value.object().empty()) {
      return;
    }
  }
  if (value.kind() == Value::Kind::array) {
    bool nested = false;
    for (const Value& element : value.array()) {
      nested = nested || element.kind() == Value::Kind::object ||
          element.kind() == Value::Kind::array;
    }
    if (nested) {
      for (std::size_t i = 0; i < value.array().size(); ++i) {
        flatten(path + "[" + std::to_string(i) + "]", value.array()[i], into);
      }
      return;
    }
  }
  into[path] = text_of(value);
}

HOLDFAST_INLINE Value tensor_record(const TensorOut& tensor) {
  Values record;
  record["name"] = tensor.info.name;
  record["dtype"] = std::string(info(tensor.info.dtype).name);
  Value::Array shape;
  for (const std::int64_t size : tensor.info.shape) {
    shape.emplace_back(size);
  }
  record["shape"] = Value(std::move(shape));
  const auto size = static_cast<std::size_t>(
      tensor_bytes(tensor.info.dtype, tensor.info.shape).value_or(0));
  Hasher hasher;
  Bytes piece(std::min(size, std::size_t(1) << 20U));
  for (std::size_t done = 0; done < size;) {
    const std::size_t count = std::min(piece.size(), size - done);
    tensor.source->copy_out(done, piece.data(), count);
    hasher.update(ByteView(piece.data(), count));
    done += count;
  }
  record["digest"] = hasher.digest().hex();
  if (size <= kKeptBytes) {
    record["bytes"] = Value(std::move(piece));
    record["bits"] = static_cast<std::int64_t>(info(tensor.info.dtype).bits);
  }
  return Value(std::move(record));
}

HOLDFAST_INLINE Value part_record(const CapturedPart& part, Stage stage) {
  Values record;
  record["name"] = part.name;
  record["kind"] = part.kind;
  record["first"] = stage == Stage::data || stage == Stage::random;
  Value::Array tensors;
  for (const TensorOut& tensor : part.state.tensors) {
    tensors.push_back(tensor_record(tensor));
  }
  record["tensors"] = Value(std::move(tensors));
  Values flat;
  for (const auto& value : part.state.values) {
    flatten(value.first, value.second, flat);
  }
  record["values"] = Value(std::move(flat));
  return Value(std::move(record));
}

HOLDFAST_INLINE Value position_of(const Progress& progress) {
  return Value(Value::Array{
      Value(progress.epoch), Value(progress.batch), Value(progress.step)});
}

HOLDFAST_INLINE Values point_record(
    const SafePoint& point,
    const std::vector<std::pair<std::string, Value>>& compared) {
  Values record;
  const bool begins = point.kind == SafePoint::Kind::fresh_start ||
      point.kind == SafePoint::Kind::resumed;
  record["is"] = begins ? "beginning" : "point";
  record["resumed"] = point.kind == SafePoint::Kind::resumed;
  const Progress progress = point.manager.progress();
  record["position"] = position_of(progress);
  record["samples"] = progress.samples;
  Value::Array told;
  for (const auto& entry : compared) {
    told.emplace_back(
        Value::Array{Value(entry.first), Value(text_of(entry.second))});
  }
  record["compared"] = Value(std::move(told));
  Values metrics;
  for (const auto& metric : point.metrics.values()) {
    metrics[metric.first] = to_json(metric.second);
  }
  record["metrics"] = Value(std::move(metrics));
  Value::Array parts;
  for (const CapturedPart& part : capture(point.parts)) {
    parts.push_back(
        part_record(part, point.parts.find(part.name)->part->stage()));
  }
  record["parts"] = Value(std::move(parts));
  return record;
}

// --- the process under test --------------------------------------------------

HOLDFAST_INLINE std::string Task::to_text() const {
  Values values;
  values["call"] = call;
  values["directory"] = directory;
  values["trace"] = trace;
  values["save_every"] = save_every;
  values["interrupts"] = interrupts;
  values["may_kill"] = may_kill;
  values["kind"] = static_cast<std::int64_t>(kind);
  values["at"] = at;
  return to_json(values);
}

HOLDFAST_INLINE Task Task::from_text(const std::string& text) {
  const Value value = from_json(text);
  const Values& values = value.object();
  Task task;
  task.call = holdfast::at(values, "call").as<std::int64_t>();
  task.directory = holdfast::at(values, "directory").text();
  task.trace = holdfast::at(values, "trace").text();
  task.save_every = holdfast::at(values, "save_every").as<std::int64_t>();
  task.interrupts = holdfast::at(values, "interrupts").as<bool>();
  task.may_kill = holdfast::at(values, "may_kill").as<bool>();
  task.kind = static_cast<Interruption>(
      holdfast::at(values, "kind").as<std::int64_t>());
  task.at = holdfast::at(values, "at");
  return task;
}

HOLDFAST_INLINE Observer::Observer(Task its_task)
    : task(std::move(its_task)), file(std::fopen(task.trace.c_str(), "we")) {
  if (file == nullptr) {
    throw Error(ErrorCode::io_error, "cannot create " + task.trace);
  }
}

HOLDFAST_INLINE Observer::~Observer() {
  (void)std::fclose(file);
}

HOLDFAST_INLINE void Observer::write(const Values& record) {
  const std::string line = to_json(record) + "\n";
  // Nothing may wait in this process, which is about to be killed.
  if (std::fwrite(line.data(), 1, line.size(), file) != line.size() ||
      std::fflush(file) != 0) {
    throw Error(ErrorCode::io_error, "cannot write " + task.trace);
  }
}

HOLDFAST_INLINE void Observer::see(const SafePoint& point) {
  const Values record = point_record(point, compared);
  compared.clear();
  write(record);
  if (!task.interrupts || struck ||
      holdfast::at(record, "is").text() != "point" ||
      holdfast::at(record, "position") != task.at) {
    return;
  }
  struck = true;
  Values mark;
  mark["is"] = "struck";
  write(mark);
  if (task.kind == Interruption::stop) {
    point.manager.request_stop();
  } else if (task.kind == Interruption::kill && task.may_kill) {
    kill_this_process();
  } else {
    throw std::runtime_error("interrupted by resume_equals_uninterrupted()");
  }
}

HOLDFAST_INLINE void perform(const Task& task, const MakeRun& make_run) {
  Observer observer(task);
  Run run(observer);
  Values end;
  try {
    make_run(run);
    end["is"] = "returned";
  } catch (const std::exception& error) {
    end["is"] = "threw";
    end["what"] = error.what();
  } catch (...) {
    end["is"] = "threw";
    end["what"] = "an exception that is no std::exception";
  }
  observer.write(end);
}

// --- reading and comparing ---------------------------------------------------

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

HOLDFAST_INLINE const char* const kNothing = "nothing";

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

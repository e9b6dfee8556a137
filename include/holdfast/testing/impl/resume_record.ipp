#pragma once

#include <holdfast/testing/resume_check.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/engine/manager.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/safe_point.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/format/json.hpp>
#include <holdfast/io/checksum.hpp>
#include <holdfast/io/posix_child.hpp>
#include <holdfast/io/posix_file_system.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>

/// What a run under test leaves behind for whoever compares: a file with one
/// JSON value a line, for each safe point all state by names and digests.
namespace holdfast::testing::detail {

/// What one process is told to do. Travels to it as JSON.
struct Task {
  std::int64_t call = 0; ///< Which call of the check with these arguments.
  std::vector<std::string> arguments; ///< Empty: those of the program.
  std::string directory; ///< Of the run.
  std::string trace; ///< The file.
  std::int64_t save_every = 0; ///< Steps; 0: only as the loop itself says.
  bool interrupts = false;
  bool may_kill = true;
  Interruption kind = Interruption::kill;
  /// Where to interrupt: a position as in `position_of()`.
  Value at;

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static Task from_text(const std::string& text);
};

/// Looks at one run from inside, and interrupts it.
struct Observer {
  explicit Observer(Task its_task);
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  void see(const SafePoint& point);
  void write(const Values& record);

  Task task;
  std::vector<std::pair<std::string, Value>> compared; ///< Since the last.
  std::unique_ptr<WritableFile> file;
  bool struck = false;
};

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
  const auto size = static_cast<std::size_t>(tensor.size());
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

/// [epoch, batch, step]: what safe points of several runs are matched by.
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
  Value::Array list;
  for (const std::string& argument : arguments) {
    list.emplace_back(argument);
  }
  values["arguments"] = Value(std::move(list));
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
  for (const Value& argument : holdfast::at(values, "arguments").array()) {
    task.arguments.push_back(argument.text());
  }
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

HOLDFAST_INLINE Observer::Observer(Task its_task) : task(std::move(its_task)) {
  const SplitPath split = split_path(task.trace);
  file = default_file_system()
             ->open_root(split.parent, Create::no)
             ->create_file(split.name);
}

HOLDFAST_INLINE void Observer::write(const Values& record) {
  const std::string line = to_json(record) + "\n";
  // At once: nothing may wait in this process, which is about to be killed.
  file->write(ByteView(std::string_view(line)));
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

/// Does the task in this process, and records how it ended.
HOLDFAST_INLINE void perform(const Task& task, const MakeRun& make_run) {
  Observer observer(task);
  Run run(observer);
  Values end;
  try {
    make_run(run);
    end["is"] = "returned";
  } catch (...) {
    end["is"] = "threw";
    end["what"] = current_exception_text();
  }
  observer.write(end);
}

} // namespace holdfast::testing::detail

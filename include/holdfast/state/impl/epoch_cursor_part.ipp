#pragma once

#include <holdfast/state/epoch_cursor_part.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/state/checks.hpp>

#include <utility>

namespace holdfast::detail {

/// Reads a value if it is there; one of a wrong kind or range is a mismatch.
template <class T>
void read_value(
    const Saved& saved,
    const char* name,
    T& into,
    Mismatches& mismatches) {
  const auto value = saved.values.find(name);
  if (value == saved.values.end()) {
    return;
  }
  try {
    into = value->second.template as<T>();
  } catch (const Error& error) {
    mismatches.push_back(mismatch_of(name, error));
  }
}

/// `required`, and those of `optional` that are there.
HOLDFAST_INLINE void check_names(
    const Saved& saved,
    std::vector<std::string> required,
    const std::vector<std::string>& optional,
    Mismatches& mismatches) {
  for (const std::string& name : optional) {
    if (saved.values.count(name) != 0) {
      required.push_back(name);
    }
  }
  check_value_names(saved, required, mismatches);
}

HOLDFAST_INLINE void check_epoch(std::int64_t epoch, Mismatches& mismatches) {
  constexpr std::int64_t last_epoch = std::int64_t{1} << 53;
  if (epoch < 0 || epoch > last_epoch) {
    mismatches.push_back(
        {ErrorCode::value_out_of_range,
         "epoch",
         "a number from 0 to 2^53",
         std::to_string(epoch)});
  }
}

/// As `CursorPart::add_place` wrote them.
HOLDFAST_INLINE std::vector<SkippedSamples> read_skips(
    const Saved& saved,
    Mismatches& mismatches) {
  constexpr const char* kName = "skips";
  std::vector<SkippedSamples> skips;
  const auto value = saved.values.find(kName);
  if (value == saved.values.end()) {
    return skips;
  }
  try {
    for (const Value& item : value->second.array(kName)) {
      const Value::Array& numbers = item.array(kName);
      SkippedSamples skip;
      if (numbers.size() == 3) {
        skip.epoch = numbers[0].as<std::int64_t>(kName);
        skip.begin = numbers[1].as<std::size_t>(kName);
        skip.end = numbers[2].as<std::size_t>(kName);
      }
      if (skip.epoch < 0 || skip.begin >= skip.end) {
        mismatches.push_back(
            {ErrorCode::value_out_of_range,
             kName,
             "an epoch, a place and a later place",
             "another"});
        return {};
      }
      skips.push_back(skip);
    }
  } catch (const Error& error) {
    mismatches.push_back(mismatch_of(kName, error));
  }
  return skips;
}

HOLDFAST_INLINE std::string count_of_samples(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " sample" : " samples");
}

class CursorRestore final : public Restore {
 public:
  CursorRestore(EpochCursor& cursor, CursorPlace place)
      : cursor_(cursor), place_(std::move(place)) {}

  void apply(const std::vector<const std::byte*>&) override {
    cursor_.restore_skips(std::move(place_.skips));
    if (place_.ended) {
      cursor_.restore_ended(
          place_.epoch, place_.position, std::move(place_.remark));
    } else {
      cursor_.restore(place_.epoch, place_.position, std::move(place_.remark));
    }
  }

 private:
  EpochCursor& cursor_;
  CursorPlace place_;
};

HOLDFAST_INLINE void CursorPart::add_place(Values& values) const {
  values["epoch"] = Value(cursor_.epoch());
  values["position"] = Value(cursor_.position());
  if (cursor_.ended()) {
    values["ended"] = Value(true);
  }
  Value::Array skips;
  for (const SkippedSamples& skip : cursor_.skips()) {
    skips.emplace_back(
        Value::Array{Value(skip.epoch), Value(skip.begin), Value(skip.end)});
  }
  if (!skips.empty()) {
    values["skips"] = Value(std::move(skips));
  }
}

HOLDFAST_INLINE std::unique_ptr<Restore> CursorPart::move_to(
    CursorPlace place) {
  return std::unique_ptr<Restore>(new CursorRestore(cursor_, std::move(place)));
}

HOLDFAST_INLINE State EpochCursorPart::capture(const Names&) {
  State state;
  add_place(state.values);
  if (!is_stream()) {
    state.values["epoch_size"] = Value(cursor_.epoch_size());
  }
  return state;
}

HOLDFAST_INLINE std::unique_ptr<Restore> EpochCursorPart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const std::size_t before = mismatches.size();
  std::vector<std::string> required{"epoch", "position"};
  if (!is_stream()) {
    required.emplace_back("epoch_size");
  }
  check_names(saved, std::move(required), {"ended", "skips"}, mismatches);
  CursorPlace place;
  std::size_t epoch_size = cursor_.epoch_size();
  read_value(saved, "epoch", place.epoch, mismatches);
  read_value(saved, "position", place.position, mismatches);
  read_value(saved, "ended", place.ended, mismatches);
  read_value(saved, "epoch_size", epoch_size, mismatches);
  place.skips = read_skips(saved, mismatches);
  if (mismatches.size() != before) {
    return nullptr;
  }
  check_epoch(place.epoch, mismatches);
  if (epoch_size != cursor_.epoch_size()) {
    mismatches.push_back(
        {ErrorCode::data_changed,
         "epoch_size",
         count_of_samples(cursor_.epoch_size()),
         count_of_samples(epoch_size)});
  } else if (place.position > epoch_size) {
    mismatches.push_back(
        {ErrorCode::value_out_of_range,
         "position",
         "at most " + std::to_string(epoch_size),
         std::to_string(place.position)});
  }
  if (mismatches.size() != before) {
    return nullptr;
  }
  if (is_stream() && place.position != 0 && !place.ended) {
    place.ended = true;
    const std::string epoch = std::to_string(place.epoch);
    place.remark = "a stream cannot seek: what epoch " + epoch +
        " had left after " + count_of_samples(place.position) + " is given up" +
        (stream_size_ > place.position
             ? " (" + count_of_samples(stream_size_ - place.position) + ")"
             : "") +
        ", and epoch " + std::to_string(place.epoch + 1) +
        " begins at its start";
  }
  return move_to(std::move(place));
}

} // namespace holdfast::detail

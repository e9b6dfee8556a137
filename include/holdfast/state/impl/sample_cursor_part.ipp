#pragma once

#include <holdfast/state/sample_cursor_part.hpp>

#include <holdfast/state/impl/epoch_cursor_part.ipp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace holdfast::detail {

/// What a checkpoint says about a sample cursor.
struct SavedSampleCursor {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
  std::uint64_t position = 0;
  bool shuffle = false;
  bool ended = false;
  std::uint64_t rank = 0;
  EpochShape shape;
  std::string fingerprint;
  std::vector<SkippedSamples> skips;
};

HOLDFAST_INLINE SavedSampleCursor
read_sample_cursor(const Saved& saved, Mismatches& mismatches) {
  check_names(
      saved,
      {"batch_size",
       "data_size",
       "drop_last",
       "epoch",
       "position",
       "seed",
       "shuffle"},
      {"allow_duplicates",
       "ended",
       "fingerprint",
       "rank",
       "skips",
       "world_size"},
      mismatches);
  SavedSampleCursor read;
  const auto get = [&](const char* name, auto& into) {
    read_value(saved, name, into, mismatches);
  };
  get("seed", read.seed);
  get("epoch", read.epoch);
  get("position", read.position);
  get("data_size", read.shape.data_size);
  get("batch_size", read.shape.batch_size);
  get("drop_last", read.shape.drop_last);
  get("shuffle", read.shuffle);
  get("ended", read.ended);
  get("rank", read.rank);
  get("world_size", read.shape.world_size);
  get("allow_duplicates", read.shape.allow_duplicates);
  get("fingerprint", read.fingerprint);
  read.skips = read_skips(saved, mismatches);
  return read;
}

HOLDFAST_INLINE State SampleCursorPart::capture(const Names&) {
  const DataLoaderOptions& options = samples_.options();
  State state;
  add_place(state.values);
  const auto add = [&](const char* name, Value value) {
    state.values.emplace(name, std::move(value));
  };
  add("seed", Value(options.seed()));
  add("data_size", Value(samples_.data_size()));
  add("batch_size", Value(options.batch_size()));
  add("drop_last", Value(options.drop_last()));
  add("shuffle", Value(options.shuffle()));
  if (options.world_size() != 1) {
    add("rank", Value(options.rank()));
    add("world_size", Value(options.world_size()));
    add("allow_duplicates", Value(options.allow_duplicates()));
  }
  if (!options.fingerprint().empty()) {
    add("fingerprint", Value(options.fingerprint()));
  }
  return state;
}

/// In which way the data set is another one: as mismatches, and as text.
struct DataDifference {
  Mismatches mismatches;
  std::string text;

  void add(const char* name, std::string is, std::string was) {
    text += (text.empty() ? "" : "; ") + is + ", " + was + " when it was saved";
    mismatches.push_back(
        {ErrorCode::data_changed, name, std::move(is), std::move(was)});
  }
};

HOLDFAST_INLINE DataDifference
compare_data(const SampleCursor& cursor, const SavedSampleCursor& read) {
  DataDifference difference;
  if (cursor.data_size() != read.shape.data_size) {
    difference.add(
        "data_size",
        count_of_samples(cursor.data_size()),
        count_of_samples(read.shape.data_size));
  }
  const std::string& fingerprint = cursor.options().fingerprint();
  if (!fingerprint.empty() && !read.fingerprint.empty() &&
      fingerprint != read.fingerprint) {
    difference.add(
        "fingerprint", "'" + fingerprint + "'", "'" + read.fingerprint + "'");
  }
  return difference;
}

HOLDFAST_INLINE std::unique_ptr<Restore> SampleCursorPart::prepare(
    const Saved& saved,
    const Names&,
    Mismatches& mismatches) {
  const std::size_t before = mismatches.size();
  const SavedSampleCursor read = read_sample_cursor(saved, mismatches);
  for (const auto& [name, count] :
       {std::make_pair("batch_size", read.shape.batch_size),
        std::make_pair("world_size", read.shape.world_size)}) {
    if (count == 0) {
      mismatches.push_back(
          {ErrorCode::value_out_of_range, name, "at least 1", "0"});
    }
  }
  if (mismatches.size() != before) {
    return nullptr;
  }
  const std::uint64_t saved_end = read.shape.samples();
  const bool at_start = read.position == 0 && !read.ended;
  const bool at_end = read.position == saved_end || read.ended;

  const DataLoaderOptions& options = samples_.options();
  DataDifference data = compare_data(samples_, read);
  const bool other_data = !data.mismatches.empty();
  if (other_data && options.on_data_change() == DataChange::error) {
    for (const Mismatch& mismatch : data.mismatches) {
      mismatches.push_back(mismatch);
    }
  }
  bool other_batches = false;
  const auto compare = [&](const char* name,
                           const std::string& is,
                           const std::string& was,
                           bool within_epoch) {
    if (is == was) {
      return;
    }
    other_batches = other_batches || within_epoch;
    if (!within_epoch) {
      mismatches.push_back({ErrorCode::data_changed, name, is, was});
    } else if (
        !at_start && !at_end &&
        !(other_data && options.on_data_change() == DataChange::next_epoch)) {
      mismatches.push_back(
          {ErrorCode::data_changed,
           name,
           is,
           was + " at position " + std::to_string(read.position) +
               " of an epoch"});
    }
  };
  const auto yes_no = [](bool answer) {
    return std::string(answer ? "true" : "false");
  };
  const auto number = [](std::uint64_t count) {
    return std::to_string(count);
  };
  compare("seed", number(options.seed()), number(read.seed), false);
  compare("shuffle", yes_no(options.shuffle()), yes_no(read.shuffle), false);
  compare(
      "batch_size",
      number(options.batch_size()),
      number(read.shape.batch_size),
      true);
  compare(
      "drop_last",
      yes_no(options.drop_last()),
      yes_no(read.shape.drop_last),
      true);
  compare("rank", number(options.rank()), number(read.rank), true);
  compare(
      "world_size",
      number(options.world_size()),
      number(read.shape.world_size),
      true);
  compare(
      "allow_duplicates",
      yes_no(options.allow_duplicates()),
      yes_no(read.shape.allow_duplicates),
      true);

  check_epoch(read.epoch, mismatches);
  const bool border = at_end || read.position % read.shape.batch_size == 0;
  if (!read.ended && (!border || read.position > saved_end)) {
    mismatches.push_back(
        {ErrorCode::value_out_of_range,
         "position",
         "the border of a batch in an epoch of " + count_of_samples(saved_end),
         std::to_string(read.position)});
  }
  if (mismatches.size() != before) {
    return nullptr;
  }

  CursorPlace place;
  place.epoch = read.epoch;
  place.position = static_cast<std::size_t>(read.position);
  place.ended = read.ended || (!at_start && (other_data || other_batches));
  if (!other_data && !other_batches) {
    place.skips = read.skips;
  } else if (!read.skips.empty()) {
    place.remark =
        "samples that were skipped after a divergence are no longer "
        "known, and are handed out";
  }
  if (other_data) {
    const std::string next = std::to_string(read.epoch + (at_start ? 0 : 1));
    place.remark += place.remark.empty() ? "" : "; ";
    place.remark += "the data set has changed (" + data.text + "): ";
    if (!at_start && !at_end) {
      place.remark += "the rest of epoch " + std::to_string(read.epoch) + ", " +
          number(saved_end - read.position) + " of " +
          count_of_samples(saved_end) + ", is given up, and ";
    }
    place.remark += "epoch " + next + " begins with the new one";
  }
  return move_to(std::move(place));
}

} // namespace holdfast::detail

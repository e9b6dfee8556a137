#include <state/cursor_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/sample_cursor_part.hpp>
#include <holdfast/state/sample_order.hpp>

#include <limits>

using namespace holdfast;
using namespace holdfast::test;

namespace {

using Codes = std::vector<std::string>;

Codes refused(SampleCursor& cursor, const Captured& captured) {
  detail::SampleCursorPart part(cursor);
  return codes_of(mismatches_of(part, captured.saved));
}

} // namespace

TEST_CASE("sample cursor part: what is saved of samples", "[state]") {
  Control control;
  SampleCursor cursor(
      10, DataLoaderOptions(3).seed(std::numeric_limits<std::uint64_t>::max()));
  cursor.attach(&control);
  cursor.start_epoch(2);
  (void)run(cursor, 1, true);
  (void)run(cursor, 1, false);
  const Values expected = {
      {"batch_size", Value(3)},
      {"data_size", Value(10)},
      {"drop_last", Value(false)},
      {"epoch", Value(2)},
      {"position", Value(3)},
      {"seed", Value(std::numeric_limits<std::uint64_t>::max())},
      {"shuffle", Value(true)}};
  CHECK(captured_from(cursor).saved.values == expected);
  detail::SampleCursorPart part(cursor);
  CHECK(part.kind() == "data");
  CHECK(part.stage() == Stage::data);
  CHECK(StateAdapter<SampleCursor>::default_name == std::string("data"));
}

TEST_CASE("sample cursor part: other data is refused", "[state]") {
  Control control;
  SampleCursor source(10, DataLoaderOptions(3).seed(1));
  source.attach(&control);
  (void)run(source, 1, true);
  const Captured captured = captured_from(source);
  {
    SampleCursor live(11, DataLoaderOptions(2).seed(2).drop_last(true));
    CHECK(
        refused(live, captured) ==
        Codes{
            "data_size: data_changed",
            "seed: data_changed",
            "batch_size: data_changed",
            "drop_last: data_changed"});
    CHECK(live.position() == 0);
  }
  SampleCursor unshuffled(10, in_order(3).seed(1));
  CHECK(refused(unshuffled, captured) == Codes{"shuffle: data_changed"});
}

TEST_CASE(
    "sample cursor part: batches may change at the start of an epoch",
    "[state]") {
  SampleCursor source(10, DataLoaderOptions(3));
  source.start_epoch(5);
  SampleCursor live(10, DataLoaderOptions(4).drop_last(true));
  restore_into(live, captured_from(source));
  CHECK(live.epoch() == 5);
  CHECK(live.options().batch_size() == 4);
}

TEST_CASE("sample cursor part: what is skipped", "[state]") {
  Control control;
  SampleCursor source(10, in_order(2));
  source.attach(&control);
  CHECK(captured_from(source).saved.values.count("skips") == 0);
  CHECK(source.skip({1, 4}, {1, 6}));
  Captured captured = captured_from(source);
  SampleCursor live(10, in_order(2));
  CHECK(live.skip({0, 0}, {5, 0})); // what it skipped itself is over
  restore_into(live, captured);
  REQUIRE(live.skips().size() == 1);
  CHECK(live.skips()[0].epoch == 1);
  CHECK(live.skips()[0].begin == 4);
  CHECK(live.skips()[0].end == 6);
  // In other batches it would begin within one.
  SampleCursor other(10, in_order(5));
  const auto part = make_part(other);
  restore(*part, captured);
  CHECK(other.skips().empty());
  CHECK(
      part->notes() ==
      Codes{"samples that were skipped after a divergence are no longer known, "
            "and are handed out"});
  for (const Value& bad : std::vector<Value>{
           Value(1),
           Value::Array{Value(1)},
           Value::Array{Value::Array{Value(0), Value(1)}},
           Value::Array{Value::Array{Value(-1), Value(1), Value(2)}},
           Value::Array{Value::Array{Value(0), Value(2), Value(2)}},
           Value::Array{Value::Array{Value(0), Value(-2), Value(2)}}}) {
    captured.saved.values["skips"] = bad;
    CHECK(refused(live, captured).size() == 1);
  }
}

TEST_CASE("sample cursor part: values are checked", "[state]") {
  SampleCursor cursor(10, in_order(3));
  Captured captured = captured_from(cursor);
  Values& values = captured.saved.values;
  const auto with = [&](const char* name, Value value) {
    const Value former = values[name];
    values[name] = std::move(value);
    const Codes codes = refused(cursor, captured);
    values[name] = former;
    return codes;
  };
  CHECK(with("epoch", Value(-1)) == Codes{"epoch: value_out_of_range"});
  CHECK(
      with("epoch", Value(std::numeric_limits<std::int64_t>::max())) ==
      Codes{"epoch: value_out_of_range"});
  CHECK(
      with("epoch", Value(std::numeric_limits<std::uint64_t>::max())) ==
      Codes{"epoch: value_out_of_range"});
  CHECK(with("epoch", Value(0.5)) == Codes{"epoch: type_mismatch"});
  CHECK(with("seed", Value(-1)) == Codes{"seed: value_out_of_range"});
  CHECK(with("position", Value(4)) == Codes{"position: value_out_of_range"});
  CHECK(with("position", Value(12)) == Codes{"position: value_out_of_range"});
  CHECK(with("position", Value(-3)) == Codes{"position: value_out_of_range"});
  CHECK(with("position", Value(9)) == Codes{});
  CHECK(with("position", Value(10)) == Codes{});
  CHECK(
      with("batch_size", Value(0)) == Codes{"batch_size: value_out_of_range"});
  values.erase("seed");
  values["other"] = Value(1);
  values["epoch"] = Value("x");
  CHECK(
      refused(cursor, captured) ==
      Codes{
          "other: name_unexpected",
          "seed: name_missing",
          "epoch: type_mismatch"});
}

namespace {

/// The messages of the mismatches, "name: was -> is".
Codes differences(SampleCursor& cursor, const Captured& captured) {
  detail::SampleCursorPart part(cursor);
  Codes result;
  for (const Mismatch& mismatch : mismatches_of(part, captured.saved)) {
    result.push_back(
        mismatch.name + ": " + mismatch.found + " -> " + mismatch.expected);
  }
  return result;
}

/// Saved after `batches` of 3 samples in epoch 2.
Captured saved_after(
    std::size_t size,
    const DataLoaderOptions& options,
    std::size_t batches) {
  Control control;
  SampleCursor cursor(size, options);
  cursor.attach(&control);
  cursor.start_epoch(2);
  (void)run(cursor, batches, true);
  return captured_from(cursor);
}

/// Restores and returns the part's remarks.
Codes remarks_after(SampleCursor& cursor, const Captured& captured) {
  detail::SampleCursorPart part(cursor);
  restore(part, captured);
  CHECK(part.exact() == part.notes().empty());
  return part.notes();
}

} // namespace

TEST_CASE(
    "sample cursor part: a data set that has grown is refused",
    "[state]") {
  const std::size_t batches = GENERATE(0U, 1U, 4U);
  const Captured captured = saved_after(10, DataLoaderOptions(3), batches);
  SampleCursor live(11, DataLoaderOptions(3));
  CHECK(
      differences(live, captured) ==
      Codes{"data_size: 10 samples -> 11 samples"});
}

TEST_CASE("sample cursor part: another fingerprint is refused", "[state]") {
  const auto tagged = [](const char* tag) {
    return DataLoaderOptions(3).fingerprint(tag);
  };
  const Captured captured = saved_after(10, tagged("v1"), 1);
  CHECK(captured.saved.values.at("fingerprint") == Value("v1"));
  SampleCursor other(10, tagged("v2"));
  CHECK(differences(other, captured) == Codes{"fingerprint: 'v1' -> 'v2'"});
  SampleCursor same(10, tagged("v1"));
  CHECK(remarks_after(same, captured).empty());
  CHECK(same.position() == 3);
  // Where one side has none there is nothing to compare.
  SampleCursor none(10, DataLoaderOptions(3));
  CHECK(remarks_after(none, captured).empty());
  CHECK(remarks_after(other, saved_after(10, DataLoaderOptions(3), 1)).empty());
}

TEST_CASE(
    "sample cursor part: changed data, on with the next epoch",
    "[state]") {
  const auto options = [](const char* tag) {
    return DataLoaderOptions(3).seed(1).fingerprint(tag).on_data_change(
        DataChange::next_epoch);
  };
  Control control;
  SampleCursor live(12, options("b"));
  live.attach(&control);
  SECTION("within an epoch its rest is given up") {
    CHECK(
        remarks_after(live, saved_after(10, options("a"), 2)) ==
        Codes{"the data set has changed (12 samples, 10 samples when it was "
              "saved; 'b', 'a' when it was saved): the rest of epoch 2, 4 of "
              "10 samples, is given up, and epoch 3 begins with the new one"});
    CHECK(live.epoch() == 2);
    CHECK(live.at_end());
    CHECK(live.consumed().empty());
    SECTION("and that is saved") {
      const Captured again = captured_from(live);
      CHECK(again.saved.values.at("ended") == Value(true));
      SampleCursor next(12, options("b"));
      Control next_control;
      next.attach(&next_control);
      CHECK(remarks_after(next, again).empty());
      CHECK(next.at_end());
      CHECK(run(next, kAll, true).empty());
      next.start_epoch(3);
      CHECK(run(next, kAll, true) == shuffled_order(12, 1, 3));
    }
    CHECK(run(live, kAll, true).empty()); // the epoch's code runs
    CHECK(control.begins == 1);
    CHECK(code_of([&] { (void)live.begin_range(); }) == "epoch_not_ended");
    live.start_epoch(3);
    CHECK(run(live, kAll, true) == shuffled_order(12, 1, 3));
    CHECK_FALSE(live.begun_elsewhere());
  }
  SECTION("even where as many samples are left as there are now") {
    const Captured captured = saved_after(24, options("a"), 4);
    (void)remarks_after(live, captured);
    CHECK(live.position() == live.epoch_size());
    CHECK(live.consumed().empty());
    SampleCursor next(12, options("b"));
    CHECK(remarks_after(next, captured_from(live)).empty());
    CHECK(next.consumed().empty());
  }
  SECTION("at its start nothing is given up") {
    CHECK(
        remarks_after(live, saved_after(10, options("b"), 0)) ==
        Codes{"the data set has changed (12 samples, 10 samples when it was "
              "saved): epoch 2 begins with the new one"});
    CHECK(run(live, kAll, true) == shuffled_order(12, 1, 2));
  }
  SECTION("nor at its end") {
    CHECK(
        remarks_after(live, saved_after(10, options("b"), 4)) ==
        Codes{"the data set has changed (12 samples, 10 samples when it was "
              "saved): epoch 3 begins with the new one"});
    CHECK(run(live, kAll, true).empty());
  }
  SECTION("the batches may be others too, but not the seed") {
    SampleCursor other(
        12, options("b").batch_size(5).on_data_change(DataChange::next_epoch));
    (void)remarks_after(other, saved_after(10, options("a"), 2));
    CHECK(other.at_end());
    SampleCursor seeded(12, options("b").seed(2));
    CHECK(
        refused(seeded, saved_after(10, options("a"), 2)) ==
        Codes{"seed: data_changed"});
  }
}

TEST_CASE(
    "sample cursor part: another world within an epoch is refused",
    "[state]") {
  const auto world = [](std::size_t rank, std::size_t size) {
    return DataLoaderOptions(3).rank(rank).world_size(size);
  };
  const Captured captured = saved_after(24, world(1, 2), 2);
  SampleCursor same(24, world(1, 2));
  (void)remarks_after(same, captured);
  CHECK(same.position() == 6);
  CHECK(same.consumed().size() == 6);
  SampleCursor other(24, world(0, 3));
  CHECK(
      differences(other, captured) ==
      Codes{
          "rank: 1 at position 6 of an epoch -> 0",
          "world_size: 2 at position 6 of an epoch -> 3"});
  SampleCursor alone(24, DataLoaderOptions(3));
  CHECK(
      refused(alone, captured) ==
      Codes{"rank: data_changed", "world_size: data_changed"});
  // At the border of an epoch any world will do.
  CHECK(remarks_after(other, saved_after(24, world(1, 2), 0)).empty());
  CHECK(other.epoch() == 2);
  CHECK(other.position() == 0);
  CHECK(remarks_after(other, saved_after(24, world(1, 2), 4)).empty());
  CHECK(other.at_end());
  CHECK(other.consumed().empty());
  CHECK(remarks_after(alone, saved_after(24, world(1, 2), 4)).empty());
  CHECK(alone.at_end());
}

TEST_CASE("sample cursor part: values of a world are checked", "[state]") {
  SampleCursor cursor(10, in_order(3));
  Captured captured = captured_from(cursor);
  captured.saved.values["world_size"] = Value(0);
  CHECK(refused(cursor, captured) == Codes{"world_size: value_out_of_range"});
  captured.saved.values["world_size"] = Value("x");
  captured.saved.values["ended"] = Value(1);
  CHECK(
      refused(cursor, captured) ==
      Codes{"ended: type_mismatch", "world_size: type_mismatch"});
}

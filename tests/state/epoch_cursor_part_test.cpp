#include <state/cursor_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/epoch_cursor_part.hpp>

using namespace holdfast;
using namespace holdfast::test;

namespace {

using Codes = std::vector<std::string>;

} // namespace

TEST_CASE("epoch cursor part: an epoch of known size", "[state]") {
  Control control;
  EpochCursor source(10);
  source.attach(&control);
  source.start_epoch(4);
  source.hand_out(source.begin_range(), 7);
  (void)source.commit();
  const auto part = make_part(source);
  CHECK(part->kind() == "data");
  CHECK(StateAdapter<EpochCursor>::default_name == std::string("data"));
  Captured captured = capture(*part);
  CHECK(
      captured.saved.values ==
      Values{
          {"epoch", Value(4)},
          {"epoch_size", Value(10)},
          {"position", Value(7)}});

  EpochCursor live(10);
  restore(*make_part(live), captured);
  CHECK(live.epoch() == 4);
  CHECK(live.position() == 7);
  EpochCursor grown(11);
  const auto codes = [&](EpochCursor& cursor) {
    return codes_of(mismatches_of(*make_part(cursor), captured.saved));
  };
  CHECK(codes(grown) == Codes{"epoch_size: data_changed"});
  captured.saved.values["position"] = Value(11);
  captured.saved.values["epoch"] = Value(-1);
  CHECK(
      codes(live) ==
      Codes{"epoch: value_out_of_range", "position: value_out_of_range"});
}

TEST_CASE("epoch cursor part: an epoch that a loader ended early", "[state]") {
  Control control;
  EpochCursor source(10);
  source.attach(&control);
  source.start_epoch(4);
  const std::uint64_t range = source.begin_range();
  source.hand_out(range, 3);
  (void)source.commit();
  source.hand_out(range, 3);
  source.end_epoch_here(range);
  const auto saved = [&] {
    return capture(*make_part(source));
  };
  CHECK(
      saved().saved.values.count("ended") == 0); // it ends behind the position
  (void)source.commit();
  CHECK(source.ended());
  CHECK_FALSE(source.begun_elsewhere());
  const Captured captured = saved();
  CHECK(captured.saved.values.at("ended") == Value(true));

  EpochCursor live(10);
  Control live_control;
  live.attach(&live_control);
  const auto part = make_part(live);
  restore(*part, captured);
  CHECK(part->exact());
  CHECK(live.position() == 6);
  CHECK(live.at_end());
  CHECK(capture(*part).saved.values == captured.saved.values);
  CHECK_FALSE(live.fetches(live.begin_range()));
  CHECK(code_of([&] { (void)live.begin_range(); }) == "epoch_not_ended");
  live.start_epoch(5);
  CHECK_FALSE(live.ended());
  CHECK(live.end() == 10);
}

TEST_CASE("epoch cursor part: a stream goes on at the next epoch", "[state]") {
  Control control;
  EpochCursor source(EpochCursor::kUnknown);
  source.attach(&control);
  source.start_epoch(4);
  const std::uint64_t range = source.begin_range();
  const auto restored = [&](std::size_t size) {
    EpochCursor live(EpochCursor::kUnknown);
    Control live_control;
    live.attach(&live_control);
    detail::EpochCursorPart from(source);
    detail::EpochCursorPart part(live, size);
    CHECK(part.kind() == "stream");
    restore(part, capture(from));
    CHECK(part.exact() == part.notes().empty());
    const bool ended = live.at_end();
    CHECK(live.fetches(live.begin_range()) != ended);
    CHECK(live.epoch() == 4);
    return part.notes();
  };
  CHECK(restored(0).empty()); // at the start of an epoch it is exact
  source.hand_out(range, 7);
  (void)source.commit();
  CHECK(
      restored(0) ==
      Codes{"a stream cannot seek: what epoch 4 had left after 7 samples is "
            "given up, and epoch 5 begins at its start"});
  CHECK(
      restored(8) ==
      Codes{"a stream cannot seek: what epoch 4 had left after 7 samples is "
            "given up (1 sample), and epoch 5 begins at its start"});
  CHECK(source.fetches(range));
  source.end_epoch_here(range);
  CHECK(restored(8).empty()); // nothing was left
  CHECK(capture(*make_part(source)).saved.values.at("ended") == Value(true));
}

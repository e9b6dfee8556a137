#include <state/cursor_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/epoch_cursor.hpp>

using namespace holdfast;
using namespace holdfast::test;

// The rules of ranges are tested with samples: sample_cursor_test.cpp.

TEST_CASE("epoch cursor: an end that shows when it comes", "[state]") {
  Control control;
  EpochCursor cursor(EpochCursor::kUnknown);
  cursor.attach(&control);
  std::uint64_t range = cursor.begin_range();
  CHECK(cursor.fetches(range));
  cursor.hand_out(range, 3);
  CHECK(cursor.fetches(range));
  cursor.hand_out(range, 2);
  CHECK(cursor.commit() == 5);
  CHECK_FALSE(cursor.at_end());
  cursor.end_epoch_here(range);
  CHECK(cursor.at_end());
  CHECK_FALSE(cursor.in_range(range));
  CHECK(code_of([&] { (void)cursor.begin_range(); }) == "epoch_not_ended");
  cursor.start_epoch(1);
  CHECK_FALSE(cursor.at_end());
  range = cursor.begin_range();
  CHECK(cursor.fetches(range));
  cursor.end_epoch_here(range - 1); // an older range ends nothing
  CHECK(cursor.fetches(range));
}

TEST_CASE("epoch cursor: ended by a restore, one range is empty", "[state]") {
  Control control;
  EpochCursor cursor(10);
  cursor.attach(&control);
  cursor.restore_ended(3, 4, "why");
  CHECK(cursor.at_end());
  CHECK(cursor.begun_elsewhere());
  CHECK(cursor.remark() == "why");
  CHECK(cursor.position() == 4);
  CHECK_FALSE(cursor.fetches(cursor.begin_range()));
  CHECK(code_of([&] { (void)cursor.begin_range(); }) == "epoch_not_ended");
  cursor.start_epoch(4);
  CHECK_FALSE(cursor.begun_elsewhere());
  CHECK(cursor.remark().empty());
  CHECK(cursor.end() == 10);
  CHECK(cursor.fetches(cursor.begin_range()));
}

TEST_CASE("epoch cursor: the last batch may be smaller", "[state]") {
  Control control;
  EpochCursor cursor(10);
  cursor.attach(&control);
  const std::uint64_t range = cursor.begin_range();
  std::vector<std::int64_t> counted;
  while (cursor.fetches(range)) {
    cursor.hand_out(range, 4);
    counted.push_back(cursor.commit());
  }
  CHECK(counted == std::vector<std::int64_t>{4, 4, 2});
  CHECK(cursor.at_end());
  cursor.start_epoch(1);
  cursor.hand_out(cursor.begin_range(), EpochCursor::kUnknown);
  CHECK(cursor.handed_out() == 10);
}

TEST_CASE("epoch cursor: an epoch has samples", "[state]") {
  CHECK(code_of([] { EpochCursor cursor(0); }) == "invalid_argument");
}

TEST_CASE("epoch cursor: skips what it is told to", "[state]") {
  Control control;
  EpochCursor cursor(10);
  cursor.attach(&control);
  CHECK(cursor.place()->epoch == 0);
  CHECK(cursor.place()->position == 0);
  // The end of this epoch, all of the next one, the begin of the one after it.
  CHECK(cursor.skip({0, 6}, {2, 4}));
  const auto places = [&] {
    std::vector<std::size_t> handed_out;
    const std::uint64_t range = cursor.begin_range();
    while (cursor.fetches(range)) {
      handed_out.push_back(cursor.handed_out());
      cursor.hand_out(range, 2);
      CHECK(cursor.commit() == 2);
    }
    CHECK(cursor.at_end());
    CHECK(code_of([&] { (void)cursor.begin_range(); }) == "epoch_not_ended");
    return handed_out;
  };
  using Places = std::vector<std::size_t>;
  CHECK(places() == Places{0, 2, 4});
  CHECK(cursor.position() == 10);
  cursor.start_epoch(1);
  CHECK(cursor.at_end());
  CHECK(places().empty());
  cursor.start_epoch(2);
  CHECK(places() == Places{4, 6, 8});
  cursor.start_epoch(3);
  CHECK(cursor.skips().empty()); // what is over is forgotten
  CHECK(places() == Places{0, 2, 4, 6, 8});
}

TEST_CASE("epoch cursor: what is skipped within a step", "[state]") {
  Control control;
  EpochCursor cursor(10);
  cursor.attach(&control);
  CHECK(cursor.skip({0, 2}, {0, 6}));
  const std::uint64_t range = cursor.begin_range();
  CHECK(cursor.fetches(range));
  cursor.hand_out(range, 2); // not committed: a step of two batches
  CHECK(cursor.fetches(range));
  CHECK(cursor.handed_out() == 6);
  CHECK(cursor.position() == 0);
  cursor.hand_out(range, 2);
  CHECK(cursor.commit() == 8);
  CHECK(cursor.position() == 8);
}

TEST_CASE("epoch cursor: a stream skips nothing", "[state]") {
  EpochCursor cursor(EpochCursor::kUnknown);
  CHECK_FALSE(cursor.place());
  CHECK_FALSE(cursor.skip({0, 1}, {0, 2}));
  CHECK(cursor.skips().empty());
}

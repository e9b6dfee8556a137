#include <state/cursor_support.hpp>
#include <support/catch.hpp>

#include <holdfast/state/sample_cursor.hpp>
#include <holdfast/state/sample_order.hpp>

#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <set>

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("sample cursor: an epoch is the order in batches", "[state]") {
  const bool shuffle = GENERATE(false, true);
  const bool drop_last = GENERATE(false, true);
  const std::size_t batch_size = GENERATE(1U, 3U, 5U, 10U, 11U);
  if (drop_last && batch_size > 10) {
    return;
  }
  CAPTURE(shuffle, drop_last, batch_size);
  SampleCursor cursor(
      10,
      DataLoaderOptions()
          .batch_size(batch_size)
          .shuffle(shuffle)
          .drop_last(drop_last)
          .seed(4));
  Indices expected = shuffle ? shuffled_order(10, 4, 0)
                             : Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  if (drop_last) {
    expected.resize(10 / batch_size * batch_size);
  }
  CHECK(cursor.epoch_size() == expected.size());
  CHECK(run(cursor, kAll, false) == expected);
}

TEST_CASE("sample cursor: options that give no batch", "[state]") {
  const auto code = [](std::size_t size, const DataLoaderOptions& options) {
    return code_of([&] { SampleCursor cursor(size, options); });
  };
  CHECK(code(10, DataLoaderOptions(0)) == "invalid_argument");
  CHECK(code(0, DataLoaderOptions(1)) == "invalid_argument");
  CHECK(code(3, DataLoaderOptions(4).drop_last(true)) == "invalid_argument");
  CHECK(
      code(std::numeric_limits<std::size_t>::max(), DataLoaderOptions(4)) ==
      "invalid_argument");
  CHECK(code(3, DataLoaderOptions(4)) == "no error");
}

TEST_CASE(
    "sample cursor: without a manager each range is an epoch",
    "[state]") {
  SampleCursor cursor(10, DataLoaderOptions(3).seed(1));
  CHECK(run(cursor, kAll, false) == shuffled_order(10, 1, 0));
  CHECK(run(cursor, 1, false).size() == 3);
  CHECK(cursor.epoch() == 1);
  CHECK(run(cursor, kAll, false) == shuffled_order(10, 1, 2));
}

TEST_CASE("sample cursor: only a commit moves the position", "[state]") {
  Control control;
  SampleCursor cursor(10, in_order(3));
  cursor.attach(&control);
  CHECK(run(cursor, 2, false) == Indices{0, 1, 2, 3, 4, 5});
  CHECK(cursor.ahead());
  CHECK(cursor.position() == 0);
  CHECK(cursor.commit() == 6);
  CHECK(cursor.position() == 6);
  CHECK_FALSE(cursor.ahead());
  CHECK(cursor.commit() == 0);
}

TEST_CASE(
    "sample cursor: attached, a range goes on at the position",
    "[state]") {
  Control control;
  SampleCursor cursor(10, in_order(3));
  cursor.attach(&control);
  CHECK(run(cursor, 1, true) == Indices{0, 1, 2});
  CHECK(run(cursor, 2, false) == Indices{3, 4, 5, 6, 7, 8});
  CHECK(cursor.ahead());
  // What was not committed comes again.
  CHECK(run(cursor, kAll, true) == Indices{3, 4, 5, 6, 7, 8, 9});
  CHECK(cursor.at_end());
  CHECK(control.begins == 3);
}

TEST_CASE("sample cursor: an exhausted epoch must be turned", "[state]") {
  Control control;
  SampleCursor cursor(10, DataLoaderOptions(3).seed(1));
  cursor.attach(&control);
  CHECK_FALSE(cursor.at_end());
  (void)run(cursor, kAll, true);
  CHECK(cursor.at_end());
  const auto begin = [&] {
    return code_of([&] { (void)cursor.begin_range(); });
  };
  CHECK(begin() == "epoch_not_ended");
  CHECK(begin() == "epoch_not_ended");
  CHECK(control.begins == 1);
  cursor.start_epoch(1);
  CHECK_FALSE(cursor.at_end());
  CHECK(run(cursor, kAll, true) == shuffled_order(10, 1, 1));
  CHECK(code_of([&] { cursor.start_epoch(-1); }) == "invalid_argument");
}

TEST_CASE("sample cursor: drop_last ends at the last whole batch", "[state]") {
  Control control;
  SampleCursor cursor(10, in_order(4).drop_last(true));
  cursor.attach(&control);
  (void)run(cursor, 2, true);
  CHECK(cursor.at_end());
}

TEST_CASE("sample cursor: a stop ends the range before a fetch", "[state]") {
  Control control;
  SampleCursor cursor(10, in_order(3));
  cursor.attach(&control);
  const std::uint64_t range = cursor.begin_range();
  cursor.hand_out(range, cursor.next(range).size());
  (void)cursor.commit();
  control.stop = true;
  CHECK(cursor.in_range(range));
  CHECK(cursor.next(range).empty());
  CHECK_FALSE(cursor.in_range(range));
  CHECK(cursor.position() == 3);
  CHECK_FALSE(cursor.ahead());
  CHECK(run(cursor, kAll, true).empty());
  CHECK(control.begins == 1);
  control.stop = false;
  CHECK(run(cursor, kAll, true) == Indices{3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("sample cursor: turning and beginning end older ranges", "[state]") {
  Control control;
  SampleCursor cursor(10, in_order(3));
  cursor.attach(&control);
  const std::uint64_t first = cursor.begin_range();
  cursor.hand_out(first, cursor.next(first).size());
  cursor.start_epoch(1);
  CHECK(cursor.next(first).empty());
  CHECK_FALSE(cursor.ahead());
  const std::uint64_t second = cursor.begin_range();
  const std::uint64_t third = cursor.begin_range();
  CHECK(cursor.next(second).empty());
  cursor.hand_out(second, 2); // of a range that is over: whatever it says
  CHECK_FALSE(cursor.ahead());
  CHECK(cursor.next(third) == Indices{0, 1, 2});
}

TEST_CASE("sample cursor: batches are handed out whole", "[state]") {
  SampleCursor cursor(10, in_order(3));
  const std::uint64_t range = cursor.begin_range();
  const auto handing_out = [&](std::size_t samples) {
    return code_of([&] { cursor.hand_out(range, samples); });
  };
  for (int i = 0; i < 3; ++i) {
    CHECK(handing_out(2) == "invalid_argument");
    CHECK(handing_out(4) == "invalid_argument");
    CHECK(handing_out(0) == "invalid_argument");
    CHECK(cursor.handed_out() == 3 * static_cast<std::size_t>(i));
    CHECK(handing_out(3) == "no error");
  }
  CHECK(cursor.next(range) == Indices{9});
  CHECK(handing_out(3) == "no error"); // the last one has no more
  CHECK(cursor.handed_out() == 10);
  CHECK(cursor.next(range).empty());
}

TEST_CASE("sample cursor: attaching starts at epoch 0", "[state]") {
  Control control;
  Control other;
  SampleCursor cursor(10, DataLoaderOptions(3).seed(1));
  (void)run(cursor, 2, true);
  (void)run(cursor, 2, true);
  cursor.attach(&control);
  CHECK(cursor.epoch() == 0);
  CHECK(cursor.position() == 0);
  CHECK(code_of([&] { cursor.attach(&other); }) == "invalid_argument");
  (void)run(cursor, 1, true);
  cursor.attach(&control); // Again: nothing moves.
  CHECK(cursor.position() == 3);
  cursor.attach(nullptr);
  CHECK(run(cursor, kAll, false) == shuffled_order(10, 1, 1));
  cursor.attach(&other);
  CHECK(run(cursor, kAll, true) == shuffled_order(10, 1, 0));
}

TEST_CASE("sample cursor: exact wherever the run is killed", "[state]") {
  const bool shuffle = GENERATE(false, true);
  const bool drop_last = GENERATE(false, true);
  const DataLoaderOptions options =
      DataLoaderOptions(3).shuffle(shuffle).drop_last(drop_last).seed(9);
  constexpr std::int64_t epochs = 3;

  // One training loop; it saves after batch `kill` of the run and ends there.
  const auto train =
      [&](const Captured* from, std::size_t kill, Indices& seen) {
        Control control;
        SampleCursor cursor(11, options);
        cursor.attach(&control);
        if (from != nullptr) {
          restore_into(cursor, *from);
        }
        std::size_t batch = 0;
        while (cursor.epoch() < epochs) {
          const std::uint64_t range = cursor.begin_range();
          for (;;) {
            const Indices indices = cursor.next(range);
            if (indices.empty()) {
              break;
            }
            cursor.hand_out(range, indices.size());
            seen.insert(seen.end(), indices.begin(), indices.end());
            (void)cursor.commit();
            if (++batch == kill) {
              return captured_from(cursor);
            }
          }
          cursor.start_epoch(cursor.epoch() + 1);
        }
        return captured_from(cursor);
      };

  Indices uninterrupted;
  (void)train(nullptr, kAll, uninterrupted);
  const std::size_t batches = epochs * (drop_last ? 3 : 4);
  CHECK(uninterrupted.size() == epochs * (drop_last ? 9 : 11));
  for (std::size_t kill = 1; kill <= batches; ++kill) {
    CAPTURE(shuffle, drop_last, kill);
    Indices seen;
    const Captured saved = train(nullptr, kill, seen);
    (void)train(&saved, kAll, seen);
    CHECK(seen == uninterrupted);
  }
}

TEST_CASE("sample cursor: restored at the end, one range is empty", "[state]") {
  Control control;
  SampleCursor source(10, in_order(3));
  source.attach(&control);
  (void)run(source, kAll, true);
  const Captured captured = captured_from(source);

  SampleCursor live(10, in_order(3));
  Control live_control;
  live.attach(&live_control);
  restore_into(live, captured);
  CHECK(live.at_end());
  CHECK(run(live, kAll, true).empty());
  CHECK(live_control.begins == 1); // The random state is put back for it.
  CHECK(code_of([&] { (void)live.begin_range(); }) == "epoch_not_ended");
  SECTION("turned, it goes on") {
    live.start_epoch(1);
    CHECK(run(live, kAll, true).size() == 10);
    CHECK(code_of([&] { (void)live.begin_range(); }) == "epoch_not_ended");
  }
  SECTION("a stop does not use the empty range up") {
    restore_into(live, captured);
    live_control.stop = true;
    CHECK(run(live, kAll, true).empty());
    live_control.stop = false;
    CHECK(run(live, kAll, true).empty());
  }
}

TEST_CASE(
    "sample cursor: not attached, a restored epoch starts over",
    "[state]") {
  Control control;
  SampleCursor source(10, DataLoaderOptions(3).seed(2));
  source.attach(&control);
  source.start_epoch(4);
  (void)run(source, 2, true);
  SampleCursor live(10, DataLoaderOptions(3).seed(2));
  (void)run(live, 1, false);
  restore_into(live, captured_from(source));
  CHECK(live.epoch() == 4);
  CHECK(run(live, kAll, false) == shuffled_order(10, 2, 4));
}

TEST_CASE("sample cursor: ranks share one order", "[state]") {
  const bool shuffle = GENERATE(false, true);
  const bool duplicates = GENERATE(false, true);
  constexpr std::size_t size = 11;
  constexpr std::size_t world = 3;
  std::vector<Indices> ranks;
  for (std::size_t rank = 0; rank < world; ++rank) {
    SampleCursor cursor(
        size,
        DataLoaderOptions(2)
            .shuffle(shuffle)
            .seed(5)
            .rank(rank)
            .world_size(world)
            .allow_duplicates(duplicates));
    ranks.push_back(run(cursor, kAll, false));
    CHECK(ranks.back().size() == (duplicates ? 4U : 3U));
    CHECK(cursor.epoch_size() == ranks.back().size());
  }
  Indices order = shuffled_order(size, 5, 0);
  if (!shuffle) {
    std::iota(order.begin(), order.end(), std::size_t{0});
  }
  Indices dealt; // Round by round.
  for (std::size_t place = 0; place < ranks[0].size(); ++place) {
    for (const Indices& rank : ranks) {
      dealt.push_back(rank[place]);
    }
  }
  if (duplicates) {
    order.push_back(order[0]);
  } else {
    order.resize(9);
  }
  CHECK(dealt == order);
}

TEST_CASE("sample cursor: ranks have equally many batches", "[state]") {
  for (std::size_t size = 3; size < 40; ++size) {
    for (const bool drop_last : {false, true}) {
      std::vector<std::size_t> sizes;
      for (std::size_t rank = 0; rank < 3; ++rank) {
        SampleCursor cursor(
            size,
            DataLoaderOptions(drop_last && size < 6 ? 1 : 2)
                .drop_last(drop_last)
                .rank(rank)
                .world_size(3));
        sizes.push_back(run(cursor, kAll, false).size());
      }
      CAPTURE(size, drop_last);
      CHECK(sizes == std::vector<std::size_t>(3, sizes[0]));
    }
  }
}

TEST_CASE("sample cursor: worlds that are refused", "[state]") {
  const auto code = [](std::size_t size, const DataLoaderOptions& options) {
    return code_of([&] { SampleCursor cursor(size, options); });
  };
  const auto world = [](std::size_t rank, std::size_t size) {
    return DataLoaderOptions(1).rank(rank).world_size(size);
  };
  CHECK(code(10, world(2, 2)) == "invalid_argument");
  CHECK(code(10, world(0, 0)) == "invalid_argument");
  CHECK(code(10, world(0, 11)) == "invalid_argument");
  CHECK(code(10, world(0, 11).allow_duplicates(true)) == "no error");
  CHECK(
      code(10, world(0, std::numeric_limits<std::size_t>::max())) ==
      "invalid_argument");
}

TEST_CASE("sample cursor: what is consumed", "[state]") {
  Control control;
  SampleCursor cursor(10, DataLoaderOptions(3).seed(2));
  cursor.attach(&control);
  CHECK(cursor.consumed().empty());
  (void)run(cursor, 2, true);
  (void)run(cursor, 1, false); // handed out, and not committed
  Indices first = shuffled_order(10, 2, 0);
  first.resize(6);
  CHECK(cursor.consumed() == first);
  cursor.start_epoch(1);
  CHECK(cursor.consumed().empty());
  (void)run(cursor, kAll, true);
  CHECK(cursor.consumed() == shuffled_order(10, 2, 1));
  cursor.restore_ended(1, 10);
  CHECK(cursor.consumed().empty());
}

TEST_CASE("sample cursor: skips survive a kill anywhere", "[state]") {
  std::mt19937 engine(11);
  const auto below = [&](std::size_t count) {
    return engine() % count;
  };
  for (int round = 0; round < 200; ++round) {
    constexpr std::size_t kSize = 20;
    constexpr std::size_t kBatch = 2;
    constexpr std::int64_t kEpochs = 3;
    // Any number of stretches, which may overlap and reach over epochs.
    std::vector<std::pair<DataPlace, DataPlace>> stretches(below(4));
    const auto place_of = [&](std::size_t number) {
      return DataPlace{
          static_cast<std::int64_t>(number / 10), (number % 10) * kBatch};
    };
    std::set<std::size_t> skipped;
    for (auto& [from, to] : stretches) {
      const std::size_t a = below(30);
      const std::size_t b = a + below(std::min<std::size_t>(15, 30 - a));
      from = place_of(a);
      to = place_of(b);
      for (std::size_t number = a; number < b; ++number) {
        skipped.insert(number);
      }
    }
    Indices expected;
    for (std::size_t number = 0; number < 30; ++number) {
      if (skipped.count(number) == 0) {
        const Indices order = shuffled_order(kSize, 5, number / 10);
        const std::size_t at = number % 10 * kBatch;
        expected.insert(expected.end(), {order[at], order[at + 1]});
      }
    }
    Indices seen;
    std::optional<Captured> saved;
    bool done = false;
    while (!done) {
      Control control;
      SampleCursor cursor(kSize, DataLoaderOptions(kBatch).seed(5));
      cursor.attach(&control);
      if (saved) {
        restore_into(cursor, *saved);
      } else {
        for (const auto& [from, to] : stretches) {
          CHECK(cursor.skip(from, to));
        }
      }
      std::size_t left = 1 + below(12); // batches until it is killed
      while (!done && left > 0) {
        const Indices got = run(cursor, left, true);
        seen.insert(seen.end(), got.begin(), got.end());
        left -= got.size() / kBatch;
        if (left > 0) { // the epoch is over
          CHECK(cursor.at_end());
          if (cursor.epoch() + 1 == kEpochs) {
            done = true;
          } else {
            cursor.start_epoch(cursor.epoch() + 1);
          }
        }
      }
      saved = captured_from(cursor);
    }
    CHECK(seen == expected);
  }
}

TEST_CASE("sample cursor: what was skipped is not consumed", "[state]") {
  Control control;
  SampleCursor cursor(10, DataLoaderOptions(2).seed(2));
  cursor.attach(&control);
  CHECK(cursor.skip({0, 2}, {0, 6}));
  (void)run(cursor, kAll, true);
  const Indices order = shuffled_order(10, 2, 0);
  CHECK(
      cursor.consumed() ==
      Indices{order[0], order[1], order[6], order[7], order[8], order[9]});
}

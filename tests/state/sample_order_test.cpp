#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/state/sample_order.hpp>

#include <algorithm>
#include <array>

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("sample order: golden orders never change", "[state]") {
  // Computed by an independent program from the definition in the header.
  using Order = std::vector<std::size_t>;
  // clang-format off
  CHECK(shuffled_order(10, 0U, 0U) == Order{8, 2, 3, 5, 1, 6, 9, 7, 0, 4});
  CHECK(shuffled_order(10, 0U, 1U) == Order{1, 7, 2, 0, 6, 9, 3, 4, 5, 8});
  CHECK(shuffled_order(10, 1U, 0U) == Order{2, 1, 8, 9, 6, 7, 3, 5, 0, 4});
  CHECK(shuffled_order(16, 1311768467463790320U, 7U) == Order{3, 13, 15, 9, 8, 14, 11, 10, 7, 4, 5, 6, 1, 12, 2, 0});
  CHECK(shuffled_order(5, 18446744073709551615U, 1099511627776U) == Order{4, 1, 2, 0, 3});
  std::uint64_t digest = 0;
  for (const std::size_t index : shuffled_order(1000, 42, 3)) {
    digest = digest * 1099511628211U + index;
  }
  CHECK(digest == 5244120628678702834U);
  // clang-format on
}

TEST_CASE("sample order: a permutation of any size", "[state]") {
  const std::uint64_t from_seed = seed();
  CAPTURE(from_seed);
  for (const std::size_t size : {0U, 1U, 2U, 3U, 64U, 1000U}) {
    std::vector<std::size_t> order = shuffled_order(size, from_seed, 0);
    std::sort(order.begin(), order.end());
    REQUIRE(order.size() == size);
    for (std::size_t i = 0; i < size; ++i) {
      REQUIRE(order[i] == i);
    }
  }
}

TEST_CASE("sample order: seed and epoch matter in every half", "[state]") {
  const std::array<std::pair<std::uint64_t, std::uint64_t>, 7> arguments = {{
      {0, 0},
      {1, 0},
      {0, 1},
      {std::uint64_t{1} << 32, 0},
      {0, std::uint64_t{1} << 32},
      {1, 1},
      {2, 0},
  }};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      CAPTURE(i, j);
      CHECK(
          shuffled_order(50, arguments[i].first, arguments[i].second) !=
          shuffled_order(50, arguments[j].first, arguments[j].second));
    }
  }
}

TEST_CASE("sample order: every permutation is as frequent", "[state]") {
  // Chi-squared over the 24 orders of 4 samples; 23 degrees of freedom, 60 is
  // exceeded with a probability below 0.0001. The seed is fixed.
  std::array<int, 256> counts{};
  const int rounds = 24'000;
  for (int epoch = 0; epoch < rounds; ++epoch) {
    const auto order =
        shuffled_order(4, 12345, static_cast<std::uint64_t>(epoch));
    ++counts[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]];
  }
  double chi_squared = 0;
  int orders = 0;
  for (const int count : counts) {
    if (count != 0) {
      ++orders;
      chi_squared += (count - 1000.0) * (count - 1000.0) / 1000.0;
    }
  }
  CHECK(orders == 24);
  CHECK(chi_squared < 60);
}

TEST_CASE("sample order: the last run of remainders is rejected", "[state]") {
  // With this bound, almost every second draw lies in an incomplete run.
  const std::uint64_t bound = (std::uint64_t{1} << 63) + 1;
  std::mt19937_64 engine(1);
  std::mt19937_64 draws(1);
  for (int i = 0; i < 100; ++i) {
    std::uint64_t expected = draws();
    while (expected >= bound) {
      expected = draws();
    }
    CHECK(detail::draw_below(engine, bound) == expected);
  }
}

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/base/sorting.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace holdfast;

TEST_CASE("sorting: indices are in order, equal ones as they were", "[base]") {
  const std::vector<int> keys{3, 1, 2, 1, 3, 0};
  const auto order = detail::sorted_indices(
      keys.size(),
      [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  CHECK(order == std::vector<std::size_t>{5, 1, 3, 2, 0, 4});
  CHECK(detail::sorted_indices(0, [](std::size_t, std::size_t) {
          return false;
        }).empty());
}

TEST_CASE("sorting: sort_by is the standard's stable sort", "[base]") {
  std::mt19937_64 engine(holdfast::test::seed());
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<int, int>> items(engine() % 50);
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i] = {static_cast<int>(engine() % 8), static_cast<int>(i)};
    }
    const auto before = [](const auto& a, const auto& b) {
      return a.first < b.first;
    };
    auto expected = items;
    std::stable_sort(expected.begin(), expected.end(), before);
    detail::sort_by(items, before);
    CHECK(items == expected);
  }
}

TEST_CASE("sorting: sort_by moves what cannot be copied", "[base]") {
  std::vector<std::unique_ptr<int>> items;
  items.push_back(std::make_unique<int>(2));
  items.push_back(std::make_unique<int>(1));
  detail::sort_by(items, [](const auto& a, const auto& b) { return *a < *b; });
  CHECK(*items[0] == 1);
  CHECK(*items[1] == 2);
}

TEST_CASE("sorting: finds a text that is there twice", "[base]") {
  std::vector<std::string> texts{"b", "a", "c"};
  CHECK(detail::sort_and_find_twice(texts) == nullptr);
  CHECK(texts == std::vector<std::string>{"a", "b", "c"});
  texts.push_back("b");
  const std::string* const twice = detail::sort_and_find_twice(texts);
  REQUIRE(twice != nullptr);
  CHECK(*twice == "b");
}

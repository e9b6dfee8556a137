#pragma once

#include <holdfast/state/sample_order.hpp>

#include <limits>
#include <numeric>
#include <random>
#include <utility>

namespace holdfast {

namespace detail {

HOLDFAST_INLINE std::uint32_t low_word(std::uint64_t number) noexcept {
  return static_cast<std::uint32_t>(number & 0xffffffffU);
}
HOLDFAST_INLINE std::uint32_t high_word(std::uint64_t number) noexcept {
  return static_cast<std::uint32_t>(number >> 32);
}

HOLDFAST_INLINE std::uint64_t draw_below(
    std::mt19937_64& engine,
    std::uint64_t bound) {
  const std::uint64_t last_start =
      std::numeric_limits<std::uint64_t>::max() - bound + 1;
  for (;;) {
    const std::uint64_t draw = engine();
    const std::uint64_t remainder = draw % bound;
    if (draw - remainder <= last_start) {
      return remainder;
    }
  }
}

} // namespace detail

HOLDFAST_INLINE std::vector<std::size_t> shuffled_order(
    std::size_t size,
    std::uint64_t seed,
    std::uint64_t epoch) {
  std::seed_seq seeds{
      detail::low_word(seed),
      detail::high_word(seed),
      detail::low_word(epoch),
      detail::high_word(epoch)};
  std::mt19937_64 engine(seeds);
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t count = size; count > 1; --count) {
    std::swap(
        order[count - 1],
        order[static_cast<std::size_t>(detail::draw_below(engine, count))]);
  }
  return order;
}

HOLDFAST_INLINE std::mt19937_64 batch_engine(
    std::uint64_t seed,
    std::uint64_t epoch,
    std::uint64_t batch,
    std::uint64_t rank) {
  std::seed_seq seeds{
      detail::low_word(seed),
      detail::high_word(seed),
      detail::low_word(epoch),
      detail::high_word(epoch),
      detail::low_word(batch),
      detail::high_word(batch),
      detail::low_word(rank),
      detail::high_word(rank)};
  return std::mt19937_64(seeds);
}

} // namespace holdfast

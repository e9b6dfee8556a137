#pragma once

#include <holdfast/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace holdfast {

/// The order of `size` samples in an epoch: a permutation of 0 ... size - 1
/// that depends on nothing but the arguments, whatever the platform and the
/// standard library. It never changes, so that a position in it stays valid.
///
/// Definition. Let draw() be the outputs of std::mt19937_64, constructed from
/// std::seed_seq{s0, s1, e0, e1}, the low and high 32 bits of `seed` and of
/// `epoch`. Start with order[i] = i; then for i = size - 1 down to 1 exchange
/// order[i] and order[below(i + 1)] (Fisher and Yates' shuffle in Durstenfeld's
/// form), where below(n) draws x until x - x mod n <= 2^64 - n, and is x mod n:
/// rejecting the last, incomplete run of remainders leaves no bias. The
/// standard fixes every output of engine and seed sequence, but not of its
/// distributions and std::shuffle, hence neither is used.
[[nodiscard]] std::vector<std::size_t> shuffled_order(
    std::size_t size,
    std::uint64_t seed,
    std::uint64_t epoch);

/// The random engine of batch number `batch` of an epoch: equal in all runs,
/// whichever thread fetches the batch and whatever was fetched before it. It is
/// std::mt19937_64, constructed from std::seed_seq{s0, s1, e0, e1, b0, b1, r0,
/// r1}: the low and high 32 bits of each argument.
[[nodiscard]] std::mt19937_64 batch_engine(
    std::uint64_t seed,
    std::uint64_t epoch,
    std::uint64_t batch,
    std::uint64_t rank = 0);

namespace detail {

/// below(bound) of the definition; `bound` is not 0.
[[nodiscard]] std::uint64_t draw_below(
    std::mt19937_64& engine,
    std::uint64_t bound);

} // namespace detail

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/state/impl/sample_order.ipp>
#endif

#pragma once

#include <holdfast/state/part.hpp>

#include <memory>

namespace at {
struct Generator;
} // namespace at

namespace holdfast {

/// All default random generators of LibTorch as one part: the one of the CPU,
/// and those of accelerators on which this process has used a device. Reading
/// them moves none of them, and never makes a context on an unused device.
///
/// The CPU's state is bytes, the cached half of a normal draw included; an
/// accelerator's is its seed and offset as numbers, because the byte form
/// differs between versions of LibTorch. States are checked on a clone in
/// `prepare`.
///
/// Not covered: dropout inside cuDNN's LSTM and GRU, which keeps a state that
/// LibTorch cannot read.
[[nodiscard]] std::unique_ptr<Part> make_default_generators();

namespace detail {

/// One generator of the user's.
[[nodiscard]] std::unique_ptr<Part> make_generator_part(
    at::Generator& generator);

} // namespace detail
} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/libtorch/impl/generator.ipp>
#endif

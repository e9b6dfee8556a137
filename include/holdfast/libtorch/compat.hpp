#pragma once

#include <locale>
#include <sstream>
#include <string>
#include <type_traits>

/// What differs between LibTorch versions, and members that no version offers.
/// Everything else in this layer is one code for all of them.
namespace holdfast::detail {

/// A pointer to a private member: access is not checked in explicit
/// instantiations. Use, with the instantiation at namespace scope:
///
///     struct BufferMember {
///       using type = Dict torch::nn::Module::*;
///       friend type member_of(BufferMember);
///     };
///     extern template struct PrivateMember<
///         BufferMember, &torch::nn::Module::buffers_>;
///     ... module.*member_of(BufferMember{})
///
/// A LibTorch in which the member is gone fails to compile here.
template <class Tag, typename Tag::type member>
struct PrivateMember {
  friend typename Tag::type member_of(Tag) {
    return member;
  }
};

/// Finds a parameter's key in `Optimizer::state()`: the address of the tensor's
/// implementation since LibTorch 2.2, before that its text as streams print it.
template <class Map>
[[nodiscard]] typename Map::key_type state_key(const void* tensor) {
  if constexpr (std::is_pointer_v<typename Map::key_type>) {
    return const_cast<void*>(tensor);
  } else {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text << tensor;
    return text.str();
  }
}

} // namespace holdfast::detail

#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

namespace holdfast {

/// A view of `size` bytes that somebody else owns.
struct ByteView {
  const std::byte* data = nullptr;
  std::size_t size = 0;

  constexpr ByteView() = default;
  constexpr ByteView(const std::byte* bytes, std::size_t count)
      : data(bytes), size(count) {}
  ByteView(const std::vector<std::byte>& bytes)
      : data(bytes.data()), size(bytes.size()) {}
  explicit ByteView(std::string_view text)
      : data(reinterpret_cast<const std::byte*>(text.data())),
        size(text.size()) {}

  [[nodiscard]] ByteView subview(std::size_t offset, std::size_t count) const {
    return {data + offset, count};
  }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(data), size};
  }
  [[nodiscard]] bool empty() const {
    return size == 0;
  }
};

using Bytes = std::vector<std::byte>;

} // namespace holdfast

#pragma once

#include <holdfast/engine/state_stamp.hpp>

#include <holdfast/base/bytes.hpp>
#include <holdfast/engine/write.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/state/checks.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast {

namespace detail {

class KeptTensor final : public TensorSource {
 public:
  explicit KeptTensor(Bytes bytes) : bytes_(std::move(bytes)) {}

  [[nodiscard]] const std::byte* data() const noexcept override {
    return bytes_.data();
  }
  void copy_out(std::uint64_t offset, std::byte* into, std::size_t count)
      const override {
    std::memcpy(into, bytes_.data() + offset, count);
  }

 private:
  Bytes bytes_;
};

HOLDFAST_INLINE std::uint64_t size_of(const TensorInfo& info) {
  return tensor_bytes(info.dtype, info.shape).value_or(0);
}

/// The size up to which tensors are kept, so that all of them fit into `most`.
HOLDFAST_INLINE std::uint64_t largest_kept(
    const std::vector<CapturedPart>& parts,
    std::uint64_t most) {
  std::vector<std::uint64_t> sizes;
  for (const CapturedPart& part : parts) {
    for (const TensorOut& tensor : part.state.tensors) {
      sizes.push_back(size_of(tensor.info));
    }
  }
  std::sort(sizes.begin(), sizes.end());
  std::uint64_t largest = 0;
  for (auto size = sizes.begin(); size != sizes.end();) {
    const auto end = std::upper_bound(size, sizes.end(), *size);
    const auto count = static_cast<std::uint64_t>(end - size);
    if (*size != 0 && count > most / *size) {
      break;
    }
    most -= *size * count;
    largest = *size;
    size = end;
  }
  return largest;
}

} // namespace detail

HOLDFAST_INLINE StateStamp::StateStamp(
    const PartSet& parts,
    std::uint64_t kept_bytes) {
  std::vector<CapturedPart> captured = capture(parts);
  const std::uint64_t largest = detail::largest_kept(captured, kept_bytes);
  for (CapturedPart& part : captured) {
    StampedPart stamped;
    for (TensorOut& out : part.state.tensors) {
      Tensor tensor;
      if (detail::size_of(out.info) <= largest) {
        tensor.kept =
            std::make_shared<detail::KeptTensor>(detail::copy_bytes(out));
      } else {
        tensor.digest = digest_of(out);
        all_kept_ = false;
      }
      tensor.info = std::move(out.info);
      stamped.tensors.push_back(std::move(tensor));
    }
    part.state.tensors.clear(); // tensors are not kept alive
    stamped.captured = std::move(part);
    parts_.push_back(std::move(stamped));
  }
}

HOLDFAST_INLINE std::shared_ptr<const TensorSource> StateStamp::find(
    const Tensor& tensor,
    const CapturedPart& now) {
  if (tensor.kept) {
    return tensor.kept;
  }
  for (const TensorOut& live : now.state.tensors) {
    if (live.info.name == tensor.info.name) {
      return live.info == tensor.info && digest_of(live) == tensor.digest
          ? live.source
          : nullptr;
    }
  }
  return nullptr;
}

HOLDFAST_INLINE StateStamp::Recovered StateStamp::recover(
    const PartSet& parts) const {
  const std::vector<CapturedPart> now =
      all_kept_ ? std::vector<CapturedPart>(parts_.size()) : capture(parts);
  Recovered result;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    CapturedPart part = parts_[i].captured;
    for (const Tensor& tensor : parts_[i].tensors) {
      auto source = find(tensor, now[i]);
      if (!source) {
        result.changed.push_back(part.name);
        break;
      }
      part.state.tensors.push_back({tensor.info, std::move(source)});
    }
    result.state.push_back(std::move(part));
  }
  if (!result.changed.empty()) {
    result.state.clear();
  }
  return result;
}

} // namespace holdfast

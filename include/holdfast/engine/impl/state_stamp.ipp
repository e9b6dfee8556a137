#pragma once

#include <holdfast/engine/state_stamp.hpp>

#include <holdfast/base/bytes.hpp>
#include <holdfast/engine/write.hpp>
#include <holdfast/format/dtype.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast {

/// The bytes of a tensor as they were.
class StateStamp::KeptTensor final : public TensorSource {
 public:
  void take(const TensorOut& tensor) {
    tensor.copy_to(bytes_);
  }
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

namespace detail {

/// The size up to which tensors are kept, so that all of them fit into `most`.
HOLDFAST_INLINE std::uint64_t largest_kept(
    const std::vector<CapturedPart>& parts,
    std::uint64_t most) {
  std::vector<std::uint64_t> sizes;
  for (const CapturedPart& part : parts) {
    for (const TensorOut& tensor : part.state.tensors) {
      sizes.push_back(tensor.size());
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

HOLDFAST_INLINE std::vector<StateStamp::StampedPart> StateStamp::stamp(
    std::vector<CapturedPart> captured,
    std::uint64_t kept_bytes,
    const std::vector<StampedPart>& former) {
  const std::uint64_t largest = detail::largest_kept(captured, kept_bytes);
  std::vector<StampedPart> stamped(captured.size());
  for (std::size_t i = 0; i < captured.size(); ++i) {
    std::vector<TensorOut>& tensors = captured[i].state.tensors;
    for (std::size_t k = 0; k < tensors.size(); ++k) {
      Tensor tensor;
      if (tensors[k].size() <= largest) {
        if (i < former.size() && k < former[i].tensors.size()) {
          tensor.kept = former[i].tensors[k].kept;
        }
        if (!tensor.kept) {
          tensor.kept = std::make_shared<KeptTensor>();
        }
        tensor.kept->take(tensors[k]);
      } else {
        tensor.digest = digest_of(tensors[k]);
      }
      tensor.info = std::move(tensors[k].info);
      stamped[i].tensors.push_back(std::move(tensor));
    }
    tensors.clear(); // the live ones are not kept alive
    stamped[i].captured = std::move(captured[i]);
  }
  return stamped;
}

HOLDFAST_INLINE void StateStamp::take(
    const PartSet& parts,
    std::uint64_t kept_bytes) {
  taken_ = false;
  parts_ = stamp(capture(parts), kept_bytes, parts_);
  taken_ = true;
}

HOLDFAST_INLINE std::shared_ptr<const TensorSource> StateStamp::find(
    const Tensor& tensor,
    std::size_t index,
    const CapturedPart& now) {
  if (tensor.kept) {
    return tensor.kept;
  }
  const std::vector<TensorOut>& tensors = now.state.tensors;
  const auto has_name = [&](const TensorOut& live) {
    return live.info.name == tensor.info.name;
  };
  const auto live = index < tensors.size() && has_name(tensors[index])
      ? tensors.begin() + static_cast<std::ptrdiff_t>(index)
      : std::find_if(tensors.begin(), tensors.end(), has_name);
  return live != tensors.end() && live->info == tensor.info &&
          digest_of(*live) == tensor.digest
      ? live->source
      : nullptr;
}

HOLDFAST_INLINE StateStamp::Recovered StateStamp::recover(
    const PartSet& parts) const {
  bool all_kept = true;
  for (const StampedPart& part : parts_) {
    for (const Tensor& tensor : part.tensors) {
      all_kept = all_kept && tensor.kept;
    }
  }
  // Amid an update some objects cannot be captured.
  const std::vector<CapturedPart> now =
      all_kept ? std::vector<CapturedPart>(parts_.size()) : capture(parts);
  Recovered result;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    CapturedPart part = parts_[i].captured;
    for (std::size_t k = 0; k < parts_[i].tensors.size(); ++k) {
      const Tensor& tensor = parts_[i].tensors[k];
      auto source = find(tensor, k, now[i]);
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

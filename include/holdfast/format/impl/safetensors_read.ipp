#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/format/impl/safetensors_rules.ipp>
#include <holdfast/format/json_walk.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reads the JSON of a safetensors header, and believes none of it.
namespace holdfast::detail {

/// Reads the JSON of a header: what stands where, each name with one entry,
/// each entry with its three members. Offsets are checked afterwards.
class HeaderBuilder final : public JsonEvents {
 public:
  std::vector<TensorEntry> entries;
  std::map<std::string, std::string> metadata;

  void null() override {
    if (at_ != At::metadata) {
      fail("a null");
    }
    at_ = At::root; // the reference takes it for no metadata
  }
  void boolean(bool) override {
    fail("a boolean");
  }
  void negative(std::int64_t) override {
    fail("a negative number");
  }
  void real(double) override {
    fail("a number with a point or an exponent");
  }
  void natural(std::uint64_t value) override {
    if (at_ == At::shape_item) {
      if (value > static_cast<std::uint64_t>(
                      std::numeric_limits<std::int64_t>::max())) {
        fail("a dimension beyond 2^63");
      }
      if (shape_.size() > kMaxTensorRank) {
        return; // refused with its name, and kept small until then
      }
      shape_.push_back(static_cast<std::int64_t>(value));
    } else if (at_ == At::offsets_item && offsets_ < 2) {
      (offsets_ == 0 ? begin_ : end_) = value;
      ++offsets_;
    } else {
      fail("a number");
    }
  }
  void text(std::string value) override {
    if (at_ == At::metadata_value) {
      metadata_member_->second = std::move(value);
      at_ = At::metadata_key;
    } else if (at_ == At::dtype) {
      const auto dtype = dtype_from_name(value);
      if (!dtype) {
        throw_tensor_error(
            ErrorCode::malformed_tensors,
            name_,
            "an unknown dtype",
            "'" + value + "'");
      }
      dtype_ = *dtype;
      at_ = At::entry_key;
    } else {
      fail("text");
    }
  }
  void begin_array() override {
    if (at_ == At::shape) {
      at_ = At::shape_item;
    } else if (at_ == At::offsets) {
      at_ = At::offsets_item;
    } else {
      fail("an array");
    }
  }
  void end_array() override {
    if (at_ == At::offsets_item && offsets_ != 2) {
      fail("data_offsets without two numbers");
    }
    at_ = At::entry_key;
  }
  void begin_object() override {
    switch (at_) {
      case At::start:
        at_ = At::root;
        break;
      case At::metadata:
        at_ = At::metadata_key;
        break;
      case At::entry:
        has_ = {};
        shape_.clear();
        offsets_ = 0;
        at_ = At::entry_key;
        break;
      default:
        fail("an object");
    }
  }
  void key(std::string name) override {
    if (at_ == At::root) {
      name_ = std::move(name);
      at_ = At::entry;
      if (name_ == kMetadataMember) {
        once(has_metadata_);
        at_ = At::metadata;
      }
    } else if (at_ == At::metadata_key) {
      const auto added = metadata.emplace(std::move(name), std::string());
      if (!added.second) {
        fail("a metadata entry twice");
      }
      metadata_member_ = added.first;
      at_ = At::metadata_value;
    } else if (name == "dtype") {
      once(has_.dtype);
      at_ = At::dtype;
    } else if (name == "shape") {
      once(has_.shape);
      at_ = At::shape;
    } else if (name == "data_offsets") {
      once(has_.offsets);
      at_ = At::offsets;
    } else {
      fail("an unknown member");
    }
  }
  void end_object() override {
    if (at_ == At::entry_key) {
      if (!has_.dtype || !has_.shape || !has_.offsets) {
        fail("an entry without dtype, shape or data_offsets");
      }
      TensorEntry entry;
      entry.spec.name = std::move(name_);
      entry.spec.dtype = dtype_;
      entry.spec.shape = shape_;
      entry.begin = begin_;
      entry.end = end_;
      entries.push_back(std::move(entry));
    }
    at_ = At::root; // after the root's own end nothing more comes
  }

  [[noreturn]] void fail(const char* found) const {
    throw_tensor_error(
        ErrorCode::malformed_tensors,
        name_,
        "the header breaks the form of safetensors",
        found);
  }

 private:
  enum class At {
    start,
    root,
    metadata,
    metadata_key,
    metadata_value,
    entry,
    entry_key,
    dtype,
    shape,
    shape_item,
    offsets,
    offsets_item,
  };
  struct Has {
    bool dtype = false;
    bool shape = false;
    bool offsets = false;
  };

  void once(bool& seen) const {
    if (seen) {
      fail("a member twice");
    }
    seen = true;
  }

  At at_ = At::start;
  std::string name_;
  DType dtype_ = DType::f32;
  std::vector<std::int64_t> shape_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::size_t offsets_ = 0;
  Has has_;
  bool has_metadata_ = false;
  std::map<std::string, std::string>::iterator metadata_member_;
};

/// Each tensor begins where the one before it ends; the last one ends the file.
HOLDFAST_INLINE void check_offsets(
    const std::vector<TensorEntry>& entries,
    std::uint64_t data_bytes) {
  std::uint64_t running = 0;
  for (const TensorEntry& entry : entries) {
    const std::string& name = entry.spec.name;
    const std::uint64_t bytes = check_tensor(
        entry.spec, ErrorCode::malformed_tensors, ErrorCode::malformed_tensors);
    if (entry.begin != running) {
      throw_tensor_error(
          ErrorCode::malformed_tensors,
          name,
          "a hole, an overlap or another order than in the file",
          "begins at " + std::to_string(entry.begin),
          std::to_string(running));
    }
    if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
      throw_tensor_error(
          ErrorCode::malformed_tensors,
          name,
          "offsets that are not those of dtype and shape",
          "ends at " + std::to_string(entry.end),
          std::to_string(bytes) + " bytes");
    }
    running = entry.end;
  }
  if (running != data_bytes) {
    throw_tensor_error(
        ErrorCode::malformed_tensors,
        "",
        "the tensors do not fill the file",
        std::to_string(data_bytes) + " bytes of data",
        std::to_string(running));
  }
}

/// Hears the marker, a list of names, and turns the pairs it names back into
/// complex numbers.
class PairRestorer final : public JsonEvents {
 public:
  PairRestorer(
      const std::vector<std::size_t>& order,
      std::vector<TensorEntry>& entries)
      : order_(order), entries_(entries) {}

  void null() override {
    fail("");
  }
  void boolean(bool) override {
    fail("");
  }
  void natural(std::uint64_t) override {
    fail("");
  }
  void negative(std::int64_t) override {
    fail("");
  }
  void real(double) override {
    fail("");
  }
  void text(std::string name) override {
    const auto found = std::lower_bound(
        order_.begin(),
        order_.end(),
        name,
        [&](std::size_t index, const std::string& wanted) {
          return entries_[index].spec.name < wanted;
        });
    if (!in_list_ || found == order_.end() ||
        entries_[*found].spec.name != name) {
      fail(name);
    }
    TensorSpec& spec = entries_[*found].spec;
    const bool is_half = spec.dtype == DType::f16;
    // A name given twice is a half no more the second time.
    if ((!is_half && spec.dtype != DType::f64) || spec.shape.empty() ||
        spec.shape.back() != 2) {
      fail(name);
    }
    spec.dtype = is_half ? DType::c32 : DType::c128;
    spec.shape.pop_back();
  }
  void begin_array() override {
    in_list_ = true;
  }
  void end_array() override {}
  void begin_object() override {
    fail("");
  }
  void key(std::string) override {}
  void end_object() override {}

 private:
  [[noreturn]] static void fail(const std::string& name) {
    throw_tensor_error(
        ErrorCode::malformed_tensors,
        name,
        "the metadata names pairs that are none",
        kComplexMarker);
  }

  const std::vector<std::size_t>& order_;
  std::vector<TensorEntry>& entries_;
  bool in_list_ = false;
};

/// `walk_json` where everything that is wrong breaks a rule of safetensors.
HOLDFAST_INLINE void walk_header_json(
    std::string_view json,
    std::size_t max_depth,
    JsonEvents& events) {
  JsonLimits limits;
  limits.max_depth = max_depth;
  try {
    walk_json(json, limits, events);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::malformed_tensors) {
      throw;
    }
    throw Error(ErrorCode::malformed_tensors, error.details());
  }
}

HOLDFAST_INLINE SafetensorsHeader
parse_header(std::string_view json, std::uint64_t data_bytes) {
  HeaderBuilder builder;
  walk_header_json(json, 4, builder);
  SafetensorsHeader header;
  header.entries = std::move(builder.entries);
  header.metadata = std::move(builder.metadata);
  header.data_bytes = data_bytes;
  check_offsets(header.entries, data_bytes);
  const std::vector<std::size_t> order = by_name(header.entries);
  const auto marker = header.metadata.find(kComplexMarker);
  if (marker != header.metadata.end()) {
    PairRestorer restorer(order, header.entries);
    walk_header_json(marker->second, 1, restorer);
  }
  return header;
}

/// Appends exactly `count` bytes, in pieces: memory grows with what is there,
/// not with what a length field claims.
HOLDFAST_INLINE void append_from(
    ByteSource& source,
    std::uint64_t count,
    Bytes& raw) {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
  while (count != 0) {
    const auto want = static_cast<std::size_t>(std::min(count, kPiece));
    const std::size_t before = raw.size();
    raw.resize(before + want);
    const std::size_t got = source.read(raw.data() + before, want);
    raw.resize(before + std::min(got, want));
    if (got != want) {
      throw_tensor_error(
          ErrorCode::malformed_tensors, "", "the file ends within its header");
    }
    count -= want;
  }
}

} // namespace holdfast::detail

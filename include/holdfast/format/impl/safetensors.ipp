#pragma once

#include <holdfast/format/safetensors.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/impl/shared.hpp>
#include <holdfast/format/json.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

namespace holdfast {

namespace detail {

inline constexpr const char* kMetadataMember = "__metadata__";
inline constexpr const char* kComplexMarker = "holdfast.complex";
inline constexpr std::size_t kDataAlignment = 64;
inline constexpr std::size_t kHeaderLengthBytes = 8;

HOLDFAST_INLINE bool is_pair(DType dtype) noexcept {
  return info(dtype).stored_as != dtype;
}

/// As the file has it: complex numbers that it lacks become pairs.
HOLDFAST_INLINE TensorSpec stored_spec(const TensorSpec& spec) {
  TensorSpec stored = spec;
  if (is_pair(spec.dtype)) {
    stored.dtype = info(spec.dtype).stored_as;
    stored.shape.push_back(2);
  }
  return stored;
}

HOLDFAST_INLINE bool has_control_character(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

/// As much of a text as a message should hold.
HOLDFAST_INLINE std::string excerpt(std::string text) {
  constexpr std::size_t kMost = 256;
  if (text.size() > kMost) {
    text.resize(kMost);
    text += "...";
  }
  return text;
}

[[noreturn]] HOLDFAST_INLINE void throw_tensor_error(
    ErrorCode code,
    std::string name,
    std::string message,
    std::string found = {},
    std::string expected = {}) {
  ErrorDetails details;
  details.name = excerpt(std::move(name));
  details.message = std::move(message);
  details.found = excerpt(std::move(found));
  details.expected = std::move(expected);
  throw Error(code, std::move(details));
}

/// Checks a tensor as it is stored; `limit` is the code of a broken limit,
/// `rule` that of anything else. Returns its bytes.
HOLDFAST_INLINE std::uint64_t check_tensor(
    const TensorSpec& stored,
    ErrorCode limit,
    ErrorCode rule) {
  const std::string& name = stored.name;
  if (name.empty()) {
    throw_tensor_error(rule, "", "a tensor without a name");
  }
  if (name.size() > kMaxTensorNameBytes) {
    throw_tensor_error(
        limit,
        name,
        "a tensor's name is too long",
        std::to_string(name.size()) + " bytes",
        "at most " + std::to_string(kMaxTensorNameBytes));
  }
  if (name == kMetadataMember || has_control_character(name) ||
      !is_utf8(name)) {
    throw_tensor_error(rule, name, "not a name for a tensor");
  }
  if (stored.shape.size() > kMaxTensorRank) {
    throw_tensor_error(
        limit,
        name,
        "a tensor with too many dimensions",
        std::to_string(stored.shape.size()),
        "at most " + std::to_string(kMaxTensorRank));
  }
  const auto bytes = tensor_bytes(stored.dtype, stored.shape);
  if (!bytes) {
    throw_tensor_error(
        rule, name, "a shape whose bytes overflow or end within a byte");
  }
  return *bytes;
}

HOLDFAST_INLINE void append_entry(std::string& json, const TensorEntry& entry) {
  const TensorSpec stored = stored_spec(entry.spec);
  append_json_text(json, stored.name);
  json += ":{\"dtype\":\"";
  json += info(stored.dtype).name;
  json += "\",\"shape\":[";
  for (std::size_t i = 0; i < stored.shape.size(); ++i) {
    if (i != 0) {
      json += ',';
    }
    append_decimal(json, static_cast<std::uint64_t>(stored.shape[i]));
  }
  json += "],\"data_offsets\":[";
  append_decimal(json, entry.begin);
  json += ',';
  append_decimal(json, entry.end);
  json += "]}";
}

/// The metadata as it goes into the file.
HOLDFAST_INLINE std::map<std::string, std::string> stored_metadata(
    const std::map<std::string, std::string>& metadata,
    const std::vector<TensorEntry>& entries) {
  for (const auto& [name, text] : metadata) {
    const bool is_reserved =
        name == kComplexMarker || (name == "format" && text != "pt");
    if (is_reserved || !is_utf8(name) || !is_utf8(text)) {
      throw_invalid_argument(name, "not allowed in a file's metadata");
    }
  }
  std::map<std::string, std::string> all = metadata;
  all["format"] = "pt"; // loaders of model files demand it
  Value::Array pairs;
  for (const TensorEntry& entry : entries) {
    if (is_pair(entry.spec.dtype)) {
      pairs.emplace_back(entry.spec.name);
    }
  }
  if (!pairs.empty()) {
    all[kComplexMarker] = to_json(std::move(pairs));
  }
  return all;
}

HOLDFAST_INLINE std::string header_of(const std::string& json) {
  // Blanks bring the data to the alignment.
  const std::size_t used = kHeaderLengthBytes + json.size();
  const std::size_t padded =
      (used + kDataAlignment - 1) / kDataAlignment * kDataAlignment;
  const std::uint64_t length = padded - kHeaderLengthBytes;
  if (length > kMaxSafetensorsHeader) {
    throw_tensor_error(
        ErrorCode::limit_exceeded,
        "",
        "a safetensors header of too many bytes",
        std::to_string(length),
        "at most " + std::to_string(kMaxSafetensorsHeader));
  }
  std::string header;
  header.reserve(padded);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    header += static_cast<char>(length >> shift & 0xff);
  }
  header += json;
  header.resize(padded, ' ');
  return header;
}

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

/// Indices of the entries by name; `malformed_tensors` if two have one.
HOLDFAST_INLINE std::vector<std::size_t> by_name(
    const std::vector<TensorEntry>& entries) {
  // Sorted, not hashed: no choice of names makes it slow.
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return entries[a].spec.name < entries[b].spec.name;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const std::string& name = entries[order[i]].spec.name;
    if (name == entries[order[i - 1]].spec.name) {
      throw_tensor_error(
          ErrorCode::malformed_tensors, name, "two tensors with one name");
    }
  }
  return order;
}

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

} // namespace detail

HOLDFAST_INLINE SafetensorsLayout plan_safetensors(
    const std::vector<TensorSpec>& tensors,
    const std::map<std::string, std::string>& metadata) {
  SafetensorsLayout layout;
  layout.sources.resize(tensors.size());
  std::iota(layout.sources.begin(), layout.sources.end(), std::size_t{0});
  std::sort(
      layout.sources.begin(),
      layout.sources.end(),
      [&](std::size_t a, std::size_t b) {
        const DType left = info(tensors[a].dtype).stored_as;
        const DType right = info(tensors[b].dtype).stored_as;
        return left != right ? left > right : tensors[a].name < tensors[b].name;
      });
  layout.entries.reserve(tensors.size());
  for (const std::size_t source : layout.sources) {
    const std::uint64_t bytes = detail::check_tensor(
        detail::stored_spec(tensors[source]),
        ErrorCode::limit_exceeded,
        ErrorCode::invalid_argument);
    TensorEntry entry;
    entry.spec = tensors[source];
    entry.begin = layout.data_bytes;
    const auto end = checked_add(entry.begin, bytes);
    if (!end ||
        *end > static_cast<std::uint64_t>(
                   std::numeric_limits<std::int64_t>::max())) {
      throw_invalid_argument(
          entry.spec.name, "more bytes than a file can hold");
    }
    entry.end = *end;
    layout.data_bytes = *end;
    layout.entries.push_back(std::move(entry));
  }
  try {
    (void)detail::by_name(layout.entries);
  } catch (const Error& error) {
    throw Error(ErrorCode::duplicate_name, error.details());
  }
  std::string json = "{\"__metadata__\":{";
  char separator = 0;
  for (const auto& [name, text] :
       detail::stored_metadata(metadata, layout.entries)) {
    if (separator != 0) {
      json += separator;
    }
    detail::append_json_text(json, name);
    json += ':';
    detail::append_json_text(json, text);
    separator = ',';
  }
  json += '}';
  for (const TensorEntry& entry : layout.entries) {
    json += ',';
    detail::append_entry(json, entry);
  }
  json += '}';
  layout.header = detail::header_of(json);
  return layout;
}

HOLDFAST_INLINE SafetensorsHeader read_safetensors_header(
    ByteSource& source,
    std::uint64_t file_bytes,
    Bytes& raw) {
  const std::size_t begin = raw.size();
  if (file_bytes < detail::kHeaderLengthBytes) {
    detail::throw_tensor_error(
        ErrorCode::malformed_tensors,
        "",
        "a file too short for a header",
        std::to_string(file_bytes) + " bytes");
  }
  detail::append_from(source, detail::kHeaderLengthBytes, raw);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < detail::kHeaderLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(raw[begin + i]) << (8 * i);
  }
  const std::uint64_t left = file_bytes - detail::kHeaderLengthBytes;
  const std::uint64_t most = std::min(left, kMaxSafetensorsHeader);
  if (length > most) {
    detail::throw_tensor_error(
        ErrorCode::malformed_tensors,
        "",
        "a header longer than allowed or than the file",
        std::to_string(length) + " bytes",
        "at most " + std::to_string(most));
  }
  detail::append_from(source, length, raw);
  const std::string_view json =
      ByteView(raw)
          .subview(
              begin + detail::kHeaderLengthBytes,
              raw.size() - begin - detail::kHeaderLengthBytes)
          .text();
  SafetensorsHeader header = detail::parse_header(json, left - length);
  header.header_bytes = detail::kHeaderLengthBytes + length;
  return header;
}

} // namespace holdfast

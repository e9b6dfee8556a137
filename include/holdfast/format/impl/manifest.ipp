#pragma once

#include <holdfast/format/manifest.hpp>

#include <holdfast/base/checked.hpp>
#include <holdfast/base/error.hpp>
#include <holdfast/base/sorting.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/format/impl/shared.hpp>
#include <holdfast/format/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {

inline constexpr std::string_view kManifestTailBegin = ",\"xxh3_128\":\"";
inline constexpr std::string_view kManifestTailEnd = "\"}\n";
inline constexpr std::uint64_t kMaxSequence = 999'999'999'999'999;

/// Finds the major version in a text of any version, whatever else it holds.
class MajorVersionFinder final : public JsonEvents {
 public:
  [[nodiscard]] std::optional<std::uint64_t> major() const noexcept {
    return major_;
  }

  void null() override {}
  void boolean(bool) override {}
  void natural(std::uint64_t value) override {
    if (depth_ == 2 && in_format_ && is_major_) {
      major_ = value;
    }
  }
  void negative(std::int64_t) override {}
  void real(double) override {}
  void text(std::string) override {}
  void begin_array() override {
    ++depth_;
  }
  void end_array() override {
    --depth_;
  }
  void begin_object() override {
    ++depth_;
  }
  void key(std::string name) override {
    if (depth_ == 1) {
      in_format_ = name == "format";
    }
    is_major_ = depth_ == 2 && name == "major";
  }
  void end_object() override {
    --depth_;
  }

 private:
  std::size_t depth_ = 0;
  bool in_format_ = false;
  bool is_major_ = false;
  std::optional<std::uint64_t> major_;
};

/// The rules that hold for what is written and for what is read.
struct ManifestRules {
  ErrorCode code; ///< Thrown for what is no limit.

  [[noreturn]] void fail(
      std::string name,
      std::string message,
      std::string found = {}) const {
    ErrorDetails details;
    details.name = std::move(name);
    details.message = std::move(message);
    details.found = std::move(found);
    throw Error(code, std::move(details));
  }

  void check_id(const std::string& name, const std::string& id) const {
    if (id.size() != 32 || !from_hex(id)) {
      fail(name, "not 32 lower-case hex digits", "'" + id + "'");
    }
  }

  void check_count(const char* name, std::int64_t count) const {
    if (count < 0) {
      fail(name, "a negative count", std::to_string(count));
    }
  }

  void check_sequence(const char* name, std::uint64_t sequence) const {
    if (sequence == 0 || sequence > kMaxSequence) {
      fail(name, "no sequence number", std::to_string(sequence));
    }
  }

  void check_path(const std::string& path) const {
    if (path == kManifestName) {
      fail(path, "the manifest as a part of itself");
    }
    if (!is_utf8(path)) {
      fail("path", "a part's path is not UTF-8");
    }
    std::size_t components = 0;
    for (std::size_t begin = 0; begin <= path.size(); ++components) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      const std::string_view component(path.data() + begin, end - begin);
      if (component.empty() || component == "." || component == "..") {
        fail(path, "a part's path has a component that names no file");
      }
      // ".zst" may follow; file systems stop at 255.
      if (component.size() > 251) {
        fail(path, "a part's path has a component of more than 251 bytes");
      }
      for (const char c : component) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
          fail(path, "a part's path has a character that is not allowed");
        }
      }
      begin = end + 1;
    }
    if (components > 2) {
      fail(path, "a part's path has more than two components");
    }
  }

  /// No two files may meet on disk, plain or compressed, nor a file a folder.
  void check_names(const std::vector<PartFile>& parts) const {
    std::vector<std::string> files;
    std::vector<std::string> folders;
    for (const PartFile& part : parts) {
      files.push_back(part.path);
      if (part.stored) {
        files.push_back(part.stored_path());
      }
      const std::size_t slash = part.path.find('/');
      if (slash != std::string::npos) {
        folders.push_back(part.path.substr(0, slash));
      }
    }
    if (const std::string* const twice = sort_and_find_twice(files)) {
      fail(*twice, "two parts with one name");
    }
    for (const std::string& folder : folders) {
      if (folder == kManifestName ||
          std::binary_search(files.begin(), files.end(), folder)) {
        fail(folder, "a part's folder has the name of a file");
      }
    }
  }

  void check_sizes(const std::vector<PartFile>& parts) const {
    std::optional<std::uint64_t> plain = 0;
    std::optional<std::uint64_t> stored = 0;
    for (const PartFile& part : parts) {
      plain = plain ? checked_add(*plain, part.bytes) : plain;
      stored = stored ? checked_add(*stored, part.stored_bytes()) : stored;
    }
    constexpr auto kMost =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!plain || !stored || *plain > kMost || *stored > kMost) {
      fail("parts", "more bytes than 2^63");
    }
  }

  void check(const Manifest& manifest) const {
    if (manifest.parts.size() > kMaxParts) {
      throw_json_limit("a manifest of too many parts", kMaxParts);
    }
    if (manifest.format.major < 1 || manifest.format.minor < 0) {
      fail("format", "no format version");
    }
    check_id("id", manifest.id);
    check_id("run_id", manifest.run_id);
    check_sequence("sequence", manifest.sequence);
    if (manifest.line >= manifest.sequence) {
      fail("line", "a line that is not older", std::to_string(manifest.line));
    }
    check_count("attempt", manifest.attempt);
    check_count("step", manifest.step);
    check_count("progress.epoch", manifest.progress.epoch);
    check_count("progress.batch", manifest.progress.batch);
    check_count("progress.step", manifest.progress.step);
    check_count("progress.samples", manifest.progress.samples);
    if (!std::isfinite(manifest.wall_time) ||
        !std::isfinite(manifest.progress.elapsed_seconds)) {
      fail("wall_time", "a time that is no number");
    }
    if (manifest.resumed_from) {
      check_id("resumed_from.id", manifest.resumed_from->id);
      check_sequence("resumed_from.sequence", manifest.resumed_from->sequence);
      if (manifest.resumed_from->sequence >= manifest.sequence) {
        fail("resumed_from.sequence", "a checkpoint that is not older");
      }
    }
    for (const PartFile& part : manifest.parts) {
      check_path(part.path);
    }
    check_names(manifest.parts);
    check_sizes(manifest.parts);
  }
};

HOLDFAST_INLINE Digest128
digest_from(const Values& members, const std::string& name) {
  const std::string& text = at(members, "xxh3_128").text(name);
  const auto digest = Digest128::from_hex(text);
  if (!digest) {
    ErrorDetails details;
    details.name = name;
    details.message = "not a digest of 32 lower-case hex digits";
    details.found = "'" + text + "'";
    throw Error(ErrorCode::malformed_value, std::move(details));
  }
  return *digest;
}

HOLDFAST_INLINE Value part_value(const PartFile& part) {
  Values members;
  members["path"] = part.path;
  members["bytes"] = part.bytes;
  members["xxh3_128"] = part.digest.hex();
  if (part.stored) {
    Values stored;
    stored["codec"] = part.stored->codec;
    stored["bytes"] = part.stored->bytes;
    stored["xxh3_128"] = part.stored->digest.hex();
    members["stored"] = std::move(stored);
  }
  return members;
}

HOLDFAST_INLINE PartFile part_from(const Value& value) {
  const Values& members = value.object("parts");
  PartFile part;
  part.path = at(members, "path").text("parts.path");
  part.bytes = at(members, "bytes").as<std::uint64_t>(part.path);
  part.digest = digest_from(members, part.path);
  const auto found = members.find("stored");
  if (found != members.end()) {
    const Values& stored = found->second.object(part.path);
    part.stored.emplace();
    part.stored->codec = at(stored, "codec").text(part.path);
    if (part.stored->codec != kZstdCodec) {
      ErrorDetails details;
      details.name = part.path;
      details.message = "a codec that this version does not know";
      details.found = "'" + part.stored->codec + "'";
      throw Error(ErrorCode::unsupported_version, std::move(details));
    }
    part.stored->bytes = at(stored, "bytes").as<std::uint64_t>(part.path);
    part.stored->digest = digest_from(stored, part.path);
  }
  return part;
}

HOLDFAST_INLINE Values manifest_values(const Manifest& manifest) {
  Values root;
  Values format;
  format["major"] = manifest.format.major;
  format["minor"] = manifest.format.minor;
  root["format"] = std::move(format);
  root["id"] = manifest.id;
  root["run_id"] = manifest.run_id;
  if (!manifest.run_name.empty()) {
    root["run_name"] = manifest.run_name;
  }
  root["line"] = manifest.line;
  root["attempt"] = manifest.attempt;
  root["sequence"] = manifest.sequence;
  root["step"] = manifest.step;
  root["wall_time"] = manifest.wall_time;
  Values progress;
  progress["epoch"] = manifest.progress.epoch;
  progress["batch"] = manifest.progress.batch;
  progress["step"] = manifest.progress.step;
  progress["samples"] = manifest.progress.samples;
  progress["elapsed_seconds"] = manifest.progress.elapsed_seconds;
  root["progress"] = std::move(progress);
  Values metrics;
  for (const auto& [name, value] : manifest.metrics.values()) {
    metrics[name] = value;
  }
  root["metrics"] = std::move(metrics);
  Value::Array reasons;
  for (const std::string& reason : manifest.reasons) {
    reasons.emplace_back(reason);
  }
  root["reasons"] = std::move(reasons);
  root["exact"] = manifest.exact;
  if (manifest.suspect) {
    root["suspect"] = true;
  }
  if (!manifest.divergences.empty()) {
    Value::Array divergences;
    for (const DivergenceRecord& record : manifest.divergences) {
      divergences.push_back(to_value(record));
    }
    root["divergences"] = std::move(divergences);
  }
  root["environment"] = to_value(manifest.environment);
  if (manifest.resumed_from) {
    Values origin;
    origin["sequence"] = manifest.resumed_from->sequence;
    origin["id"] = manifest.resumed_from->id;
    root["resumed_from"] = std::move(origin);
  }
  Value::Array parts;
  for (const PartFile& part : manifest.parts) {
    parts.push_back(part_value(part));
  }
  root["parts"] = std::move(parts);
  return root;
}

HOLDFAST_INLINE Manifest manifest_from(const Values& root) {
  Manifest manifest;
  const Values& format = at(root, "format").object("format");
  manifest.format.major = at(format, "major").as<int>("format.major");
  manifest.format.minor = at(format, "minor").as<int>("format.minor");
  manifest.id = at(root, "id").text("id");
  manifest.run_id = at(root, "run_id").text("run_id");
  const auto run_name = root.find("run_name");
  if (run_name != root.end()) {
    manifest.run_name = run_name->second.text("run_name");
  }
  manifest.line = at(root, "line").as<std::uint64_t>("line");
  manifest.attempt = at(root, "attempt").as<std::int64_t>("attempt");
  manifest.sequence = at(root, "sequence").as<std::uint64_t>("sequence");
  manifest.step = at(root, "step").as<std::int64_t>("step");
  manifest.wall_time = at(root, "wall_time").as<double>("wall_time");
  const Values& progress = at(root, "progress").object("progress");
  const auto count = [&](const char* name) {
    return at(progress, name).as<std::int64_t>(name);
  };
  manifest.progress.epoch = count("epoch");
  manifest.progress.batch = count("batch");
  manifest.progress.step = count("step");
  manifest.progress.samples = count("samples");
  manifest.progress.elapsed_seconds =
      at(progress, "elapsed_seconds").as<double>("elapsed_seconds");
  for (const auto& [name, value] : at(root, "metrics").object("metrics")) {
    manifest.metrics.set(name, value.as<double>(name));
  }
  for (const Value& reason : at(root, "reasons").array("reasons")) {
    manifest.reasons.push_back(reason.text("reasons"));
  }
  manifest.exact = at(root, "exact").as<bool>("exact");
  const auto suspect = root.find("suspect");
  if (suspect != root.end()) {
    manifest.suspect = suspect->second.as<bool>("suspect");
  }
  const auto divergences = root.find("divergences");
  if (divergences != root.end()) {
    for (const Value& record : divergences->second.array("divergences")) {
      manifest.divergences.push_back(divergence_record_from(record));
    }
  }
  manifest.environment = environment_from(at(root, "environment"));
  const auto origin = root.find("resumed_from");
  if (origin != root.end()) {
    const Values& members = origin->second.object("resumed_from");
    manifest.resumed_from = CheckpointIdentity{
        at(members, "sequence").as<std::uint64_t>("resumed_from.sequence"),
        at(members, "id").text("resumed_from.id")};
  }
  const Value::Array& parts = at(root, "parts").array("parts");
  if (parts.size() > kMaxParts) {
    throw_json_limit("a manifest of too many parts", kMaxParts);
  }
  for (const Value& part : parts) {
    manifest.parts.push_back(part_from(part));
  }
  return manifest;
}

/// The text without its tail, or `checksum_mismatch`.
HOLDFAST_INLINE std::string_view manifest_body(std::string_view text) {
  constexpr std::size_t kDigits = 32;
  constexpr std::size_t kTail =
      kManifestTailBegin.size() + kDigits + kManifestTailEnd.size();
  if (text.size() < kTail) {
    throw Error(ErrorCode::checksum_mismatch, "a manifest without its end");
  }
  const std::string_view body = text.substr(0, text.size() - kTail);
  std::string tail(kManifestTailBegin);
  tail += digest_of(ByteView(body)).hex();
  tail += kManifestTailEnd;
  // As text: parsing the digest would forgive a case bit or a blank.
  if (text.substr(body.size()) != tail) {
    ErrorDetails details;
    details.message = "the manifest is not as it was written";
    details.expected = tail.substr(kManifestTailBegin.size(), kDigits);
    throw Error(ErrorCode::checksum_mismatch, std::move(details));
  }
  return body;
}

} // namespace detail

HOLDFAST_INLINE std::string PartFile::stored_path() const {
  return stored ? path + ".zst" : path;
}

HOLDFAST_INLINE std::uint64_t Manifest::stored_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const PartFile& part : parts) {
    sum += part.stored_bytes();
  }
  return sum;
}

HOLDFAST_INLINE std::string manifest_text(const Manifest& manifest) {
  detail::ManifestRules{ErrorCode::invalid_argument}.check(manifest);
  for (const PartFile& part : manifest.parts) {
    if (part.stored && part.stored->codec != kZstdCodec) {
      throw_invalid_argument(part.path, "no codec", part.stored->codec);
    }
  }
  std::string text = to_json(detail::manifest_values(manifest));
  text.pop_back();
  const std::string digest = digest_of(ByteView(text)).hex();
  text += detail::kManifestTailBegin;
  text += digest;
  text += detail::kManifestTailEnd;
  if (text.size() > kMaxManifestBytes) {
    detail::throw_json_limit("a manifest of too many bytes", kMaxManifestBytes);
  }
  return text;
}

HOLDFAST_INLINE Manifest parse_manifest(ByteView bytes) {
  if (bytes.size > kMaxManifestBytes) {
    detail::throw_json_limit("a manifest of too many bytes", kMaxManifestBytes);
  }
  std::string body(detail::manifest_body(bytes.text()));
  body += '}';
  try {
    // First of all, and alone: the rest may be of a form only a newer version
    // knows.
    detail::MajorVersionFinder version;
    walk_json(body, JsonLimits(), version);
    const auto newest = static_cast<std::uint64_t>(kFormatVersion.major);
    if (version.major() && *version.major() > newest) {
      ErrorDetails details;
      details.message = "a newer format than this version of the library reads";
      details.expected = "format " + std::to_string(newest);
      details.found = "format " + std::to_string(*version.major());
      throw Error(ErrorCode::unsupported_version, std::move(details));
    }
    Manifest manifest =
        detail::manifest_from(from_json(body).object("manifest"));
    detail::ManifestRules{ErrorCode::malformed_manifest}.check(manifest);
    return manifest;
  } catch (const Error& error) {
    switch (error.code()) {
      case ErrorCode::limit_exceeded:
      case ErrorCode::unsupported_version:
      case ErrorCode::malformed_manifest:
        throw;
      default:
        throw Error(ErrorCode::malformed_manifest, error.details());
    }
  }
}

} // namespace holdfast

#include "support.hpp"

#include <holdfast/format/json.hpp>

#include <cmath>

using namespace holdfast;
using holdfast::test::code_of;
using holdfast::test::sample_manifest;

namespace {

std::string manifest_code(const std::string& text) {
  return code_of([&] { (void)parse_manifest(ByteView(text)); });
}

std::string manifest_code(const Manifest& manifest) {
  return code_of([&] { (void)manifest_text(manifest); });
}

/// A text of these members, with a tail that is right.
std::string sealed(std::string body) {
  body.pop_back();
  const std::string digest = digest_of(ByteView(body)).hex();
  return body + ",\"xxh3_128\":\"" + digest + "\"}\n";
}

/// The members of the sample without the digest.
Values members() {
  const std::string text = manifest_text(sample_manifest());
  return from_json(text.substr(0, text.rfind(",\"xxh3_128\"")) + "}")
      .as<Values>();
}

template <class Change>
std::string changed_manifest(Change change) {
  Values root = members();
  change(root);
  return sealed(to_json(root));
}

template <class Change>
std::string changed_in(const std::string& name, Change change) {
  return changed_manifest([&](Values& root) {
    Values inner = root[name].as<Values>();
    change(inner);
    root[name] = inner;
  });
}

template <class Change>
std::string changed_manifest_part(Change change) {
  return changed_manifest([&](Values& root) {
    auto parts = root["parts"].as<Value::Array>();
    Values part = parts[0].as<Values>();
    change(part);
    parts[0] = part;
    root["parts"] = parts;
  });
}

std::string with_paths(const std::vector<std::string>& paths) {
  return changed_manifest([&](Values& root) {
    Value::Array parts;
    for (const std::string& path : paths) {
      parts.push_back(Values{
          {"path", path}, {"bytes", 1}, {"xxh3_128", std::string(32, '0')}});
    }
    root["parts"] = parts;
  });
}

Manifest written_with_paths(const std::vector<std::string>& paths) {
  Manifest manifest = sample_manifest();
  manifest.parts.clear();
  for (const std::string& path : paths) {
    manifest.parts.push_back({path, 1, {}, std::nullopt});
  }
  return manifest;
}

const std::string kBadManifest = "malformed_manifest";

} // namespace

TEST_CASE("manifest: survives", "[format]") {
  const Manifest manifest = sample_manifest();
  const std::string text = manifest_text(manifest);
  const Manifest back = parse_manifest(ByteView(text));
  CHECK(back.format.major == 1);
  CHECK(back.format.minor == 0);
  CHECK(back.id == manifest.id);
  CHECK(back.run_id == manifest.run_id);
  CHECK(back.line == 26);
  CHECK(back.attempt == 2);
  CHECK(back.sequence == 31);
  CHECK(back.step == 12000);
  CHECK(back.wall_time == manifest.wall_time);
  CHECK(back.progress == manifest.progress);
  CHECK(back.metrics.values() == manifest.metrics.values());
  CHECK(back.reasons == manifest.reasons);
  CHECK(back.exact);
  CHECK(compare(back.environment, manifest.environment).empty());
  CHECK(
      back.environment.entries.at("libtorch").severity ==
      Severity::breaks_bit_equality);
  REQUIRE(back.resumed_from.has_value());
  CHECK(back.resumed_from->sequence == 10);
  CHECK(back.resumed_from->id == manifest.resumed_from->id);
  REQUIRE(back.parts.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const PartFile& a = manifest.parts[i];
    const PartFile& b = back.parts[i];
    CHECK(a.path == b.path);
    CHECK(a.bytes == b.bytes);
    CHECK(a.digest == b.digest);
    CHECK(a.stored_path() == b.stored_path());
    CHECK(a.stored_bytes() == b.stored_bytes());
    CHECK(a.stored_digest() == b.stored_digest());
  }
  CHECK(back.stored_bytes() == 1000000 + (std::uint64_t{1} << 53) + 1 + 999);
  CHECK(back.parts[0].stored_path() == "model/model.safetensors.zst");
  CHECK(back.parts[2].stored_path() == "state.json");
  CHECK(manifest_text(back) == text);
}

TEST_CASE("manifest: odd but lawful values survive", "[format]") {
  Manifest manifest = sample_manifest();
  manifest.exact = false;
  manifest.resumed_from.reset();
  manifest.line = 0;
  manifest.sequence = 999'999'999'999'999;
  manifest.step = std::numeric_limits<std::int64_t>::max();
  manifest.wall_time = -1.5;
  manifest.metrics.set("nan", std::nan("7"));
  manifest.parts.clear();
  const std::string text = manifest_text(manifest);
  const Manifest back = parse_manifest(ByteView(text));
  CHECK_FALSE(back.exact);
  CHECK_FALSE(back.resumed_from.has_value());
  CHECK(back.step == manifest.step);
  CHECK(std::isnan(back.metrics.values().at("nan")));
  CHECK(manifest_text(back) == text);
}

TEST_CASE("manifest: tells of divergences where there were any", "[format]") {
  Manifest manifest = sample_manifest();
  std::string text = manifest_text(manifest);
  CHECK(text.find("suspect") == std::string::npos);
  CHECK(text.find("divergences") == std::string::npos);
  DivergenceRecord record;
  record.metric = "loss";
  record.value = std::nan("");
  record.first_step = 5;
  record.last_step = 9;
  record.back_to = 3;
  manifest.suspect = true;
  manifest.divergences = {record, record};
  text = manifest_text(manifest);
  const Manifest back = parse_manifest(ByteView(text));
  CHECK(back.suspect);
  REQUIRE(back.divergences.size() == 2);
  CHECK(back.divergences[1].last_step == 9);
  CHECK(manifest_text(back) == text);
  for (const char* member : {"suspect", "divergences"}) {
    CHECK(
        code_of([&] {
          (void)parse_manifest(ByteView(changed_manifest(
              [&](Values& root) { root[member] = 1.5; })));
        }) == kBadManifest);
  }
}

TEST_CASE("manifest: ends in its digest and nothing else", "[format]") {
  const std::string text = manifest_text(sample_manifest());
  const std::size_t comma = text.size() - 13 - 32 - 3;
  CHECK(text.substr(comma, 13) == ",\"xxh3_128\":\"");
  CHECK(
      text.substr(comma + 13, 32) ==
      digest_of(ByteView(std::string_view(text).substr(0, comma))).hex());
  CHECK(text.substr(comma + 45) == "\"}\n");
  CHECK(from_json(text).object().count("xxh3_128") == 1);
}

TEST_CASE("manifest: every flipped bit is found", "[format]") {
  const std::string text = manifest_text(sample_manifest());
  std::string flipped = text;
  std::size_t missed = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      flipped[i] = static_cast<char>(text[i] ^ (1 << bit));
      missed += manifest_code(flipped) != "checksum_mismatch" ? 1U : 0U;
    }
    flipped[i] = text[i];
  }
  CHECK(missed == 0);
  CHECK(text.size() > 1000);
}

TEST_CASE("manifest: every cut and every addition is found", "[format]") {
  const std::string text = manifest_text(sample_manifest());
  std::size_t missed = 0;
  for (std::size_t size = 0; size < text.size(); ++size) {
    missed +=
        manifest_code(text.substr(0, size)) != "checksum_mismatch" ? 1U : 0U;
  }
  CHECK(missed == 0);
  CHECK(manifest_code(text + "\n") == "checksum_mismatch");
  CHECK(manifest_code(text + " ") == "checksum_mismatch");
  CHECK(manifest_code(" " + text) == "checksum_mismatch");
  CHECK(manifest_code(text + text) == "checksum_mismatch");
}

TEST_CASE("manifest: the digest's case and form count", "[format]") {
  std::string text = manifest_text(sample_manifest());
  const std::size_t digits = text.size() - 3 - 32;
  std::string upper = text;
  for (std::size_t i = digits; i < digits + 32; ++i) {
    if (upper[i] >= 'a') {
      upper[i] = static_cast<char>(upper[i] - 'a' + 'A');
    }
  }
  REQUIRE(upper != text);
  CHECK(manifest_code(upper) == "checksum_mismatch");
  std::string blank = text;
  blank.insert(text.size() - 1, " ");
  CHECK(manifest_code(blank) == "checksum_mismatch");
}

TEST_CASE(
    "manifest: a newer major is unsupported, whatever else it holds",
    "[format]") {
  const std::string newer = "unsupported_version";
  CHECK(manifest_code(sealed(R"({"format":{"major":2,"minor":0}})")) == newer);
  CHECK(
      manifest_code(sealed(
          R"({"x":{"$new":1},"format":{"major":2},"big":99999999999})")) ==
      newer);
  CHECK(manifest_code(changed_in("format", [](Values& v) {
          v["major"] = 2;
        })) == newer);
}

TEST_CASE("manifest: minor versions and unknown members are read", "[format]") {
  CHECK(manifest_code(changed_in("format", [](Values& v) {
          v["minor"] = 77;
        })) == "no error");
  CHECK(manifest_code(changed_manifest([](Values& v) {
          v["new"] = Values{{"a", 1}};
        })) == "no error");
  CHECK(manifest_code(changed_manifest_part([](Values& v) {
          v["new"] = 1;
        })) == "no error");
  CHECK(manifest_code(changed_in("progress", [](Values& v) {
          v["new"] = 1;
        })) == "no error");
}

TEST_CASE("manifest: an unknown codec is unsupported", "[format]") {
  CHECK(manifest_code(changed_manifest_part([](Values& v) {
          Values stored = v["stored"].as<Values>();
          stored["codec"] = "lzma";
          v["stored"] = stored;
        })) == "unsupported_version");
  Manifest manifest = sample_manifest();
  manifest.parts[0].stored->codec = "lzma";
  CHECK(manifest_code(manifest) == "invalid_argument");
}

TEST_CASE("manifest: members that are missing or of another kind", "[format]") {
  const Values all = members();
  for (const auto& [name, value] : all) {
    CAPTURE(name);
    const std::string member = name;
    const std::string missing =
        manifest_code(changed_manifest([&](Values& v) { v.erase(member); }));
    CHECK(missing == (member == "resumed_from" ? "no error" : kBadManifest));
    CHECK(manifest_code(changed_manifest([&](Values& v) {
            v[member] = Value();
          })) == kBadManifest);
    CHECK(manifest_code(changed_manifest([&](Values& v) {
            v[member] = Bytes(1);
          })) == kBadManifest);
  }
  for (const char* group : {"format", "progress", "resumed_from"}) {
    const Values inner = members()[group].as<Values>();
    for (const auto& [name, value] : inner) {
      CAPTURE(group, name);
      const std::string member = name;
      CHECK(manifest_code(changed_in(group, [&](Values& v) {
              v.erase(member);
            })) == kBadManifest);
      CHECK(manifest_code(changed_in(group, [&](Values& v) {
              v[member] = true;
            })) == kBadManifest);
    }
  }
  for (const char* name : {"path", "bytes", "xxh3_128", "stored"}) {
    CAPTURE(name);
    CHECK(manifest_code(changed_manifest_part([&](Values& v) {
            v[name] = true;
          })) == kBadManifest);
    CHECK(manifest_code(changed_manifest_part([&](Values& v) {
            v.erase(name);
          })) == (name == std::string("stored") ? "no error" : kBadManifest));
  }
  for (const char* name : {"codec", "bytes", "xxh3_128"}) {
    CAPTURE(name);
    CHECK(manifest_code(changed_manifest_part([&](Values& v) {
            Values stored = v["stored"].as<Values>();
            stored.erase(name);
            v["stored"] = stored;
          })) == kBadManifest);
  }
  CHECK(manifest_code(changed_manifest([](Values& v) {
          v["step"] = 1.0;
        })) == kBadManifest);
  CHECK(manifest_code(changed_manifest([](Values& v) {
          v["wall_time"] = 1;
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("metrics", [](Values& v) {
          v["m"] = 1;
        })) == kBadManifest);
  CHECK(manifest_code(changed_manifest([](Values& v) {
          v["reasons"] = Value::Array{1};
        })) == kBadManifest);
  CHECK(manifest_code(changed_manifest([](Values& v) {
          v["parts"] = Value::Array{1};
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("environment", [](Values& v) {
          v["x"] = "y";
        })) == kBadManifest);
}

TEST_CASE("manifest: values out of range", "[format]") {
  const auto set = [](const char* name, const Value& value) {
    return manifest_code(changed_manifest([&](Values& v) { v[name] = value; }));
  };
  CHECK(set("sequence", 0) == kBadManifest);
  CHECK(set("sequence", -1) == kBadManifest);
  CHECK(set("sequence", std::int64_t{1'000'000'000'000'000}) == kBadManifest);
  CHECK(set("sequence", 27) == "no error");
  CHECK(set("line", 31) == kBadManifest);
  CHECK(set("line", -1) == kBadManifest);
  CHECK(set("line", 30) == "no error");
  CHECK(set("step", -1) == kBadManifest);
  CHECK(set("attempt", -1) == kBadManifest);
  CHECK(set("wall_time", HUGE_VAL) == kBadManifest);
  CHECK(set("wall_time", std::nan("")) == kBadManifest);
  CHECK(set("id", "0123456789ABCDEF0123456789abcdef") == kBadManifest);
  CHECK(set("id", "0123456789abcdef0123456789abcde") == kBadManifest);
  CHECK(set("run_id", "") == kBadManifest);
  for (const char* name : {"epoch", "batch", "step", "samples"}) {
    CAPTURE(name);
    CHECK(manifest_code(changed_in("progress", [&](Values& v) {
            v[name] = -1;
          })) == kBadManifest);
  }
  CHECK(manifest_code(changed_in("progress", [](Values& v) {
          v["elapsed_seconds"] = std::nan("");
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("resumed_from", [](Values& v) {
          v["sequence"] = 31;
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("resumed_from", [](Values& v) {
          v["sequence"] = 0;
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("resumed_from", [](Values& v) {
          v["id"] = "x";
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("format", [](Values& v) {
          v["major"] = 0;
        })) == kBadManifest);
  CHECK(manifest_code(changed_in("format", [](Values& v) {
          v["minor"] = -1;
        })) == kBadManifest);
  CHECK(manifest_code(changed_manifest_part([](Values& v) {
          v["bytes"] = -1;
        })) == kBadManifest);
  CHECK(manifest_code(changed_manifest_part([](Values& v) {
          v["bytes"] = std::numeric_limits<std::uint64_t>::max();
        })) == kBadManifest);
  CHECK(manifest_code(changed_manifest_part([](Values& v) {
          v["xxh3_128"] = "0123456789ABCDEF0123456789abcdef";
        })) == kBadManifest);
}

TEST_CASE("manifest: the writer refuses what the reader would", "[format]") {
  const std::string bad = "invalid_argument";
  const auto after = [](auto change) {
    Manifest manifest = sample_manifest();
    change(manifest);
    return manifest_code(manifest);
  };
  CHECK(after([](Manifest& m) { m.id = "x"; }) == bad);
  CHECK(after([](Manifest& m) { m.run_id = ""; }) == bad);
  CHECK(after([](Manifest& m) { m.sequence = 0; }) == bad);
  CHECK(after([](Manifest& m) { m.line = 31; }) == bad);
  CHECK(after([](Manifest& m) { m.step = -1; }) == bad);
  CHECK(after([](Manifest& m) { m.attempt = -1; }) == bad);
  CHECK(after([](Manifest& m) { m.wall_time = HUGE_VAL; }) == bad);
  CHECK(after([](Manifest& m) { m.progress.epoch = -1; }) == bad);
  CHECK(after([](Manifest& m) { m.format.major = 0; }) == bad);
  CHECK(after([](Manifest& m) { m.resumed_from->sequence = 31; }) == bad);
  CHECK(
      after([](Manifest& m) { m.parts[0].bytes = ~std::uint64_t{0}; }) == bad);
  CHECK(after([](Manifest& m) { m.parts[1].path = "state.json"; }) == bad);
}

TEST_CASE("manifest: paths that lead elsewhere are refused", "[format]") {
  const std::string longest(251, 'a');
  for (const std::string& path :
       {std::string(),
        std::string("/a"),
        std::string("a/"),
        std::string("a//b"),
        std::string("."),
        std::string(".."),
        std::string("../a"),
        std::string("a/.."),
        std::string("./a"),
        std::string("a/./b"),
        std::string("a/b/c"),
        std::string("a\\b"),
        std::string("a\0b", 3),
        std::string("a\nb"),
        std::string("a\x7f"),
        std::string("a\xff"),
        std::string("MANIFEST.json"),
        std::string("MANIFEST.json/a"),
        longest + "a",
        "a/" + longest + "a"}) {
    CAPTURE(path);
    CHECK(manifest_code(with_paths({path})) == kBadManifest);
    CHECK(manifest_code(written_with_paths({path})) == "invalid_argument");
  }
  for (const std::string& path :
       {std::string("a"),
        std::string("...a"),
        std::string("a b/c..d"),
        std::string("\xc3\xa9"),
        longest + "/" + longest}) {
    CAPTURE(path);
    CHECK(manifest_code(with_paths({path})) == "no error");
    CHECK(manifest_code(written_with_paths({path})) == "no error");
  }
}

TEST_CASE("manifest: names that occur twice are refused", "[format]") {
  const std::vector<std::vector<std::string>> bad = {
      {"a", "a"}, {"a", "b", "a"}, {"a/b", "a/b"}, {"a", "a/b"}, {"a/b", "a"}};
  for (const auto& paths : bad) {
    CAPTURE(paths);
    CHECK(manifest_code(with_paths(paths)) == kBadManifest);
    CHECK(manifest_code(written_with_paths(paths)) == "invalid_argument");
  }
  CHECK(manifest_code(with_paths({"a/b", "a/c", "b"})) == "no error");
  Manifest manifest = written_with_paths({"a", "a.zst"});
  CHECK(manifest_code(manifest) == "no error");
  manifest.parts[0].stored = StoredForm{"zstd", 1, {}};
  CHECK(manifest_code(manifest) == "invalid_argument");
  std::string body = to_json(members());
  body.insert(1, "\"id\":\"0123456789abcdef0123456789abcdef\",");
  CHECK(manifest_code(sealed(body)) == kBadManifest);
}

TEST_CASE("manifest: intact bytes that are no JSON", "[format]") {
  CHECK(manifest_code(sealed("{\"a\":}")) == kBadManifest);
  CHECK(manifest_code(sealed("[]")) == kBadManifest);
  CHECK(manifest_code(sealed("{\"a\":{\"$x\":1}}")) == kBadManifest);
  CHECK(manifest_code(sealed("}")) == kBadManifest);
}

TEST_CASE("manifest: limits hold for reader and writer", "[format]") {
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < kMaxParts; ++i) {
    paths.push_back("p" + std::to_string(i));
  }
  CHECK(manifest_code(with_paths(paths)) == "no error");
  CHECK(manifest_code(written_with_paths(paths)) == "no error");
  paths.push_back("q");
  CHECK(manifest_code(with_paths(paths)) == "limit_exceeded");
  CHECK(manifest_code(written_with_paths(paths)) == "limit_exceeded");

  Manifest manifest = sample_manifest();
  const std::size_t used = manifest_text(manifest).size();
  manifest.reasons.push_back(std::string(kMaxManifestBytes - used - 3, 'x'));
  const std::string text = manifest_text(manifest);
  CHECK(text.size() == kMaxManifestBytes);
  CHECK(manifest_code(text) == "no error");
  manifest.reasons.back() += 'x';
  CHECK(manifest_code(manifest) == "limit_exceeded");
  CHECK(
      manifest_code(std::string(kMaxManifestBytes + 1, ' ')) ==
      "limit_exceeded");

  CHECK(manifest_code(changed_manifest([](Values& v) {
          Value deep = 1;
          for (int i = 0; i < 63; ++i) {
            deep = Value::Array{deep};
          }
          v["deep"] = deep;
        })) == "no error");
  std::string body = to_json(members());
  body.insert(
      1, "\"deep\":" + std::string(64, '[') + std::string(64, ']') + ",");
  CHECK(manifest_code(sealed(body)) == "limit_exceeded");
}

TEST_CASE("manifest: mutated texts give an error", "[format][fuzz]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string text = manifest_text(sample_manifest());
  for (int i = 0; i < 2000; ++i) {
    const std::string mutant = test::mutated(text, random);
    if (mutant != text) {
      CAPTURE(mutant);
      CHECK(manifest_code(mutant) == "checksum_mismatch");
    }
  }
}

TEST_CASE(
    "manifest: mutated texts with a right digest give an error or a "
    "manifest",
    "[format][fuzz]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string body = to_json(members());
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string mutant = test::mutated(body, random);
    if (mutant.empty()) {
      continue;
    }
    mutant = sealed(mutant);
    CAPTURE(mutant);
    try {
      const Manifest manifest = parse_manifest(ByteView(mutant));
      ++accepted;
      const std::string again = manifest_text(manifest);
      CHECK(manifest_text(parse_manifest(ByteView(again))) == again);
    } catch (const Error& error) {
      const ErrorCode found = error.code();
      CHECK(
          (found == ErrorCode::malformed_manifest ||
           found == ErrorCode::limit_exceeded ||
           found == ErrorCode::unsupported_version));
    }
  }
  CHECK(accepted > 0);
  CHECK(accepted < 2000);
}

#include "support.hpp"

#include <limits>

using namespace holdfast;
using holdfast::test::code_of;
using holdfast::test::read_header;
using holdfast::test::tensor_file;

namespace {

const std::string kBadLayout = "malformed_tensors";

std::string layout_code(const std::string& file) {
  return code_of([&] { (void)read_header(file); });
}

/// What a header of this text gives, over data of `data_bytes`.
std::string layout_code(std::string_view json, std::size_t data_bytes) {
  return layout_code(tensor_file(json, data_bytes));
}

std::string plan_code(const std::vector<TensorSpec>& tensors) {
  return code_of([&] { (void)plan_safetensors(tensors); });
}

/// An entry "name": U8 of `count` bytes at `begin`.
std::string entry(const char* name, int begin, int count) {
  return "\"" + std::string(name) + R"(":{"dtype":"U8","shape":[)" +
      std::to_string(count) + R"(],"data_offsets":[)" + std::to_string(begin) +
      "," + std::to_string(begin + count) + "]}";
}

/// A header of one tensor "a" with this text for its shape, zero bytes.
std::string with_shape(const char* shape) {
  return R"({"a":{"dtype":"U8","shape":)" + std::string(shape) +
      R"(,"data_offsets":[0,0]}})";
}

std::string json_of(const SafetensorsLayout& layout) {
  const std::string json = layout.header.substr(8);
  return json.substr(0, json.find_last_not_of(' ') + 1);
}

} // namespace

TEST_CASE("safetensors: the reference's order and text", "[format][P9]") {
  const SafetensorsLayout layout = plan_safetensors(
      {{"b", DType::f32, {2, 3}},
       {"a", DType::f32, {}},
       {"z", DType::boolean, {1}},
       {"m", DType::u64, {0}},
       {"h", DType::f16, {2}}},
      {{"x", "1"}});
  CHECK(
      json_of(layout) ==
      R"({"__metadata__":{"format":"pt","x":"1"},)"
      R"("m":{"dtype":"U64","shape":[0],"data_offsets":[0,0]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
      R"("h":{"dtype":"F16","shape":[2],"data_offsets":[28,32]},)"
      R"("z":{"dtype":"BOOL","shape":[1],"data_offsets":[32,33]}})");
  CHECK(layout.sources == std::vector<std::size_t>{3, 1, 0, 4, 2});
  CHECK(layout.data_bytes == 33);
  CHECK(layout.file_bytes() == layout.header.size() + 33);
  CHECK(layout.header.size() % 64 == 0);
  CHECK(json_of(plan_safetensors({})) == R"({"__metadata__":{"format":"pt"}})");
}

TEST_CASE("safetensors: the data begins at a multiple of 64", "[format]") {
  for (std::size_t length = 1; length < 140; ++length) {
    const auto layout =
        plan_safetensors({{std::string(length, 'n'), DType::u8, {1}}});
    CAPTURE(length);
    CHECK(layout.header.size() % 64 == 0);
    CHECK(layout.header.size() - json_of(layout).size() - 8 < 64);
    CHECK(layout_code(layout.header + "x") == "no error");
  }
}

TEST_CASE("safetensors: every dtype survives", "[format]") {
  const auto tensors = test::every_dtype();
  const SafetensorsLayout layout = plan_safetensors(tensors, {{"k", "v\n"}});
  const std::string file = layout.header + std::string(layout.data_bytes, 'x');
  test::TextSource source(file);
  Bytes raw{std::byte{'!'}};
  const SafetensorsHeader header =
      read_safetensors_header(source, file.size(), raw);
  CHECK(header.header_bytes == layout.header.size());
  CHECK(header.data_bytes == layout.data_bytes);
  CHECK(source.offset() == layout.header.size());
  CHECK(ByteView(raw).text() == "!" + layout.header);
  CHECK(header.metadata.at("format") == "pt");
  CHECK(header.metadata.at("k") == "v\n");
  CHECK(
      header.metadata.at("holdfast.complex") ==
      R"(["all.c128","complex.scalar","all.c32"])");
  REQUIRE(header.entries.size() == tensors.size());
  REQUIRE(layout.entries.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorEntry& entry = header.entries[i];
    CAPTURE(entry.spec.name);
    CHECK(entry.spec == tensors[layout.sources[i]]);
    CHECK(entry.spec == layout.entries[i].spec);
    CHECK(entry.begin == layout.entries[i].begin);
    CHECK(entry.end == layout.entries[i].end);
    CHECK(
        entry.end - entry.begin ==
        tensor_bytes(entry.spec.dtype, entry.spec.shape));
    // Descending dtypes keep whole elements aligned.
    const unsigned bits = info(info(entry.spec.dtype).stored_as).bits;
    CHECK(entry.begin % (bits >= 8 ? bits / 8 : 1) == 0);
  }
}

TEST_CASE("safetensors: the writer refuses names no reader takes", "[format]") {
  const auto named = [](const std::string& name) {
    return plan_code({{name, DType::u8, {1}}});
  };
  CHECK(named("") == "invalid_argument");
  CHECK(named("__metadata__") == "invalid_argument");
  CHECK(named("a\n") == "invalid_argument");
  CHECK(named(std::string("a\0", 2)) == "invalid_argument");
  CHECK(named("a\x7f") == "invalid_argument");
  CHECK(named("a\xff") == "invalid_argument");
  CHECK(named("a/b c\"\\\xc3\xa9") == "no error");
  CHECK(named(std::string(kMaxTensorNameBytes, 'a')) == "no error");
  CHECK(named(std::string(kMaxTensorNameBytes + 1, 'a')) == "limit_exceeded");
  CHECK(
      plan_code({{"a", DType::u8, {1}}, {"a", DType::f32, {1}}}) ==
      "duplicate_name");
  CHECK(
      plan_code(
          {{"a", DType::u8, {0}},
           {"b", DType::u8, {}},
           {"a", DType::u8, {0}}}) == "duplicate_name");
}

TEST_CASE(
    "safetensors: the writer refuses shapes no reader takes",
    "[format]") {
  const std::int64_t half = std::int64_t{1} << 62;
  CHECK(plan_code({{"a", DType::u8, {-1}}}) == "invalid_argument");
  CHECK(plan_code({{"a", DType::u8, {0, half, 4}}}) == "invalid_argument");
  CHECK(plan_code({{"a", DType::f4, {3}}}) == "invalid_argument");
  CHECK(
      plan_code({{"a", DType::u8, {half}}, {"b", DType::u8, {half}}}) ==
      "invalid_argument");
  const std::vector<std::int64_t> ones(kMaxTensorRank, 1);
  CHECK(plan_code({{"a", DType::u8, ones}}) == "no error");
  CHECK(plan_code({{"a", DType::c32, ones}}) == "limit_exceeded");
  std::vector<std::int64_t> more = ones;
  more.push_back(1);
  CHECK(plan_code({{"a", DType::u8, more}}) == "limit_exceeded");
}

TEST_CASE(
    "safetensors: the writer refuses metadata it needs itself",
    "[format]") {
  const auto with = [](const char* name, const char* text) {
    return code_of([&] { (void)plan_safetensors({}, {{name, text}}); });
  };
  CHECK(with("format", "pt") == "no error");
  CHECK(with("format", "tf") == "invalid_argument");
  CHECK(with("holdfast.complex", "[]") == "invalid_argument");
  CHECK(with("a\xff", "x") == "invalid_argument");
  CHECK(with("a", "\xff") == "invalid_argument");
}

TEST_CASE("safetensors: the writer keeps the header's limit", "[format]") {
  const auto with = [](std::size_t size) {
    return code_of([&] {
      (void)plan_safetensors({}, {{"x", std::string(size, 'x')}});
    });
  };
  // 100,000,000 + 8 is no multiple of 64: the last that fits is below.
  const std::size_t frame = json_of(plan_safetensors({}, {{"x", ""}})).size();
  const std::size_t most = (kMaxSafetensorsHeader + 8) / 64 * 64 - 8 - frame;
  CHECK(with(most) == "no error");
  CHECK(with(most + 1) == "limit_exceeded");
}

TEST_CASE("safetensors: what the format allows is read", "[format]") {
  CHECK(layout_code("{}", 0) == "no error");
  CHECK(layout_code(" \t\r\n{} \t\r\n", 0) == "no error");
  CHECK(layout_code(R"({"__metadata__":{}})", 0) == "no error");
  CHECK(layout_code(R"({"__metadata__":null})", 0) == "no error");
  CHECK(layout_code("{" + entry("a", 0, 3) + "}", 3) == "no error");
  CHECK(
      layout_code(
          "{" + entry("a", 0, 3) + R"(,"__metadata__":{"b":"c"}})", 3) ==
      "no error");
  CHECK(
      layout_code(
          R"({"a":{"data_offsets":[0,1],"shape":[],"dtype":"U8"}})", 1) ==
      "no error");
  // Empty tensors where the running offset is.
  CHECK(
      layout_code(
          "{" + entry("a", 0, 0) + "," + entry("b", 0, 3) + "," +
              entry("c", 3, 0) + "," + entry("d", 3, 2) + "," +
              entry("e", 5, 0) + "}",
          5) == "no error");
  CHECK(layout_code("{" + entry("a/\\u00e9", 0, 1) + "}", 1) == "no error");
}

TEST_CASE("safetensors: a file must hold the header it claims", "[format]") {
  const std::string file = tensor_file("{" + entry("a", 0, 3) + "}", 3);
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    CHECK(layout_code(file.substr(0, size)) == kBadLayout);
  }
  CHECK(layout_code(file + "x") == kBadLayout);
  const auto claiming = [](std::uint64_t length, const std::string& rest) {
    std::string text;
    for (unsigned shift = 0; shift < 64; shift += 8) {
      text += static_cast<char>(length >> shift & 0xff);
    }
    return text + rest;
  };
  CHECK(layout_code(claiming(0, "")) == kBadLayout);
  CHECK(layout_code(claiming(2, "{}")) == "no error");
  CHECK(layout_code(claiming(3, "{}")) == kBadLayout);
  CHECK(
      layout_code(claiming(std::numeric_limits<std::uint64_t>::max(), "{}")) ==
      kBadLayout);
  CHECK(
      layout_code(claiming(std::uint64_t{1} << 63, std::string(100, ' '))) ==
      kBadLayout);
}

TEST_CASE(
    "safetensors: memory follows what is there, not what is claimed",
    "[format]") {
  // The size of the file lies too: a terabyte with a header of 90 MB.
  std::string file("\0\0\0\0\0\0\0\0{", 9);
  file[3] = 5;
  test::TextSource source(file);
  Bytes raw;
  const std::uint64_t claimed = std::uint64_t{1} << 40;
  CHECK(code_of([&] {
          (void)read_safetensors_header(source, claimed, raw);
        }) == kBadLayout);
  CHECK(raw.capacity() < 4U << 20);
  file[3] = 6; // 100,663,296: above the limit
  test::TextSource larger(file);
  Bytes none;
  const auto error = test::error_of(
      [&] { (void)read_safetensors_header(larger, claimed, none); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::malformed_tensors);
  CHECK(error->expected() == "at most 100000000");
  CHECK(none.size() == 8);
}

TEST_CASE(
    "safetensors: a header that is not this JSON is refused",
    "[format]") {
  const std::string e = entry("a", 0, 1);
  const std::string texts[] = {
      "",
      " ",
      "[]",
      "null",
      "1",
      "\"a\"",
      "{",
      "{" + e + ",}",
      "{" + e + "}{}",
      "{" + e + "} x",
      "{" + e + "}" + std::string(1, '\0'),
      "\xef\xbb\xbf{" + e + "}",
      "/**/{" + e + "}",
      R"({"a":1})",
      R"({"a":null})",
      R"({"a":[]})",
      R"({"a":"x"})",
      R"({"a":true})",
      R"({"a":{}})",
      R"({"a":{"dtype":"U8","shape":[1]}})",
      R"({"a":{"dtype":"U8","data_offsets":[0,1]}})",
      R"({"a":{"shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"C128","shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":["U8"],"shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":"1","data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":{},"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":null,"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.0]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":["0","1"]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":{"b":0}}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{}}})",
      R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],)"
      R"("data_offsets":[0,1]}})",
  };
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(layout_code(text, 1) == kBadLayout);
  }
}

TEST_CASE("safetensors: metadata is text under names given once", "[format]") {
  for (
      const char* text :
      {R"({"__metadata__":{"a":1}})",
       R"({"__metadata__":{"a":null}})",
       R"({"__metadata__":{"a":{}}})",
       R"({"__metadata__":{"a":["b"]}})",
       R"({"__metadata__":{"a":"b","a":"b"}})",
       R"({"__metadata__":{},"__metadata__":{}})",
       R"({"__metadata__":null,"__metadata__":{}})",
       R"({"__metadata__":[]})",
       R"({"__metadata__":"a"})",
       R"({"__metadata__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"}) {
    CAPTURE(text);
    CHECK(layout_code(text, 0) == kBadLayout);
  }
}

TEST_CASE("safetensors: nesting is refused at depth 5 unread", "[format]") {
  CHECK(layout_code(std::string(1'000'000, '['), 0) == kBadLayout);
  std::string text = R"({"a":)";
  for (int i = 0; i < 100000; ++i) {
    text += R"({"a":)";
  }
  CHECK(layout_code(text, 0) == kBadLayout);
}

TEST_CASE(
    "safetensors: dimensions are plain integers that do not overflow",
    "[format]") {
  CHECK(layout_code(with_shape("[0]"), 0) == "no error");
  CHECK(layout_code(with_shape("[0,3]"), 0) == "no error");
  for (const char* shape :
       {"[0.0]",
        "[0e0]",
        "[-0]",
        "[-1]",
        "[\"0\"]",
        "[00]",
        "[null]",
        "[true]",
        "[0,9223372036854775808]",
        "[0,9223372036854775808,4]",
        "[9223372036854775808,4,0]",
        "[0,18446744073709551615]",
        "[0,18446744073709551616]",
        "[0,4611686018427387904,4]",
        "[4611686018427387904,4,0]",
        "[4611686018427387904,0,4]",
        "[4294967296,4294967296]",
        "[1]"}) {
    CAPTURE(shape);
    CHECK(layout_code(with_shape(shape), 0) == kBadLayout);
  }
  CHECK(
      layout_code(
          R"({"a":{"dtype":"U64","shape":[2305843009213693952],)"
          R"("data_offsets":[0,0]}})",
          0) == kBadLayout);
  CHECK(
      layout_code(
          R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1) ==
      kBadLayout);
  CHECK(
      layout_code(
          R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2) ==
      kBadLayout);
  std::string ones = "[0";
  for (std::size_t i = 1; i < kMaxTensorRank; ++i) {
    ones += ",1";
  }
  CHECK(layout_code(with_shape((ones + "]").c_str()), 0) == "no error");
  CHECK(layout_code(with_shape((ones + ",1]").c_str()), 0) == kBadLayout);
  for (int i = 0; i < 100000; ++i) {
    ones += ",1";
  }
  CHECK(layout_code(with_shape((ones + "]").c_str()), 0) == kBadLayout);
}

TEST_CASE(
    "safetensors: tensors lie without holes, overlap or disorder",
    "[format]") {
  const auto two = [](const std::string& a, const std::string& b) {
    return "{" + a + "," + b + "}";
  };
  CHECK(layout_code(two(entry("a", 0, 2), entry("b", 2, 2)), 4) == "no error");
  CHECK(
      layout_code(two(entry("a", 0, 2), entry("b", 3, 1)), 4) ==
      kBadLayout); // hole
  CHECK(
      layout_code(two(entry("a", 0, 2), entry("b", 1, 3)), 4) ==
      kBadLayout); // overlap
  CHECK(layout_code(two(entry("a", 0, 4), entry("b", 0, 4)), 4) == kBadLayout);
  CHECK(
      layout_code(two(entry("a", 2, 2), entry("b", 0, 2)), 4) ==
      kBadLayout); // order
  CHECK(
      layout_code(two(entry("a", 1, 1), entry("b", 2, 2)), 4) ==
      kBadLayout); // first
  CHECK(
      layout_code(two(entry("a", 0, 2), entry("b", 2, 2)), 5) ==
      kBadLayout); // trailing
  CHECK(
      layout_code(two(entry("a", 0, 2), entry("b", 2, 2)), 3) ==
      kBadLayout); // missing
  CHECK(layout_code(two(entry("a", 0, 2), entry("b", 1, 0)), 2) == kBadLayout);
  CHECK(layout_code(two(entry("a", 2, 0), entry("b", 0, 2)), 2) == kBadLayout);
  CHECK(layout_code(two(entry("a", 9, 0), entry("b", 0, 2)), 2) == kBadLayout);
  CHECK(layout_code("{}", 1) == kBadLayout);
  CHECK(
      layout_code(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1) ==
      kBadLayout);
  CHECK(
      layout_code(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", 1) ==
      kBadLayout);
  CHECK(
      layout_code(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":)"
          R"([0,18446744073709551615]}})",
          1) == kBadLayout);
}

TEST_CASE(
    "safetensors: data_offsets are two, whatever they would be",
    "[format]") {
  // Of an empty tensor, and right where the tensor before it left off.
  for (const char* offsets : {"[]", "[0]", "[0,0,0]"}) {
    CAPTURE(offsets);
    const std::string empty = R"({"dtype":"U8","shape":[0],"data_offsets":)" +
        std::string(offsets) + "}";
    CHECK(layout_code("{\"a\":" + empty + "}", 0) == kBadLayout);
    CHECK(
        layout_code("{" + entry("b", 0, 0) + ",\"a\":" + empty + "}", 0) ==
        kBadLayout);
  }
}

TEST_CASE("safetensors: a name is given once", "[format]") {
  CHECK(
      layout_code("{" + entry("a", 0, 2) + "," + entry("a", 0, 2) + "}", 2) ==
      kBadLayout);
  CHECK(
      layout_code("{" + entry("a", 0, 2) + "," + entry("a", 2, 2) + "}", 4) ==
      kBadLayout);
  CHECK(
      layout_code("{" + entry("a", 0, 0) + "," + entry("a", 0, 2) + "}", 2) ==
      kBadLayout);
  CHECK(
      layout_code(
          "{" + entry("a", 0, 0) + "," + entry("\\u0061", 0, 0) + "}", 0) ==
      kBadLayout);
  const auto error = test::error_of([] {
    (void)read_header(tensor_file(
        "{" + entry("x", 0, 1) + "," + entry("y", 1, 1) + "," +
            entry("x", 2, 1) + "}",
        3));
  });
  REQUIRE(error.has_value());
  CHECK(error->name() == "x");
}

TEST_CASE("safetensors: names without sense are refused", "[format]") {
  for (const char* name : {"", "\\u0000", "a\\n", "\\u007f", "\x7f"}) {
    CAPTURE(name);
    CHECK(layout_code("{" + entry(name, 0, 1) + "}", 1) == kBadLayout);
  }
  for (const char* name : {"\xff", "\\ud800", "\xc0\xaf", "\n"}) {
    CAPTURE(name);
    CHECK(layout_code("{" + entry(name, 0, 1) + "}", 1) == kBadLayout);
  }
  const std::string longest(kMaxTensorNameBytes, 'n');
  CHECK(layout_code("{" + entry(longest.c_str(), 0, 1) + "}", 1) == "no error");
  CHECK(
      layout_code("{" + entry((longest + "n").c_str(), 0, 1) + "}", 1) ==
      kBadLayout);
}

TEST_CASE("safetensors: pairs are what their marker says", "[format]") {
  const auto file = [](const std::string& marker) {
    std::string escaped;
    for (const char c : marker) {
      escaped += c == '"' ? std::string("\\\"") : std::string(1, c);
    }
    return tensor_file(
        R"({"__metadata__":{"holdfast.complex":")" + escaped +
            R"("},)"
            R"("d":{"dtype":"F64","shape":[3,2],"data_offsets":[0,48]},)"
            R"("f":{"dtype":"F32","shape":[2],"data_offsets":[48,56]},)"
            R"("h":{"dtype":"F16","shape":[2],"data_offsets":[56,60]},)"
            R"("i":{"dtype":"F16","shape":[3],"data_offsets":[60,66]},)"
            R"("s":{"dtype":"F16","shape":[],"data_offsets":[66,68]}})",
        68);
  };
  CHECK(layout_code(file(R"(["d","h"])")) == "no error");
  const SafetensorsHeader header = read_header(file(R"(["h","d"])"));
  CHECK(header.entries[0].spec == TensorSpec{"d", DType::c128, {3}});
  CHECK(header.entries[2].spec == TensorSpec{"h", DType::c32, {}});
  CHECK(header.entries[3].spec == TensorSpec{"i", DType::f16, {3}});
  CHECK(layout_code(file("[]")) == "no error");
  for (const char* marker :
       {"",
        "x",
        "{}",
        "1",
        "null",
        R"("d")",
        R"(["d","d"])",
        R"(["h","h"])",
        R"(["none"])",
        R"(["f"])",
        R"(["i"])",
        R"(["s"])",
        R"([""])",
        R"([["d"]])",
        R"([null])",
        R"([1])",
        R"([-1])",
        R"([1.5])",
        R"([true])",
        R"([{"d":"d"}])",
        R"({"d":"d"})",
        R"(["d"] x)"}) {
    CAPTURE(marker);
    CHECK(layout_code(file(marker)) == kBadLayout);
  }
}

TEST_CASE("safetensors: 60,000 tensors", "[format]") {
  std::vector<TensorSpec> tensors;
  for (int i = 0; i < 60000; ++i) {
    tensors.push_back(
        {"layers." + std::to_string(i % 997) + "." + std::to_string(i),
         i % 7 == 0 ? DType::c128 : DType::bf16,
         {i % 3, 2}});
  }
  const SafetensorsLayout layout = plan_safetensors(tensors);
  test::TextSource source(layout.header);
  Bytes raw;
  const SafetensorsHeader header =
      read_safetensors_header(source, layout.file_bytes(), raw);
  REQUIRE(header.entries.size() == tensors.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    different += header.entries[i].spec == tensors[layout.sources[i]] ? 0U : 1U;
  }
  CHECK(different == 0);
}

TEST_CASE(
    "safetensors: mutated headers give an error or a lawful table",
    "[format][fuzz]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const SafetensorsLayout layout = plan_safetensors(test::every_dtype());
  const std::string json = json_of(layout);
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    // One half with a length that is right, so that the JSON is read.
    const std::string mutant = i % 2 == 0
        ? tensor_file(test::mutated(json, random), layout.data_bytes)
        : test::mutated(layout.header.substr(0, 8 + json.size()), random) +
            std::string(layout.data_bytes, 'x');
    CAPTURE(mutant);
    try {
      const SafetensorsHeader header = read_header(mutant);
      ++accepted;
      std::uint64_t running = 0;
      for (const TensorEntry& entry : header.entries) {
        CHECK(entry.begin == running);
        running = entry.end;
        CHECK(
            entry.end - entry.begin ==
            tensor_bytes(entry.spec.dtype, entry.spec.shape));
      }
      CHECK(running == header.data_bytes);
      CHECK(header.header_bytes + header.data_bytes == mutant.size());
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::malformed_tensors);
    }
  }
  CHECK(accepted > 0);
  CHECK(accepted < 4000);
}

#include <support/catch.hpp>
#include <support/random.hpp>

#include <holdfast/base/text.hpp>

#include <clocale>
#include <limits>
#include <string>
#include <string_view>

using namespace holdfast;

namespace {

Bytes bytes_of(std::string_view text) {
  const ByteView view(text);
  return Bytes(view.data, view.data + view.size);
}

} // namespace

TEST_CASE("text: hex is lower-case, two digits a byte", "[base]") {
  CHECK(
      to_hex(ByteView(std::string_view("\x00\x0f\xa5\xff", 4))) == "000fa5ff");
  CHECK(to_hex({}).empty());
  CHECK(from_hex("000fa5ff").value() == bytes_of({"\x00\x0f\xa5\xff", 4}));
  CHECK(from_hex("").value().empty());
  for (const std::string bad :
       {"0", "0F", "0g", "g0", " 0", "0x00", "00 ", "/0", ":0", "`0"}) {
    CAPTURE(bad);
    CHECK_FALSE(from_hex(bad));
  }
}

TEST_CASE("text: base64 is that of RFC 4648", "[base]") {
  const std::pair<const char*, const char*> pairs[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {"\xfb\xff\xbf", "+/+/"}};
  for (const auto& [plain, encoded] : pairs) {
    CHECK(to_base64(ByteView(std::string_view(plain))) == encoded);
    CHECK(from_base64(encoded).value() == bytes_of(plain));
  }
}

TEST_CASE("text: base64 is strict: one text for one value", "[base]") {
  for (const std::string bad :
       {"Z",
        "Zg",
        "Zg=",
        "Zh==",
        "Zm9=",
        "Zm8",
        "=",
        "====",
        "Z===",
        "Zg==Zg==",
        "Zg=v",
        "Zm=v",
        "Zm9v\n",
        "Zm 9",
        "Zm-v",
        "Zm_v",
        "Zm9v=",
        "Z\xc3\xa9v",
        "AB=="}) {
    CAPTURE(bad);
    CHECK_FALSE(from_base64(bad));
  }
}

TEST_CASE("text: random bytes survive hex and base64", "[base]") {
  const std::uint64_t from_seed = test::seed();
  CAPTURE(from_seed);
  for (std::size_t size = 0; size < 100; ++size) {
    const Bytes bytes = test::random_bytes(size, from_seed + size);
    CHECK(from_hex(to_hex(bytes)).value() == bytes);
    CHECK(from_base64(to_base64(bytes)).value() == bytes);
  }
}

TEST_CASE("text: UTF-8 is well-formed or it is not", "[base]") {
  for (const std::string good :
       {"",
        "a",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "a\xc3\xa9z"}) {
    CAPTURE(good);
    CHECK(is_utf8(good));
  }
  CHECK(is_utf8(std::string_view("a\0b", 3)));
  for (const std::string bad :
       {"\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x7f",
        "\xc2\xc0",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe1\x80",
        "\xe1\x80\x7f",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf1\x80\x80",
        "\xf1\x80\x80\xc0",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "ok\xfe"}) {
    CAPTURE(test::seed(), bad.size());
    CHECK_FALSE(is_utf8(bad));
  }
}

TEST_CASE("text: decimals have digits and nothing else", "[base]") {
  CHECK(parse_decimal("0").value() == 0);
  CHECK(parse_decimal("000024").value() == 24);
  CHECK(
      parse_decimal("18446744073709551615").value() ==
      std::numeric_limits<std::uint64_t>::max());
  for (const std::string bad :
       {"",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "1_000",
        "/",
        ":",
        "18446744073709551616",
        "18446744073709551620",
        "99999999999999999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_decimal(bad));
  }
}

TEST_CASE("text: numbers are padded, never cut", "[base]") {
  CHECK(zero_padded(24, 6) == "000024");
  CHECK(zero_padded(0, 1) == "0");
  CHECK(zero_padded(0, 0) == "0");
  CHECK(zero_padded(1234567, 6) == "1234567");
  CHECK(
      zero_padded(std::numeric_limits<std::uint64_t>::max(), 25) ==
      "0000018446744073709551615");
}

TEST_CASE("text: names are short and plain", "[base]") {
  for (const std::string good : {"a", "model", "a_b-c9", "0", "-", "_"}) {
    CAPTURE(good);
    CHECK(is_name(good));
  }
  CHECK(is_name(std::string(64, 'x')));
  CHECK_FALSE(is_name(std::string(65, 'x')));
  for (const std::string bad :
       {"", "A", "a b", "a.b", "a/b", "\xc3\xa9", "a\n", "{", "`", ":", "/"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_name(bad));
  }
}

TEST_CASE("text: a first line is fit to be quoted", "[base]") {
  CHECK(first_line("") == "");
  CHECK(first_line("short") == "short");
  CHECK(first_line("one\ntwo") == "one...");
  CHECK(first_line("one\n") == "one");
  CHECK(first_line("a\tb\x7f\x01") == "a?b??");
  CHECK(first_line("caf\xc3\xa9 \xff\xc3") == "caf\xc3\xa9 ??");
  CHECK(first_line(std::string(200, 'x')) == std::string(200, 'x'));
  CHECK(first_line(std::string(201, 'x')) == std::string(200, 'x') + "...");
  // Never half of a character.
  const std::string cut = first_line(std::string(199, 'x') + "\xc3\xa9");
  CHECK(cut == std::string(199, 'x') + "...");
  CHECK(is_utf8(cut));
}

TEST_CASE("text: sizes are rounded to tenths of decimal units", "[base]") {
  CHECK(format_bytes(0) == "0 bytes");
  CHECK(format_bytes(1) == "1 byte");
  CHECK(format_bytes(640) == "640 bytes");
  CHECK(format_bytes(999) == "999 bytes");
  CHECK(format_bytes(1000) == "1.0 kB");
  CHECK(format_bytes(1049) == "1.0 kB");
  CHECK(format_bytes(1050) == "1.1 kB");
  CHECK(format_bytes(999'949) == "999.9 kB");
  CHECK(format_bytes(999'950) == "1.0 MB");
  CHECK(format_bytes(1'234'567'890) == "1.2 GB");
  CHECK(format_bytes(std::numeric_limits<std::uint64_t>::max()) == "18.4 EB");
}

TEST_CASE("text: numbers for people have four digits", "[base]") {
  CHECK(format_number(0) == "0");
  CHECK(format_number(0.5) == "0.5");
  CHECK(format_number(-2.30259) == "-2.303");
  CHECK(format_number(3.14159e-7) == "3.142e-07");
  CHECK(format_number(1e300) == "1e+300");
  CHECK(format_number(std::numeric_limits<double>::infinity()) == "inf");
}

TEST_CASE("text: numbers do not follow the locale", "[base]") {
  // Whatever the environment sets; the classic one where it sets nothing.
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* const name : {"", "de_DE.UTF-8", "fr_FR.UTF-8", "C"}) {
    if (std::setlocale(LC_ALL, name) != nullptr) {
      CHECK(zero_padded(1234567, 6) == "1234567");
      CHECK(format_bytes(1'234'567) == "1.2 MB");
      CHECK(format_number(0.25) == "0.25");
      CHECK(parse_decimal("1234567").value() == 1234567);
    }
  }
  std::setlocale(LC_ALL, before.c_str());
}

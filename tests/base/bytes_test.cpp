#include <support/catch.hpp>

#include <holdfast/base/bytes.hpp>

#include <string_view>

using namespace holdfast;

TEST_CASE("bytes: a view sees what it was made of", "[base]") {
  const Bytes bytes = {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  const ByteView view = bytes;
  CHECK(view.data == bytes.data());
  CHECK(view.size == 3);
  CHECK(view.text() == "abc");
  CHECK(view.subview(1, 2).text() == "bc");
  CHECK(view.subview(3, 0).empty());
  CHECK(ByteView(std::string_view("xyz")).text() == "xyz");
  CHECK(ByteView().empty());
  CHECK(ByteView().data == nullptr);
}

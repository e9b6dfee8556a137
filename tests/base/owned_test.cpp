#include <support/catch.hpp>

#include <holdfast/base/owned.hpp>

#include <type_traits>
#include <utility>

using holdfast::detail::Owned;

namespace {

struct Counted {
  explicit Counted(int& alive_now) : alive(alive_now) {
    ++alive;
  }
  ~Counted() {
    --alive;
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  int& alive;
  int value = 7;
};

} // namespace

TEST_CASE("owned: the object goes with its one owner", "[base]") {
  static_assert(!std::is_copy_constructible_v<Owned<int>>);
  int alive = 0;
  {
    const Owned<Counted> owner(new Counted(alive));
    CHECK(alive == 1);
    CHECK(owner);
    CHECK(owner->value == 7);
    CHECK(&*owner == owner.get());
  }
  CHECK(alive == 0);
  const Owned<Counted> nothing;
  CHECK_FALSE(nothing);
  CHECK(nothing.get() == nullptr);
}

TEST_CASE("owned: moving hands the object over", "[base]") {
  int alive = 0;
  Owned<Counted> first(new Counted(alive));
  const Counted* const object = first.get();
  Owned<Counted> second(std::move(first));
  CHECK(second.get() == object);
  CHECK_FALSE(first); // NOLINT: what a moved-from owner holds is promised
  Owned<Counted> third(new Counted(alive));
  CHECK(alive == 2);
  third = std::move(second);
  CHECK(alive == 1);
  CHECK(third.get() == object);
  Owned<Counted>& itself = third;
  third = std::move(itself);
  CHECK(third.get() == object);
  third.reset();
  CHECK(alive == 0);
  CHECK_FALSE(third);
}

TEST_CASE("owned: released, the object is the caller's", "[base]") {
  int alive = 0;
  Owned<Counted> first(new Counted(alive));
  Counted* const object = first.release();
  CHECK_FALSE(first);
  CHECK(alive == 1);
  const Owned<Counted> second(object);
  CHECK(second.get() == object);
}

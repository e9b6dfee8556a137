#include "support/catch.hpp"

#include <holdfast/state/mismatches.hpp>

#include <set>

using namespace holdfast;

namespace {

Mismatch missing(const std::string& name) {
  return Mismatch{ErrorCode::name_missing, name, "there", "not there"};
}

/// Allows what it was given the names of, and moves all of "old." to "new.".
class AllowsNames final : public Leniency {
 public:
  explicit AllowsNames(std::set<std::string> names)
      : names_(std::move(names)) {}
  bool allows(const Mismatch& mismatch) const override {
    return names_.count(mismatch.name) != 0;
  }
  std::string new_name(const std::string&, const std::string& name)
      const override {
    if (name.rfind("old.", 0) == 0) {
      return "new." + name.substr(4);
    }
    if (name == "only") {
      return "renamed";
    }
    return name == "gone." ? "" : name;
  }

 private:
  std::set<std::string> names_;
};

std::string names_of(const std::vector<Mismatch>& mismatches) {
  std::string names;
  for (const Mismatch& mismatch : mismatches) {
    names += mismatch.name + ";";
  }
  return names;
}
std::string refused_by(const Mismatches& mismatches) {
  return names_of({mismatches.begin(), mismatches.end()});
}

} // namespace

TEST_CASE("mismatches: a strict load allows none", "[state]") {
  Mismatches mismatches;
  CHECK(mismatches.empty());
  CHECK_FALSE(mismatches.allows(missing("a")));
  CHECK(mismatches.empty()); // asking leaves no trace
  CHECK_FALSE(mismatches.allow(missing("a")));
  CHECK_FALSE(mismatches.allow_owner(missing("b")));
  mismatches.push_back(missing("c"));
  CHECK(refused_by(mismatches) == "a;b;c;");
  CHECK(mismatches.size() == 3);
  CHECK(mismatches.front().name == "a");
  CHECK(mismatches[2].name == "c");
  CHECK(mismatches[2].code == ErrorCode::name_missing);
  CHECK(mismatches[2].expected == "there");
  CHECK(mismatches[2].found == "not there");
  mismatches.note(missing("d")); // left alone in any load
  CHECK(mismatches.size() == 3);
  CHECK(names_of(mismatches.allowed()) == "d;");
}

TEST_CASE("mismatches: what is allowed is kept apart", "[state]") {
  const AllowsNames leniency({"a", "layer."});
  Mismatches mismatches(leniency);
  CHECK(mismatches.allows(missing("a")));
  CHECK(mismatches.allowed().empty());
  CHECK(mismatches.allow(missing("a")));
  CHECK_FALSE(mismatches.allow(missing("b")));
  // A rule about "layer.*" is about the layer too, one about "a" is no rule
  // about what lies below it.
  CHECK(mismatches.allow_owner(missing("layer")));
  CHECK_FALSE(mismatches.allow(missing("layer")));
  // What nothing makes up for is refused by any load.
  mismatches.push_back(missing("a"));
  CHECK(names_of(mismatches.allowed()) == "a;layer;");
  CHECK(refused_by(mismatches) == "b;layer;a;");
}

TEST_CASE("mismatches: prefixes nest, and rules see them", "[state]") {
  const AllowsNames leniency({"outer.inner.a", "outer."});
  Mismatches mismatches(leniency);
  {
    const Mismatches::Prefix outer(mismatches, "outer");
    {
      const Mismatches::Prefix inner(mismatches, "inner");
      CHECK(mismatches.allow(missing("a")));
      CHECK_FALSE(mismatches.allow(missing("b")));
    }
    CHECK_FALSE(mismatches.allow(missing("a")));
    CHECK(mismatches.allow_owner(missing("")));
  }
  CHECK_FALSE(mismatches.allow(missing("inner.a")));
  CHECK(refused_by(mismatches) == "outer.inner.b;outer.a;inner.a;");
  REQUIRE(mismatches.allowed().size() == 2);
  CHECK(mismatches.allowed()[0].name == "outer.inner.a");
}

TEST_CASE("mismatches: an owner goes where all below it goes", "[state]") {
  const AllowsNames leniency({});
  CHECK(leniency.new_owner_name("part", "old") == "new");
  CHECK(leniency.new_owner_name("part", "only") == "renamed");
  CHECK(leniency.new_owner_name("part", "other") == "other");
  CHECK(leniency.new_owner_name("part", "gone").empty());
  CHECK(leniency.new_owner_name("part", "").empty());
}

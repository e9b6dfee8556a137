#include "support/catch.hpp"

#include <holdfast/testing/loss_pattern.hpp>

#include <set>
#include <sstream>
#include <vector>

using namespace holdfast;
using holdfast::testing::LossPattern;

namespace {

std::vector<LossPattern> named_patterns() {
  return {
      LossPattern::all_lost(),
      LossPattern::all_kept(),
      LossPattern::data_lost(),
      LossPattern::data_zeroed(),
      LossPattern::names_lost(),
      LossPattern::only_name_lost(1),
      LossPattern::only_name_lost(2),
      LossPattern::only_name_kept(1),
      LossPattern::first_names_kept(1),
      LossPattern::rename_torn(LossPattern::RenameTear::absent),
      LossPattern::rename_torn(LossPattern::RenameTear::both),
      LossPattern::rename_torn(LossPattern::RenameTear::both, 1),
      LossPattern::only_data_lost(1),
      LossPattern::only_data_kept(1),
      LossPattern::data_torn(LossPattern::Sectors::even, 512),
      LossPattern::data_torn(LossPattern::Sectors::odd, 512),
      LossPattern::data_torn(LossPattern::Sectors::odd, 4096),
      LossPattern::data_torn(LossPattern::Sectors::odd, 512, false),
      LossPattern::data_torn(LossPattern::Sectors::first_half, 512),
      LossPattern::data_torn(LossPattern::Sectors::last_half, 512),
      LossPattern::random(1),
      LossPattern::random(2)};
}

} // namespace

TEST_CASE("loss pattern: each has words of its own", "[testing]") {
  std::set<std::string> words;
  for (const LossPattern& pattern : named_patterns()) {
    std::ostringstream stream;
    stream << pattern;
    CHECK(stream.str() == pattern.describe());
    CHECK(words.insert(pattern.describe()).second);
    CHECK_FALSE(pattern.describe().empty());
  }
}

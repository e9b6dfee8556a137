#pragma once

#include <holdfast/testing/loss_pattern.hpp>

namespace holdfast::testing {

namespace detail {

HOLDFAST_INLINE const char* text_of(LossPattern::Sectors sectors) {
  switch (sectors) {
    case LossPattern::Sectors::all:
      return "all";
    case LossPattern::Sectors::none:
      return "no";
    case LossPattern::Sectors::even:
      return "even";
    case LossPattern::Sectors::odd:
      return "odd";
    case LossPattern::Sectors::first_half:
      return "the first half of";
    case LossPattern::Sectors::last_half:
      return "the last half of";
  }
  return "?";
}

HOLDFAST_INLINE std::string text_of(
    LossPattern::Survivors survivors,
    std::size_t index) {
  switch (survivors) {
    case LossPattern::Survivors::all:
      return "all kept";
    case LossPattern::Survivors::none:
      return "all lost";
    case LossPattern::Survivors::all_but_one:
      return "only #" + std::to_string(index) + " lost";
    case LossPattern::Survivors::only_one:
      return "only #" + std::to_string(index) + " kept";
    case LossPattern::Survivors::first:
      return "only the first " + std::to_string(index) + " kept";
  }
  return "?";
}

} // namespace detail

HOLDFAST_INLINE LossPattern LossPattern::all_lost() {
  LossPattern pattern;
  pattern.names = Survivors::none;
  pattern.data = Survivors::none;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::all_kept() {
  return {};
}

HOLDFAST_INLINE LossPattern LossPattern::data_lost() {
  LossPattern pattern;
  pattern.data = Survivors::none;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::data_zeroed() {
  return data_torn(Sectors::none, 512, true);
}

HOLDFAST_INLINE LossPattern LossPattern::names_lost() {
  LossPattern pattern;
  pattern.names = Survivors::none;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::only_name_lost(std::size_t index) {
  LossPattern pattern;
  pattern.names = Survivors::all_but_one;
  pattern.name_index = index;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::only_name_kept(std::size_t index) {
  LossPattern pattern;
  pattern.names = Survivors::only_one;
  pattern.name_index = index;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::first_names_kept(std::size_t count) {
  LossPattern pattern;
  pattern.names = Survivors::first;
  pattern.name_index = count;
  return pattern;
}

HOLDFAST_INLINE LossPattern
LossPattern::rename_torn(RenameTear tear, std::size_t index) {
  LossPattern pattern;
  pattern.rename_tear = tear;
  pattern.torn_rename = index;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::only_data_lost(std::size_t index) {
  LossPattern pattern;
  pattern.data = Survivors::all_but_one;
  pattern.data_index = index;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::only_data_kept(std::size_t index) {
  LossPattern pattern;
  pattern.data = Survivors::only_one;
  pattern.data_index = index;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::data_torn(
    Sectors sectors,
    std::size_t sector_bytes,
    bool size_survives) {
  LossPattern pattern;
  pattern.sectors = sectors;
  pattern.sector_bytes = sector_bytes;
  pattern.size_survives = size_survives;
  return pattern;
}

HOLDFAST_INLINE LossPattern LossPattern::random(std::uint64_t seed) {
  LossPattern pattern;
  pattern.seed = seed;
  return pattern;
}

HOLDFAST_INLINE std::string LossPattern::describe() const {
  if (seed) {
    return "random loss, seed " + std::to_string(*seed);
  }
  std::string text = "names: " + detail::text_of(names, name_index);
  if (rename_tear != RenameTear::whole) {
    text += torn_rename == kEvery ? ", renames"
                                  : ", rename #" + std::to_string(torn_rename);
    text += rename_tear == RenameTear::absent ? " torn: no name left"
                                              : " torn: both names left";
  }
  text += "; data: " + detail::text_of(data, data_index);
  if (sectors != Sectors::all) {
    text += ", of each write " + std::string(detail::text_of(sectors)) +
        " sectors of " + std::to_string(sector_bytes) + " bytes";
    text += size_survives ? ", full size" : ", size cut";
  }
  return text;
}

HOLDFAST_INLINE std::ostream& operator<<(
    std::ostream& stream,
    const LossPattern& pattern) {
  return stream << pattern.describe();
}

} // namespace holdfast::testing

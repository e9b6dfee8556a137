#pragma once

#include <holdfast/testing/loss_pattern.hpp>

#include <holdfast/testing/memory_file_system.hpp>

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

HOLDFAST_INLINE LossPattern LossPattern::rename_torn(
    RenameTear tear,
    std::size_t index) {
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

HOLDFAST_INLINE std::vector<LossPattern> all_loss_patterns(
    const MemoryFileSystem& disk,
    std::size_t random,
    std::uint64_t first_seed) {
  using Survivors = LossPattern::Survivors;
  using Sectors = LossPattern::Sectors;
  using RenameTear = LossPattern::RenameTear;

  const std::size_t names = disk.pending_names().size();
  const std::size_t data = disk.pending_data().size();
  std::vector<LossPattern> patterns{LossPattern::all_kept()};
  if (names + data == 0) {
    return patterns;
  }
  const auto add = [&](LossPattern pattern) {
    patterns.push_back(pattern);
    if (data != 0 && pattern.data == Survivors::all) {
      pattern.data = Survivors::none;
      patterns.push_back(pattern);
    }
  };
  if (data != 0) {
    patterns.push_back(LossPattern::data_lost());
    patterns.push_back(LossPattern::data_zeroed());
  }
  if (names != 0) {
    add(LossPattern::names_lost());
  }
  // Of one operation, alone kept and alone lost are all and nothing.
  for (std::size_t i = 0; names > 1 && i < names; ++i) {
    add(LossPattern::only_name_lost(i));
    add(LossPattern::only_name_kept(i));
    if (i > 1) {
      add(LossPattern::first_names_kept(i));
    }
  }
  for (const std::size_t i : disk.pending_renames()) {
    add(LossPattern::rename_torn(RenameTear::absent, i));
    add(LossPattern::rename_torn(RenameTear::both, i));
  }
  for (std::size_t i = 0; data > 1 && i < data; ++i) {
    patterns.push_back(LossPattern::only_data_lost(i));
    patterns.push_back(LossPattern::only_data_kept(i));
  }
  if (data != 0) {
    for (const std::size_t sector : {std::size_t{512}, std::size_t{4096}}) {
      for (const Sectors sectors :
           {Sectors::even,
            Sectors::odd,
            Sectors::first_half,
            Sectors::last_half}) {
        patterns.push_back(LossPattern::data_torn(sectors, sector, true));
        patterns.push_back(LossPattern::data_torn(sectors, sector, false));
      }
    }
  }
  for (std::size_t i = 0; i < random; ++i) {
    patterns.push_back(LossPattern::random(first_seed + i));
  }
  return patterns;
}

} // namespace holdfast::testing

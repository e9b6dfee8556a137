#pragma once

#include <holdfast/store/catalog.hpp>

#include <holdfast/base/sorting.hpp>
#include <holdfast/store/names.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

namespace detail {

/// Moves the entries whose number is taken, by another entry or by one of
/// `others`, out of `entries`, which are sorted by number, into `foreign`.
template <class Entry>
void separate_foreign(
    std::vector<Entry>& entries,
    const std::vector<std::uint64_t>& others,
    std::vector<std::string>& foreign) {
  std::vector<Entry> own;
  own.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::uint64_t number = entries[i].sequence;
    const bool taken = (i > 0 && entries[i - 1].sequence == number) ||
        (i + 1 < entries.size() && entries[i + 1].sequence == number) ||
        std::binary_search(others.begin(), others.end(), number);
    if (taken) {
      foreign.push_back(entries[i].name);
    } else {
      own.push_back(entries[i]);
    }
  }
  entries = std::move(own);
}

HOLDFAST_INLINE Catalog catalog_of(const std::vector<DirectoryEntry>& entries) {
  Catalog catalog;
  for (const DirectoryEntry& entry : entries) {
    const ParsedName parsed = parse_name(entry.name);
    catalog.highest = std::max(catalog.highest, parsed.sequence);
    switch (parsed.kind) {
      case NameKind::checkpoint:
        if (entry.kind == FileKind::directory) {
          catalog.checkpoints.push_back(
              {parsed.sequence, parsed.step, entry.name});
        } else {
          catalog.foreign.push_back(entry.name);
        }
        break;
      case NameKind::line:
        if (entry.kind == FileKind::file) {
          catalog.lines.push_back({parsed.sequence, parsed.origin, entry.name});
        } else {
          catalog.foreign.push_back(entry.name);
        }
        break;
      case NameKind::staging:
        catalog.staging.push_back(entry.name);
        break;
      case NameKind::trash:
        catalog.trash.push_back(entry.name);
        break;
      case NameKind::quarantined:
        catalog.quarantined.push_back(entry.name);
        catalog.highest_quarantined =
            std::max(catalog.highest_quarantined, parsed.sequence);
        break;
      case NameKind::lock:
      case NameKind::latest:
      case NameKind::other:
        break;
    }
  }
  const auto by_sequence = [](const auto& a, const auto& b) {
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.name < b.name;
  };
  sort_by(catalog.lines, by_sequence);
  sort_by(catalog.checkpoints, by_sequence);
  // A line decides what a resume may use: it stays when a checkpoint has its
  // number, and the checkpoint goes.
  std::vector<std::uint64_t> line_numbers;
  for (const LineName& line : catalog.lines) {
    line_numbers.push_back(line.sequence);
  }
  separate_foreign(catalog.lines, {}, catalog.foreign);
  separate_foreign(catalog.checkpoints, line_numbers, catalog.foreign);
  for (auto* names :
       {&catalog.quarantined,
        &catalog.staging,
        &catalog.trash,
        &catalog.foreign}) {
    std::sort(names->begin(), names->end());
  }
  return catalog;
}

} // namespace detail

HOLDFAST_INLINE std::uint64_t Catalog::current_line() const noexcept {
  return lines.empty() ? 0 : lines.back().sequence;
}

HOLDFAST_INLINE std::uint64_t Catalog::line_of(
    std::uint64_t sequence) const noexcept {
  const auto above = std::lower_bound(
      lines.begin(),
      lines.end(),
      sequence,
      [](const LineName& line, std::uint64_t number) {
        return line.sequence < number;
      });
  return above == lines.begin() ? 0 : std::prev(above)->sequence;
}

HOLDFAST_INLINE std::vector<CheckpointName> Catalog::search_order() const {
  std::vector<CheckpointName> order;
  std::uint64_t newest = kMaxSequence; // Of the part of a line that counts.
  std::uint64_t line = current_line();
  for (;;) {
    auto next = std::upper_bound(
        checkpoints.begin(),
        checkpoints.end(),
        newest,
        [](std::uint64_t number, const CheckpointName& checkpoint) {
          return number < checkpoint.sequence;
        });
    while (next != checkpoints.begin() && std::prev(next)->sequence > line) {
      --next;
      order.push_back(*next);
    }
    if (line == 0) {
      return order;
    }
    const auto entry = std::lower_bound(
        lines.begin(),
        lines.end(),
        line,
        [](const LineName& candidate, std::uint64_t number) {
          return candidate.sequence < number;
        });
    newest = entry->origin; // Below the line's own number: this ends.
    if (newest == 0) {
      return order;
    }
    line = line_of(newest);
  }
}

HOLDFAST_INLINE bool Catalog::has_trace() const noexcept {
  return !checkpoints.empty() || !lines.empty() || !quarantined.empty() ||
      !foreign.empty();
}

HOLDFAST_INLINE Catalog scan(Directory& root) {
  return detail::catalog_of(root.list());
}

} // namespace holdfast

#pragma once

#include <holdfast/engine/data_sources.hpp>

#include <holdfast/base/error.hpp>

namespace holdfast {

HOLDFAST_INLINE Cursor* DataSources::cursor_of(const Source& source) {
  Cursor* const cursor = source.part->part->cursor();
  return cursor == source.attached ? cursor : nullptr;
}

HOLDFAST_INLINE void DataSources::attach(
    const PartSet& parts,
    LoopControl& control) {
  for (const NamedPart& part : parts.all()) {
    if (Cursor* const cursor = part.part->cursor()) {
      cursor->attach(&control);
      sources_.push_back(Source{&part, cursor});
    }
  }
}

HOLDFAST_INLINE void DataSources::refresh(
    LoopControl& control,
    std::int64_t epoch) {
  // All of them first: what one lets go of another may have taken.
  for (const Source& source : sources_) {
    source.part->part->let_go();
  }
  for (Source& source : sources_) {
    Cursor* const cursor = source.part->part->cursor();
    if (cursor != source.attached) {
      source.attached = nullptr;
      if (cursor != nullptr) {
        cursor->attach(&control);
        cursor->start_epoch(epoch);
      }
      source.attached = cursor;
    }
  }
}

HOLDFAST_INLINE void DataSources::detach() noexcept {
  for (const Source& source : sources_) {
    source.part->part->let_go();
    try {
      if (Cursor* const cursor = cursor_of(source)) {
        cursor->attach(nullptr);
      }
    } catch (...) { // a user's cursor; the destructor must not throw
    }
  }
  sources_.clear();
}

HOLDFAST_INLINE std::int64_t DataSources::commit() {
  std::int64_t samples = 0;
  for (const Source& source : sources_) {
    Cursor* const cursor = cursor_of(source);
    if (cursor == nullptr) {
      throw_invalid_argument(
          source.part->name,
          "was given another data source inside an epoch; do that before "
          "running()");
    }
    samples += cursor->commit();
  }
  return samples;
}

HOLDFAST_INLINE bool DataSources::ahead() const {
  for (const Source& source : sources_) {
    const Cursor* const cursor = cursor_of(source);
    if (cursor != nullptr && cursor->ahead()) {
      return true;
    }
  }
  return false;
}

HOLDFAST_INLINE bool DataSources::at_end() const {
  for (const Source& source : sources_) {
    const Cursor* const cursor = cursor_of(source);
    if (cursor == nullptr || !cursor->at_end()) {
      return false;
    }
  }
  return true;
}

HOLDFAST_INLINE void DataSources::places(std::vector<SourcePlace>& into) const {
  into.resize(sources_.size()); // its texts keep their memory
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const Cursor* const cursor = cursor_of(sources_[i]);
    into[i].part = sources_[i].part->name;
    into[i].place = cursor == nullptr ? std::nullopt : cursor->place();
  }
}

HOLDFAST_INLINE bool DataSources::skip(
    const std::vector<SourcePlace>& from,
    const std::vector<SourcePlace>& to) {
  const auto place_in = [](const std::vector<SourcePlace>& places,
                           const std::string& part) {
    for (const SourcePlace& source : places) {
      if (source.part == part) {
        return source.place;
      }
    }
    return std::optional<DataPlace>();
  };
  bool any = false;
  for (const Source& source : sources_) {
    const auto begin = place_in(from, source.part->name);
    const auto end = place_in(to, source.part->name);
    Cursor* const cursor = cursor_of(source);
    if (begin && end && cursor != nullptr) {
      any = cursor->skip(*begin, *end) || any;
    }
  }
  return any;
}

HOLDFAST_INLINE void DataSources::start_epoch(std::int64_t epoch) {
  for (const Source& source : sources_) {
    if (Cursor* const cursor = cursor_of(source)) {
      cursor->start_epoch(epoch);
    }
  }
}

} // namespace holdfast

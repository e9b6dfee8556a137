#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/state/cursor.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// Where the source that is part `part` stands, if that can be told.
struct SourcePlace {
  std::string part;
  std::optional<DataPlace> place;
};

/// The data sources among a run's parts, attached to its loop. A part may come
/// to hold another object (a `shared_ptr` that is pointed elsewhere), so
/// cursors are asked for anew and never used after their object is gone.
class DataSources {
 public:
  /// Attaches every source of `parts`. `parts` and `control` must outlive this.
  void attach(const PartSet& parts, LoopControl& control);
  /// Attaches what has taken the place of another source since, at the start of
  /// `epoch`. Between two ranges only.
  void refresh(LoopControl& control, std::int64_t epoch);
  void detach() noexcept;

  [[nodiscard]] bool empty() const noexcept {
    return sources_.empty();
  }
  /// The position of all of them moves to what they handed out; returns the
  /// samples. `invalid_argument` for a source that was replaced inside a range.
  std::int64_t commit();
  /// True if one has handed out something since.
  [[nodiscard]] bool ahead() const;
  /// True if all are at the end of their epoch.
  [[nodiscard]] bool at_end() const;
  void start_epoch(std::int64_t epoch);

  /// Where each of them stands.
  void places(std::vector<SourcePlace>& into) const;
  /// What each of them handed out between its place in `from` and that in `to`
  /// does not come again; true if one of them could.
  bool skip(
      const std::vector<SourcePlace>& from,
      const std::vector<SourcePlace>& to);

 private:
  struct Source {
    const NamedPart* part = nullptr;
    Cursor* attached = nullptr;
  };
  /// Null where another one has taken its place.
  [[nodiscard]] static Cursor* cursor_of(const Source& source);

  std::vector<Source> sources_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/data_sources.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/base/owned.hpp>
#include <holdfast/state/part.hpp>

#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// A part and its name in checkpoints.
struct NamedPart {
  std::string name;
  std::unique_ptr<Part> part;
};

/// Appends the part's notes, each after its name.
void append_notes(const NamedPart& named_part, std::vector<std::string>& notes);

/// The parts of a run, in the order they were added.
class PartSet {
 public:
  /// `invalid_argument` for a name outside `[a-z0-9_-]{1,64}` or a reserved
  /// one, `duplicate_name` for one that is taken.
  void add(std::string name, std::unique_ptr<Part> part);
  /// The same for the library's own parts, whose names are reserved.
  void add_reserved(std::string name, std::unique_ptr<Part> part);

  [[nodiscard]] const std::vector<NamedPart>& all() const noexcept {
    return parts_;
  }
  [[nodiscard]] const NamedPart* find(const std::string& name) const noexcept;

  /// The names of all tensors, from all parts.
  [[nodiscard]] Names publish() const;

 private:
  std::vector<NamedPart> parts_;
};

/// A part's state, captured.
struct CapturedPart {
  std::string name;
  std::string kind;
  State state;
};

/// Captures all parts. Random state as it was before, and where capturing
/// others moved it, even by failing, it is put back: saving never moves a
/// generator.
[[nodiscard]] std::vector<CapturedPart> capture(const PartSet& parts);

/// Random state, kept in memory, of all parts and of members of parts that are
/// of `Stage::random`; and, where asked for, the positions of loaders. The
/// parts must outlive it.
class RandomSnapshot {
 public:
  enum class Positions { left_out, taken };

  explicit RandomSnapshot(
      const PartSet& parts,
      Positions positions = Positions::left_out);
  ~RandomSnapshot();
  RandomSnapshot(RandomSnapshot&&) noexcept;
  RandomSnapshot& operator=(RandomSnapshot&&) noexcept;

  /// Puts back what has changed since; leaves alone what has not.
  void put_back();
  /// The same for what is in one part, whose members are still those of the
  /// last `publish`.
  void put_back(const NamedPart& part) const;
  /// True if there is no such state.
  [[nodiscard]] bool empty() const noexcept;

 private:
  struct Impl;
  detail::Owned<Impl> impl_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/part_set.ipp>
#endif

#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/transfer.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace holdfast {

/// What `load()` bears with, and what it does about it. By default nothing: the
/// checkpoint has to match the objects. Every setter returns the options, so
/// calls chain, and every one that takes a pattern may be called more than
/// once:
///
///     holdfast::load(
///         "runs/digits",
///         holdfast::LoadOptions()
///             .rename("backbone.*", "encoder.*")
///             .allow_missing("head.*")
///             .allow_unexpected("old_head.*"),
///         model);
///
/// Patterns are those of a shell over the names inside of parts: `*` stands for
/// any text, points included, `?` for one character. "part:pattern" speaks of
/// the parts whose name "part" matches, a pattern alone of all. A name has to
/// match as a whole: "head" is not "head.weight". The extra state of a module
/// `head`, and a member `head` of an object, match where "head." does, too.
/// Setters throw `invalid_argument` for a pattern that is none (`is_pattern`).
///
/// All patterns but the first one of `rename` are about the objects' names. A
/// tensor with several names needs leave under each.
class LoadOptions {
 public:
  LoadOptions() = default;

  /// What the objects have and the checkpoint lacks stays as it is. A whole
  /// part may be missing only where the pattern names it: "ema:*".
  LoadOptions& allow_missing(std::string pattern);
  /// What the checkpoint has and the objects lack is not used.
  LoadOptions& allow_unexpected(std::string pattern);
  /// Tensors that have another shape in the checkpoint stay as they are.
  LoadOptions& skip_shape_mismatch(std::string pattern);
  /// Tensors of another dtype are converted to that of the object, where
  /// `is_convertible` says so; the object keeps its dtype.
  LoadOptions& convert_dtype(std::string pattern);
  /// What matches `from` in the checkpoint is called `to` in the object. `to`
  /// has the wildcards of `from` in their order, and takes over what they stand
  /// for. The first rule that matches a name counts, and a name changes once.
  /// State of optimizers follows its parameters. Two tensors that end up with
  /// one name are a `duplicate_name`.
  LoadOptions& rename(std::string from, std::string to);

  /// Where tensors go that the object does not have yet (an undefined tensor as
  /// a part): "cpu", "cuda:0". By default where they were saved, or the host
  /// where that device is not there. `load()` throws `invalid_argument` where a
  /// device that is not there would be needed; the `load()` of LibTorch's
  /// objects whether or not it is. Tensors that are there stay on their device.
  LoadOptions& device(std::string device);

  /// Uses a checkpoint that is damaged or incomplete, if its manifest is
  /// intact and everything that is asked for verifies. Reads and verifies the
  /// whole checkpoint; the report names what is damaged. A module's tensors can
  /// be had even without state.json (docs/loading.md).
  LoadOptions& salvage(bool salvage);

  /// As `Options::on_transfer`.
  LoadOptions& on_transfer(
      TransferHandler handler,
      std::chrono::duration<double> interval = std::chrono::seconds(1));

  /// One pattern and what it is for.
  struct Rule {
    enum class Kind { missing, unexpected, shape, dtype, rename };
    Kind kind = Kind::missing;
    std::string part; ///< A pattern, too; empty: any part.
    std::string pattern;
    std::string to; ///< `rename` only.

    /// As it was called: "rename(\"a.*\", \"b.*\")".
    [[nodiscard]] std::string to_string() const;
  };
  [[nodiscard]] const std::vector<Rule>& rules() const noexcept {
    return rules_;
  }
  /// Empty: not said.
  [[nodiscard]] const std::string& device() const noexcept {
    return device_;
  }
  [[nodiscard]] bool salvage() const noexcept {
    return salvage_;
  }
  [[nodiscard]] const TransferListener& on_transfer() const noexcept {
    return transfers_;
  }

 private:
  LoadOptions& add(Rule::Kind kind, std::string pattern, std::string to = {});

  std::vector<Rule> rules_;
  std::string device_;
  bool salvage_ = false;
  TransferListener transfers_;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/load_options.ipp>
#endif

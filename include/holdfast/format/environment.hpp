#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/format/value.hpp>

#include <map>
#include <string>
#include <vector>

namespace holdfast {

/// What a difference in one entry of the environment means.
enum class Severity {
  information,
  may_change_speed,
  breaks_bit_equality,
};

[[nodiscard]] const char* to_string(Severity severity) noexcept;

/// What a run depends on besides its state: library versions, thread counts,
/// flags, the user's own tags. Entries by name.
struct Environment {
  struct Entry {
    std::string value;
    Severity severity = Severity::information;
  };
  std::map<std::string, Entry> entries;

  void set(std::string name, std::string value, Severity severity);
  /// The same, unless `value` is empty: nothing is known then.
  void set_known(std::string name, std::string value, Severity severity);
};

struct EnvironmentDifference {
  std::string name;
  std::string was; ///< Empty where the entry is new.
  std::string is; ///< Empty where the entry is gone.
  Severity severity = Severity::information;
};

/// Every entry that differs, the most severe first, then by name. Where both
/// sides state a severity the graver one counts.
[[nodiscard]] std::vector<EnvironmentDifference> compare(
    const Environment& was,
    const Environment& is);

[[nodiscard]] Value to_value(const Environment& environment);
/// Severities this version does not know count as `information`.
[[nodiscard]] Environment environment_from(const Value& value);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/format/impl/environment.ipp>
#endif

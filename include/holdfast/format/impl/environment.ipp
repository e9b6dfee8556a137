#pragma once

#include <holdfast/format/environment.hpp>

#include <holdfast/base/sorting.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE const char* to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::information:
      return "information";
    case Severity::may_change_speed:
      return "may_change_speed";
    case Severity::breaks_bit_equality:
      return "breaks_bit_equality";
  }
  return "unknown";
}

HOLDFAST_INLINE void Environment::set(
    std::string name,
    std::string value,
    Severity severity) {
  entries[std::move(name)] = Entry{std::move(value), severity};
}

HOLDFAST_INLINE void Environment::set_known(
    std::string name,
    std::string value,
    Severity severity) {
  if (!value.empty()) {
    set(std::move(name), std::move(value), severity);
  }
}

HOLDFAST_INLINE std::vector<EnvironmentDifference> compare(
    const Environment& was,
    const Environment& is) {
  std::vector<EnvironmentDifference> differences;
  for (const auto& [name, before] : was.entries) {
    const auto now = is.entries.find(name);
    if (now == is.entries.end()) {
      differences.push_back({name, before.value, "", before.severity});
    } else if (now->second.value != before.value) {
      differences.push_back(
          {name,
           before.value,
           now->second.value,
           std::max(before.severity, now->second.severity)});
    }
  }
  for (const auto& [name, now] : is.entries) {
    if (was.entries.count(name) == 0) {
      differences.push_back({name, "", now.value, now.severity});
    }
  }
  detail::sort_by(
      differences,
      [](const EnvironmentDifference& a, const EnvironmentDifference& b) {
        return a.severity != b.severity ? a.severity > b.severity
                                        : a.name < b.name;
      });
  return differences;
}

HOLDFAST_INLINE Value to_value(const Environment& environment) {
  Values entries;
  for (const auto& [name, entry] : environment.entries) {
    Values members;
    members["value"] = entry.value;
    members["severity"] = to_string(entry.severity);
    entries[name] = std::move(members);
  }
  return entries;
}

HOLDFAST_INLINE Environment environment_from(const Value& value) {
  Environment environment;
  for (const auto& [name, members] : value.object("environment")) {
    const Values& entry = members.object(name);
    const std::string& text = at(entry, "severity").text(name);
    Severity severity = Severity::information;
    for (const Severity known :
         {Severity::may_change_speed, Severity::breaks_bit_equality}) {
      if (text == to_string(known)) {
        severity = known;
      }
    }
    environment.set(name, at(entry, "value").text(name), severity);
  }
  return environment;
}

} // namespace holdfast

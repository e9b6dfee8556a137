#pragma once

#include <holdfast/format/json.hpp>
#include <holdfast/libtorch/impl/optimizer_options.ipp>

#include <cstddef>
#include <string>
#include <vector>

namespace holdfast::detail {

inline constexpr const char* kProgram = "program";

/// The options of an optimizer's groups as the program set them up, and as the
/// program that began the run did. The latter are saved with the options, so
/// that a resume can tell what the user changed in the program from what a
/// scheduler changed.
class ProgramOptions {
 public:
  /// Parts are captured for the first time before a restore and before the
  /// first step: only that call counts, for each optimizer.
  void remember(optim::Optimizer& optimizer) {
    if (of_ == &optimizer) {
      return;
    }
    of_ = &optimizer;
    here_.clear();
    for (optim::OptimizerParamGroup& group : optimizer.param_groups()) {
      here_.push_back(capture_options(group.options()));
    }
    of_run_ = here_;
  }

  /// Nothing of a group that was added later: who knows what had changed then.
  void save(std::size_t group, Values& into) const {
    if (group < of_run_.size() && !of_run_[group].empty()) {
      into[kProgram] = of_run_[group];
    }
  }

  /// Remarks on what this program sets otherwise than the run was set up.
  /// `match`: the saved index of each group.
  [[nodiscard]] std::vector<std::string> compare(
      const Value::Array& saved_groups,
      const std::vector<std::size_t>& match) {
    std::vector<std::string> remarks;
    prepared_.assign(match.size(), {});
    for (std::size_t g = 0; g < match.size(); ++g) {
      const Values& saved = saved_groups[match[g]].object("groups");
      const auto before = saved.find(kProgram);
      if (before == saved.end()) {
        continue;
      }
      prepared_[g] = before->second.object(kProgram);
      const Values& used = at(saved, "options").object("options");
      if (g >= here_.size()) {
        continue;
      }
      for (const auto& [name, is] : here_[g]) {
        const auto was = prepared_[g].find(name);
        const auto value = used.find(name);
        if (was == prepared_[g].end() || value == used.end() ||
            was->second == is) {
          continue;
        }
        remarks.push_back(
            "group " + std::to_string(g) + ": " + name + " was " +
            to_json(was->second) + " in the program, is " + to_json(is) +
            ": the saved one is used, " + to_json(value->second));
      }
    }
    return remarks;
  }

  /// What was compared has been applied.
  void applied() {
    of_run_ = prepared_;
  }

 private:
  std::vector<Values> here_;
  std::vector<Values> of_run_;
  std::vector<Values> prepared_;
  const void* of_ = nullptr;
};

} // namespace holdfast::detail

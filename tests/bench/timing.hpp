#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace holdfast::bench {

/// Seconds that `work` takes.
template <class Work>
double seconds(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
      .count();
}

/// What several runs of one thing took.
class Series {
 public:
  explicit Series(std::string name) : name_(std::move(name)) {}

  void add(double seconds) {
    values_.push_back(seconds);
  }
  [[nodiscard]] double median() const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[middle]
                                  : (sorted[middle - 1] + sorted[middle]) / 2;
  }
  /// One row; the rate only where `bytes` are given.
  void print(double bytes = 0) const {
    const auto range = std::minmax_element(values_.begin(), values_.end());
    std::printf(
        "%-34s median %9.4f s   min %9.4f   max %9.4f",
        name_.c_str(),
        median(),
        *range.first,
        *range.second);
    if (bytes > 0) {
      std::printf("   %6.2f GB/s", bytes / median() / 1e9);
    }
    std::printf("\n");
  }

 private:
  std::string name_;
  std::vector<double> values_;
};

} // namespace holdfast::bench

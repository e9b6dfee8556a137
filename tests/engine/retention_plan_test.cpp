#include "engine_support.hpp"

#include <holdfast/engine/retention_plan.hpp>

#include <sstream>

using namespace holdfast;

namespace {

PlannedCheckpoint planned(
    const std::string& name,
    std::uint64_t bytes,
    bool keep,
    bool keep_after_next) {
  PlannedCheckpoint made;
  made.checkpoint.name = name;
  made.checkpoint.bytes = bytes;
  made.keep = keep;
  made.reasons = {keep ? "last 3" : "older than the last 3"};
  made.keep_after_next = keep_after_next;
  made.reasons_after_next = {
      keep_after_next ? "last 3" : "older than the last 3", "no val_loss"};
  return made;
}

} // namespace

TEST_CASE("retention plan: for people", "[retention]") {
  RetentionPlan plan;
  plan.directory = "runs/a";
  CHECK(plan.to_string() == "runs/a: 0 checkpoints, 0 bytes kept");
  plan.checkpoints = {planned("ckpt-000001-step-10", 1'200'000, true, true)};
  CHECK(
      plan.to_string() ==
      "runs/a: 1 checkpoint, 1.2 MB kept\n"
      "  keep ckpt-000001-step-10, 1.2 MB: last 3");
  plan.checkpoints.push_back(planned("ckpt-000002-step-20", 800, true, false));
  plan.checkpoints.push_back(planned("ckpt-000003-step-30", 100, false, false));
  plan.abandoned = {{0, 1, 2'000}, {7, 12, 3'000'000'000}};
  plan.total_bytes = 2'000'000;
  CHECK(plan.bytes_kept() == 1'200'800);
  CHECK(plan.bytes_kept_after_next() == 1'200'000);
  const std::string text =
      "runs/a: 3 checkpoints, 1.2 MB kept, at most 2.0 MB\n"
      "  keep ckpt-000001-step-10, 1.2 MB: last 3\n"
      "  keep ckpt-000002-step-20, 800 bytes: last 3; goes with the next save: "
      "older than the last 3, no val_loss\n"
      "  drop ckpt-000003-step-30, 100 bytes: older than the last 3\n"
      "  left until prune(): 1 checkpoint of line 0, 2.0 kB\n"
      "  left until prune(): 12 checkpoints of line 7, 3.0 GB";
  CHECK(plan.to_string() == text);
  std::ostringstream stream;
  stream << plan;
  CHECK(stream.str() == text);
  plan.total_bytes = 1'000'000;
  CHECK_THAT(
      plan.to_string(),
      Catch::Matchers::Contains("at most 1.0 MB: what is protected takes "
                                "more\n"));
}

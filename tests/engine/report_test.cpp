#include "engine_support.hpp"

#include <holdfast/engine/report.hpp>

#include <sstream>

using namespace holdfast;

namespace {

ResumeReport resumed() {
  ResumeReport report;
  report.directory = "runs/digits";
  CheckpointInfo info;
  info.name = "ckpt-000024-step-12000";
  info.step = 12000;
  info.progress.epoch = 3;
  info.progress.batch = 118;
  report.checkpoint = info;
  report.parts = {
      {"model", "module", 6, 1'000'000},
      {"optimizer", "optimizer", 12, 200'000}};
  return report;
}

std::string printed(const ResumeReport& report) {
  std::ostringstream stream;
  stream << report;
  return stream.str();
}

} // namespace

TEST_CASE("report: a fresh start", "[report]") {
  ResumeReport report;
  report.directory = "runs/digits";
  CHECK_FALSE(report.resumed());
  CHECK(report.exact());
  CHECK(printed(report) == "fresh start in 'runs/digits'");
}

TEST_CASE("report: a resume in one line", "[report]") {
  CHECK(resumed().resumed());
  CHECK(resumed().exact());
  CHECK(
      printed(resumed()) ==
      "resumed ckpt-000024-step-12000 (epoch 3, batch 118) from "
      "'runs/digits': 2 parts, 1.2 MB");
}

TEST_CASE("report: everything there is to say", "[report]") {
  ResumeReport report = resumed();
  report.checkpoint->exact = false;
  PassedOver damaged;
  damaged.name = "ckpt-000026-step-13000";
  damaged.verdict = Verdict::damaged;
  damaged.reason = "part 'state.json': 3 bytes, 9 were written";
  damaged.quarantined = true;
  PassedOver incomplete;
  incomplete.name = "ckpt-000025-step-12500";
  incomplete.verdict = Verdict::incomplete;
  incomplete.reason = "MANIFEST.json is missing";
  report.passed_over = {damaged, incomplete};
  report.steps_lost = 1000;
  report.differences = {
      {"libtorch", "2.3.0", "2.4.0", Severity::breaks_bit_equality},
      {"host", "a", "b", Severity::information}};
  report.notes = {"data: a remark"};
  CHECK_FALSE(report.exact());
  CHECK(
      printed(report) ==
      "resumed ckpt-000024-step-12000 (epoch 3, batch 118) from "
      "'runs/digits': 2 parts, 1.2 MB\n"
      "  not exact: saved between a batch and its step\n"
      "  passed over ckpt-000026-step-13000: damaged: part 'state.json': 3 "
      "bytes, 9 were written (moved aside)\n"
      "  passed over ckpt-000025-step-12500: incomplete: MANIFEST.json is "
      "missing\n"
      "  1000 steps of the newest checkpoint are lost\n"
      "  environment: libtorch was '2.3.0', is '2.4.0' (" +
          std::string(to_string(Severity::breaks_bit_equality)) +
          ")\n"
          "  environment: host was 'a', is 'b' (" +
          to_string(Severity::information) +
          ")\n"
          "  note: data: a remark");
}

TEST_CASE("report: what may change the run makes it inexact", "[report]") {
  ResumeReport report = resumed();
  report.differences = {{"threads", "4", "8", Severity::may_change_speed}};
  CHECK(report.exact());
  report.differences.push_back(
      {"blas", "a", "b", Severity::breaks_bit_equality});
  CHECK_FALSE(report.exact());
}

#include "support.hpp"

#include <holdfast/format/divergence_record.hpp>

#include <limits>

using namespace holdfast;

namespace {

DivergenceRecord a_record() {
  DivergenceRecord record;
  record.metric = "loss";
  record.value = std::numeric_limits<double>::quiet_NaN();
  record.first_step = 812;
  record.last_step = 816;
  record.back_to = 800;
  return record;
}

} // namespace

TEST_CASE("divergence record: for people", "[format]") {
  DivergenceRecord record = a_record();
  CHECK(
      record.to_string() ==
      "loss was nan at steps 812 to 816, went back to step 800");
  record.first_step = record.last_step;
  record.value = 1234.5;
  record.skipped_batches = true;
  record.learning_rate_factor = 0.5;
  CHECK(
      record.to_string() ==
      "loss was 1234 at step 816, went back to step 800, skipped the batches, "
      "learning rates times 0.5");
}

TEST_CASE("divergence record: written and read", "[format]") {
  DivergenceRecord record = a_record();
  record.skipped_batches = true;
  record.learning_rate_factor = 0.25;
  const Value value = to_value(record);
  CHECK(to_value(divergence_record_from(value)) == value);
  for (const auto& member : value.object()) {
    Values less = value.object();
    less.erase(member.first);
    CHECK_THROWS_AS(divergence_record_from(less), Error);
  }
}

TEST_CASE("divergence record: steps are in order", "[format]") {
  const auto refused = [](std::int64_t back, std::int64_t a, std::int64_t b) {
    DivergenceRecord record = a_record();
    record.back_to = back;
    record.first_step = a;
    record.last_step = b;
    try {
      (void)divergence_record_from(to_value(record));
    } catch (const Error& error) {
      return error.code() == ErrorCode::malformed_value;
    }
    return false;
  };
  CHECK_FALSE(refused(0, 1, 1));
  CHECK(refused(-1, 1, 1));
  CHECK(refused(1, 1, 1));
  CHECK(refused(0, 2, 1));
}

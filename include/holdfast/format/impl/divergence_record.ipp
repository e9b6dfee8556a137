#pragma once

#include <holdfast/format/divergence_record.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>

namespace holdfast {

HOLDFAST_INLINE std::string describe_divergence(
    const DivergenceRecord& record) {
  std::string text =
      record.metric + " was " + format_number(record.value) + " at step";
  if (record.first_step != record.last_step) {
    text += "s " + std::to_string(record.first_step) + " to";
  }
  return text + " " + std::to_string(record.last_step);
}

HOLDFAST_INLINE std::string DivergenceRecord::to_string() const {
  std::string text = describe_divergence(*this) + ", went back to step " +
      std::to_string(back_to);
  if (skipped_batches) {
    text += ", skipped the batches";
  }
  if (learning_rate_factor != 1) {
    text += ", learning rates times " + format_number(learning_rate_factor);
  }
  return text;
}

HOLDFAST_INLINE Value to_value(const DivergenceRecord& record) {
  Values members;
  members["metric"] = record.metric;
  members["value"] = record.value;
  members["first_step"] = record.first_step;
  members["last_step"] = record.last_step;
  members["back_to"] = record.back_to;
  members["skipped_batches"] = record.skipped_batches;
  members["learning_rate_factor"] = record.learning_rate_factor;
  return members;
}

HOLDFAST_INLINE DivergenceRecord divergence_record_from(const Value& value) {
  const Values& members = value.object("divergences");
  const auto step = [&](const char* name) {
    return at(members, name).as<std::int64_t>(name);
  };
  DivergenceRecord record;
  record.metric = at(members, "metric").text("metric");
  record.value = at(members, "value").as<double>("value");
  record.first_step = step("first_step");
  record.last_step = step("last_step");
  record.back_to = step("back_to");
  record.skipped_batches =
      at(members, "skipped_batches").as<bool>("skipped_batches");
  record.learning_rate_factor =
      at(members, "learning_rate_factor").as<double>("learning_rate_factor");
  if (record.back_to < 0 || record.back_to >= record.first_step ||
      record.first_step > record.last_step) {
    ErrorDetails details;
    details.name = "divergences";
    details.message = "steps that are in no order";
    throw Error(ErrorCode::malformed_value, std::move(details));
  }
  return record;
}

} // namespace holdfast

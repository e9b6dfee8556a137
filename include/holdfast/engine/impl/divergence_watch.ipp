#pragma once

#include <holdfast/engine/divergence_watch.hpp>

#include <holdfast/base/error.hpp>

#include <utility>

namespace holdfast {

HOLDFAST_INLINE Value to_value(const std::vector<SourcePlace>& places) {
  Values members;
  for (const SourcePlace& source : places) {
    if (source.place) {
      members[source.part] = Value::Array{
          Value(source.place->epoch), Value(source.place->position)};
    }
  }
  return members;
}

HOLDFAST_INLINE std::vector<SourcePlace> source_places_from(
    const Value& value) {
  std::vector<SourcePlace> places;
  for (const auto& entry : value.object("places")) {
    const Value::Array& numbers = entry.second.array(entry.first);
    if (numbers.size() != 2) {
      throw Error(
          ErrorCode::malformed_value, "a place is an epoch and a position");
    }
    places.push_back(SourcePlace{
        entry.first,
        DataPlace{
            numbers[0].as<std::int64_t>(entry.first),
            numbers[1].as<std::uint64_t>(entry.first)}});
  }
  return places;
}

HOLDFAST_INLINE void DivergenceWatch::add(
    std::int64_t step,
    const Metrics& metrics) {
  const auto metric = metrics.values().find(options_.metric());
  if (metric == metrics.values().end()) {
    return;
  }
  seen_ = true;
  const bool suspected = suspects();
  if (detector_.add(metric->second)) {
    good_step_ = step - 1;
    good_places_.swap(step_places_);
    return;
  }
  if (!suspected) {
    first_bad_ = step;
  }
  last_bad_ = step;
  bad_value_ = metric->second;
}

HOLDFAST_INLINE DivergenceRecord DivergenceWatch::record() const {
  DivergenceRecord record;
  record.metric = options_.metric();
  record.value = bad_value_;
  record.first_step = first_bad_;
  record.last_step = last_bad_;
  return record;
}

HOLDFAST_INLINE Value DivergenceWatch::to_value() const {
  const DivergenceDetector::Memory memory = detector_.memory();
  Value::Array normal;
  for (const double value : memory.normal) {
    normal.emplace_back(value);
  }
  Values members;
  members["metric"] = options_.metric();
  members["normal"] = std::move(normal);
  members["since_limit"] = memory.since_limit;
  members["limit"] = memory.limit;
  members["band"] = memory.band;
  members["bad"] = memory.bad;
  members["good_step"] = good_step_;
  members["good_places"] = holdfast::to_value(good_places_);
  members["first_bad"] = first_bad_;
  members["last_bad"] = last_bad_;
  members["bad_value"] = bad_value_;
  return members;
}

HOLDFAST_INLINE void DivergenceWatch::load(const Value& value) {
  const Values& members = value.object("divergence");
  DivergenceWatch loaded(options_);
  if (at(members, "metric").text("metric") == options_.metric()) {
    const auto step = [&](const char* name) {
      return at(members, name).as<std::int64_t>(name);
    };
    DivergenceDetector::Memory memory;
    for (const Value& normal : at(members, "normal").array("normal")) {
      memory.normal.push_back(normal.as<double>("normal"));
    }
    memory.since_limit =
        at(members, "since_limit").as<std::size_t>("since_limit");
    memory.limit = at(members, "limit").as<double>("limit");
    memory.band = at(members, "band").as<double>("band");
    memory.bad = at(members, "bad").as<std::size_t>("bad");
    loaded.detector_.recall(std::move(memory));
    loaded.good_step_ = step("good_step");
    loaded.first_bad_ = step("first_bad");
    loaded.last_bad_ = step("last_bad");
    loaded.bad_value_ = at(members, "bad_value").as<double>("bad_value");
    loaded.good_places_ = source_places_from(at(members, "good_places"));
  }
  *this = std::move(loaded);
}

} // namespace holdfast

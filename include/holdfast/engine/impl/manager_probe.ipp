#pragma once

#include <holdfast/engine/impl/manager.ipp>

#include <exception>

namespace holdfast {

/// What the probe gives now; null without one. Moves no generator.
HOLDFAST_INLINE Value Manager::State::run_probe() {
  if (!probe) {
    return Value();
  }
  RandomSnapshot random(parts);
  try {
    Value record = probe();
    random.put_back();
    return record;
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    random.put_back();
    std::rethrow_exception(error);
  }
}

/// After a restore, from which there is no way back: a probe that throws is
/// one that differs.
HOLDFAST_INLINE std::optional<ProbeResult> Manager::State::check_probe(
    const Value& was) {
  if (!probe || was.kind() == Value::Kind::null) {
    return std::nullopt;
  }
  ProbeResult result;
  try {
    result = compare_probes(was, run_probe(), probe_tolerance);
  } catch (const std::exception& error) {
    result.text = std::string("failed: ") + error.what();
  } catch (...) {
    result.text = "failed with an exception that is no std::exception";
  }
  return result;
}

} // namespace holdfast

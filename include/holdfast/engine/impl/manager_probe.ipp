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

/// Null where it fails: what it would say later is worth less than the save.
HOLDFAST_INLINE Value Manager::State::probe_at_save() {
  try {
    return run_probe();
  } catch (...) {
    emit(
        Event::Kind::warning,
        "",
        "the probe failed, so this save is without one: " +
            current_exception_text());
    return Value();
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
  } catch (...) {
    result.text = "failed: " + current_exception_text();
  }
  return result;
}

} // namespace holdfast

#pragma once

#include <holdfast/format/json_struct.hpp>

#include <string>

namespace holdfast::detail {

[[noreturn]] HOLDFAST_INLINE void throw_not_reproduced(
    ErrorCode code,
    const std::string& name,
    const std::string& expected,
    const std::string& found) {
  ErrorDetails details;
  details.name = name;
  details.message = "from_json and to_json do not give the saved value back";
  details.expected = expected;
  details.found = found;
  throw Error(code, std::move(details));
}

HOLDFAST_INLINE void check_reproduced_at(
    const std::string& name,
    const Value& saved,
    const Value& again) {
  if (saved.kind() != again.kind()) {
    throw_not_reproduced(
        ErrorCode::type_mismatch,
        name,
        to_string(again.kind()),
        to_string(saved.kind()));
  }
  if (saved.kind() == Value::Kind::object) {
    const Values& members = again.object();
    for (const auto& [member, value] : saved.object()) {
      const std::string inside = name.empty() ? member : name + "." + member;
      const auto found = members.find(member);
      if (found == members.end()) {
        throw_not_reproduced(
            ErrorCode::name_unexpected,
            inside,
            "nothing",
            to_string(value.kind()));
      }
      check_reproduced_at(inside, value, found->second);
    }
    return;
  }
  if (saved.kind() == Value::Kind::array &&
      saved.array().size() == again.array().size()) {
    for (std::size_t i = 0; i < saved.array().size(); ++i) {
      check_reproduced_at(
          name + "[" + std::to_string(i) + "]",
          saved.array()[i],
          again.array()[i]);
    }
    return;
  }
  if (saved != again) {
    throw_not_reproduced(
        ErrorCode::value_out_of_range,
        name,
        "a value that fits the member",
        std::string("another ") + to_string(saved.kind()));
  }
}

HOLDFAST_INLINE void check_reproduced(const Value& saved, const Value& again) {
  check_reproduced_at({}, saved, again);
}

} // namespace holdfast::detail

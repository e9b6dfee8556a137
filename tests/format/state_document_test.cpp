#include "support.hpp"

#include <holdfast/format/impl/shared.hpp>
#include <holdfast/format/json.hpp>

using namespace holdfast;
using holdfast::test::code_of;

namespace {

std::string document_code(const std::string& text) {
  return code_of([&] { (void)parse_state_document(ByteView(text)); });
}

/// The sample's text with its root changed by `change`.
template <class Change>
std::string changed_document(Change change) {
  const std::string text = state_document_text(test::sample_state());
  Values root = from_json(text).as<Values>();
  change(root);
  return to_json(root);
}

/// The sample's text with its first part changed.
template <class Change>
std::string changed_document_part(Change change) {
  return changed_document([&](Values& root) {
    auto parts = root["parts"].as<Value::Array>();
    Values part = parts[0].as<Values>();
    change(part);
    parts[0] = part;
    root["parts"] = parts;
  });
}

template <class Change>
std::string changed_tensor(Change change) {
  return changed_document_part([&](Values& part) {
    auto tensors = part["tensors"].as<Value::Array>();
    Values tensor = tensors[0].as<Values>();
    change(tensor);
    tensors[0] = tensor;
    part["tensors"] = tensors;
  });
}

} // namespace

TEST_CASE("state_document: survives", "[format]") {
  const StateDocument document = test::sample_state();
  const std::string text = state_document_text(document);
  const StateDocument back = parse_state_document(ByteView(text));
  CHECK(back.engine == document.engine);
  REQUIRE(back.parts.size() == document.parts.size());
  for (std::size_t i = 0; i < back.parts.size(); ++i) {
    const PartRecord& a = document.parts[i];
    const PartRecord& b = back.parts[i];
    CHECK(a.name == b.name);
    CHECK(a.kind == b.kind);
    CHECK(a.file == b.file);
    CHECK(a.values == b.values);
    REQUIRE(a.tensors.size() == b.tensors.size());
    for (std::size_t k = 0; k < a.tensors.size(); ++k) {
      CHECK(a.tensors[k].name == b.tensors[k].name);
      CHECK(a.tensors[k].digest == b.tensors[k].digest);
      CHECK(a.tensors[k].strides == b.tensors[k].strides);
      CHECK(a.tensors[k].aliases == b.tensors[k].aliases);
    }
  }
  CHECK(state_document_text(back) == text);
  CHECK(
      state_document_text(StateDocument()) == "{\"engine\":{},\"parts\":[]}\n");
}

TEST_CASE("state_document: members it does not know are ignored", "[format]") {
  CHECK(document_code(changed_document([](Values& v) {
          v["new"] = 1;
        })) == "no error");
  CHECK(document_code(changed_document_part([](Values& v) {
          v["new"] = 1;
        })) == "no error");
  CHECK(document_code(changed_tensor([](Values& v) {
          v["new"] = 1;
        })) == "no error");
}

TEST_CASE("state_document: missing and wrong members are refused", "[format]") {
  const std::string bad = "malformed_value";
  for (const char* name : {"engine", "parts"}) {
    CAPTURE(name);
    CHECK(document_code(changed_document([&](Values& v) {
            v.erase(name);
          })) == bad);
    CHECK(document_code(changed_document([&](Values& v) {
            v[name] = "x";
          })) == bad);
  }
  for (const char* name : {"name", "kind", "file", "values", "tensors"}) {
    CAPTURE(name);
    CHECK(document_code(changed_document_part([&](Values& v) {
            v.erase(name);
          })) == bad);
    CHECK(document_code(changed_document_part([&](Values& v) {
            v[name] = 1;
          })) == bad);
  }
  for (const char* name : {"name", "xxh3_128"}) {
    CAPTURE(name);
    CHECK(document_code(changed_tensor([&](Values& v) {
            v.erase(name);
          })) == bad);
  }
  for (const char* name : {"name", "xxh3_128", "strides", "aliases"}) {
    CAPTURE(name);
    CHECK(
        document_code(changed_tensor([&](Values& v) { v[name] = 1; })) == bad);
  }
  CHECK(document_code(changed_tensor([](Values& v) {
          v["strides"] = Value::Array{1.0};
        })) == bad);
  CHECK(document_code(changed_tensor([](Values& v) {
          v["aliases"] = Value::Array{1};
        })) == bad);
  CHECK(document_code(changed_tensor([](Values& v) {
          v["xxh3_128"] = "0000000000000001000000000000000G";
        })) == bad);
  CHECK(document_code("[]") == bad);
  CHECK(document_code("{") == "malformed_json");
}

TEST_CASE(
    "state_document: names are given once, by reader and writer",
    "[format]") {
  const auto both = [](const StateDocument& document) {
    return code_of([&] { (void)state_document_text(document); });
  };
  StateDocument document = test::sample_state();
  document.parts[1].name = "model";
  CHECK(both(document) == "duplicate_name");
  document = test::sample_state();
  document.parts[0].tensors[1].name = "conv.weight";
  CHECK(both(document) == "duplicate_name");
  document = test::sample_state();
  document.parts[0].tensors[1].aliases = {"conv.weight"};
  CHECK(both(document) == "duplicate_name");
  document = test::sample_state();
  document.parts[0].tensors[1].aliases = {"a", "a"};
  CHECK(both(document) == "duplicate_name");

  CHECK(document_code(changed_document([](Values& v) {
          auto parts = v["parts"].as<Value::Array>();
          parts.push_back(parts[0]);
          v["parts"] = parts;
        })) == "duplicate_name");
  CHECK(document_code(changed_document_part([](Values& v) {
          auto tensors = v["tensors"].as<Value::Array>();
          tensors.push_back(tensors[0]);
          v["tensors"] = tensors;
        })) == "duplicate_name");
  CHECK(document_code(changed_tensor([](Values& v) {
          v["aliases"] = Value::Array{"embed.weight"};
        })) == "duplicate_name");
}

TEST_CASE("state_document: the writer keeps the reader's limits", "[format]") {
  StateDocument document;
  document.engine["a"] = "0123456789";
  const std::string text = state_document_text(document);
  // The size limit itself is a GiB: here with a small one.
  const auto write = [&](std::size_t most) {
    return code_of([&] { (void)detail::state_document_text(document, most); });
  };
  CHECK(write(text.size()) == "no error");
  CHECK(write(text.size() - 1) == "limit_exceeded");
  Value deep = 1;
  for (int i = 0; i < 64; ++i) {
    deep = Value::Array{deep};
  }
  document.engine["a"] = deep;
  CHECK(write(1 << 20) == "limit_exceeded");
}

TEST_CASE("state_document: 60,000 tensors", "[format]") {
  StateDocument document;
  PartRecord part;
  part.name = "model";
  for (std::uint64_t i = 0; i < 60000; ++i) {
    part.tensors.push_back(
        {"layers." + std::to_string(i % 1000) + ".block." + std::to_string(i),
         {i, ~i},
         {},
         {}});
  }
  document.parts.push_back(part);
  const std::string text = state_document_text(document);
  const StateDocument back = parse_state_document(ByteView(text));
  REQUIRE(back.parts[0].tensors.size() == 60000);
  CHECK(back.parts[0].tensors[59999].digest == part.tensors[59999].digest);
  CHECK(state_document_text(back) == text);
}

TEST_CASE(
    "state_document: mutated texts give an error or a document",
    "[format][fuzz]") {
  const std::uint64_t seed = test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string text = state_document_text(test::sample_state());
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string mutant = test::mutated(text, random);
    CAPTURE(mutant);
    try {
      const StateDocument document = parse_state_document(ByteView(mutant));
      ++accepted;
      const std::string again = state_document_text(document);
      CHECK(
          state_document_text(parse_state_document(ByteView(again))) == again);
    } catch (const Error& error) {
      const ErrorCode found = error.code();
      CHECK(
          (found == ErrorCode::malformed_json ||
           found == ErrorCode::malformed_value ||
           found == ErrorCode::duplicate_name));
    }
  }
  CHECK(accepted > 0);
  CHECK(accepted < 2000);
}

#pragma once

#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/forked_child.hpp>
#include <support/manual_clock.hpp>
#include <support/random.hpp>

#include <holdfast/io/process.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/names.hpp>
#include <holdfast/store/transaction.hpp>
#include <holdfast/store/verdict.hpp>
#include <holdfast/store/writer.hpp>
#include <holdfast/testing/fault_file_system.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

inline const char* const kRoot = "runs/a";

inline std::shared_ptr<Directory> open_run(FileSystem& files) {
  return files.open_root(kRoot, Create::yes);
}

inline std::string in_run(const std::string& name) {
  return std::string(kRoot) + "/" + name;
}

inline void write_text(ByteSink& sink, const std::string& text) {
  sink.write(ByteView(std::string_view(text)));
}

inline Manifest manifest_for(std::int64_t step, const std::string& id) {
  Manifest manifest;
  manifest.id = id;
  manifest.run_id = std::string(32, '7');
  manifest.step = step;
  manifest.wall_time = 1.7e9;
  manifest.progress.step = step;
  return manifest;
}

/// Writes the parts of a small checkpoint: one in each way there is.
inline void write_parts(Transaction& transaction, std::uint64_t contents) {
  const Bytes model = random_bytes(1700, contents);
  const Bytes moments = repetitive_bytes(3000, contents);
  transaction.write_part(
      "model/model.safetensors", model.size(), {}, [&](ByteSink& sink) {
        sink.write(ByteView(model).subview(0, 1000));
        sink.write(ByteView(model).subview(1000, 700));
      });
  transaction.write_part(
      "optimizer/state.safetensors", moments.size(), {3}, [&](ByteSink& sink) {
        sink.write(moments);
      });
  transaction.write_part("state.json", 0, {}, [&](ByteSink& sink) {
    write_text(sink, "{\"contents\":" + std::to_string(contents) + "}\n");
  });
}

inline Committed save(
    Writer& writer,
    std::int64_t step,
    const std::string& id = random_id()) {
  Transaction transaction(writer, 5000);
  write_parts(transaction, static_cast<std::uint64_t>(step));
  return transaction.commit(manifest_for(step, id));
}

inline CheckpointName as_name(const Committed& committed) {
  const ParsedName parsed = parse_name(committed.name);
  return {parsed.sequence, parsed.step, committed.name};
}

/// The names in the run directory, random suffixes cut off, sorted.
inline std::vector<std::string> names_in(Directory& root) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : root.list()) {
    const NameKind kind = parse_name(entry.name).kind;
    const bool random =
        kind == NameKind::trash || kind == NameKind::quarantined;
    names.push_back(
        random ? entry.name.substr(0, entry.name.rfind('-')) : entry.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace holdfast::test

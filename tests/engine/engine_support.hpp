#pragma once

#include <support/catch.hpp>
#include <support/effort.hpp>
#include <support/manual_clock.hpp>
#include <support/random.hpp>
#include <support/toy_run.hpp>

#include <holdfast/engine/interrupter.hpp>
#include <holdfast/engine/transfer.hpp>
#include <holdfast/format/manifest.hpp>
#include <holdfast/format/safetensors.hpp>
#include <holdfast/format/state_document.hpp>
#include <holdfast/io/zstd.hpp>
#include <holdfast/store/catalog.hpp>
#include <holdfast/store/names.hpp>
#include <holdfast/testing/fault_file_system.hpp>
#include <holdfast/testing/memory_file_system.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast::test {

using Disk = std::shared_ptr<testing::MemoryFileSystem>;

inline constexpr const char* kRoot = "runs/a";

inline Disk new_disk() {
  return std::make_shared<testing::MemoryFileSystem>();
}

/// Only so much more fits on the disk.
inline void leave_free(const Disk& disk, std::uint64_t bytes) {
  constexpr std::uint64_t kMuch = std::uint64_t{1} << 40;
  disk->set_capacity(kMuch);
  const std::uint64_t used =
      kMuch - disk->open_root(kRoot, Create::no)->space().available_bytes;
  disk->set_capacity(used + bytes);
}

/// Ends a run when the test says so, and keeps what it is told.
class FakeInterrupter final : public Interrupter {
 public:
  std::string pending(double save_seconds) override {
    ++asked;
    expected_seconds = save_seconds;
    if (on_asked) {
      on_asked();
    }
    if (throws) {
      throw std::runtime_error("a broken notice");
    }
    return reason;
  }
  double seconds_left() override {
    return left;
  }
  void run_is_over() noexcept override {
    ++over;
  }
  void interrupted(const InterruptedRun& run) override {
    told.push_back(run);
    if (raises) {
      throw std::runtime_error("leave");
    }
  }

  std::string reason;
  double left = std::numeric_limits<double>::infinity();
  bool throws = false;
  bool raises = false;
  std::function<void()> on_asked;
  int asked = 0;
  int over = 0;
  double expected_seconds = -1;
  std::vector<InterruptedRun> told;
};

/// Saves after every step, keeps all, waits for nobody, says nothing.
inline Options quiet_options(const std::shared_ptr<FileSystem>& disk) {
  static ManualClock clock; // retries must not take real time
  return Options()
      .file_system(disk)
      .clock(clock)
      .lock_wait(std::chrono::seconds(0))
      .save_every(steps(1))
      .on_event({});
}

inline Options keep_everything(const std::shared_ptr<FileSystem>& disk) {
  return quiet_options(disk).keep_all();
}

/// One that tells nobody.
inline TransferMeter& unheard_meter() {
  static const TransferListener nobody{{}, 1};
  static ManualClock clock;
  static TransferMeter meter(
      nobody, clock, TransferProgress::Kind::loading, "none");
  return meter;
}

/// Trains `count` batches of the first epoch.
inline void train_steps(ToyRun& run, int count) {
  run.loader.begin();
  for (int i = 0; i < count; ++i) {
    run.train_batch(run.loader.next());
    run.manager.step({{"loss", run.loss()}});
  }
}

/// The state after each step of the first epoch of an undisturbed run.
inline const std::string& undisturbed(std::int64_t step) {
  static const std::map<std::int64_t, std::string> prints = [] {
    std::map<std::int64_t, std::string> result;
    ToyRun run(kRoot, keep_everything(new_disk()));
    run.manager.resume();
    result[0] = run.fingerprint();
    run.loader.begin();
    for (std::int64_t i = 1; i <= ToyRun::kSamples; ++i) {
      run.train_batch(run.loader.next());
      run.manager.step({{"loss", run.loss()}});
      result[i] = run.fingerprint();
    }
    return result;
  }();
  return prints.at(step);
}

/// A disk on which `count` steps were trained, with a checkpoint after each.
inline Disk trained(
    int count,
    const std::function<Options(const Disk&)>& options = keep_everything) {
  Disk disk = new_disk();
  ToyRun run(kRoot, options(disk));
  run.manager.resume();
  train_steps(run, count);
  return disk;
}

inline std::string checkpoint_path(std::uint64_t sequence, std::int64_t step) {
  return std::string(kRoot) + "/" + checkpoint_name(sequence, step);
}
inline std::string checkpoint_path(std::int64_t step) {
  return checkpoint_path(static_cast<std::uint64_t>(step), step);
}

inline Catalog catalog_of(const Disk& disk) {
  return scan(*disk->open_root(kRoot, Create::no));
}

/// Steps of the checkpoints there are.
inline std::vector<std::int64_t> steps_on(const Disk& disk) {
  std::vector<std::int64_t> result;
  for (const CheckpointName& name : catalog_of(disk).checkpoints) {
    result.push_back(name.step);
  }
  return result;
}

inline std::vector<std::int64_t> steps_of(
    const std::vector<CheckpointInfo>& infos) {
  std::vector<std::int64_t> result;
  for (const CheckpointInfo& info : infos) {
    result.push_back(info.step);
  }
  return result;
}

/// The files of a checkpoint, manifest included.
inline std::vector<std::string> files_of(
    const Disk& disk,
    const std::string& checkpoint) {
  std::vector<std::string> files;
  for (const std::string& path : disk->list_all(checkpoint)) {
    if (path.back() != '/') {
      files.push_back(checkpoint + "/" + path);
    }
  }
  return files;
}

inline void write_text(
    const Disk& disk,
    const std::string& path,
    const std::string& text) {
  disk->write_file(path, ByteView(std::string_view(text)));
}

inline void replace_once(
    std::string& text,
    const std::string& from,
    const std::string& to) {
  const std::size_t at = text.find(from);
  INFO(from << " in " << text);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

/// Changes the text of a manifest and makes its digest right again.
inline void edit_manifest(
    const Disk& disk,
    const std::string& checkpoint,
    const std::function<void(std::string&)>& edit) {
  const std::string path = checkpoint + "/" + kManifestName;
  std::string text = disk->read_text(path);
  text.resize(text.size() - 48); // ,"xxh3_128":"<32 digits>"} and a newline
  edit(text);
  text += ",\"xxh3_128\":\"" +
      digest_of(ByteView(std::string_view(text))).hex() + "\"}\n";
  write_text(disk, path, text);
}

/// Changes a file of a checkpoint, and its manifest so that it fits.
inline void edit_part(
    const Disk& disk,
    const std::string& checkpoint,
    const std::string& part,
    const std::function<void(std::string&)>& edit) {
  std::string text = disk->read_text(checkpoint + "/" + part);
  const auto entry = [&] {
    return digest_of(ByteView(std::string_view(text))).hex();
  };
  const std::string former_digest = entry();
  const std::string former_bytes =
      "\"bytes\":" + std::to_string(text.size()) + ",";
  edit(text);
  write_text(disk, checkpoint + "/" + part, text);
  edit_manifest(disk, checkpoint, [&](std::string& manifest) {
    replace_once(manifest, former_digest, entry());
    const std::size_t at = manifest.find("\"path\":\"" + part);
    REQUIRE(at != std::string::npos);
    const std::size_t begin = manifest.rfind('{', at);
    const std::size_t bytes = manifest.find(former_bytes, begin);
    REQUIRE(bytes != std::string::npos);
    manifest.replace(
        bytes,
        former_bytes.size(),
        "\"bytes\":" + std::to_string(text.size()) + ",");
  });
}

/// Collects events.
struct Events {
  std::vector<Event> all;

  [[nodiscard]] EventHandler handler() {
    return [this](const Event& event) {
      all.push_back(event);
    };
  }
  [[nodiscard]] std::vector<Event> of(Event::Kind kind) const {
    std::vector<Event> result;
    std::copy_if(
        all.begin(),
        all.end(),
        std::back_inserter(result),
        [&](const Event& e) { return e.kind == kind; });
    return result;
  }
  [[nodiscard]] std::size_t count(Event::Kind kind) const {
    return of(kind).size();
  }
};

} // namespace holdfast::test

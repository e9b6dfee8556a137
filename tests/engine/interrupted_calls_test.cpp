#include "engine_support.hpp"

#include <holdfast/io/posix_file_system.hpp>
#include <support/injected_calls.hpp>
#include <support/temporary_directory.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

// A program with timers or children gets signals all the time: no system call
// of a manager may take one for a failure.

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Trains through retention, a compressed save and a quarantine. Returns what
/// the files of parts hold then; names that are drawn are cut off.
std::map<std::string, std::string> eventful_run(
    const std::string& root,
    const std::shared_ptr<FileSystem>& disk) {
  Events events;
  const Options options =
      quiet_options(disk).keep_last(1).on_event(events.handler());
  {
    ToyRun run(root, options);
    CHECK_FALSE(run.manager.resume().resumed());
    train_steps(run, 3);
    CHECK(run.fingerprint() == undisturbed(3));
    CHECK(steps_of(run.manager.list()) == std::vector<std::int64_t>{2, 3});
  }
  {
    ToyRun run(root, Options(options).compression(zstd(1)));
    CHECK(run.manager.resume().checkpoint->step == 3);
    CHECK(run.fingerprint() == undisturbed(3));
    train_steps(run, 1);
  }
  const std::string newest = root + "/" + checkpoint_name(4, 4);
  {
    std::fstream file(
        newest + "/model/model.safetensors.zst",
        std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(40);
    file.put('x');
    REQUIRE(file.good());
  }
  for (const bool damaged : {true, false}) {
    ToyRun run(root, options);
    const ResumeReport report = run.manager.resume();
    REQUIRE(report.checkpoint->step == 3);
    CHECK(run.fingerprint() == undisturbed(3));
    REQUIRE(report.passed_over.size() == (damaged ? 1 : 0));
    CHECK((!damaged || report.passed_over.front().quarantined));
    if (!damaged) {
      train_steps(run, 2);
      CHECK(run.fingerprint() == undisturbed(5));
      CHECK(run.manager.latest()->name == checkpoint_name(6, 5));
    }
  }
  ToyRun run(root, options);
  CHECK(run.manager.resume().checkpoint->step == 5);
  CHECK(run.fingerprint() == undisturbed(5));
  for (const Event& event : events.all) {
    CAPTURE(event.text);
    CHECK(event.kind != Event::Kind::warning);
    CHECK(event.kind != Event::Kind::save_failed);
  }
  CHECK(events.count(Event::Kind::quarantined) == 1);

  std::map<std::string, std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(root)) {
    std::string path = entry.path().string().substr(root.size() + 1);
    const bool is_part = path.find(".safetensors") != std::string::npos ||
        path.find("state.json") != std::string::npos;
    if (path.compare(0, 5, ".bad-") == 0) {
      path.replace(0, path.find('/'), ".bad");
    }
    if (entry.is_regular_file()) {
      files[path] = is_part ? contents_of(entry.path()) : "";
    }
  }
  return files;
}

} // namespace

TEST_CASE(
    "manager: interrupted system calls never surface",
    "[manager][fault]") {
  const TemporaryDirectory directory;
  const auto expected = eventful_run(
      directory.path("undisturbed"), std::make_shared<PosixFileSystem>());
  CHECK(expected.size() > 10);

  InjectedCalls injected;
  injected.interrupt_every_call();
  const int before = open_descriptors();
  const auto files = eventful_run(
      directory.path("interrupted"),
      std::make_shared<PosixFileSystem>(injected.calls()));
  CHECK((files == expected));
  CHECK(injected.injections() > 500);
  for (const char* call :
       {"fsync", "pwrite", "renameat", "unlinkat", "lock_description"}) {
    CAPTURE(call);
    CHECK(injected.count(call) >= 2); // the first of each is interrupted
  }
  CHECK(injected.wrong_closes() == 0);
  CHECK(injected.open_count() == 0);
  CHECK(open_descriptors() == before);
}

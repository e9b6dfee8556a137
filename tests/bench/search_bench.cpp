// What a directory full of checkpoints costs a resume: the same run resumed
// from a directory with one checkpoint and from one with many, in turns.
//
//     search_bench DIRECTORY [REPETITIONS=15] [CHECKPOINTS=10000]

#include <holdfast/core.hpp>
#include <holdfast/store/names.hpp>

#include <bench/timing.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace {

namespace fs = std::filesystem;
using holdfast::bench::Series;

struct Trainer {
  explicit Trainer(const fs::path& directory)
      : manager(directory.string(), holdfast::Options().keep_all()) {
    manager.add("rate", rate);
    manager.add("shuffle", engine);
  }
  double rate = 0.1;
  std::mt19937 engine;
  holdfast::Manager manager;
};

/// Fills `root` with copies of its one checkpoint that have earlier numbers.
void fill(const fs::path& root, int count) {
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_directory()) {
      newest = entry.path();
    }
  }
  std::ifstream stream(newest / holdfast::kManifestName, std::ios::binary);
  const std::string text(
      std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>{});
  holdfast::Manifest manifest =
      holdfast::parse_manifest(holdfast::ByteView(text));
  for (int i = 1; i <= count; ++i) {
    manifest.sequence = static_cast<std::uint64_t>(i);
    const fs::path path =
        root / holdfast::checkpoint_name(manifest.sequence, manifest.step);
    if (path == newest) {
      continue;
    }
    fs::create_directory(path);
    fs::copy_file(newest / holdfast::kStateName, path / holdfast::kStateName);
    std::ofstream(path / holdfast::kManifestName, std::ios::binary)
        << holdfast::manifest_text(manifest);
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(
        stderr, "usage: search_bench DIRECTORY [REPETITIONS] [CHECKPOINTS]\n");
    return 2;
  }
  const fs::path directory = argv[1];
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 15;
  const int count = argc > 3 ? std::atoi(argv[3]) : 10000;
  const fs::path one = directory / "one";
  const fs::path many = directory / "many";
  for (const fs::path& root : {one, many}) {
    fs::remove_all(root);
    Trainer trainer(root);
    trainer.manager.resume();
    trainer.manager.step();
    trainer.manager.save().wait();
  }
  fill(many, count);

  Series of_one("resume, 1 checkpoint");
  Series of_many("resume, " + std::to_string(count) + " checkpoints");
  for (int i = -1; i < repetitions; ++i) { // one warm-up
    Trainer first(one);
    const double one_seconds =
        holdfast::bench::seconds([&] { first.manager.resume(); });
    Trainer second(many);
    const double many_seconds =
        holdfast::bench::seconds([&] { second.manager.resume(); });
    if (i >= 0) {
      of_one.add(one_seconds);
      of_many.add(many_seconds);
    }
  }
  of_one.print();
  of_many.print();
  std::printf(
      "the difference of the medians %.1f ms\n",
      (of_many.median() - of_one.median()) * 1e3);
  fs::remove_all(directory / "one");
  fs::remove_all(directory / "many");
}

// What a save costs that removes a checkpoint of the same size: deleting at
// once against deleting in the background, in turn, on a real disk.
//
//     deletion_bench DIRECTORY [MEGABYTES=1000] [SAVES=7]
//
// DIRECTORY must not exist; it is removed afterwards.

#include <bench/timing.hpp>
#include <support/toy_run.hpp>

#include <holdfast/io/posix_file_system.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

namespace {

using holdfast::Deletion;
using holdfast::Manager;
using holdfast::Options;
using holdfast::bench::Series;
using holdfast::test::ToyModel;

int measure(const std::string& directory, std::size_t megabytes, int saves) {
  ToyModel model;
  model.weight.assign(megabytes * 125'000, 0.5F); // half of it each
  model.moment.assign(megabytes * 125'000, 0.25F);
  Series at_once("save, deleting at once");
  Series in_background("save, deleting in the background");
  const auto options = [](Deletion deletion) {
    return Options()
        .save_every(holdfast::steps(1'000'000))
        .keep_last(2)
        .deletion(deletion);
  };
  Manager first(directory + "/first", options(Deletion::at_once));
  Manager second(directory + "/second", options(Deletion::in_background));
  for (Manager* const manager : {&first, &second}) {
    manager->add("model", model);
    manager->resume();
  }
  for (int save = 0; save < saves + 2; ++save) {
    for (Manager* const manager : {&first, &second}) {
      const double seconds =
          holdfast::bench::seconds([&] { manager->save().wait(); });
      if (save >= 2) { // from then on each removes one
        (manager == &first ? at_once : in_background).add(seconds);
      }
      std::this_thread::sleep_for(std::chrono::seconds(2)); // the loop trains
    }
  }
  at_once.print();
  in_background.print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "deletion_bench DIRECTORY [MEGABYTES] [SAVES]\n");
    return 2;
  }
  const std::string directory = argv[1];
  const auto megabytes =
      static_cast<std::size_t>(argc > 2 ? std::atoi(argv[2]) : 1000);
  try {
    const int status =
        measure(directory, megabytes, argc > 3 ? std::atoi(argv[3]) : 7);
    const auto here =
        holdfast::PosixFileSystem().open_root(".", holdfast::Create::no);
    holdfast::remove_tree(*here, directory);
    return status;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "deletion_bench: %s\n", error.what());
    return 1;
  }
}

/// Runs that are interrupted and go on in other processes, against runs that
/// nobody interrupted and no manager has seen.
#include "libtorch/matrix_run.hpp"

#include "support/effort.hpp"
#include "support/temporary_directory.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

using namespace holdfast;
using namespace holdfast::test;
namespace fs = std::filesystem;

namespace {

// --- the matrix --------------------------------------------------------------

enum class How { killed, exception, stop };
enum class Chain { once, twice, fallback };

struct Place {
  const char* name;
  bool mid_epoch;
  std::size_t workers;
};

constexpr Place kPlaces[] = {
    {"at an epoch's end", false, 0},
    {"in mid-epoch", true, 0},
    {"in mid-epoch, 1 worker", true, 1},
    {"in mid-epoch, 3 workers", true, 3}};
constexpr std::pair<How, const char*> kHows[] = {
    {How::killed, "killed"},
    {How::exception, "left by an exception"},
    {How::stop, "stopped"}};
constexpr std::pair<Chain, const char*> kChains[] = {
    {Chain::once, "resumed"},
    {Chain::twice, "resumed twice"},
    {Chain::fallback, "resumed after a fallback"}};

struct Cell {
  Place place{};
  How how = How::killed;
  Chain chain = Chain::once;
  std::string name;

  [[nodiscard]] int lives() const {
    return chain == Chain::twice ? 3 : 2;
  }
  /// The step at which a life is interrupted; -1: it reaches the end.
  [[nodiscard]] std::int64_t interrupted_at(int life) const {
    if (life + 1 == lives()) {
      return -1;
    }
    if (place.mid_epoch) {
      return life == 0 ? 5 : 11;
    }
    const bool stops = how == How::stop; // in an epoch's last step
    return life == 0 ? (stops ? 6 : 7) : (stops ? 9 : 10);
  }
  /// The step from which a life goes on.
  [[nodiscard]] std::int64_t resumes_at(int life) const {
    if (life == 0) {
      return 0;
    }
    const std::int64_t at = interrupted_at(life - 1);
    const std::int64_t interval = place.mid_epoch ? 2 : kBatches;
    // A stop saves its own step, what else happens only the one before.
    const std::int64_t newest =
        how == How::stop ? at : (at - 1) / interval * interval;
    if (chain != Chain::fallback) {
      return newest;
    }
    // At an epoch's end a stop saves twice: in step() and in end_epoch().
    return how != How::stop ? newest - interval
        : !place.mid_epoch  ? newest
                            : newest - 1;
  }
  [[nodiscard]] Options options() const {
    Options options = Options().on_event({}).keep_last(3);
    return place.mid_epoch ? options.save_every(steps(2))
                           : options.save_every(epochs(1));
  }
};

std::vector<Cell> all_cells() {
  std::vector<Cell> cells;
  for (const Place& place : kPlaces) {
    for (const auto& [how, how_name] : kHows) {
      for (const auto& [chain, chain_name] : kChains) {
        cells.push_back(
            {place,
             how,
             chain,
             std::string(how_name) + " " + place.name + ", " + chain_name});
      }
    }
  }
  return cells;
}

std::vector<Subject> subjects(std::size_t optimizer, std::size_t model) {
  std::vector<Subject> all;
  for (const auto& schedule : schedules()) {
    all.push_back(
        {&optimizer_kinds()[optimizer], &model_kinds()[model], schedule.first});
  }
  return all;
}

std::string name_of(const Subject& subject) {
  std::string name =
      std::string(subject.optimizer->name) + ", " + subject.model->name;
  for (const auto& [schedule, schedule_name] : schedules()) {
    if (schedule == subject.schedule) {
      name += std::string(", ") + schedule_name;
    }
  }
  return name;
}

// --- lives, each in a process of its own -------------------------------------

using Log = std::map<std::int64_t, std::string>;
constexpr std::int64_t kResumedAt = -1;

void write_log(std::ofstream& file, const std::string& name, const Log& log) {
  for (const auto& [step, bits] : log) {
    file << name << '\t' << step << '\t' << bits << '\n';
  }
}

std::map<std::string, Log> read_logs(const std::string& path) {
  std::map<std::string, Log> logs;
  std::ifstream file(path);
  std::string name;
  std::string step;
  std::string bits;
  while (std::getline(file, name, '\t') && std::getline(file, step, '\t') &&
         std::getline(file, bits)) {
    logs[name][std::stoll(step)] = bits;
  }
  return logs;
}

/// Flips a bit of the newest checkpoint.
void damage_newest(const std::string& directory) {
  std::string newest;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.compare(0, 5, "ckpt-") == 0) {
      newest = std::max(newest, name);
    }
  }
  const std::string path =
      directory + "/" + newest + "/model/model.safetensors";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const int last = file.get();
  file.seekp(-1, std::ios::end);
  file.put(static_cast<char>(last ^ 1));
  if (!file.flush()) {
    throw std::runtime_error("could not damage " + path);
  }
}

Log live(
    const Subject& subject,
    const Cell& cell,
    int life,
    const std::string& directory) {
  if (life == 1 && cell.chain == Chain::fallback) {
    damage_newest(directory);
  }
  // The program was changed between two lives, as far as that is allowed.
  auto run = std::make_unique<MatrixRun>(
      subject,
      cell.place.workers,
      life % 2 == 1 ? Order::turned_around : Order::own);
  auto manager = run->manage(directory, cell.options());
  const ResumeReport report = manager->resume();
  if (!report.exact()) {
    throw std::runtime_error(report.to_string());
  }
  const std::int64_t resumed_at = manager->progress().step;
  const std::int64_t interrupted_at = cell.interrupted_at(life);
  try {
    run->train(manager.get(), interrupted_at, [&] {
      if (cell.how != How::stop) {
        throw Interrupted();
      }
      manager->request_stop();
    });
  } catch (const Interrupted&) {
  }
  Log log = run->log();
  log[kResumedAt] = std::to_string(resumed_at);
  if (interrupted_at != -1 && cell.how == How::killed) {
    // Whoever is killed runs no destructor.
    static_cast<void>(manager.release());
    static_cast<void>(run.release());
  }
  return log;
}

Log live_uninterrupted(const Subject& subject) {
  MatrixRun run(subject, 0);
  run.train(nullptr);
  return run.log();
}

/// Runs `body` in a forked child, which then is killed. What it throws is
/// printed, and false is returned.
bool in_a_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      at::set_num_threads(1);
      body();
      ::kill(::getpid(), SIGKILL);
    } catch (const std::exception& error) {
      std::cout << "  " << error.what() << std::endl;
    } catch (...) {
      std::cout << "  an exception" << std::endl;
    }
    ::_exit(1);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
      WTERMSIG(status) == SIGKILL;
}

/// What is wrong with one life; empty: nothing.
std::string judge(
    const Cell& cell,
    int life,
    const Log& expected,
    const Log& found) {
  const std::int64_t from = cell.resumes_at(life);
  const std::int64_t until = cell.interrupted_at(life);
  const auto resumed = found.find(kResumedAt);
  if (resumed == found.end()) {
    return "left no log";
  }
  if (resumed->second != std::to_string(from)) {
    return "went on from step " + resumed->second + ", not from " +
        std::to_string(from);
  }
  Log wanted{{kResumedAt, std::to_string(from)}};
  for (const auto& [step, bits] : expected) {
    if (step > from && (until == -1 || step <= until)) {
      wanted[step] = bits;
    }
  }
  for (const auto& [step, bits] : wanted) {
    const auto same = found.find(step);
    if (same == found.end() || same->second != bits) {
      return step == MatrixRun::kFinal
          ? std::string("ended in another state")
          : "differs from step " + std::to_string(step) + " on";
    }
  }
  return found == wanted ? "" : "trained what it should not";
}

/// All cells of one optimizer and one model. Returns those that failed.
std::size_t run_block(
    std::size_t optimizer,
    std::size_t model,
    std::uint64_t every,
    std::size_t& cells_run) {
  const TemporaryDirectory directory;
  const std::vector<Subject> block = subjects(optimizer, model);
  const std::vector<Cell> cells = all_cells();
  // In thin runs each subject and each cell comes, not each pair of them.
  const auto chosen = [&](std::size_t subject, std::size_t cell) {
    return (subject + cell + optimizer + model) % every == 0;
  };
  const auto seed = [&](std::size_t subject) {
    seed_everything(1000 * optimizer + 100 * model + subject);
  };
  bool whole = in_a_child([&] {
    std::ofstream file(directory.path("expected"));
    for (std::size_t s = 0; s < block.size(); ++s) {
      seed(s);
      write_log(file, name_of(block[s]), live_uninterrupted(block[s]));
    }
  });
  for (int life = 0; life < 3; ++life) {
    whole =
        in_a_child([&] {
          std::ofstream file(directory.path("life-" + std::to_string(life)));
          for (std::size_t s = 0; s < block.size(); ++s) {
            for (std::size_t c = 0; c < cells.size(); ++c) {
              if (life >= cells[c].lives() || !chosen(s, c)) {
                continue;
              }
              if (life == 0) {
                seed(s);
              } else {
                seed_everything(99);
              }
              const std::string id =
                  std::to_string(s) + "-" + std::to_string(c);
              try {
                write_log(
                    file,
                    id,
                    live(
                        block[s], cells[c], life, directory.path("run-" + id)));
              } catch (const std::exception& error) {
                std::cout << name_of(block[s]) << ", " << cells[c].name
                          << ": life " << life + 1 << ": " << error.what()
                          << std::endl;
              }
            }
          }
        }) &&
        whole;
  }
  if (!whole) {
    std::cout << name_of(block[0]) << ": a process failed" << std::endl;
  }

  std::size_t failed = whole ? 0 : 1;
  const std::map<std::string, Log> expected =
      read_logs(directory.path("expected"));
  std::map<std::string, Log> lives[3];
  for (int life = 0; life < 3; ++life) {
    lives[life] = read_logs(directory.path("life-" + std::to_string(life)));
  }
  for (std::size_t s = 0; s < block.size(); ++s) {
    const auto reference = expected.find(name_of(block[s]));
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (!chosen(s, c)) {
        continue;
      }
      ++cells_run;
      std::string wrong;
      if (reference == expected.end() ||
          reference->second.size() != kEpochs * kBatches + 1) {
        wrong = "the uninterrupted run did not reach its end";
      }
      for (int life = 0; life < cells[c].lives() && wrong.empty(); ++life) {
        wrong = judge(
            cells[c],
            life,
            reference->second,
            lives[life][std::to_string(s) + "-" + std::to_string(c)]);
        if (!wrong.empty()) {
          wrong = "life " + std::to_string(life + 1) + " " + wrong;
        }
      }
      if (!wrong.empty()) {
        ++failed;
        std::cout << name_of(block[s]) << ", " << cells[c].name << ": " << wrong
                  << std::endl;
      }
    }
  }
  return failed;
}

constexpr const char* kShard = "HOLDFAST_TEST_MATRIX_SHARD";
constexpr std::size_t kShards = 2;

std::string text_in(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace

// Not a test by itself: what the test below runs in new processes. They fork,
// which a process that has used LibTorch's threads cannot.
TEST_CASE("resume matrix: one of the shards", "[.]") {
  const char* const text = std::getenv(kShard);
  if (text == nullptr) {
    return;
  }
  const auto shard = static_cast<std::size_t>(std::atoi(text));
  const std::uint64_t every = one_in(9);
  std::size_t cells = 0;
  std::size_t failed = 0;
  for (std::size_t o = 0; o < optimizer_kinds().size(); ++o) {
    for (std::size_t m = 0; m < model_kinds().size(); ++m) {
      if ((o * model_kinds().size() + m) % kShards == shard) {
        failed += run_block(o, m, every, cells);
      }
    }
  }
  std::cout << "shard " << shard << ": " << cells << " cells, " << failed
            << " failed" << std::endl;
  REQUIRE(failed == 0);
}

TEST_CASE("resume matrix: every cell goes on bit for bit", "[P1]") {
  const TemporaryDirectory directory;
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  int status[kShards] = {};
  std::vector<std::thread> shards;
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    shards.emplace_back([&, shard] {
      const std::string number = std::to_string(shard);
      // Synced files cost nothing in memory, and cells are many.
      const std::string command =
          "test -w /dev/shm && export TMPDIR=/dev/shm; exec env " +
          std::string(kShard) + "=" + number + " '" + program +
          "' 'resume matrix: one of the shards' > '" + directory.path(number) +
          "' 2>&1";
      status[shard] = std::system(command.c_str());
    });
  }
  for (std::thread& shard : shards) {
    shard.join();
  }
  std::size_t cells = 0;
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    const std::string said = text_in(directory.path(std::to_string(shard)));
    INFO(said);
    CHECK(status[shard] == 0);
    const std::string key = "shard " + std::to_string(shard) + ": ";
    const std::size_t at = said.find(key);
    REQUIRE(at != std::string::npos);
    cells += static_cast<std::size_t>(std::stoll(said.substr(at + key.size())));
  }
  const std::size_t all = optimizer_kinds().size() * model_kinds().size() *
      schedules().size() * all_cells().size();
  CHECK(cells * one_in(9) >= all);
  std::cout << "resume matrix: " << cells << " of " << all << " cells\n";
}

#include "engine_support.hpp"

#include <holdfast/engine/program_environment.hpp>

#include <cstdlib>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Sets variables of the environment for a while.
class Variables {
 public:
  explicit Variables(std::map<std::string, std::string> variables) {
    for (const char* name :
         {"WORLD_SIZE",
          "RANK",
          "OMPI_COMM_WORLD_SIZE",
          "OMPI_COMM_WORLD_RANK",
          "PMI_SIZE",
          "PMI_RANK",
          "SLURM_NTASKS",
          "SLURM_PROCID"}) {
      const char* const before = std::getenv(name);
      before_[name] = before == nullptr ? "" : before;
      const auto wanted = variables.find(name);
      set(name, wanted == variables.end() ? "" : wanted->second);
    }
  }
  ~Variables() {
    for (const auto& [name, value] : before_) {
      set(name, value);
    }
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  static void set(const std::string& name, const std::string& value) {
    if (value.empty()) {
      ::unsetenv(name.c_str());
    } else {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  std::map<std::string, std::string> before_;
};

Machine machine() {
  Machine machine;
  machine.processor = "A Processor";
  machine.system = "Linux 6.1";
  machine.gpu_driver = "535.1";
  machine.gpus = {"NVIDIA A100", "NVIDIA A100"};
  return machine;
}

/// What changed, was and is, and how bad that is.
std::string differences(const Environment& was, const Environment& is) {
  std::string text;
  for (const EnvironmentDifference& other : compare(was, is)) {
    text += other.name + ": " + other.was + " -> " + other.is + " (" +
        to_string(other.severity) + ")\n";
  }
  return text;
}

} // namespace

TEST_CASE("program environment: the machine, and how bad", "[environment]") {
  const Variables none({});
  const Environment was = program_environment(machine());
  Machine other;
  other.processor = "Another";
  other.system = "Linux 6.12";
  other.gpu_driver = "550.2";
  other.gpus = {"NVIDIA H100"};
  CHECK(
      differences(was, program_environment(other)) ==
      "gpu.models: NVIDIA A100, NVIDIA A100 -> NVIDIA H100 "
      "(breaks_bit_equality)\n"
      "machine.processor: A Processor -> Another (breaks_bit_equality)\n"
      "gpu.driver: 535.1 -> 550.2 (may_change_speed)\n"
      "machine.system: Linux 6.1 -> Linux 6.12 (information)\n");
  CHECK(was.entries.count("holdfast.version") == 1);
  CHECK_THAT(was.entries.at("program.compiler").value, contains("."));
  CHECK(program_environment(Machine()).entries.count("gpu.models") == 0);
}

TEST_CASE("program environment: ranks, whoever started them", "[environment]") {
  const auto told = [](std::map<std::string, std::string> variables) {
    const Variables set(std::move(variables));
    const Environment environment = program_environment(Machine());
    std::string text;
    for (const char* name : {"rank", "world_size"}) {
      const auto entry = environment.entries.find(name);
      text += entry == environment.entries.end() ? "-" : entry->second.value;
      text += " ";
    }
    return text;
  };
  CHECK(told({}) == "- - ");
  CHECK(told({{"RANK", "3"}, {"WORLD_SIZE", "8"}}) == "3 8 ");
  CHECK(
      told({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}}) ==
      "1 2 ");
  CHECK(told({{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}}) == "0 4 ");
  CHECK(told({{"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "6"}}) == "5 6 ");
  // A batch script that srun did not start is one process.
  CHECK(told({{"SLURM_NTASKS", "6"}}) == "- - ");
}

TEST_CASE("manager: another world size is reported", "[environment]") {
  const Disk disk = new_disk();
  {
    const Variables two({{"RANK", "0"}, {"WORLD_SIZE", "2"}});
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.resume();
    train_steps(run, 1);
  }
  const Variables four({{"RANK", "0"}, {"WORLD_SIZE", "4"}});
  ToyRun run(kRoot, keep_everything(disk));
  const ResumeReport report = run.manager.resume();
  CHECK_FALSE(report.exact());
  CHECK_THAT(
      report.to_string(),
      contains("\n  environment: world_size was '2', is '4' "
               "(breaks_bit_equality)"));
}

#include <support/catch.hpp>
#include <support/temporary_directory.hpp>

#include <holdfast/io/machine.hpp>

#include <filesystem>
#include <fstream>
#include <string>

using namespace holdfast;
using namespace holdfast::test;

namespace {

void write(const TemporaryDirectory& root, std::string path, std::string text) {
  const std::filesystem::path file = root.path() + path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

} // namespace

TEST_CASE("machine: reads what Linux and NVIDIA's driver tell", "[io]") {
  const TemporaryDirectory root;
  write(
      root,
      "/proc/cpuinfo",
      "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 106\n"
      "model name\t: Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz\n"
      "stepping\t: 6\n\nprocessor\t: 1\nmodel name\t: another\n");
  write(root, "/proc/sys/kernel/ostype", "Linux\n");
  write(root, "/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
  const std::string nvidia = "/proc/driver/nvidia/";
  write(
      root,
      nvidia + "version",
      "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 "
      "01:15:15 UTC 2023\nGCC version:  gcc version 12.2.0\n");
  write(
      root,
      nvidia + "gpus/0000:07:00.0/information",
      "Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   \t\t 255\n");
  write(
      root,
      nvidia + "gpus/0000:04:00.0/information",
      "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 18\n");
  const Machine machine = this_machine(root.path());
  CHECK(machine.processor == "Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz");
  CHECK(machine.system == "Linux 6.1.0-18-amd64");
  CHECK(machine.gpu_driver == "535.104.05");
  CHECK(
      machine.gpus ==
      std::vector<std::string>{
          "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"});
}

TEST_CASE("machine: the open driver, and an ARM processor", "[io]") {
  const TemporaryDirectory root;
  write(
      root,
      "/proc/cpuinfo",
      "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n"
      "CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n");
  write(
      root,
      "/proc/driver/nvidia/version",
      "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  "
      "Release Build\n");
  const Machine machine = this_machine(root.path());
  CHECK(machine.processor == "0x41 0xd0c");
  CHECK(machine.gpu_driver == "550.54.14");
  CHECK(machine.gpus.empty());
  CHECK(machine.system.empty());
}

TEST_CASE("machine: empty where the system tells nothing", "[io]") {
  const TemporaryDirectory root;
  write(root, "/proc/cpuinfo", "model name\t:\nCPU implementer");
  write(root, "/proc/driver/nvidia/version", "NVRM version: of no kind\n");
  write(root, "/proc/driver/nvidia/gpus/0/information", "");
  const Machine machine = this_machine(root.path());
  CHECK(machine.processor.empty());
  CHECK(machine.gpu_driver.empty());
  CHECK(machine.gpus.empty());
}

extern "C" int openblas_get_num_threads() {
  return 7;
}

TEST_CASE("machine: asks the OpenBLAS that is loaded", "[io]") {
  CHECK(openblas_threads() == 7);
}

TEST_CASE("machine: this one has a system", "[io]") {
  CHECK_THAT(this_machine().system, contains("Linux "));
}

#!/usr/bin/env python3
"""What including Holdfast costs a file that includes LibTorch anyway.

    include_cost.py TORCH_DIR [--compiler g++] [--standard c++17] [--runs 5]

TORCH_DIR is a LibTorch folder with include/. Prints CPU seconds of the
compiler, the median of runs that take turns, and the cost against
torch/torch.h alone. Nothing is optimised (-O0).
"""

import argparse
import os
import resource
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

USE = """
void train(torch::nn::Sequential& model, torch::optim::Adam& optimizer,
           torch::optim::StepLR& scheduler, torch::Tensor& loss) {
  holdfast::CheckpointManager checkpoints{
      "runs/a",
      holdfast::Options().save_every(holdfast::steps(500)).keep_last(3),
      model, optimizer, scheduler};
  checkpoints.resume();
  while (checkpoints.running(holdfast::epochs(2))) {
    checkpoints.step({{"loss", loss}});
    checkpoints.end_epoch();
  }
}
"""
TORCH = "#include <torch/torch.h>\n"
HOLDFAST = "#include <holdfast/holdfast.hpp>\n"
CORE = "#include <holdfast/core.hpp>\n"
ONCE = "#define HOLDFAST_IMPLEMENTATION\n"

# name, text, are the bodies compiled elsewhere?
FILES = [
    ("torch/torch.h", TORCH, False),
    ("+ holdfast.hpp, header-only", TORCH + HOLDFAST, False),
    ("+ a manager, header-only", TORCH + HOLDFAST + USE, False),
    ("+ holdfast.hpp, bodies elsewhere", TORCH + HOLDFAST, True),
    ("+ a manager, bodies elsewhere", TORCH + HOLDFAST + USE, True),
    ("the bodies, once a program", ONCE + HOLDFAST, False),
    ("core.hpp alone, header-only", CORE, False),
    ("core.hpp alone, bodies elsewhere", CORE, True),
    ("its bodies, once a program", ONCE + CORE, False),
]


def cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("torch_dir")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--standard", default="c++17")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()

    include = os.path.join(arguments.torch_dir, "include")
    seconds = {name: [] for name, _, _ in FILES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.runs):
            for name, text, elsewhere in FILES:
                source = os.path.join(folder, "file.cpp")
                with open(source, "w", encoding="utf-8") as file:
                    file.write(text)
                command = [
                    arguments.compiler, "-std=" + arguments.standard, "-O0", "-c",
                    "-I" + os.path.join(ROOT, "include"),
                    "-isystem", include,
                    "-isystem", os.path.join(include, "torch", "csrc", "api", "include"),
                    source, "-o", os.path.join(folder, "file.o"),
                ]
                if elsewhere:
                    command.insert(1, "-DHOLDFAST_COMPILED")
                seconds[name].append(cpu_seconds(command))
    base = statistics.median(seconds[FILES[0][0]])
    for name, _, _ in FILES:
        median = statistics.median(seconds[name])
        relative = f"{100 * (median / base - 1):+7.1f} %" if name.startswith("+") else ""
        print(f"{name:34} {median:6.2f} s {relative}")


if __name__ == "__main__":
    main()

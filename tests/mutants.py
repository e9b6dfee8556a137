#!/usr/bin/env python3
"""Breaks one rule of the library at a time, and sees whether a test notices.

    python3 tests/mutants.py --build DIR             all of the table below
    python3 tests/mutants.py --build DIR NAME ...    those with this in their name
    python3 tests/mutants.py --list

DIR is a build folder of the tests, made with Ninja and LibTorch 2.1 or newer.
Its test programs are brought up to date first. Then for each mutant a copy of
include/ is changed, the one object file of the library that it concerns is
compiled from there, and the test program is linked with it, beside the others in
DIR/mutants. Exit status 1 if a mutant survives, cannot be built, or is out of
date: the text to replace has to be in its file exactly once.
"""

import argparse
import collections
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

# What is replaced, by what, and which test has to fail.
Mutant = collections.namedtuple("Mutant", "name file old new program test")

TORCH = "libtorch/libtorch_tests"
ENGINE = "engine/engine_tests"
L = "libtorch/impl/"

MUTANTS = [
    # --- modules
    Mutant("gradient presence is not restored", L + "module_restore.ipp",
           "        item.tensor.mutable_grad() = item.gradient;", "",
           TORCH, "trap 12: *"),
    Mutant("values of gradients are not saved", L + "module.ipp",
           "if (gradients_ == Gradients::values && gradient.defined())",
           "if (false && gradient.defined())",
           TORCH, "module: an accumulation goes on*"),
    Mutant("is_training is not restored", L + "module_restore.ipp",
           "item.module->*member_of(ModeMember{}) = item.training;",
           "(void)item;", TORCH, "trap 12: *"),
    Mutant("requires_grad is not restored", L + "module_restore.ipp",
           "item.tensor.set_requires_grad(item.requires_grad);", "",
           TORCH, "trap 12: *"),
    Mutant("ties are not found", L + "module_walk.ipp",
           "return a.is_same(b) ||", "return false && a.is_same(b) &&",
           TORCH, "trap 13: *"),
    Mutant("tensors get other memory", L + "module_restore.ipp",
           "        overwrite(item.tensor, bytes[item.source], item.saved);",
           "        const c10::NoGradGuard no_grad;\n"
           "        at::Tensor fresh = item.tensor.detach().clone();\n"
           "        overwrite(fresh, bytes[item.source], item.saved);\n"
           "        at::Tensor(item.tensor).set_data(fresh);",
           TORCH, "trap 02: *"),
    Mutant("undefined tensors leave no trace", L + "module.ipp",
           "    undefined.push_back(name);\n", "    (void)name;\n",
           TORCH, "module: undefined tensors*"),
    Mutant("dtypes are not compared", L + "tensor.ipp",
           "if (here.dtype != saved.dtype) {", "if (false) {",
           TORCH, "module: every mismatch is listed*"),
    Mutant("strides are forgotten", L + "tensor.ipp",
           "  if (dense) {\n", "  if (false) {\n",
           TORCH, "tensor: dense strides*"),
    Mutant("a conjugate view is read as its memory", L + "tensor_sources.ipp",
           "      !tensor.is_conj() && !tensor.is_neg();", "      true;",
           TORCH, "tensor: conjugate and negative*"),
    # --- optimizers
    Mutant("group options stay the program's", L + "optimizer_restore.ipp",
           "        assign_options(*item.live, *item.saved);", "        (void)item;",
           TORCH, "trap 04: *"),
    Mutant("state is keyed by place", L + "optimizer_groups.ipp",
           'name == nullptr ? "" : name->part + "." + name->name',
           'name == nullptr ? "" : std::to_string(keys.size())',
           TORCH, "trap 03: *"),
    Mutant("step counts pass through float", L + "optimizer_values.ipp",
           "  void operator()(const char* name, std::int64_t& value) override {\n"
           "    values_[name] = value;",
           "  void operator()(const char* name, std::int64_t& value) override {\n"
           "    values_[name] = static_cast<std::int64_t>("
           "static_cast<float>(value));",
           TORCH, "trap 11: *"),
    Mutant("options pass through float", L + "optimizer_values.ipp",
           "  void operator()(const char* name, double& value) override {\n"
           "    values_[name] = value;",
           "  void operator()(const char* name, double& value) override {\n"
           "    values_[name] = static_cast<float>(value);",
           TORCH, "trap 11: *"),
    Mutant("old state stays", L + "optimizer_restore.ipp",
           "    optimizer_.state().swap(states);\n    applied = true;",
           "    for (auto& item : states) {\n"
           "      optimizer_.state()[item.first] = std::move(item.second);\n"
           "    }\n    applied = true;",
           TORCH, "trap 04: *"),
    Mutant("the type is not compared", L + "optimizer.ipp",
           "  if (type != saved_type) {", "  if (false) {",
           TORCH, "trap 04: *"),
    Mutant("a moment of amsgrad is forgotten", L + "optimizer_fields.ipp",
           '  v("max_exp_avg_sq", s.max_exp_avg_sq());\n', "",
           TORCH, "optimizer: continues bit-identically*"),
    Mutant("the history of LBFGS is forgotten", L + "optimizer_fields.ipp",
           '  v("old_dirs", s.old_dirs());\n', "",
           TORCH, "optimizer: continues bit-identically*"),
    Mutant("LBFGS takes any order", L + "optimizer_groups.ipp",
           "  return !is_known_optimizer(optimizer) ||\n"
           "      typeid(optimizer) == typeid(optim::LBFGS);",
           "  return !is_known_optimizer(optimizer);",
           TORCH, "optimizer: LBFGS refuses*"),
    Mutant("an unknown optimizer passes in silence", L + "optimizer.ipp",
           "    if (own.empty()) {", "    if (false) {",
           TORCH, "optimizer: one that says nothing*"),
    Mutant("a load() of the user's is not called", L + "optimizer_restore.ipp",
           "      optimizer_.load(own);", "      (void)own;",
           TORCH, "optimizer: the user's own are saved*"),
    Mutant("a failed optimizer is not taken back", L + "optimizer_restore.ipp",
           "    applied = false;\n    try {",
           "    applied = false;\n    return;\n    try {",
           TORCH, "optimizer: an extra state refused halfway*"),
    # --- schedulers
    Mutant("the step count is forgotten", L + "scheduler.ipp",
           "    std::swap(live_, saved_);", "",
           TORCH, "trap 10: *"),
    Mutant("own state of a scheduler is not loaded", L + "scheduler.ipp",
           "        own_.load(saved_);", "",
           TORCH, "scheduler: one of the user's own*"),
    Mutant("the best value of a plateau is forgotten",
           L + "plateau_scheduler.ipp",
           "    std::swap(live_.*member_of(PlateauBest{}), state_.best);", "",
           TORCH, "scheduler: plateau goes on*"),
    # --- random state
    Mutant("generators are not set", L + "generator.ipp",
           "      item.generator.set_state(item.state);", "",
           TORCH, "trap 18: *"),
    Mutant("random state is not set again at the first batch",
           "engine/impl/manager.ipp",
           "      random_at_begin->put_back();", "",
           TORCH, "trap 14: *"),
    Mutant("random state is set before the callbacks", "engine/impl/restore.ipp",
           "  state_->applied = true;\n",
           "  state_->applied = true;\n"
           "  for (auto early = next; early != parts.end(); ++early) {\n"
           "    early->restore->apply(early->bytes);\n  }\n  next = parts.end();\n",
           ENGINE, "restore: applied in the order of stages*"),
    Mutant("saving moves generators", "engine/impl/part_set.ipp",
           "      random.put_back();\n", "",
           ENGINE, "part set: captured in order*"),
    Mutant("parts are applied in their own order", "engine/impl/restore.ipp",
           "return a.target->part->stage() < b.target->part->stage();",
           "return &a < &b && false;",
           ENGINE, "restore: applied in the order of stages*"),
    # --- data
    Mutant("the position runs ahead of the loop",
           "state/impl/epoch_cursor.ipp",
           "  position_ = handed_out_;\n  return static_cast",
           "  position_ = handed_out_ + 1;\n  return static_cast",
           TORCH, "trap 15: *"),
]


class Workshop:
    """A copy of include/, and how to build test programs with a part of it."""

    def __init__(self, build):
        self.build = build
        self.include = build / "mutants" / "include"
        shutil.rmtree(self.include, ignore_errors=True)
        shutil.copytree(REPOSITORY / "include", self.include)
        self.commands = {}

    def run(self, command):
        return subprocess.run(
            command, cwd=self.build, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)

    def prepare(self, program):
        """Builds the program as it is, and finds out how."""
        target = "tests/" + program
        built = self.run(["ninja", "-j1", target])
        if built.returncode != 0:
            sys.exit(f"{built.stdout}\nmutants: {target} cannot be built")
        listed = self.run(["ninja", "-t", "commands", target])
        self.commands[program] = listed.stdout.splitlines()

    def passes(self, program, test):
        ran = self.run([program, test])
        return ran.returncode == 0 and "All tests passed" in ran.stdout

    def compile_mutated(self, program, layer):
        """The library's object file of this layer, out of the copy."""
        unit = f"holdfast_compiled/{layer}.cpp"
        command = next(line for line in self.commands[program]
                       if line.endswith(f"/{unit}") and " -c " in line)
        words = shlex.split(command)
        made = str(self.build / "mutants" / "mutated.o")
        kept = []
        while words:
            word = words.pop(0)
            if word in ("-MT", "-MF", "-o"):
                words.pop(0)
            elif word != "-MD" and not word.startswith("-Werror"):
                kept.append(word)
        here = f"-I{REPOSITORY / 'include'}"
        if here not in kept:
            sys.exit(f"mutants: no {here} in {command}")
        kept[kept.index(here)] = f"-I{self.include}"
        return made if self.run(kept + ["-w", "-o", made]).returncode == 0 else None

    def link_with(self, program, made):
        """The test program with this object file before the library's own."""
        linked = str(self.build / "mutants" / "mutated_tests")
        command = self.commands[program][-1]
        changed = command.replace(
            f" -o tests/{program} ", f" -o {linked} {made} ", 1)
        if changed == command or self.run(["sh", "-c", changed]).returncode != 0:
            return None
        return linked

    def try_mutant(self, mutant):
        """What became of it: "killed" is well."""
        path = pathlib.Path("holdfast") / mutant.file
        text = (REPOSITORY / "include" / path).read_text("utf-8")
        if text.count(mutant.old) != 1:
            return "OUT OF DATE"
        (self.include / path).write_text(
            text.replace(mutant.old, mutant.new), "utf-8")
        made = self.compile_mutated(mutant.program, mutant.file.split("/")[0])
        (self.include / path).write_text(text, "utf-8")
        linked = made and self.link_with(mutant.program, made)
        if not linked:
            return "NOT BUILT"
        return "SURVIVED" if self.passes(linked, mutant.test) else "killed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*", help="parts of names")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not arguments.names
              or any(name in mutant.name for name in arguments.names)]
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant.name}: {mutant.test}")
        return
    if arguments.build is None or not chosen:
        parser.error("--build DIR is needed" if chosen else "no such mutant")

    workshop = Workshop(arguments.build.resolve())
    for program in sorted({mutant.program for mutant in chosen}):
        workshop.prepare(program)
    for program, test in sorted({(m.program, m.test) for m in chosen}):
        if not workshop.passes(f"tests/{program}", test):
            sys.exit(f"mutants: without a mutant, '{test}' does not pass")
    survived = 0
    for mutant in chosen:
        began = time.monotonic()
        verdict = workshop.try_mutant(mutant)
        survived += verdict != "killed"
        print(f"{verdict:11} {time.monotonic() - began:4.0f} s  {mutant.name}  "
              f"({mutant.test})", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutants killed")
    sys.exit(survived != 0)


main()

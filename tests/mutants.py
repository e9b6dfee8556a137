#!/usr/bin/env python3
"""Breaks one rule of the library at a time, and sees whether a test notices.

    python3 tests/mutants.py --build DIR             all of the table below
    python3 tests/mutants.py --build DIR NAME ...    those with this in their name
    python3 tests/mutants.py --list

DIR is a build folder of the tests, made with Ninja and LibTorch 2.1 or newer.
Its test programs are brought up to date first. Then for each mutant a copy of
include/ is changed, the one object file of the library that it concerns is
compiled from there, and the test program is linked with it, beside the others in
DIR/mutants. Each of its tests has to fail; the resume matrix runs as with
HOLDFAST_TEST_EFFORT=thin, unless that is set. Exit status 1 if a mutant
survives, cannot be built, or is out of date: the text to replace has to be in
its file exactly once.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


class Test(NamedTuple):
    """Test cases of a test program, by a pattern of Catch2."""

    program: str
    pattern: str


def torch(pattern):
    return Test("libtorch/libtorch_tests", pattern)


def engine(pattern):
    return Test("engine/engine_tests", pattern)


class Mutant:
    """What is replaced, by what, and which tests have to fail."""

    def __init__(self, name, file, old, new, *tests):
        self.name = name
        self.file = file
        one = isinstance(old, str)
        self.edits = [(old, new)] if one else list(zip(old, new))
        self.tests = tests

    def applied_to(self, text):
        """Nothing if the text is not the one it was made for."""
        for old, new in self.edits:
            if text.count(old) != 1:
                return None
            text = text.replace(old, new)
        return text


MATRIX = torch("resume matrix: every*")
L = "libtorch/impl/"

MUTANTS = [
    # --- modules
    Mutant("gradient presence is not restored", L + "module_restore.ipp",
           "        item.tensor.mutable_grad() = item.gradient;", "",
           torch("trap 12: *"), MATRIX),
    Mutant("values of gradients are not saved", L + "module.ipp",
           "if (gradients_ == Gradients::values && gradient.defined())",
           "if (false && gradient.defined())",
           torch("module: an accumulation goes on*")),
    Mutant("is_training is not restored", L + "module_restore.ipp",
           "item.module->*member_of(ModeMember{}) = item.training;",
           "(void)item;", torch("trap 12: *"), MATRIX),
    Mutant("requires_grad is not restored", L + "module_restore.ipp",
           "item.tensor.set_requires_grad(item.requires_grad);", "",
           torch("trap 12: *"), MATRIX),
    Mutant("ties are not found", L + "module_walk.ipp",
           "return a.is_same(b) ||", "return false && a.is_same(b) &&",
           torch("trap 13: *")),
    Mutant("tensors get other memory", L + "module_restore.ipp",
           "        overwrite(item.tensor, bytes[item.source], item.saved);",
           "        const c10::NoGradGuard no_grad;\n"
           "        at::Tensor fresh = item.tensor.detach().clone();\n"
           "        overwrite(fresh, bytes[item.source], item.saved);\n"
           "        at::Tensor(item.tensor).set_data(fresh);",
           torch("trap 02: *")),
    Mutant("undefined tensors leave no trace", L + "module.ipp",
           "    undefined.push_back(name);\n", "    (void)name;\n",
           torch("module: undefined tensors*")),
    Mutant("extra state is not renamed with its module", L + "module.ipp",
           "leniency.new_owner_name(part, item.first)",
           "leniency.new_name(part, item.first)",
           torch("load: state of modules that is not in tensors*"),
           torch("load: a module becomes the whole one*")),
    Mutant("of two extra states of one name the last wins", L + "module.ipp",
           "if (!extra.emplace(renamed, item.second).second) {",
           "extra[renamed] = item.second;\n    if (false) {",
           torch("load: two of a module's names*")),
    Mutant("undefined tensors take any name", L + "module.ipp",
           "if (!taken.add(renamed)) {", "if (false) {",
           torch("load: two of a module's names*")),
    Mutant("members do not rename what is in them",
           "state/impl/composite_rename.ipp",
           "      live->rename(inner, names.inner_part(), names);\n", "",
           engine("load options: members that got other names")),
    Mutant("members keep their names", "state/impl/composite_rename.ipp",
           "leniency.new_owner_name(part, was)", "was",
           engine("load options: members that got other names")),
    Mutant("dtypes are not compared", L + "tensor.ipp",
           "if (here.dtype != saved.dtype) {", "if (false) {",
           torch("module: every mismatch is listed*")),
    Mutant("strides are forgotten", L + "tensor.ipp",
           "  if (dense) {\n", "  if (false) {\n",
           torch("tensor: dense strides*")),
    Mutant("a conjugate view is read as its memory", L + "tensor_sources.ipp",
           "      !tensor.is_conj() && !tensor.is_neg();", "      true;",
           torch("tensor: conjugate and negative*")),
    Mutant("only what requires gradients is restored", L + "module_restore.ipp",
           "      if (item.source != kNoTensor) {\n",
           "      if (item.source != kNoTensor && item.tensor.requires_grad()) {\n",
           MATRIX),
    Mutant("tensors over each other are not compared", "engine/impl/restore.ipp",
           "  detail::check_shared_memory(state_->parts, names, mismatches);\n",
           "",
           engine("restore: tensors over each other*"),
           torch("manager: tensors over each other*")),
    Mutant("the graph of taken-back steps stays", L + "tensor_part.ipp",
           "    restore->fresh = allocate(here, tensor_.device());\n", "",
           torch("tensor: the graph of steps*")),
    Mutant("a saved graph is not told", L + "tensor_part.ipp",
           "    exact_ = !graph;\n", "", torch("tensor: a saved graph*")),
    Mutant("presence of a tensor's gradient is not saved", L + "tensor_part.ipp",
           '        state.values["gradient"] = true;\n', "",
           torch("tensor: whether there is a gradient*")),
    Mutant("another layout is exact", L + "module_match.ipp",
           "      same_layouts = false;\n", "",
           torch("module: layouts stay*")),
    # --- optimizers
    Mutant("options of the second group stay", L + "optimizer_restore.ipp",
           "        assign_options(*item.live, *item.saved);\n",
           "        assign_options(*item.live, *item.saved);\n"
           "        break;\n",
           MATRIX),
    Mutant("a moment of Adam is forgotten", L + "optimizer_fields.ipp",
           '  v("exp_avg", s.exp_avg());\n', "", MATRIX),
    Mutant("the step count of Adam is forgotten", L + "optimizer_fields.ipp",
           '  v("step", s.step());\n  v("exp_avg", s.exp_avg());\n',
           '  v("exp_avg", s.exp_avg());\n', MATRIX),
    Mutant("the momentum of SGD is forgotten", L + "optimizer_fields.ipp",
           "optim::SGDParamState& s) {\n"
           '  v("momentum_buffer", s.momentum_buffer());\n',
           "optim::SGDParamState&) {\n  static_cast<void>(v);\n", MATRIX),
    Mutant("the mean of RMSprop is forgotten", L + "optimizer_fields.ipp",
           '  v("grad_avg", s.grad_avg());\n', "", MATRIX),
    Mutant("the sum of Adagrad is forgotten", L + "optimizer_fields.ipp",
           '  v("sum", s.sum());\n', "", MATRIX),
    Mutant("the last gradient of LBFGS is forgotten", L + "optimizer_fields.ipp",
           '  v("prev_flat_grad", s.prev_flat_grad());\n', "", MATRIX),
    Mutant("the user's parameter states are not read", L + "optimizer_states.ipp",
           '        read_archive(*param_state, "the parameter state", '
           "archive.archive());\n", "", MATRIX),
    Mutant("group options stay the program's", L + "optimizer_restore.ipp",
           "        assign_options(*item.live, *item.saved);", "        (void)item;",
           torch("trap 04: *"), MATRIX),
    Mutant("state is keyed by place", L + "optimizer_groups.ipp",
           'name == nullptr ? "" : name->part + "." + name->name',
           'name == nullptr ? "" : std::to_string(keys.size())',
           torch("trap 03: *"), MATRIX),
    Mutant("group options come back late, at the next save",
           L + "optimizer_options.ipp",
           ("HOLDFAST_INLINE Values capture_options("
            "optim::OptimizerOptions& options) {\n",
            "    restore.options.push_back("
            "{&live, std::move(trial), live.clone(), {}, {}});\n"),
           ("inline std::vector<std::pair<optim::OptimizerOptions*,\n"
            "    std::unique_ptr<optim::OptimizerOptions>>> late;\n"
            "HOLDFAST_INLINE Values capture_options("
            "optim::OptimizerOptions& options) {\n"
            "  for (auto& item : late) {\n"
            "    if (item.first == &options && item.second) {\n"
            "      assign_options(options, *item.second);\n"
            "      item.second.reset();\n    }\n  }\n",
            "    late.emplace_back(&live, std::move(trial));\n"
            "    restore.options.push_back("
            "{&live, live.clone(), live.clone(), {}, {}});\n"),
           MATRIX),
    Mutant("step counts pass through float", L + "optimizer_values.ipp",
           "  void operator()(const char* name, std::int64_t& value) override {\n"
           "    values_[name] = value;",
           "  void operator()(const char* name, std::int64_t& value) override {\n"
           "    values_[name] = static_cast<std::int64_t>("
           "static_cast<float>(value));",
           torch("trap 11: *")),
    Mutant("options pass through float", L + "optimizer_values.ipp",
           "  void operator()(const char* name, double& value) override {\n"
           "    values_[name] = value;",
           "  void operator()(const char* name, double& value) override {\n"
           "    values_[name] = static_cast<float>(value);",
           torch("trap 11: *"), MATRIX),
    Mutant("old state stays", L + "optimizer_restore.ipp",
           "    optimizer_.state().swap(states);\n    applied = true;",
           "    for (auto& item : states) {\n"
           "      optimizer_.state()[item.first] = std::move(item.second);\n"
           "    }\n    applied = true;",
           torch("trap 04: *")),
    Mutant("the type is not compared", L + "optimizer.ipp",
           "  if (type != saved_type) {", "  if (false) {",
           torch("trap 04: *")),
    Mutant("a moment of amsgrad is forgotten", L + "optimizer_fields.ipp",
           '  v("max_exp_avg_sq", s.max_exp_avg_sq());\n', "",
           torch("optimizer: continues bit-identically*"), MATRIX),
    Mutant("the history of LBFGS is forgotten", L + "optimizer_fields.ipp",
           '  v("old_dirs", s.old_dirs());\n', "",
           torch("optimizer: continues bit-identically*"), MATRIX),
    Mutant("LBFGS takes any order", L + "optimizer_groups.ipp",
           "  return !is_known_optimizer(optimizer) ||\n"
           "      typeid(optimizer) == typeid(optim::LBFGS);",
           "  return !is_known_optimizer(optimizer);",
           torch("optimizer: LBFGS refuses*")),
    Mutant("an unknown optimizer passes in silence", L + "optimizer.ipp",
           "    if (own.empty()) {", "    if (false) {",
           torch("optimizer: one that says nothing*")),
    Mutant("a load() of the user's is not called", L + "optimizer_restore.ipp",
           "      optimizer_.load(own);", "      (void)own;",
           torch("optimizer: the user's own are saved*")),
    Mutant("a failed optimizer is not taken back", L + "optimizer_restore.ipp",
           "    applied = false;\n    try {",
           "    applied = false;\n    return;\n    try {",
           torch("optimizer: an extra state refused halfway*")),
    Mutant("an inherited save() is called", L + "optimizer.ipp",
           "    return class_.saver != nullptr && typeid(optimizer) ==",
           "    return false && typeid(optimizer) ==",
           torch("optimizer: one that inherits LibTorch's save()*"),
           torch("optimizer: an inherited save() is not called*")),
    Mutant("a save() of the user's is not called", L + "optimizer.ipp",
           "is_known_type(*class_.saver)", "true",
           torch("optimizer: a save() or load() of the user's*")),
    Mutant("a load() of the user's is not looked for", L + "optimizer.ipp",
           "is_known_type(*class_.loader)", "true",
           torch("optimizer: a save() or load() of the user's*")),
    Mutant("what the compiler sees is taken for all", L + "optimizer.ipp",
           "typeid(optimizer) == *class_.type", "true",
           torch("optimizer: a save() or load() of the user's*")),
    Mutant("archives of an inherited save() are refused", L + "optimizer.ipp",
           " &&\n      !inherits_save(optimizer)) {", ") {",
           torch("optimizer: one that inherits LibTorch's save()*")),
    # --- schedulers
    Mutant("the step count is forgotten", L + "scheduler.ipp",
           "    std::swap(live_, saved_);", "",
           torch("trap 10: *"), MATRIX),
    Mutant("own state of a scheduler is not loaded", L + "scheduler.ipp",
           "      own_.load(saved_);", "",
           torch("scheduler: one of the user's own*"), MATRIX),
    Mutant("the best value of a plateau is forgotten",
           L + "plateau_scheduler.ipp",
           "    std::swap(live_.*member_of(PlateauBest{}), state_.best);", "",
           torch("scheduler: plateau goes on*"), MATRIX),
    Mutant("the bad epochs of a plateau are forgotten",
           L + "plateau_scheduler.ipp",
           "    std::swap(live_.*member_of(PlateauBadEpochs{}), "
           "state_.num_bad_epochs);\n", "",
           torch("scheduler: plateau goes on*")),
    # --- random state
    Mutant("generators are not set", L + "generator.ipp",
           "      item.generator.set_state(item.state);", "",
           torch("trap 18: *"), MATRIX),
    Mutant("random state is not set again at the first batch",
           "engine/impl/manager.ipp",
           "      random_at_begin->put_back();", "",
           torch("trap 14: *")),
    Mutant("random state is not set again at the first running()",
           "engine/impl/manager_save.ipp",
           "over || progress.batch == 0 || sources.empty()", "false",
           engine("random state: *")),
    Mutant("random state is set before the callbacks", "engine/impl/restore.ipp",
           "  state_->applied = true;\n",
           "  state_->applied = true;\n"
           "  for (auto early = next; early != parts.end(); ++early) {\n"
           "    early->restore->apply(early->bytes);\n  }\n  next = parts.end();\n",
           engine("restore: applied in the order of stages*")),
    Mutant("engines of objects are set before the callbacks",
           "state/impl/composite_restore.ipp",
           "      if (entry.stage == Stage::random) {\n", "      if (false) {\n",
           engine("random state: of a member comes after all callbacks")),
    Mutant("saving moves generators", "engine/impl/part_set.ipp",
           "      random.put_back();\n", "",
           engine("part set: captured in order*")),
    Mutant("parts are applied in their own order", "engine/impl/restore.ipp",
           "return a.target->part->stage() < b.target->part->stage();",
           "return &a < &b && false;",
           engine("restore: applied in the order of stages*")),
    Mutant("progress is not restored", "engine/impl/manager_resume.ipp",
           "  progress = manifest.progress;\n", "", MATRIX),
    Mutant("bytes are not compared with their hash",
           "store/impl/part_reader.ipp",
           "  return state_->chain.finish().right;\n",
           "  state_->chain.finish();\n  return true;\n", MATRIX),
    Mutant("the oldest checkpoint is tried first", "store/impl/catalog.ipp",
           "      order.push_back(*next);\n",
           "      order.insert(order.begin(), *next);\n", MATRIX),
    # --- data
    Mutant("the epoch of a loader is not restored",
           "state/impl/epoch_cursor_part.ipp",
           "      cursor_.restore(place_.epoch, place_.position, ",
           "      cursor_.restore(0, place_.position, ", MATRIX),
    Mutant("the position of a loader is not restored",
           "state/impl/epoch_cursor_part.ipp",
           "      cursor_.restore(place_.epoch, place_.position, ",
           "      cursor_.restore(place_.epoch, 0, ", MATRIX),
    Mutant("the position is that of fetching", "state/impl/epoch_cursor_part.ipp",
           '  values.emplace("position", Value(cursor_.position()));\n',
           '  values.emplace("position", Value(cursor_.position() == 3\n'
           "          ? std::size_t{6} : cursor_.position()));\n",
           MATRIX),
    Mutant("an ended epoch is not seen after a resume",
           "state/impl/epoch_cursor.ipp",
           "  remark_.swap(remark);\n  empty_range_due_ = at_end();\n",
           "  remark_.swap(remark);\n  empty_range_due_ = false;\n", MATRIX),
    Mutant("the position runs ahead of the loop",
           "state/impl/epoch_cursor.ipp",
           "  position_ = handed_out_;\n  return static_cast",
           "  position_ = handed_out_ + 1;\n  return static_cast",
           torch("trap 15: *"), MATRIX),

    # --- what an exception leaves behind
    Mutant("a large tensor that changed is saved", "engine/impl/state_stamp.ipp",
           " &&\n          digest_of(*live) == tensor.digest", "",
           engine("exception: the last safe point*"),
           engine("state_stamp: any bit of a large*")),
    Mutant("values are those of now", "engine/impl/state_stamp.ipp",
           "    CapturedPart part = parts_[i].captured;",
           "    CapturedPart part = parts_[i].captured;\n"
           "    if (!all_kept) part.state.values = now[i].state.values;",
           engine("exception: the last safe point*"),
           engine("state_stamp: values are*")),
    Mutant("kept tensors are those of now", "engine/impl/state_stamp.ipp",
           "  if (tensor.kept) {\n", "  if (tensor.kept && now.name.empty()) {\n",
           engine("state_stamp: the smallest are kept")),
    Mutant("a stamp of an earlier step is saved",
           "engine/impl/manager_exception.ipp",
           "  stamped.state.forget();\n", "",
           engine("exception: an earlier safe point*")),
    Mutant("a stamp stands for a step that has not ended",
           "engine/impl/manager.ipp",
           ["  state.leave_safe_point();\n  state.rolled_back",
            "  state.leave_safe_point();\n  state.told_to_stop"],
           ["  state.rolled_back", "  state.told_to_stop"],
           engine("exception: an earlier safe point*"),
           engine("exception: a safe point that was left*")),
    Mutant("a save amid a step stands for the safe point",
           "engine/impl/manager_exception.ipp",
           "(is_saved() && (last_saved_exact || !stepped))", "is_saved()",
           engine("exception: what a user saved*")),
    Mutant("a save that comes too late is begun",
           "engine/impl/manager_exception.ipp",
           "  why_not = too_late_to_save();\n", "",
           engine("exception: no time is left*")),
    Mutant("nothing is saved as something", "engine/impl/manager_exception.ipp",
           "(last_saved_exact || !stepped)", "last_saved_exact",
           engine("exception: before the first step*")),
    Mutant("handlers are called by the destructor",
           "engine/impl/manager_resume.ipp",
           "tell_deletion_failures(Tell::log_only)", "tell_deletion_failures()",
           engine("manager: what cannot be deleted*")),
    Mutant("the heartbeat follows the progress bar", "engine/impl/transfer.ipp",
           ["    if (pulse_) {\n      pulse_();\n    }\n", "has_told_ = true;"],
           ["", "has_told_ = true;\n      if (pulse_) {\n pulse_();\n }\n"],
           engine("transfer: the heartbeat*"), engine("transfer: the pulse*")),
    Mutant("what may have diverged is saved", "engine/impl/manager_exception.ipp",
           "  if (diverged || (divergence && divergence->suspects())) {\n"
           "    why_not", "  if (false) {\n    why_not",
           engine("exception: what cannot be trusted*")),
    Mutant("stamps are taken whatever they cost",
           "engine/impl/manager_exception.ipp", "if (share < 1 &&",
           "if (false &&", engine("exception: looking stays*")),
    Mutant("a stamp is kept beyond run()", "engine/impl/manager_exception.ipp",
           "  manager_.state_->in_run = false;\n", "",
           engine("exception: run() gives back*")),

    # --- deletion and transfers
    Mutant("a save does not wait for deletions", "engine/impl/manager_save.ipp",
           "    wait_for_deletions(plan.bytes);\n", "",
           engine("manager: what is removed*")),
    Mutant("a preempted save goes on where there is no room",
           "engine/impl/manager_space.ipp",
           "while (interruption.empty() || !has_space(*root, bytes)) {",
           "while (interruption.empty()) {",
           engine("manager: a preempted run waits*")),
    Mutant("waiting for a deletion counts as saving",
           "engine/impl/manager_save.ipp",
           "    began += settings.clock->monotonic_seconds() - waits_from;\n", "",
           engine("manager: a save that waited*")),
    Mutant("a preempted manager waits for its trash",
           "engine/impl/manager_resume.ipp", "writer->trash().leave();",
           "writer->trash().wait();", engine("manager: a preempted one leaves*")),
    Mutant("who leaves trash deletes on", "io/impl/file_system.ipp",
           "return stop != nullptr && stop->load();", "return false;",
           Test("store/store_tests", "trash: who is in a hurry*")),
    Mutant("a removal that failed halfway is forgotten", "store/impl/writer.ipp",
           ["    s.trash.remember(trash);\n", "    put_back();\n    throw;"],
           ["", "    throw;"],
           engine("manager: a removal that fails halfway*")),
    Mutant("failed deletions are not told", "store/impl/trash.ipp",
           "    note(deletion.name, deletion.is_told, std::move(deletion.failure));\n",
           "",
           engine("manager: what cannot be deleted*")),
    Mutant("failed deletions are not tried again", "store/impl/trash.ipp",
           "    begin(left, true);\n", "",
           Test("store/store_tests", "trash: who fails*")),
    Mutant("failed deletions are told again and again", "store/impl/trash.ipp",
           "if (!is_told) {", "if (true) {",
           Test("store/store_tests", "trash: who fails*")),
    Mutant("the manager leaves with its thread at work",
           "engine/impl/manager_resume.ipp",
           "    writer->trash().wait();\n", "",
           engine("manager: what cannot be deleted*")),
    Mutant("reading is not measured", "engine/impl/pending_part.ipp",
           "    meter.add(got);\n", "", engine("transfer: a manager tells*")),
    Mutant("short transfers are told", "engine/impl/transfer.ipp",
           "now - told_ >= listener_.interval_seconds",
           "true", engine("transfer: short ones*")),
    Mutant("a long save has no heartbeat", "engine/impl/manager_save.ipp",
           "[this] { beat(Heartbeat::State::saving, elapsed()); }", "{}",
           engine("transfer: a manager tells*")),
    Mutant("a run that waits for space has no heartbeat",
           "engine/impl/manager_space.ipp",
           "    beat(Heartbeat::State::saving, elapsed());\n    clock.sleep",
           "    clock.sleep", engine("heartbeat: goes on while*")),
    Mutant("a run that waits for space hears nothing",
           "engine/impl/manager_space.ipp",
           "clock.sleep(std::min(left, 1.0))", "clock.sleep(left)",
           engine("full disk: waits*")),
    Mutant("the bar goes beyond the line", "io/impl/terminal.ipp",
           "columns - 1", "columns",
           Test("io/holdfast_io_tests", "terminal: nothing*")),

    # --- the life of a run
    Mutant("preempted while it waits for space, a run is not saved",
           "engine/impl/manager_space.ipp",
           "if (space_failures > 0 && !was_interrupted && ", "if (false && ",
           engine("full disk: preempted while*")),
    Mutant("other errors are waited out like a full disk",
           "engine/impl/manager_space.ipp",
           "error.code() == ErrorCode::no_space ? space_failures + 1 : 0;",
           "error.code() == ErrorCode::no_space ? space_failures + 1\n"
           ": space_failures;", engine("full disk: nobody waits*")),
    Mutant("a warning ends a resume", "engine/impl/manager_space.ipp",
           "} catch (const Error&) { // a disk that cannot be looked at",
           "} catch (const Error&) { throw; // a disk that cannot be looked at",
           engine("full disk: to look for room*")),
    Mutant("a failed rollback may begin afresh", "engine/impl/manager_lines.ipp",
           "      spoiled = true; // trained", "      // trained",
           engine("rollback: one that fails for good*")),
    Mutant("a rollback forgets what a save takes",
           "engine/impl/manager_resume.ipp",
           "rolling_back ? std::max(save_seconds, engine.save_seconds)",
           "rolling_back ? engine.save_seconds", engine("rollback: what a save*")),
    Mutant("an epoch is cut for ever", "engine/impl/manager.ipp",
           "  state.told_to_stop = false;\n  state.epoch_cut = false;\n"
           "  ++state.progress.epoch;", "  ++state.progress.epoch;",
           engine("rollback: an end of an epoch*")),
    Mutant("a goal that was saved hides a preemption",
           "engine/impl/manager.ipp",
           "(!state.stop_saved || state.is_interrupted())", "!state.stop_saved",
           engine("stop: a preemption is saved*")),
    Mutant("the heartbeat stands still after a rollback", "engine/heartbeat.hpp",
           "seconds < last_", "false", engine("heartbeat: goes on after*")),
    Mutant("a former life's state stands while a run resumes",
           "engine/impl/manager_resume.ipp",
           "    beat(Heartbeat::State::resuming, 0);\n", "",
           engine("heartbeat: tells how*")),
    Mutant("weights between two steps are gone back to",
           "engine/impl/manager_divergence.ipp",
           "!infos[i].suspect && infos[i].exact &&", "!infos[i].suspect &&",
           engine("divergence: weights between*")),
    Mutant("going back does not wait for space",
           "engine/impl/manager_divergence.ipp",
           "if (!pause_for_space(pause, end)) {", "if (true) {",
           engine("divergence: going back waits*")),
    Mutant("a new best amid suspicion is lost", "engine/impl/manager_save.ipp",
           "  if (!suspects) {\n    reasons", "  if (suspects) {\n    return;\n"
           "  } else {\n    reasons", engine("divergence: a new best*")),
    Mutant("what is due is forgotten for a new best",
           "engine/impl/manager_save.ipp", "    last_save = due_since;\n", "",
           engine("divergence: a new best*")),
    Mutant("the last try goes without the metrics",
           "engine/impl/manager_save.ipp",
           "save_if_due(Metrics(unsaved_metrics), true);",
           "save_if_due({}, true);", engine("manager: what fails at the goal*")),
    Mutant("saves that were asked for count as failed",
           "engine/impl/manager_space.ipp",
           "    see_lost_lock(error);\n",
           "    ++failures;\n    see_lost_lock(error);\n",
           engine("manager: a failing save is told*")),
    Mutant("the grace time is over for good", "run/impl/preemption.ipp",
           "    s.set(s.over, false);\n", "",
           Test("run/run_tests", "preemption: the grace time counts*")),
    Mutant("a preemption is heard when all is done",
           "engine/impl/manager_space.ipp",
           ["if (is_saving_what_is_due) {",
            "see_stop_request(stepped && !(goal_is_reached() && is_saved()));"],
           ["if (true) {", "see_stop_request(stepped);"],
           engine("manager: when all is done*")),
    Mutant("a save is begun without the time for it",
           "engine/impl/manager_save.ipp",
           "        throw Error(ErrorCode::preempted, left_out);\n", "",
           engine("manager: a save is not begun*")),
    Mutant("new bests amid suspicion do not pause",
           "engine/impl/manager_save.ipp", "  last_attempt = began;\n", "",
           engine("divergence: new bests amid suspicion*")),
    Mutant("a run that went back seems to save",
           "engine/impl/manager_divergence.ipp",
           "  beat(Heartbeat::State::running, elapsed());\n", "",
           engine("divergence: going back waits*")),
    Mutant("patience is for each deletion", "store/impl/trash.ipp",
           "patience - gone.count()", "patience",
           Test("store/store_tests", "trash: patience*")),
    Mutant("loaders that were left stay attached",
           "engine/impl/data_sources.ipp",
           "  for (const Source& source : sources_) {\n"
           "    source.part->part->let_go();\n  }\n", "",
           engine("stop: a loader that was left*")),
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
        ran = self.run([program, test.pattern])
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
        mutated = mutant.applied_to(text)
        if mutated is None:
            return "OUT OF DATE"
        (self.include / path).write_text(mutated, "utf-8")
        made = self.compile_mutated(
            mutant.tests[0].program, mutant.file.split("/")[0])
        (self.include / path).write_text(text, "utf-8")
        if not made:
            return "NOT BUILT"
        for program in sorted({test.program for test in mutant.tests}):
            linked = self.link_with(program, made)
            if not linked:
                return "NOT BUILT"
            for test in mutant.tests:
                if test.program == program and self.passes(linked, test):
                    return f"SURVIVED {test.pattern}"
        return "killed"


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
            print(f"{mutant.name}: "
                  + ", ".join(test.pattern for test in mutant.tests))
        return
    if arguments.build is None or not chosen:
        parser.error("--build DIR is needed" if chosen else "no such mutant")

    os.environ.setdefault("HOLDFAST_TEST_EFFORT", "thin")
    workshop = Workshop(arguments.build.resolve())
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    for program in sorted({test.program for test in tests}):
        workshop.prepare(program)
    for test in tests:
        if not workshop.passes(f"tests/{test.program}", test):
            sys.exit(f"mutants: without a mutant, {test} does not pass")
    killed = 0
    by_matrix = 0
    for mutant in chosen:
        began = time.monotonic()
        verdict = workshop.try_mutant(mutant)
        if verdict == "killed":
            killed += 1
            by_matrix += MATRIX in mutant.tests
        print(f"{verdict} {time.monotonic() - began:4.0f} s  {mutant.name}",
              flush=True)
    print(f"{killed} of {len(chosen)} mutants killed, "
          f"{by_matrix} of them by the resume matrix")
    sys.exit(killed != len(chosen))


if __name__ == "__main__":
    main()

"""Kills the digits example at random moments, and starts it again: by SIGKILL,
or preempts it by SIGTERM; or kills one that diverges and goes back by itself.

Usage: kill_digits.py kill|preempt|diverge <digits program> <digits.csv>
           <folder for run directories>

Run directories are uncompressed and compressed in turn. Each is struck ten
times and then allowed to end. Demanded of all of them:

- the final weights are those of a run that was not interrupted and saved only
  at the end of epochs;
- every line about an epoch that any of the processes printed, with its mean
  loss, accuracy and learning rate, is that run's line;
- a start after a kill resumes the newest checkpoint that the kill has left or,
  if the run had just gone back and saved nothing since, the one it went back to;
  it passes none over, and warns of nothing; it is a fresh start only if there is
  none;
- one that diverges without the rule learns nothing, and with the rule all;
- one that is preempted saves, says so, and exits with 75, unless the signal came
  before the program watched for it or after its last step;
- some of the kills came in the middle of a save.

HOLDFAST_KILLS: how often to strike (20). HOLDFAST_SEED: which random moments
(1).
"""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

EPOCHS = 4  # the learning rate falls from the third on
SAVE_EVERY = 2
KILLS_A_DIRECTORY = 10
# A kill comes up to so many seconds after the report of the resume; one in
# five comes before it, while the process starts or resumes.
WINDOW = 0.6
BEFORE_REPORT = 0.2
# One in three of the others waits for a save, and comes in its middle.
WITHIN_SAVE = 1 / 3
# Fewer kills than these may all miss the saves they are aimed at.
ENOUGH_KILLS = 20
# A process that takes longer hangs.
PATIENCE = 120
RUN_AGAIN = 75
# The batch that is spoiled, in the second epoch.
POISON = ["--poison", "60"]
MODES = {
    "kill": (signal.SIGKILL, []),
    "preempt": (signal.SIGTERM, []),
    "diverge": (signal.SIGKILL, [*POISON, "--recover"]),
}
# What a process may say on standard error: that it diverges, and where a kill
# came just before, that this may be the resume's fault.
EXPECTED_ERRORS = re.compile(
    r"holdfast: (diverged|rolled back): loss was .*"
    r"|holdfast: warning: metric 'loss' got worse .* is nan, .*")


class Failure(Exception):
    pass


class Digits:
    """One process of the program, writing to files that a kill leaves whole."""

    def __init__(self, command, log):
        self.log = log
        self.began = time.monotonic()
        with open(log, "wb") as out, open(f"{log}.err", "wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err)

    def lines(self):
        """What was printed so far, without a last line that is not complete."""
        text = pathlib.Path(self.log).read_text("utf-8")
        return text.split("\n")[:-1]

    def running(self):
        return self.process.poll() is None

    def wait_until(self, condition):
        while self.running() and not condition():
            if time.monotonic() - self.began > PATIENCE:
                self.kill()
                raise Failure(f"no end after {PATIENCE} s: {self.lines()}")
            time.sleep(0.001)

    def strike(self, number):
        """Sends a signal. False if the process had ended by itself."""
        self.process.send_signal(number)
        self.wait_until(lambda: False)
        status = self.process.returncode
        if number == signal.SIGTERM and status == RUN_AGAIN:
            told = self.errors()
            if not re.fullmatch(
                    r"holdfast: preempted: SIGTERM: saved \S+\n", told):
                raise Failure(f"preempted without a word: '{told}'")
            return True
        watched = self.lines() and not self.lines()[-1].startswith("weights ")
        if number == signal.SIGTERM and status == -number and watched:
            raise Failure("killed by SIGTERM, though it watched for it")
        return status == -number

    def kill(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        self.wait_until(lambda: False)
        if self.process.returncode != 0:
            raise Failure(
                f"exit status {self.process.returncode}: {self.lines()} "
                f"{self.errors()}")

    def errors(self):
        return pathlib.Path(f"{self.log}.err").read_text("utf-8")


def names(directory, prefix):
    if not directory.is_dir():
        return []
    return sorted(n for n in os.listdir(directory) if n.startswith(prefix))


def to_resume(directory):
    """The newest checkpoint or, where the newest line has none yet, its origin."""
    numbered = {int(n.split("-")[1]): n for n in names(directory, "ckpt-")}
    lines = names(directory, "line-")
    if lines and int(lines[-1].split("-")[1]) > max(numbered, default=0):
        return numbered[int(lines[-1].split("-from-")[1])]
    return numbered[max(numbered)] if numbered else None


def weights(lines):
    found = re.fullmatch(r"weights ([0-9a-f]{32})", lines[-1] if lines else "")
    if found is None:
        raise Failure(f"no digest of the weights in {lines}")
    return found.group(1)


class Reference:
    """What a run prints that nobody interrupts."""

    def __init__(self, command, log):
        digits = Digits(command, log)
        digits.wait_until(lambda: digits.lines())
        self.start_up = time.monotonic() - digits.began
        digits.finish()
        lines = digits.lines()
        self.epochs = {l.split()[1]: l for l in lines if l.startswith("epoch ")}
        self.weights = weights(lines)
        self.accuracy = float(lines[-2].split()[1])
        self.errors = digits.errors()
        if len(self.epochs) != EPOCHS:
            raise Failure(f"expected {EPOCHS} epochs in {lines}")


def check(digits, reference, expected):
    """What holds for every process; `expected`: the checkpoint to resume."""
    lines = digits.lines()
    if lines:
        start = f"resumed {expected} " if expected else "fresh start in "
        if not lines[0].startswith(start):
            raise Failure(f"expected '{start}...', got '{lines[0]}'")
    for line in lines:
        if line.startswith("epoch "):
            other = reference.epochs[line.split()[1]]
            if line != other:
                raise Failure(f"'{line}', but uninterrupted '{other}'")
        if "passed over" in line or "lost" in line or "environment" in line:
            raise Failure(f"a kill did harm: {lines}")
    errors = [line for line in digits.errors().splitlines()
              if not EXPECTED_ERRORS.fullmatch(line)]
    if errors and digits.process.returncode != RUN_AGAIN:
        raise Failure(f"standard error: {digits.errors()}")


def check_divergence(program, data, work, recovered):
    """The spoiled batch ruins the run, unless it goes back."""
    if (recovered.errors.count("holdfast: diverged: ") != 1 or
            recovered.errors.count("holdfast: rolled back: ") != 1):
        raise Failure(f"went back otherwise than once: {recovered.errors}")
    left = Reference(
        [program, "--data", data, "--epochs", str(EPOCHS), "--dir",
         str(work / "left-alone"), *POISON], work / "left-alone.log")
    print(f"left alone: accuracy {left.accuracy}", flush=True)
    if left.accuracy > 0.2 or recovered.accuracy < 0.95 or left.errors:
        raise Failure(f"{left.accuracy} is not ruined, or "
                      f"{recovered.accuracy} not recovered: {left.errors}")


class Counts:
    def __init__(self):
        self.kills = 0
        self.within_save = 0
        self.within_removal = 0
        self.before_report = 0
        self.gone_back = 0
        self.resumes = 0
        self.fresh = 0
        self.directories = 0


def run_directory(
        command, directory, reference, chance, number, kills, counts):
    """Strikes runs in a new directory up to `kills` times, then lets one end."""
    counts.directories += 1
    done = 0
    while True:
        expected = to_resume(directory)
        lines = names(directory, "line-")
        left = names(directory, ".staging-")
        digits = Digits(command, f"{directory}.log")
        if done < kills:
            early = chance.random() < BEFORE_REPORT
            if not early:
                digits.wait_until(lambda: digits.lines())
            moment = chance.uniform(0, reference.start_up if early else WINDOW)
            within_save = not early and chance.random() < WITHIN_SAVE
            deadline = time.monotonic() + moment
            # The first new line is struck at once, before its first save.
            digits.wait_until(lambda: time.monotonic() >= deadline or
                              (not lines and names(directory, "line-")))
            if within_save:
                digits.wait_until(lambda: names(directory, ".staging-"))
        else:
            digits.finish()
        killed = digits.strike(number)
        counts.gone_back += names(directory, "line-") != lines
        check(digits, reference, expected)
        if digits.lines():
            counts.resumes += expected is not None
            counts.fresh += expected is None
        if not killed:
            digits.finish()
            if weights(digits.lines()) != reference.weights:
                raise Failure(
                    f"weights {weights(digits.lines())}, but uninterrupted "
                    f"{reference.weights}")
            return done
        done += 1
        counts.kills += 1
        counts.before_report += not digits.lines()
        counts.within_save += any(
            name not in left for name in names(directory, ".staging-"))
        counts.within_removal += bool(names(directory, ".trash-"))


def main():
    mode, program, data, work = sys.argv[1:]
    number, flags = MODES[mode]
    kills = int(os.environ.get("HOLDFAST_KILLS", "20"))
    seed = int(os.environ.get("HOLDFAST_SEED", "1"))
    chance = random.Random(seed)
    counts = Counts()
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    began = time.monotonic()

    def command(directory, save_every, *more):
        return [program, "--data", data, "--epochs", str(EPOCHS), "--dir",
                str(directory), "--save-every", str(save_every), *flags, *more]

    print(f"seed {seed}, {kills} times {number.name}", flush=True)
    try:
        reference = Reference(
            command(work / "uninterrupted", 1_000_000),
            work / "uninterrupted.log")
        print(f"uninterrupted: weights {reference.weights}, accuracy "
              f"{reference.accuracy}", flush=True)
        if mode == "diverge":
            check_divergence(program, data, work, reference)
        while counts.kills < kills:
            compress = ["--compress"] if counts.directories % 2 else []
            directory = work / f"{mode}-{counts.directories + 1}"
            done = run_directory(
                command(directory, SAVE_EVERY, *compress), directory,
                reference, chance, number,
                min(KILLS_A_DIRECTORY, kills - counts.kills), counts)
            print(f"{directory.name}{' compressed' if compress else ''}: "
                  f"{done} times, the same weights", flush=True)
        if (number == signal.SIGKILL and kills >= ENOUGH_KILLS and
                not counts.within_save):
            raise Failure("no kill came in the middle of a save")
    except Failure as failure:
        print(f"FAILED after {counts.kills} times: {failure}")
        print(f"run directories and logs are in {work}")
        sys.exit(1)
    print(f"{counts.kills} times: {counts.within_save} within a save, "
          f"{counts.within_removal} within a removal, {counts.before_report} "
          f"before the resume was reported, {counts.gone_back} after "
          f"going back; {counts.resumes} resumes and "
          f"{counts.fresh} fresh starts in {counts.directories} directories; "
          f"{time.monotonic() - began:.0f} s")
    shutil.rmtree(work)


main()

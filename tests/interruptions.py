"""Commands that are interrupted at random times: ``python tests/interruptions.py [--kill] [TRIALS [SEED]]``.

Each trial ends with status 130 and one line, or with the whole result. No output of a trial differs from that of an
uninterrupted command, and the same command works afterwards. With ``--kill``, the commands are killed instead.
"""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile
from signals import bursts

MOST_SECONDS = 10.0  # from the signal to the end of the process
LOST_SECONDS = 1.0  # of computing: a result that takes longer than this after the signal ignored it
RATE = 8000
TRAIN = ["--hidden", 8, "--epochs", 30, "--batch-size", 128, "--tol", 0]
TIMES = re.compile(rb'("seconds": |took |in )[0-9.]+')

# The arguments of each command. {model} and {other} are run folders.
COMMANDS = {
    "inspect": ["inspect", "{sounds}"],
    "train": ["train", "{sounds}", "-o", "{out}/run", *TRAIN],
    "train lbfgs": ["train", "{sounds}", "-o", "{out}/run", "--solver", "lbfgs", "--hidden", 8, "--epochs", 20],
    "train local:2": ["train", "{sounds}", "-o", "{out}/run", "--hidden", 8, "--epochs", 20, "--engine", "local:2"],
    "survey": ["survey", "{model}", "{sounds}", "-o", "{out}/found"],
    "find": ["find", "{model}", "{sounds}", "--like", "{sounds}/a/tone_00.wav", "-o", "{out}/like.html"],
    "report": ["report", "{model}", "{sounds}", "-o", "{out}/report.html"],
    "export csv": ["export", "{model}", "{sounds}", "-o", "{out}/files.csv"],
    "export npz": ["export", "{model}", "{sounds}", "-o", "{out}/windows.npz", "--level", "window"],
    "export parquet": ["export", "{model}", "{sounds}", "-o", "{out}/windows.parquet", "--level", "window"],
    "evaluate": [
        "evaluate",
        "{model}",
        "{sounds}",
        "--labels",
        "folder",
        "--baselines",
        "kmeans",
        "-o",
        "{out}/evaluation",
    ],
    "render": ["render", "{model}", "-o", "{out}/atoms.png"],
    "info": ["info", "{model}"],
    "diff": ["diff", "{model}", "{other}", "-o", "{out}/diff.html"],
    "domains": ["domains"],
    "samples": ["samples", "{out}/samples"],
    "cache": ["cache", "--cache", "{cache}"],
    "gradcheck": ["gradcheck"],
    "doctor": ["doctor"],
}
READING = {"train", "train lbfgs", "train local:2", "survey", "find", "report", "evaluate"} | {
    name for name in COMMANDS if name.startswith("export")
}


@dataclass
class Whole:
    """What a command gives without an interruption: its outputs, and how long it computed."""

    files: dict[str, bytes]
    seconds: float


@dataclass
class Place:
    """A folder with recordings, two models and a cache for all trials."""

    folder: Path
    model: Path | None = None
    other: Path | None = None
    whole: dict[str, Whole] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        for number in range(12):
            path = self.sounds / "ab"[number % 2] / f"tone_{number:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, bursts(rng, 5 + number, RATE), RATE)
            if number % 3 == 0:  # a size of 0, as of a recorder that lost power: it is corrected in memory
                content = bytearray(path.read_bytes())
                content[40:44] = bytes(4)
                path.write_bytes(content)
        for name, seed in (("model", 0), ("other", 1)):
            if getattr(self, name) is None:
                setattr(self, name, self.folder / name)
                command = ["train", self.sounds, "-o", self.folder / name, *TRAIN, "--seed", seed, "-q"]
                subprocess.run(self.started(command), check=True, capture_output=True, env=self.environment())

    @property
    def sounds(self) -> Path:
        return self.folder / "sounds"

    def environment(self) -> dict[str, str]:
        return os.environ | {"AUDIOSAE_CACHE": str(self.folder / "cache")}

    def started(self, arguments) -> list[str]:
        return [sys.executable, "-m", "audiosae", *map(str, arguments)]

    def arguments(self, name: str, out: Path, cache: Path | None) -> list[str]:
        folders = {"model": self.model, "other": self.other, "sounds": self.sounds, "out": out}
        folders["cache"] = self.folder / "cache"
        filled = [str(part).format(**folders) for part in COMMANDS[name]]
        return [*filled, "--cache", str(cache)] if cache and name in READING else filled

    def run_whole(self, name: str) -> Whole:
        """Run a command without an interruption, once per command."""
        if name not in self.whole:
            out = self.new_folder()
            before = computed_by_children()
            command = self.started(self.arguments(name, out, out / "cache"))
            subprocess.run(command, check=True, capture_output=True, env=self.environment())
            seconds = computed_by_children() - before
            self.whole[name] = Whole(outputs(out), seconds)
            shutil.rmtree(out)
        return self.whole[name]

    def new_folder(self) -> Path:
        self.number += 1
        out = self.folder / f"out{self.number}"
        out.mkdir()
        return out


def outputs(out: Path) -> dict[str, bytes]:
    """Return the outputs of a command by name, without the cache, checkpoints, and times of the clock."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        hidden = any(part.startswith((".", "cache", "checkpoint", "before-")) for part in Path(name).parts)
        if path.is_file() and not hidden and path.suffix != ".tmp":
            content = TIMES.sub(b"", path.read_bytes()).replace(os.fsencode(out), b"OUT")
            if path.name == "history.csv":  # without the column of seconds
                content = b"\n".join(re.sub(rb",[^,]*(,[^,]*)$", rb"\1", line) for line in content.splitlines())
            found[name] = content
    return found


def trial(
    place: Place,
    name: str,
    rng: random.Random,
    sent: int = signal.SIGINT,
    *,
    seconds: float = 0.0,
    again: float = 0.25,
) -> str:
    """Interrupt a command at a random time; return "interrupted", "whole" or "starting", or raise AssertionError.

    The time is within the first `seconds` of computing, or within those of the whole command. `again` is the share of
    the trials after which the command is run again; it always is after a kill, and training is resumed.
    """
    seconds, out = seconds or place.run_whole(name).seconds, place.new_folder()
    cache = out / "cache" if rng.random() < 0.5 else None
    command = place.started(place.arguments(name, out, cache))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": place.environment()}
    before, chosen, computed = computed_by_children(), rng.uniform(0.0, seconds), 0.0
    process = subprocess.Popen(command, start_new_session=True, **streams)
    while process.poll() is None and computed < chosen:
        time.sleep(0.002)
        computed = seconds_of(process.pid)
    if process.poll() is None:
        group = rng.random() < 0.5  # a terminal sends Ctrl-C to all processes of a command
        (os.killpg if group or sent == signal.SIGKILL else os.kill)(process.pid, sent)
    try:
        _, err = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"{name}: still running {MOST_SECONDS:g} s after the signal") from None
    outcome = judged(name, process.returncode, err, computed_by_children() - before - computed, sent)
    await_end(process.pid, name)
    if outcome == "whole" or outputs(out):
        check_outputs(name, outputs(out), place.run_whole(name).files, complete=outcome == "whole")
    resumes = name.startswith("train") and again > 0
    if outcome != "whole" and (sent == signal.SIGKILL or resumes or rng.random() < again):
        resumed = ["--resume"] if name.startswith("train") and (out / "run").is_dir() else []
        repeated = subprocess.run([*command, *resumed], check=False, **streams)
        assert repeated.returncode == 0, f"{name}, run again: {repeated.stderr[-2000:]}"
        found, expected = outputs(out), place.run_whole(name).files
        if resumed and name != "train":  # L-BFGS starts with another estimate of the curvature: other numbers
            found = {file: expected.get(file, b"") for file in found}
        check_outputs(name, found, expected, complete=True)
    shutil.rmtree(out)
    return outcome


def computed_by_children() -> float:
    """Return how long the processes that this one has started, and that have ended, have computed."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds_of(process: int) -> float:
    """Return how long a process and its children have computed; infinity if it has ended."""
    try:
        parent = psutil.Process(process)
        return sum(sum(each.cpu_times()[:4]) for each in (parent, *parent.children(recursive=True)))
    except psutil.Error:
        return float("inf")


def judged(name: str, status: int, err: str, seconds: float, sent: int) -> str:
    """Return the outcome of a trial from its exit status and standard error."""
    if status == 0:
        assert seconds < LOST_SECONDS, f"{name}: the signal was lost; the command computed for {seconds:.1f} s more"
        return "whole"
    if sent == signal.SIGKILL:
        assert status == -sent, f"{name}: status {status}\n{err}"
        return "interrupted"
    lines = err.splitlines() or [""]
    if lines[-1] == "KeyboardInterrupt" and "/audiosae/" not in re.sub("/audiosae/__(init|main)__.py", "", err):
        return "starting"  # Python itself, before the first statement of the program
    assert (status, lines[-1].partition(";")[0]) == (130, "audiosae: interrupted"), (
        f"{name}: status {status}\n{err[-3000:]}"
    )
    assert "Traceback" not in err, f"{name}:\n{err[-3000:]}"
    assert "Exception ignored" not in err, f"{name}:\n{err[-3000:]}"
    return "interrupted"


def await_end(group: int, name: str) -> None:
    """Wait until no process of a group runs."""
    deadline = time.monotonic() + MOST_SECONDS
    while running := members(group):
        assert time.monotonic() < deadline, f"{name}: these processes did not end: {running}"
        time.sleep(0.05)


def members(group: int) -> list[str]:
    """Return the commands of the running processes of a group."""
    listing = subprocess.run(["/bin/ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    fields = (line.split(maxsplit=2) for line in listing.splitlines())
    return [args for number, state, *args in fields if int(number) == group and not state.startswith("Z")]


def check_outputs(name: str, found: dict[str, bytes], whole: dict[str, bytes], *, complete: bool) -> None:
    """Check that every output is that of the whole command, and that all are there if the command was completed."""
    different = [file for file, content in found.items() if content != whole.get(file)]
    assert not different, f"{name}: differ from those of the whole command: {different}"
    assert not complete or found.keys() == whole.keys(), f"{name}: {sorted(whole.keys() - found.keys())} are missing"


def main() -> None:
    """Run trials over all commands in turn; print the counts of each command."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores Ctrl-C
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    trials, seed = map(int, [*arguments, *["500", "0"][len(arguments) :]])
    rng, counts, faults = random.Random(seed), {name: Counter() for name in COMMANDS}, 0
    sent = signal.SIGKILL if "--kill" in sys.argv else signal.SIGINT
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder))
            for number in range(trials):
                name = list(COMMANDS)[number % len(COMMANDS)]
                try:
                    outcome = trial(place, name, rng, sent)
                except AssertionError as error:
                    print(f"trial {number}: {error}", flush=True)
                    outcome, faults = "fault", faults + 1
                counts[name][outcome] += 1
    finally:
        for name, outcomes in counts.items():
            print(f"{name:15}", ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items())))
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()

"""What survey takes: time and memory with ten times as much to listen to, and time over that of exporting windows.

Beside the times stands what the processors worked, which other programs on the machine change less.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import Figure, peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

RATE, FILE_SECONDS = 22050, 600
HOURS, SHORT_HOURS = (2.0, 20.0), (0.05, 0.2)
A_MINUTE = 6  # sounds


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of survey."""
    little, much = SHORT_HOURS if short else HOURS
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        seconds = 60 if short else FILE_SECONDS
        write_recordings(folder / "much", round(much * 3600 / seconds), seconds)
        (folder / "little").mkdir()
        for path in sorted((folder / "much").iterdir())[: round(little * 3600 / seconds)]:
            (folder / "little" / path.name).hardlink_to(path)
        _run(folder, "train", str(folder / "little"), "-o", str(folder / "run"), "--max-windows", "40000", "--epochs",
             "2", cache="training")  # fmt: skip
        little_run, much_run = (_survey(folder, part) for part in ("little", "much"))
        exporting = _run(folder, "export", str(folder / "run"), str(folder / "little"), "--level", "window", "-o",
                         str(folder / "codes.npz"), cache="exporting")  # fmt: skip
    detail = f"{much_run.told} for {much:g} h, {little_run.told} for {little:g} h"
    hourly = (much_run.seconds / much) / (little_run.seconds / little)
    yield Figure("survey: time per hour, much over little", hourly, 1.1, at_least=False, detail=detail)
    detail = f"{much_run.peak:.0f} MiB with {much:g} h, {little_run.peak:.0f} MiB with {little:g} h"
    yield Figure("survey: peak memory, much less little, MiB", much_run.peak - little_run.peak, 100, at_least=False,
                 detail=detail)  # fmt: skip
    detail = f"{little_run.told}; {exporting.told}; {little:g} h, each from an empty cache"
    yield Figure("survey over export --level window", little_run.seconds / exporting.seconds, 1.5, at_least=False,
                 detail=detail)  # fmt: skip


@dataclass(frozen=True)
class _Run:
    """Seconds by the clock and of the processors, and peak memory in MiB."""

    seconds: float
    worked: float
    peak: float

    @property
    def told(self) -> str:
        return f"{self.seconds:.1f} s (processors {self.worked:.1f} s)"


def _survey(folder: Path, part: str) -> _Run:
    return _run(folder, "survey", str(folder / "run"), str(folder / part), "-o", str(folder / f"out-{part}"),
                cache=f"surveying-{part}")  # fmt: skip


def _run(folder: Path, *command: str, cache: str) -> _Run:
    """Run a command from an empty cache."""
    began, before = time.perf_counter(), os.times()
    peak = peak_memory([sys.executable, "-m", "audiosae", *command, "--cache", str(folder / cache), "-q"])
    seconds, after = time.perf_counter() - began, os.times()
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return _Run(seconds, worked, peak)


def write_recordings(folder: Path, count: int, seconds: int) -> None:
    """Write recordings of an hour's first minutes in which, in steady noise, one of four kinds of sound is heard."""
    import soundfile

    folder.mkdir()
    for number in range(count):
        rng = np.random.default_rng(number)
        samples = 0.003 * rng.standard_normal(seconds * RATE, dtype=np.float32)
        at = 1.0
        while at < seconds - 2:
            sound = _sound(rng)
            first = round(at * RATE)
            samples[first : first + len(sound)] += sound
            at += rng.exponential(60 / A_MINUTE) + 1.0
        day, hour = divmod(number, 24)
        soundfile.write(folder / f"202406{day + 1:02d}_{hour:02d}0000.wav", samples, RATE)


def _sound(rng: np.random.Generator) -> NDArray[np.float32]:
    time = np.arange(round(rng.uniform(0.2, 0.8) * RATE)) / RATE
    kind = rng.integers(4)
    tone = np.sin(2 * np.pi * rng.uniform(0.95, 1.05) * (600, 1800, 4200, 7000)[kind] * (time + 0.2 * kind * time**2))
    pulses = 1.0 if kind % 2 else np.sin(2 * np.pi * 12 * time) ** 2
    return np.asarray(0.03 * tone * pulses * np.hanning(len(time)) ** 0.3, np.float32)

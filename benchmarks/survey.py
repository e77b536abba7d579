"""Survey: time and memory for ten times as many hours, and time compared with exporting windows.

CPU times are given too, because other programs on the machine affect them less than elapsed times.
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
SOUNDS_PER_MINUTE = 6


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
        few = ["--max-windows", "40000", "--epochs", "2"]
        _run(folder, "train", str(folder / "little"), "-o", str(folder / "run"), *few, cache="training")
        little_run, much_run = (_survey(folder, part) for part in ("little", "much"))
        windows = ["--level", "window", "-o", str(folder / "codes.npz")]
        exporting = _run(folder, "export", str(folder / "run"), str(folder / "little"), *windows, cache="exporting")
    detail = f"{much_run.text} for {much:g} h, {little_run.text} for {little:g} h"
    hourly = (much_run.seconds / much) / (little_run.seconds / little)
    yield Figure("survey: time per hour, much over little", hourly, 1.1, at_least=False, detail=detail)
    detail = f"{much_run.peak:.0f} MiB with {much:g} h, {little_run.peak:.0f} MiB with {little:g} h"
    more = much_run.peak - little_run.peak
    yield Figure("survey: peak memory, much less little, MiB", more, 100, at_least=False, detail=detail)
    detail = f"{little_run.text}; {exporting.text}; {little:g} h, each from an empty cache"
    ratio = little_run.seconds / exporting.seconds
    yield Figure("survey over export --level window", ratio, 1.5, at_least=False, detail=detail)


@dataclass(frozen=True)
class _Run:
    """Elapsed and CPU seconds of a command, and its peak memory in MiB."""

    seconds: float
    cpu_seconds: float
    peak: float

    @property
    def text(self) -> str:
        return f"{self.seconds:.1f} s (CPU {self.cpu_seconds:.1f} s)"


def _survey(folder: Path, part: str) -> _Run:
    out = ["-o", str(folder / f"out-{part}")]
    return _run(folder, "survey", str(folder / "run"), str(folder / part), *out, cache=f"surveying-{part}")


def _run(folder: Path, *command: str, cache: str) -> _Run:
    """Run a command with an empty cache."""
    began, before = time.perf_counter(), os.times()
    peak = peak_memory([sys.executable, "-m", "audiosae", *command, "--cache", str(folder / cache), "-q"])
    seconds, after = time.perf_counter() - began, os.times()
    cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return _Run(seconds, cpu_seconds, peak)


def write_recordings(folder: Path, count: int, seconds: int) -> None:
    """Write recordings with four kinds of sound in steady noise, one per hour."""
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
            at += rng.exponential(60 / SOUNDS_PER_MINUTE) + 1.0
        day, hour = divmod(number, 24)
        soundfile.write(folder / f"202406{day + 1:02d}_{hour:02d}0000.wav", samples, RATE)


def _sound(rng: np.random.Generator) -> NDArray[np.float32]:
    time = np.arange(round(rng.uniform(0.2, 0.8) * RATE)) / RATE
    kind = rng.integers(4)
    tone = np.sin(2 * np.pi * rng.uniform(0.95, 1.05) * (600, 1800, 4200, 7000)[kind] * (time + 0.2 * kind * time**2))
    pulses = 1.0 if kind % 2 else np.sin(2 * np.pi * 12 * time) ** 2
    return np.asarray(0.03 * tone * pulses * np.hanning(len(time)) ** 0.3, np.float32)

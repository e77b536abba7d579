"""Survey: time and memory for ten times as many hours, and time compared with exporting and with reading alone.

Recordings are FLAC files of five minutes. Reading alone is to decode, resample and compute the spectrogram in two
processes, and to write nothing.

Processor times are given too, because other programs on the machine affect them less than elapsed times.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.commands import Cost, measured
from benchmarks.measure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

RATE, FILE_SECONDS = 22050, 600
HOURS, SHORT_HOURS, SECONDS = (2.0, 20.0), (0.05, 0.2), 300
SOUNDS_PER_MINUTE = 6
READING = """
from functools import partial; from pathlib import Path
from audiosae.autoencoder.model import as_model; from audiosae.corpus.ingest import count_rows
from audiosae.system.processes import run_in_order
read, paths = partial(count_rows, as_model(Path("run")).domain), sorted(Path({part!r}).iterdir())
list(run_in_order(read, paths, workers=2, crashed=str, weigh=lambda _: 2**30))
"""


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of survey."""
    little, much = SHORT_HOURS if short else HOURS
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        seconds = 60 if short else SECONDS
        write_recordings(folder / "much", round(much * 3600 / seconds), seconds, ".flac")
        (folder / "little").mkdir()
        for path in sorted((folder / "much").iterdir())[: round(little * 3600 / seconds)]:
            (folder / "little" / path.name).hardlink_to(path)
        few = ["--max-windows", "40000", "--epochs", "2"]
        run(folder, "train", "little", "-o", "run", *few, cache="training")
        little_run, much_run = (_survey(folder, part) for part in ("little", "much"))
        windows = ["--level", "window", "-o", "codes.npz"]
        exporting = run(folder, "export", "run", "little", *windows, cache="exporting")
        files = run(folder, "export", "run", "much", "-o", "files.npz", cache="exporting-much")
        reading = measured([sys.executable, "-c", READING.format(part="much")], folder=folder)
    detail = f"{much_run.text} for {much:g} h, {little_run.text} for {little:g} h"
    hourly = (much_run.seconds / much) / (little_run.seconds / little)
    yield Figure("survey: time per hour, much over little", hourly, 1.1, at_least=False, detail=detail)
    detail = f"{much_run.peak:.0f} MiB with {much:g} h, {little_run.peak:.0f} MiB with {little:g} h"
    more = much_run.peak - little_run.peak
    yield Figure("survey: peak memory, much less little, MiB", more, 100, at_least=False, detail=detail)
    detail = f"{little_run.text}; {exporting.text}; {little:g} h, each from an empty cache"
    ratio = little_run.seconds / exporting.seconds
    yield Figure("survey over export --level window", ratio, 1.5, at_least=False, detail=detail)

    for name, bar, cost in (("survey", 4, much_run), ("export --level file", 2, files)):
        processors = cost.processor_seconds / reading.processor_seconds
        detail = f"{cost.text}; {reading.text}; of the processors {processors:.2f}; {much:g} h, from an empty cache"
        yield Figure(f"{name} over reading alone", cost.seconds / reading.seconds, bar, at_least=False, detail=detail)


def _survey(folder: Path, part: str) -> Cost:
    return run(folder, "survey", "run", part, "-o", f"out-{part}", cache=f"surveying-{part}")


def run(folder: Path, *command: str, cache: str) -> Cost:
    """Run a command in a folder, with an empty cache."""
    return measured([sys.executable, "-m", "audiosae", *command, "--cache", cache, "-q"], folder=folder)


def write_recordings(folder: Path, count: int, seconds: int, suffix: str = ".wav") -> None:
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
        soundfile.write(folder / f"202406{day + 1:02d}_{hour:02d}0000{suffix}", samples, RATE)


def _sound(rng: np.random.Generator) -> NDArray[np.float32]:
    time = np.arange(round(rng.uniform(0.2, 0.8) * RATE)) / RATE
    kind = rng.integers(4)
    tone = np.sin(2 * np.pi * rng.uniform(0.95, 1.05) * (600, 1800, 4200, 7000)[kind] * (time + 0.2 * kind * time**2))
    pulses = 1.0 if kind % 2 else np.sin(2 * np.pi * 12 * time) ** 2
    return np.asarray(0.03 * tone * pulses * np.hanning(len(time)) ** 0.3, np.float32)

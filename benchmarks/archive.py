"""Training on a long archive: its time, and its model against one from all windows.

Clips are planted into soft noise as in `benchmarks.field`: two draws of two hours, as FLAC of five minutes at 22 kHz. A
longer archive repeats these recordings, each turned to begin elsewhere. Printed per length: the time of `train` with an
empty cache and that of the processors, medians of repeats that are measured in turn; for a checkout of an earlier
version the same with `--before`; and the unexplained variance (FVU) of evenly spaced windows of a third draw.

    python -m benchmarks.archive DATA [--hours 2,40] [--before CHECKOUT] [--repeats 3] [--all]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiosae.autoencoder.model import load_model
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.engine.feed import Feed, score
from benchmarks import field
from benchmarks.commands import Cost, measured

RATE, MINUTES, DRAWS, UNSEEN = 22050, 5, (0, 1), 2
SET, WINDOWS = "field/kinds", 2**16
FIRST = datetime(2024, 6, 1)  # noqa: DTZ001 (the local time of a recorder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--hours", default="2,40", help="with commas between  [default: %(default)s]")
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="also train on all windows (--max-windows 0)")
    parser.add_argument("--sounds", type=Path, help="folder for the recordings, kept  [default: a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder), options.sounds or Path(folder) / "sounds")


def measure(options: argparse.Namespace, folder: Path, sounds: Path) -> None:
    """Train on each length and print a row of a table for each."""
    unseen = draws(options.data, sounds := sounds.absolute())
    here = Path(__file__).parents[1]
    ways: dict[str, tuple[Path, list[str]]] = {"sample": (here, [])}
    if options.before:
        ways["before"] = options.before.absolute(), []
    if options.all:
        ways["all"] = here, ["--max-windows", "0"]
    print("| hours | way | seconds | seconds of the processors | FVU of unseen recordings |\n|---|---|---|---|---|")
    for hours in map(float, options.hours.split(",")):
        archive = archive_of(sounds, hours)
        costs: dict[str, list[Cost]] = {way: [] for way in ways}
        for repeat in range(options.repeats):
            for way, (checkout, extra) in ways.items():
                run = folder / f"{hours:g}-{way}-{repeat}"
                costs[way].append(cost(checkout, [archive, "-o", run, *extra]))
        for way, taken in costs.items():
            shown = fvu(folder / f"{hours:g}-{way}-0", unseen, folder / "cache")
            elapsed = statistics.median(each.seconds for each in taken)
            processors = statistics.median(each.processor_seconds for each in taken)
            print(f"| {hours:g} | {way} | {elapsed:.1f} | {processors:.1f} | {shown:.4f} |", flush=True)


def draws(data: Path, sounds: Path) -> Path:
    """Write the recordings of all draws that are not there; return the folder of the draw that is not trained on."""
    for draw in (*DRAWS, UNSEEN):
        out = sounds / str(draw)
        if out.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            field.RATE, field.MINUTES = RATE, float(MINUTES)
            field.plant(data / SET, "sparse", draw, Path(folder))
            out.mkdir(parents=True)
            for path in sorted(Path(folder).glob("*.wav")):
                soundfile.write(out / f"{path.stem}.flac", *soundfile.read(path, dtype="int16"))
    return sounds / str(UNSEEN)


def archive_of(sounds: Path, hours: float) -> Path:
    """Write an archive of two recorders, whose names state their times; return its folder.

    Its recordings are those of the draws, each of which begins elsewhere and continues at its start.
    """
    archive = sounds / f"{hours:g}h"
    for site, draw in enumerate(DRAWS):
        files, folder = sorted((sounds / str(draw)).glob("*.flac")), archive / f"site{site}"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(round(hours * 60 / MINUTES / len(DRAWS))):
            path = folder / f"{FIRST + timedelta(minutes=3 * MINUTES * number):%Y%m%d_%H%M%S}.flac"
            if not path.exists():
                samples = soundfile.read(files[number % len(files)], dtype="int16")[0]
                turned = np.roll(samples, int(np.random.default_rng([site, number]).integers(len(samples))))
                soundfile.write(path, turned, RATE, compression_level=0.1)
    return archive


def cost(checkout: Path, arguments: list[Any]) -> Cost:
    """Run `train` of a checkout with an empty cache; return what it took."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "audiosae", "train", *map(str, arguments), "--cache", cache, "-q"]
        return measured(command, folder=checkout, PYTHONPATH=str(checkout))


def fvu(run: Path, unseen: Path, cache: Path) -> float:
    """Return the unexplained variance of windows that the model was not trained on."""
    model = load_model(run)
    records = ingest(model.domain, scan([unseen], model.domain.suffixes), cache=cache, workers=2)
    corpus = EngineCorpus(model.domain, records, LocalEngine(), cache=cache, workers=2).sample(WINDOWS)
    return score(Feed(corpus, model.whitener), model.params).fvu


if __name__ == "__main__":
    main()

"""Group labelled clips without their labels: the model's codes beside log-mel and MFCC, through the survey's own code.

The model is trained on all clips of a set, with the defaults unless told. Each drawn clip is one event; or events are
what the survey finds in it, looked at as survey does and as find does. Printed per data set and mean over seeds:
adjusted mutual information with the classes, of as many types as the survey finds and of as many as there are classes,
and the share of the ten most like a clip, or its loudest event, that are of its class, of other clips.

    python -m benchmarks.groups DATA [--seeds 3] [--clips 500] [--hidden N] [--epochs N]

DATA holds folders with a table FOLDER/FOLDER.csv whose column `filename` lies in FOLDER/recordings or FOLDER/audio.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.model import load_model
from audiosae.corpus.entries import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.evaluation.baselines import cepstra
from audiosae.features.codes import DEFAULT_POOL, Encoder, pooled_files
from audiosae.sounds.event_codes import pooled_codes, seconds_per_row
from audiosae.sounds.events import Stretch, stretches
from audiosae.sounds.noise_floor import BandLevels
from audiosae.sounds.sound_types import Space, learn_types

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.sounds.event_codes import WindowContent

QUESTIONS = (
    ("fsdd", "digit"),
    ("fsdd", "speaker"),
    ("instruments", "instrument"),
    ("emodb", "emotion"),
    ("emodb", "speaker"),
)
NEAREST = 10


def clips_of(folder: Path) -> tuple[list[Path], list[dict[str, str]]]:
    """Return the clips of a data set, and their rows of its table."""
    with (folder / f"{folder.name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    place = next(folder / name for name in ("recordings", "audio") if (folder / name).is_dir())
    return [place / row["filename"] for row in rows], rows


@dataclass
class Features:
    """Features of clips, or of the events in them.

    Attributes
    ----------
    rows
        (features,) each.
    clips
        Which clip each is of.
    asked
        Numbers of those whose nearest are looked at, one a clip.
    """

    rows: list[np.ndarray] = field(default_factory=list)
    clips: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def add(self, clip: int, rows: Sequence[np.ndarray], asked: int = 0) -> None:
        """Add the rows of a clip."""
        self.asked.append(len(self.rows) + asked)
        self.rows += rows
        self.clips += [clip] * len(rows)


def feature_sets(
    paths: list[Path], drawn: list[int], where: Path, options: argparse.Namespace, seed: int
) -> dict[str, Features]:
    """Train a model on clips; return features of some of them, by name."""
    cache = where / "cache"
    command = [sys.executable, "-m", "audiosae", "train", *map(str, paths), "-q"]
    more = {"--seed": seed, "--hidden": options.hidden, "--epochs": options.epochs}
    for option, value in {"-o": where / "run", "--cache": cache, **more}.items():
        command += [] if value is None else [option, str(value)]
    subprocess.run(command, check=True)
    model = load_model(where / "run")
    some = [Source(paths[number].name, paths[number]) for number in drawn]
    records = ingest(model.domain, some, cache=cache, workers=2)
    found: dict[str, Features] = defaultdict(Features)
    for clip, (_, codes) in enumerate(pooled_files(model.domain, records, Encoder(model), pools=DEFAULT_POOL)):
        found["model"].add(clip, [codes.reshape(-1)])
    for clip, record in enumerate(records):
        levels = BandLevels(read_field(record), seconds_per_row(model.domain))
        whole = Stretch(0, len(levels.field), 0, levels.bands - 1, 0.0)
        _add(found, model, levels, clip=clip, events=[whole], shown={"model, as an event": "short_recording"})
        if events := list(stretches(levels)):
            shown: dict[str, WindowContent] = {"events, survey": "short_recording", "events, find": "recording"}
            _add(found, model, levels, clip=clip, events=events, shown=shown, prefix="events, ")
    return found


def _add(
    found: dict[str, Features], model: Model, levels: BandLevels, *, clip: int, events: list[Stretch],
    shown: Mapping[str, WindowContent], prefix: str = "",
) -> None:  # fmt: skip
    loudest = max(range(len(events)), key=lambda i: events[i].peak * (events[i].end - events[i].start))
    for name, how in shown.items():
        found[name].add(clip, list(pooled_codes(model, levels, events, shown=how)), loudest)
    parts = [np.asarray(levels.field[event.start : event.end]) for event in events]
    for name, rows in (("log-mel", parts), ("MFCC", [cepstra(part) for part in parts])):
        pooled = [np.concatenate([part.mean(axis=0), part.max(axis=0), part.std(axis=0)]) for part in rows]
        found[prefix + name].add(clip, pooled, loudest)


def agreement(features: np.ndarray, classes: list[str]) -> float:
    """Return the adjusted mutual information with the classes of as many types."""
    return _information(features, classes, len(set(classes)))


def _information(features: np.ndarray, classes: list[str], count: int | None) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    types, _ = learn_types(features, count)
    return float(adjusted_mutual_info_score(classes, types.nearest(types.space.points(features))[0]))


def share_of_nearest(features: np.ndarray, classes: list[str], found: Features) -> float:
    """Return the share of the ten nearest of other clips that are of the same class."""
    points = Space.of(features).points(features)
    near = points[found.asked] @ points.T
    clips, names = np.array(found.clips), np.array(classes)
    near[clips[found.asked][:, None] == clips] = -np.inf
    nearest = np.argsort(-near, axis=1)[:, :NEAREST]
    return float((names[nearest] == names[found.asked][:, None]).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    for option, default in (("seeds", 3), ("clips", 500), ("hidden", None), ("epochs", None)):
        parser.add_argument(f"--{option}", type=int, default=default)
    options = parser.parse_args()
    results: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for folder in dict.fromkeys(name for name, _ in QUESTIONS):
        paths, rows = clips_of(options.data / folder)
        for seed in range(options.seeds):
            drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[: options.clips]).tolist()
            with tempfile.TemporaryDirectory() as where:
                sets = feature_sets(paths, drawn, Path(where), options, seed)
            for data, column in QUESTIONS:
                for name, made in sets.items() if data == folder else ():
                    features = np.array(made.rows, np.float32)
                    classes = [rows[drawn[clip]][column] for clip in made.clips]
                    measured = (_information(features, classes, None), agreement(features, classes),
                                share_of_nearest(features, classes, made))  # fmt: skip
                    results.setdefault((data, column, name), []).append(measured)
    print(f"{'data by class':24}{'features':22}{'AMI':>7}{'of seeds':>24}{'as many':>10}{'nearest':>10}")
    for (data, column, name), values in results.items():
        found, given, nearest = zip(*values, strict=True)
        told = " ".join(f"{value:.3f}" for value in found)
        print(f"{data + ' by ' + column:24}{name:22}{np.mean(found):7.3f}{told:>24}{np.mean(given):10.3f}"
              f"{np.mean(nearest):10.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
